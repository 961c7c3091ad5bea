//! After a sign-in: whoever turned out to have no PIN may be offered one. The sign-in stands, whatever comes of it.

use std::time::Duration;

use hello_dbus::Purpose;
use pam::constants::{PAM_SILENT, PamFlag, PamResultCode};
use pam::module::PamHandle;

use crate::arguments::{Arguments, FirstPass};
use crate::ffi::{self, Memory};
use crate::log::Log;
use crate::surface::Surface;
use crate::talk::Rules;
use crate::{Call, begin, converse};

/// `pam_sm_open_session`: somebody was let in and the account is in order. hellod, which knows where an offer has its place, is asked
/// only if it said at the sign-in that the person has no PIN; so nobody else waits for it.
pub(crate) fn after_sign_in(handle: &mut PamHandle, arguments: &Arguments, flags: PamFlag) -> PamResultCode {
    let silent = flags & PAM_SILENT != 0;
    if let Ok(surface) = Surface::of(handle)
        && !silent
        && !surface.tty.is_empty()
        && ffi::remembers(handle, Memory::HasNoPin, &surface.user)
        // Once for each sign-in, however many sessions a program opens.
        && ffi::remember(handle, Memory::HasNoPin, "")
    {
        let log = Log::of("session", &surface.service, arguments.debug);
        let rules = Rules {
            purpose: Purpose::OfferPin,
            first_pass: FirstPass::Ignored,
            patience: PATIENCE,
            max_tries: arguments.max_tries,
        };
        let begun = begin(&surface, rules.purpose, rules.max_tries);
        let (ending, _) = converse(handle, &Call { surface: &surface, flags, log: &log }, &rules, begun);
        log.ending(&surface.user, &ending);
    }
    PamResultCode::PAM_IGNORE
}

/// A code that is typed at a directory holds for a quarter of an hour.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
