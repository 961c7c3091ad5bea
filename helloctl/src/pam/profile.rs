//! The profiles that the package of the module brings.

use crate::cli::Enabling;

/// A profile of libpam-hello for pam-auth-update(8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// The PIN, or else the password.
    Hello,
    /// The PIN and nothing else, for whoever has one.
    FailClosed,
    /// The same where policy says so, and only while Hello works.
    Passwordless,
}

impl Profile {
    /// Its file's name in /usr/share/pam-configs.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::FailClosed => "hello-fail-closed",
            Self::Passwordless => "hello-passwordless",
        }
    }

    /// All that stand for themselves.
    pub(crate) const ALL: [Self; 3] = [Self::Hello, Self::FailClosed, Self::Passwordless];

    /// The one that has the password kept for the keyring, for whoever has agreed; it stands beside each.
    pub(crate) const KEYRING: &str = "hello-keyring";
}

impl From<&Enabling> for Profile {
    /// The one that was asked for.
    fn from(asked: &Enabling) -> Self {
        match (asked.fail_closed, asked.passwordless) {
            (true, _) => Self::FailClosed,
            (false, true) => Self::Passwordless,
            (false, false) => Self::Hello,
        }
    }
}
