//! The door: PAM in, one conversation with hellod over the system bus, PAM out.
//!
//! hellod leads and this module is its terminal. It decides three things by itself: whether what was typed can be a
//! PIN at all (`sort`), which PAM code an ending becomes (`outcome`), and when to stop waiting (`talk`,
//! `client`). Whatever breaks, authentication ends in `PAM_AUTHINFO_UNAVAIL` without a word, and the password is
//! asked for as if this module weren't there.
//!
//! It runs inside sudo, login, greeters and lockers, whose process it shares. So it leaves no thread and no
//! descriptor behind, touches no signal disposition, reads no environment variable, and lets no panic out.

mod account;
mod arguments;
mod client;
mod conversation;
mod ffi;
mod keyring;
mod log;
mod offer;
mod outcome;
mod prompt;
mod sort;
mod surface;
mod talk;

use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hello_dbus::{Purpose, Step, Unreachable};
use pam::constants::{PAM_CHANGE_EXPIRED_AUTHTOK, PAM_SILENT, PamFlag, PamResultCode};
use pam::items::{OldAuthTok, User};
use pam::module::{PamHandle, PamHooks};

use crate::arguments::{Arguments, FirstPass};
use crate::client::Line;
use crate::conversation::PamTerminal;
use crate::ffi::Memory;
use crate::log::Log;
use crate::surface::Surface;
use crate::talk::{Ending, Rules};

struct Door;

/// The six symbols that libpam looks for.
mod entry_points {
    use super::Door;

    pam::pam_hooks!(Door);
}

impl PamHooks for Door {
    /// pam_sm_authenticate(3). `PAM_DISALLOW_NULL_AUTHTOK` changes nothing: there is no empty PIN, and an empty answer
    /// always means the password.
    fn sm_authenticate(handle: &mut PamHandle, arguments: Vec<&CStr>, flags: PamFlag) -> PamResultCode {
        guard(PamResultCode::PAM_AUTHINFO_UNAVAIL, || {
            let arguments = Arguments::read(&arguments);
            if arguments.keep_password {
                return keyring::keep_after_sign_in(handle, &arguments);
            }
            sign_in(handle, &arguments, flags)
        })
    }

    /// pam_sm_setcred(3). There is no credential to set, whatever the flag. Linux-PAM walks the stack by the codes of
    /// authenticate and takes `PAM_SUCCESS` here for a vote, which a module that let nobody in must not cast.
    fn sm_setcred(handle: &mut PamHandle, _: Vec<&CStr>, _: PamFlag) -> PamResultCode {
        guard(PamResultCode::PAM_IGNORE, || vote_for_who_signed_in(handle))
    }

    /// pam_sm_acct_mgmt(3). Never a refusal: who may not sign in with Hello was told so by authenticate.
    fn acct_mgmt(handle: &mut PamHandle, _: Vec<&CStr>, _: PamFlag) -> PamResultCode {
        guard(PamResultCode::PAM_IGNORE, || vote_for_who_signed_in(handle))
    }

    /// pam_sm_open_session(3): offers a PIN to whoever has signed in without one. Never a refusal.
    fn sm_open_session(handle: &mut PamHandle, arguments: Vec<&CStr>, flags: PamFlag) -> PamResultCode {
        guard(PamResultCode::PAM_IGNORE, || offer::after_sign_in(handle, &Arguments::read(&arguments), flags))
    }

    /// pam_sm_chauthtok(3): changes the PIN.
    fn sm_chauthtok(handle: &mut PamHandle, arguments: Vec<&CStr>, flags: PamFlag) -> PamResultCode {
        guard(PamResultCode::PAM_AUTHTOK_ERR, || {
            let arguments = Arguments::read(&arguments);
            if arguments.keep_password {
                // Whichever password it is that was set, an expired one's successor, too.
                let is_set = flags & PAM_UPDATE_AUTHTOK != 0;
                return keyring::keep_after_change(handle, &arguments, is_set);
            }
            match Phase::of(flags) {
                Phase::Check => check_change(handle, &arguments, flags),
                Phase::Update => change(handle, &arguments, flags),
                Phase::Nothing => PamResultCode::PAM_IGNORE,
            }
        })
    }
}

/// Authenticates the person at the other end of the PAM conversation.
fn sign_in(handle: &mut PamHandle, arguments: &Arguments, flags: PamFlag) -> PamResultCode {
    let memories = [Memory::SignedIn, Memory::MayBeAsked, Memory::WantsPassword];
    if !memories.into_iter().all(|memory| ffi::remember(handle, memory, "")) {
        return PamResultCode::PAM_AUTHINFO_UNAVAIL;
    }
    let surface = match Surface::of(handle) {
        Ok(surface) => surface,
        Err(code) => return code,
    };
    let log = Log::of("auth", &surface.service, arguments.debug);
    arguments.complain(&log);
    let rules = Rules {
        purpose: Purpose::Authenticate,
        first_pass: arguments.first_pass,
        patience: arguments.patience,
        max_tries: arguments.max_tries,
    };
    let begun = begin(&surface, rules.purpose, rules.max_tries);
    let (ending, left) = converse(handle, &Call { surface: &surface, flags, log: &log }, &rules, begun);
    log.ending(&surface.user, &ending);
    if left.wants_password && !ffi::remember(handle, Memory::WantsPassword, &surface.user) {
        log.warn("that the password is to be kept can't be remembered");
    }
    if ending.leaves_a_question() {
        // Where it can't be, nobody is asked anything.
        let _ = ffi::remember(handle, Memory::MayBeAsked, &surface.user);
    }
    match outcome::of_sign_in(&ending, left.only_pin) {
        PamResultCode::PAM_SUCCESS if user_now(handle).as_deref() != Some(&surface.user) => {
            log.warn("the user changed while the PIN was asked for");
            PamResultCode::PAM_AUTH_ERR
        }
        PamResultCode::PAM_SUCCESS if !ffi::remember(handle, Memory::SignedIn, &surface.user) => {
            PamResultCode::PAM_AUTHINFO_UNAVAIL
        }
        PamResultCode::PAM_SUCCESS => {
            keyring::hand_on(handle, left.opened, &surface, &log);
            PamResultCode::PAM_SUCCESS
        }
        code => code,
    }
}

/// The first of the two calls of pam_chauthtok(3): is there a PIN to change? What this module can't change it keeps out
/// of, so that passwd(1) does what it does without it.
///
/// Behind a module that has taken the old password nobody is asked anything yet. Before one, the PIN is changed right
/// here: a success now makes the stack pass that module over, and were the person to decline in the second call, it
/// would set a new password without ever having asked for the old one.
fn check_change(handle: &mut PamHandle, arguments: &Arguments, flags: PamFlag) -> PamResultCode {
    let surface = match Surface::of(handle) {
        Ok(surface) if forget_change(handle) => surface,
        _ => return PamResultCode::PAM_IGNORE,
    };
    let log = Log::of("chauthtok", &surface.service, arguments.debug);
    arguments.complain(&log);
    match begin(&surface, Purpose::ChangePin, arguments.max_tries) {
        Ok((_, Step::End(outcome))) => {
            log.debug(&format!("no PIN to change: {outcome:?}"));
            PamResultCode::PAM_IGNORE
        }
        Ok(begun) if !old_password_is_known(handle) => {
            let code =
                change_now(handle, &Call { surface: &surface, flags, log: &log }, arguments, Ok(begun));
            if code == PamResultCode::PAM_SUCCESS && !ffi::remember(handle, Memory::Changed, &surface.user) {
                return PamResultCode::PAM_AUTHTOK_ERR;
            }
            code
        }
        // Leaving the bus ends the conversation that would have followed.
        Ok(_) if ffi::remember(handle, Memory::MayChange, &surface.user) => PamResultCode::PAM_SUCCESS,
        Ok(_) => PamResultCode::PAM_IGNORE,
        Err(unreachable) => {
            log.unreachable(&unreachable);
            PamResultCode::PAM_IGNORE
        }
    }
}

/// The second call: asks for the PIN and for the new one, where the first call found that there is something to
/// change. `PAM_AUTHTOK` and `PAM_OLDAUTHTOK` are the password's, and stay untouched and unread.
fn change(handle: &mut PamHandle, arguments: &Arguments, flags: PamFlag) -> PamResultCode {
    let surface = match Surface::of(handle) {
        Ok(surface) if ffi::remembers(handle, Memory::Changed, &surface.user) => {
            return PamResultCode::PAM_SUCCESS;
        }
        Ok(surface) if ffi::remembers(handle, Memory::MayChange, &surface.user) => surface,
        _ => return PamResultCode::PAM_IGNORE,
    };
    let log = Log::of("chauthtok", &surface.service, arguments.debug);
    let begun = begin(&surface, Purpose::ChangePin, arguments.max_tries);
    change_now(handle, &Call { surface: &surface, flags, log: &log }, arguments, begun)
}

fn change_now(handle: &mut PamHandle, call: &Call<'_>, arguments: &Arguments, begun: Begun) -> PamResultCode {
    let rules = Rules {
        purpose: Purpose::ChangePin,
        first_pass: FirstPass::Ignored,
        patience: arguments.patience,
        max_tries: arguments.max_tries,
    };
    let (ending, _) = converse(handle, call, &rules, begun);
    call.log.ending(&call.surface.user, &ending);
    outcome::of_change(&ending)
}

/// Whatever an earlier round of pam_chauthtok(3) on the same handle came to counts no more.
fn forget_change(handle: &mut PamHandle) -> bool {
    [Memory::MayChange, Memory::Changed].into_iter().all(|memory| ffi::remember(handle, memory, ""))
}

/// Whether a module before this one has asked for the password that is to be replaced.
fn old_password_is_known(handle: &PamHandle) -> bool {
    matches!(handle.get_item::<OldAuthTok<'_>>(), Ok(Some(_)))
}

/// What a call of the module is about.
#[derive(Debug, Clone, Copy)]
struct Call<'a> {
    surface: &'a Surface,
    flags: PamFlag,
    log: &'a Log,
}

/// A conversation and its first step, or why there is none.
type Begun = Result<(Line, Step), Unreachable>;

fn begin(surface: &Surface, purpose: Purpose, max_tries: u8) -> Begun {
    client::begin(surface.request(purpose, max_tries), surface.activation_patience())
}

/// A conversation, once it has begun, to its end.
fn converse(handle: &mut PamHandle, call: &Call<'_>, rules: &Rules, begun: Begun) -> (Ending, talk::Left) {
    let (mut line, first) = match begun {
        Ok(begun) => begun,
        Err(unreachable) => return (Ending::Lost(unreachable), talk::Left::default()),
    };
    let mut terminal =
        PamTerminal::new(handle, call.flags & PAM_SILENT != 0, prompt::wording(call.surface), call.log);
    talk::follow(&mut line, &mut terminal, rules, first)
}

fn vote_for_who_signed_in(handle: &PamHandle) -> PamResultCode {
    match user_now(handle) {
        Some(user) if ffi::remembers(handle, Memory::SignedIn, &user) => PamResultCode::PAM_SUCCESS,
        _ => PamResultCode::PAM_IGNORE,
    }
}

/// `PAM_USER` as it stands, without asking anybody for it.
fn user_now(handle: &PamHandle) -> Option<String> {
    let user = handle.get_item::<User<'_>>().ok()??;
    user.to_str().ok().map(str::to_owned)
}

/// Runs a hook so that a panic in it becomes `fallback`; the one that `pam_hooks!` catches would become `PAM_ABORT`,
/// which sudo takes for fatal.
fn guard(fallback: PamResultCode, hook: impl FnOnce() -> PamResultCode) -> PamResultCode {
    log::silence_panics();
    contain(fallback, hook)
}

fn contain(fallback: PamResultCode, hook: impl FnOnce() -> PamResultCode) -> PamResultCode {
    catch_unwind(AssertUnwindSafe(hook)).unwrap_or(fallback)
}

/// What a call of chauthtok is for.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Check,
    Update,
    Nothing,
}

impl Phase {
    /// A PIN that is too old still lets its owner in, who is asked for another one then. So where only what has expired is to be
    /// changed, there is nothing to do.
    fn of(flags: PamFlag) -> Self {
        if flags & PAM_CHANGE_EXPIRED_AUTHTOK != 0 {
            Self::Nothing
        } else if flags & PAM_PRELIM_CHECK != 0 {
            Self::Check
        } else if flags & PAM_UPDATE_AUTHTOK != 0 {
            Self::Update
        } else {
            Self::Nothing
        }
    }
}

// security/pam_modules.h; pam-bindings has neither.
const PAM_PRELIM_CHECK: PamFlag = 0x4000;
const PAM_UPDATE_AUTHTOK: PamFlag = 0x2000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_the_fallback_of_its_hook() {
        let code =
            contain(PamResultCode::PAM_AUTHINFO_UNAVAIL, || panic!("the cat walked over the keyboard"));
        assert_eq!(code, PamResultCode::PAM_AUTHINFO_UNAVAIL);
    }

    #[test]
    fn chauthtok_knows_what_it_is_called_for() {
        for (flags, phase) in [
            (PAM_PRELIM_CHECK, Phase::Check),
            (PAM_PRELIM_CHECK | PAM_SILENT, Phase::Check),
            (PAM_UPDATE_AUTHTOK, Phase::Update),
            (PAM_UPDATE_AUTHTOK | PAM_CHANGE_EXPIRED_AUTHTOK, Phase::Nothing),
            (PAM_PRELIM_CHECK | PAM_CHANGE_EXPIRED_AUTHTOK, Phase::Nothing),
            (0, Phase::Nothing),
        ] {
            assert_eq!(Phase::of(flags), phase, "{flags:#x}");
        }
    }
}
