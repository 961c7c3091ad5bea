//! After a sign-in: whoever turned out to have no PIN may be offered one, and whoever has one may be asked for another. The sign-in
//! stands, whatever comes of it.

use std::time::Duration;

use hello_dbus::Purpose;
use nix::unistd::alarm;
use pam::constants::{PAM_SILENT, PamFlag, PamResultCode};
use pam::module::PamHandle;

use crate::arguments::{Arguments, FirstPass};
use crate::ffi::{self, Memory};
use crate::log::Log;
use crate::surface::Surface;
use crate::talk::Rules;
use crate::{Call, begin, converse};

/// `pam_sm_open_session`: somebody was let in and the account is in order. hellod, which knows where a question has its place, is asked
/// only of those of whom it had something to say at the sign-in.
pub(crate) fn after_sign_in(handle: &mut PamHandle, arguments: &Arguments, flags: PamFlag) -> PamResultCode {
    let silent = flags & PAM_SILENT != 0;
    if let Ok(surface) = Surface::of(handle)
        && !silent
        && !surface.tty.is_empty()
        && ffi::remembers(handle, Memory::MayBeAsked, &surface.user)
        // Once for each sign-in, however many sessions a program opens.
        && ffi::remember(handle, Memory::MayBeAsked, "")
    {
        let log = Log::of("session", &surface.service, arguments.debug);
        let rules = Rules {
            purpose: Purpose::OfferPin,
            first_pass: FirstPass::Ignored,
            patience: PATIENCE,
            max_tries: arguments.max_tries,
        };
        // login(1) of util-linux ends itself a minute after its start, and takes that back only when the session is open. Who has
        // proved who they are is not to be thrown out over a question.
        let left = alarm::cancel();
        let begun = begin(&surface, rules.purpose, rules.max_tries);
        let (ending, _) = converse(handle, &Call { surface: &surface, flags, log: &log }, &rules, begun);
        if let Some(left) = left {
            alarm::set(left);
        }
        log.ending(&surface.user, &ending);
    }
    PamResultCode::PAM_IGNORE
}

/// For the chip, which makes a key, and a directory, which is asked a few times. The person's own time doesn't count.
const PATIENCE: Duration = Duration::from_secs(5 * 60);
