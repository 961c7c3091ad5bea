//! The password for the keyring: put into `PAM_AUTHTOK` after a PIN, where the modules of the keyrings look for it, and taken
//! from there after a password.

use std::time::Duration;

use hello_dbus::{Purpose, Role, Style};
use pam::constants::PamResultCode;
use pam::items::AuthTok;
use pam::module::PamHandle;
use zeroize::Zeroizing;

use crate::arguments::{Arguments, FirstPass};
use crate::ffi::{self, Memory};
use crate::log::Log;
use crate::surface::Surface;
use crate::talk::{self, NoReply, Rules, Secret, Terminal};

/// Puts what the PIN has opened where the modules that follow find it. Where their questions are answered with what was typed before,
/// there must be none: pam_kwallet5 would be told the PIN. It asks nothing where it finds an empty password, and opens nothing with it;
/// nor does pam_gnome_keyring.
pub(crate) fn hand_on(handle: &mut PamHandle, opened: Option<Secret>, surface: &Surface, log: &Log) {
    let password = opened.or_else(|| surface.answers_the_same().then(Secret::default));
    if password.is_some_and(|password| !ffi::hand_on_password(handle, &password)) {
        log.warn("the keyring's password can't be handed on");
    }
}

/// `keep_password` in an auth stack, behind the modules that let people in: the password is right, or nobody would come here.
/// hellod is asked only if it said at the prompt that it wants the password, so that nobody else waits for it.
pub(crate) fn keep_after_sign_in(handle: &mut PamHandle, arguments: &Arguments) -> PamResultCode {
    let Ok(surface) = Surface::of(handle) else { return PamResultCode::PAM_IGNORE };
    let by_pin = ffi::remembers(handle, Memory::SignedIn, &surface.user);
    if !by_pin && ffi::remembers(handle, Memory::WantsPassword, &surface.user) {
        keep(handle, &surface, &Log::of("auth", &surface.service, arguments.debug), arguments);
    }
    PamResultCode::PAM_IGNORE
}

/// `keep_password` in a password stack, behind the modules that have set the new password.
pub(crate) fn keep_after_change(
    handle: &mut PamHandle,
    arguments: &Arguments,
    is_set: bool,
) -> PamResultCode {
    if !is_set {
        return PamResultCode::PAM_IGNORE;
    }
    if let Ok(surface) = Surface::of(handle) {
        keep(handle, &surface, &Log::of("chauthtok", &surface.service, arguments.debug), arguments);
    }
    PamResultCode::PAM_IGNORE
}

fn keep(handle: &PamHandle, surface: &Surface, log: &Log, arguments: &Arguments) {
    let Ok(Some(password)) = handle.get_item::<AuthTok<'_>>() else { return };
    let mut password = PasswordAlone(Zeroizing::new(password.as_bytes().to_vec()));
    let rules = Rules {
        purpose: Purpose::KeepPassword,
        first_pass: FirstPass::Ignored,
        // Somebody waits behind a right password. hellod goes on with what it has when nobody listens any more.
        patience: arguments.patience.min(PATIENCE),
        max_tries: 1,
    };
    match crate::begin(surface, rules.purpose, rules.max_tries) {
        Ok((mut line, first)) => {
            let (ending, _) = talk::follow(&mut line, &mut password, &rules, first);
            log.debug(&format!("the password for the keyring: {ending:?}"));
        }
        Err(unreachable) => log.unreachable(&unreachable),
    }
}

/// The TPM may be busy with others.
const PATIENCE: Duration = Duration::from_secs(2);

/// Nobody: it knows the password, and answers nothing else.
struct PasswordAlone(Secret);

impl Terminal for PasswordAlone {
    fn ask_secret(&mut self, role: Role, _: &str) -> Result<Secret, NoReply> {
        if role == Role::Password { Ok(self.0.clone()) } else { Err(NoReply) }
    }

    fn says(&self, _: Role, _: &str) -> bool {
        false
    }

    fn ask_word(&mut self, _: &str) -> Result<Secret, NoReply> {
        Err(NoReply)
    }

    fn show(&mut self, _: Style, _: &str) {}

    fn say_the_unsaid(&mut self) {}

    fn earlier_secret(&self) -> Option<Secret> {
        None
    }

    fn hand_on_password(&mut self, _: &Secret) {}
}
