//! What PAM returns (security/_pam_types.h), by the names that people search for.

use std::fmt;

/// A return code of Linux-PAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code(pub i32);

impl Code {
    /// It worked.
    pub const SUCCESS: Self = Self(0);
    /// Not for you.
    pub const PERM_DENIED: Self = Self(6);
    /// A wrong answer.
    pub const AUTH_ERR: Self = Self(7);
    /// Whom the module would ask isn't there.
    pub const AUTHINFO_UNAVAIL: Self = Self(9);
    /// Nobody of that name.
    pub const USER_UNKNOWN: Self = Self(10);
    /// Enough tries.
    pub const MAXTRIES: Self = Self(11);
    /// The secret has expired, and is to be changed now.
    pub const NEW_AUTHTOK_REQD: Self = Self(12);
    /// The application doesn't answer.
    pub const CONV_ERR: Self = Self(19);
    /// The application gives up.
    pub const ABORT: Self = Self(26);
    /// The module can't be loaded.
    pub const MODULE_UNKNOWN: Self = Self(28);

    /// Whether it worked.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::SUCCESS
    }
}

impl fmt::Display for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = usize::try_from(self.0).ok().and_then(|at| NAMES.get(at));
        write!(out, "PAM_{}", name.copied().unwrap_or("?"))
    }
}

const NAMES: [&str; 32] = [
    "SUCCESS",
    "OPEN_ERR",
    "SYMBOL_ERR",
    "SERVICE_ERR",
    "SYSTEM_ERR",
    "BUF_ERR",
    "PERM_DENIED",
    "AUTH_ERR",
    "CRED_INSUFFICIENT",
    "AUTHINFO_UNAVAIL",
    "USER_UNKNOWN",
    "MAXTRIES",
    "NEW_AUTHTOK_REQD",
    "ACCT_EXPIRED",
    "SESSION_ERR",
    "CRED_UNAVAIL",
    "CRED_EXPIRED",
    "CRED_ERR",
    "NO_MODULE_DATA",
    "CONV_ERR",
    "AUTHTOK_ERR",
    "AUTHTOK_RECOVERY_ERR",
    "AUTHTOK_LOCK_BUSY",
    "AUTHTOK_DISABLE_AGING",
    "TRY_AGAIN",
    "IGNORE",
    "ABORT",
    "AUTHTOK_EXPIRED",
    "MODULE_UNKNOWN",
    "BAD_ITEM",
    "CONV_AGAIN",
    "INCOMPLETE",
];
