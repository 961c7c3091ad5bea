//! What pam-bindings can't do safely: setting `PAM_AUTHTOK`, and reading back what was kept in the handle. And in which language the
//! program speaks.
#![allow(
    unsafe_code,
    reason = "pam-bindings has no safe way to set PAM_AUTHTOK and none to read module data, and nix has no setlocale(3)"
)]

use std::ffi::{CStr, c_int, c_void};

use nix::libc;
use pam::items::ItemType;
use pam::module::PamHandle;
use zeroize::Zeroizing;

#[link(name = "pam")]
unsafe extern "C" {
    fn pam_set_item(handle: *mut PamHandle, item: c_int, value: *const c_void) -> c_int;
}

/// What is kept in a handle from one call of the module to the next (pam_set_data(3)): the name of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    /// Whom the last authenticate let in.
    SignedIn,
    /// Whose PIN the last preliminary check found to be changeable.
    MayChange,
    /// Whose PIN the last preliminary check has changed.
    Changed,
    /// Of whom hellod may want something once they are in: who has no PIN, or has signed in with one.
    MayBeAsked,
    /// Whose password hellod would keep for the keyring, should it be right.
    WantsPassword,
}

impl Memory {
    fn key(self) -> &'static str {
        match self {
            Self::SignedIn => "pam_hello.signed-in",
            Self::MayChange => "pam_hello.may-change",
            Self::Changed => "pam_hello.changed",
            Self::MayBeAsked => "pam_hello.may-be-asked",
            Self::WantsPassword => "pam_hello.wants-password",
        }
    }
}

/// Puts a password into `PAM_AUTHTOK` for the modules that follow (pam_set_item(3)). Whether it went in: one with a NUL in
/// it does not.
#[must_use]
pub(crate) fn hand_on_password(handle: &mut PamHandle, password: &[u8]) -> bool {
    // At once as long as it gets, for a buffer that grows leaves a copy.
    let mut ended = Zeroizing::new(Vec::with_capacity(password.len() + 1));
    ended.extend_from_slice(password);
    ended.push(0);
    let Ok(password) = CStr::from_bytes_with_nul(&ended) else { return false };
    let value = password.as_ptr().cast::<c_void>();
    // SAFETY: `handle` is the live handle that PAM gave this call; libpam copies the string before it returns.
    unsafe { pam_set_item(handle, ItemType::AuthTok as c_int, value) == 0 }
}

/// Keeps `user`, or nobody where it is empty, until the handle ends or something else is kept there. Whether it does;
/// where not, what was kept before still is.
#[must_use]
pub(crate) fn remember(handle: &mut PamHandle, memory: Memory, user: &str) -> bool {
    handle.set_data(memory.key(), Box::new(user.to_owned())).is_ok()
}

/// Whether `user`, who is not empty, is kept there.
#[must_use]
pub(crate) fn remembers(handle: &PamHandle, memory: Memory, user: &str) -> bool {
    // SAFETY: `remember` alone stores under these keys, and always a `String`.
    let kept = unsafe { handle.get_data::<String>(memory.key()) };
    !user.is_empty() && kept.is_ok_and(|kept| kept == user)
}

/// The locale of the messages of the program that loaded this module, without its codeset, where that is UTF-8; else nothing. The
/// program has set it (setlocale(3)), or has not and speaks English; no environment is looked at.
#[must_use]
pub(crate) fn locale() -> String {
    // SAFETY: without a name, setlocale changes nothing. What both return is libc's, ends in a NUL, and is copied before anything
    // else runs in this thread; a program that changes its locale in another thread meanwhile breaks its own messages, too.
    let (name, codeset) = unsafe {
        let name = libc::setlocale(libc::LC_MESSAGES, std::ptr::null());
        let codeset = libc::nl_langinfo(libc::CODESET);
        if name.is_null() || codeset.is_null() {
            return String::new();
        }
        (CStr::from_ptr(name).to_owned(), CStr::from_ptr(codeset).to_owned())
    };
    let name = name.to_string_lossy();
    let name = name.split_once('.').map_or(&*name, |(name, _)| name);
    if codeset.as_c_str() == c"UTF-8" && name.len() <= LONGEST_LOCALE {
        name.to_owned()
    } else {
        String::new()
    }
}

/// As in `sr_RS@latin`.
const LONGEST_LOCALE: usize = 32;
