//! The program that authenticates through this module, as the items of its PAM handle describe it.

use std::ffi::CStr;
use std::time::Duration;

use hello_dbus::{Purpose, Request};
use pam::constants::PamResultCode;
use pam::items::{Item, RHost, RUser, Service, Tty};
use pam::module::PamHandle;

use crate::{account, ffi};

/// Who is to sign in, and where (pam_get_item(3)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Surface {
    /// `PAM_USER`.
    pub(crate) user: String,
    /// `PAM_SERVICE`.
    pub(crate) service: String,
    /// `PAM_TTY`, empty where the program has no terminal.
    pub(crate) tty: String,
    /// `PAM_RHOST`, empty where the program set none.
    rhost: String,
    /// `PAM_RUSER`, empty where the program set none: hellod looks at the program itself then.
    ruser: String,
}

impl Surface {
    /// Reads the items. Where there is no user yet, as at a login prompt, libpam asks for the name as it would for
    /// any module (pam_get_user(3)).
    ///
    /// # Errors
    /// `PAM_PERM_DENIED` where nobody answers, `PAM_USER_UNKNOWN` where the name is empty or no text, and
    /// `PAM_AUTHINFO_UNAVAIL` without a service. Were the first one to lead on to the password, whoever gives no name here and one
    /// to the next module would have it asked for without us.
    pub(crate) fn of(handle: &mut PamHandle) -> Result<Self, PamResultCode> {
        let user = handle.get_user(None).map_err(|code| match code {
            PamResultCode::PAM_SYSTEM_ERR => PamResultCode::PAM_USER_UNKNOWN,
            _ => PamResultCode::PAM_PERM_DENIED,
        })?;
        if user.is_empty() {
            return Err(PamResultCode::PAM_USER_UNKNOWN);
        }
        let service = text(item(handle, |Service(text)| text));
        if service.is_empty() {
            return Err(PamResultCode::PAM_AUTHINFO_UNAVAIL);
        }
        Ok(Self {
            user,
            service,
            tty: text(item(handle, |Tty(text)| text)),
            rhost: text(item(handle, |RHost(text)| text)),
            ruser: text(item(handle, |RUser(text)| text)),
        })
    }

    /// The request to hellod.
    #[must_use]
    pub(crate) fn request(&self, purpose: Purpose, max_tries: u8) -> Request {
        Request {
            purpose,
            user: self.user.clone(),
            service: self.service.clone(),
            tty: self.tty.clone(),
            rhost: self.rhost.clone(),
            ruser: self.ruser.clone(),
            tries: self.tries(max_tries),
            account: account::of(&self.user),
            locale: ffi::locale(),
        }
    }

    /// How long hellod may take to be started. A greeter can be up before hellod is; elsewhere somebody waits for his
    /// password prompt.
    #[must_use]
    pub(crate) fn activation_patience(&self) -> Duration {
        Duration::from_secs(if self.is_greeter() { 5 } else { 1 })
    }

    /// Without a terminal, what is typed comes from a script or from a locker whose conversation answers once.
    fn tries(&self, max_tries: u8) -> u8 {
        let asks_again = !self.tty.is_empty() || self.is_greeter();
        if asks_again && !self.answers_the_same() { max_tries } else { 1 }
    }

    /// SDDM and i3lock answer every question with what was typed before the first (`Display::slotRequestChanged`, `conv_callback`): a
    /// slip would cost all tries.
    pub(crate) fn answers_the_same(&self) -> bool {
        self.service.starts_with("sddm") || self.service == "i3lock"
    }

    fn is_greeter(&self) -> bool {
        let service = self.service.as_str();
        matches!(service, "login" | "greetd")
            || ["gdm", "lightdm", "sddm"].iter().any(|family| service.starts_with(family))
    }
}

fn item<'a, T: Item<'a>>(handle: &'a PamHandle, of: impl FnOnce(T) -> &'a CStr) -> Option<&'a CStr> {
    handle.get_item::<T>().ok().flatten().map(of)
}

fn text(item: Option<&CStr>) -> String {
    item.map(|item| item.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surface(service: &str, tty: &str) -> Surface {
        Surface {
            user: "alice".into(),
            service: service.into(),
            tty: tty.into(),
            rhost: String::new(),
            ruser: String::new(),
        }
    }

    #[test]
    fn greeters_wait_five_seconds_for_hellod_and_others_one() {
        for (service, seconds) in [
            ("gdm-password", 5),
            ("gdm-fingerprint", 5),
            ("lightdm", 5),
            ("lightdm-greeter", 5),
            ("sddm", 5),
            ("login", 5),
            ("greetd", 5),
            ("sudo", 1),
            ("swaylock", 1),
            ("polkit-1", 1),
            ("remote-login", 1),
        ] {
            let patience = surface(service, "").activation_patience();
            assert_eq!(patience, Duration::from_secs(seconds), "{service}");
        }
    }

    #[test]
    fn who_can_not_be_asked_again_has_one_try() {
        for (service, tty, tries) in [
            ("sudo", "/dev/pts/1", 3),
            ("sudo", "", 1),
            ("swaylock", "", 1),
            ("gdm-password", "", 3),
            ("sddm", "", 1),
            // It says which display it is on.
            ("i3lock", ":0", 1),
            ("xfce4-screensaver", ":0", 3),
        ] {
            assert_eq!(
                surface(service, tty).request(Purpose::Authenticate, 3).tries,
                tries,
                "{service} {tty}"
            );
        }
    }
}
