//! libpam as an application sees it (pam_start_confdir(3) and what follows). The crates that wrap it hide what a surface is known by:
//! how often the conversation is called, with what, and in which of the calls.
#![allow(
    unsafe_code,
    reason = "libpam is a C library, and no safe binding shows each call of the conversation"
)]

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::ptr::{null, null_mut};
use std::time::Duration;

use crate::code::Code;

/// The application's side of a conversation.
pub(crate) trait Converse {
    /// Answers the messages of one call of the conversation, each with a reply or, where it only tells something, with none.
    ///
    /// # Errors
    /// The code that the conversation returns instead.
    fn converse(&mut self, messages: &[Message]) -> Result<Vec<Option<CString>>, Code>;

    /// Is told how long libpam wants the application to wait before a failure is told (pam_fail_delay(3)).
    fn delay(&mut self, wanted: Duration);
}

/// What a module says or asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) style: Style,
    pub(crate) text: String,
}

/// How it is to be shown (pam_conv(3)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Hidden,
    Shown,
    Error,
    Text,
    Other,
}

/// An item of a handle that an application sets (pam_set_item(3)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item {
    User = 2,
    Tty = 3,
    RUser = 8,
    UserPrompt = 9,
    XDisplay = 11,
}

/// A call of an application (pam(3)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Authenticate,
    Setcred,
    Account,
    Chauthtok,
    Open,
    Close,
}

/// A transaction, which ends with the value.
pub(crate) struct Handle {
    raw: *mut c_void,
    /// Ours, and behind a pointer because libpam keeps one, too.
    conversation: *mut Conversation,
    last: c_int,
}

struct Conversation(Box<dyn Converse>);

impl Handle {
    /// Begins one, with the service files of that directory alone.
    ///
    /// # Errors
    /// What pam_start_confdir(3) returns.
    pub(crate) fn start(
        service: &str,
        user: Option<&str>,
        directory: &Path,
        person: Box<dyn Converse>,
    ) -> Result<Self, Code> {
        let text = |text: &str| CString::new(text).map_err(|_| Code(SYSTEM_ERR));
        let (service, user) = (text(service)?, user.map(text).transpose()?);
        let directory = text(&directory.to_string_lossy())?;
        let conversation = Box::into_raw(Box::new(Conversation(person)));
        let mut handle = Self { raw: null_mut(), conversation, last: 0 };
        let name = user.as_ref().map_or(null(), |user| user.as_ptr());
        let raw = RawConversation { converse, closure: conversation.cast() };
        // SAFETY: the texts end with NUL and live over the call, which copies them and the struct; what that points to outlives the
        // handle. The item is a function of the type that pam_fail_delay(3) names.
        let code = unsafe {
            let start = pam_start_confdir(service.as_ptr(), name, &raw, directory.as_ptr(), &mut handle.raw);
            if start == 0 { pam_set_item(handle.raw, FAIL_DELAY, delay as *const c_void) } else { start }
        };
        if code == 0 { Ok(handle) } else { Err(Code(code)) }
    }

    /// Sets an item, or with `None` takes it away.
    pub(crate) fn set(&mut self, item: Item, value: Option<&str>) {
        let value = value.and_then(|value| CString::new(value).ok());
        let value = value.as_ref().map_or(null(), |value| value.as_ptr());
        // SAFETY: the handle is live; these items are texts, which libpam copies.
        unsafe { pam_set_item(self.raw, item as c_int, value.cast()) };
    }

    /// `PAM_USER`, where there is one.
    pub(crate) fn user(&self) -> Option<String> {
        let mut value = null();
        // SAFETY: the handle is live, and `PAM_USER` is a text that stays until it is set anew.
        unsafe {
            pam_get_item(self.raw, Item::User as c_int, &mut value);
            (!value.is_null()).then(|| CStr::from_ptr(value.cast()).to_string_lossy().into_owned())
        }
    }

    /// Makes a call.
    pub(crate) fn call(&mut self, call: Call, flags: u32) -> Code {
        let function = match call {
            Call::Authenticate => pam_authenticate,
            Call::Setcred => pam_setcred,
            Call::Account => pam_acct_mgmt,
            Call::Chauthtok => pam_chauthtok,
            Call::Open => pam_open_session,
            Call::Close => pam_close_session,
        };
        // SAFETY: the handle is live, and used by this thread alone.
        self.last = unsafe { function(self.raw, flags.cast_signed()) };
        Code(self.last)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: nobody uses the handle after this, and so only now may the conversation go, which `start` made.
        unsafe {
            if !self.raw.is_null() {
                pam_end(self.raw, self.last);
            }
            drop(Box::from_raw(self.conversation));
        }
    }
}

extern "C" fn converse(
    count: c_int,
    messages: *const *const RawMessage,
    answers: *mut *mut RawResponse,
    closure: *mut c_void,
) -> c_int {
    let Ok(length @ 1..=MAX_NUM_MSG) = usize::try_from(count) else { return CONV_ERR };
    // SAFETY: libpam hands on what `Handle::start` gave it, `count` messages that are live over the call, and a place for the
    // answers. Linux-PAM gives an array of pointers, one for each message.
    let replies = unsafe {
        let conversation = &mut *closure.cast::<Conversation>();
        let messages: Vec<Message> = (0..length).map(|at| Message::of(&**messages.add(at))).collect();
        catch_unwind(AssertUnwindSafe(|| conversation.0.converse(&messages)))
    };
    let replies = match replies {
        Ok(Ok(replies)) => replies,
        Ok(Err(code)) => return code.0,
        Err(_) => return CONV_ERR,
    };
    // SAFETY: whoever asked frees the array and the texts with free(3), and so they come from malloc(3).
    unsafe {
        let array = calloc(length, size_of::<RawResponse>()).cast::<RawResponse>();
        if array.is_null() {
            return CONV_ERR;
        }
        for (at, reply) in replies.iter().take(length).enumerate() {
            (*array.add(at)).text = reply.as_ref().map_or(null_mut(), |reply| strdup(reply.as_ptr()));
        }
        *answers = array;
    }
    0
}

extern "C" fn delay(code: c_int, microseconds: c_uint, closure: *mut c_void) {
    if code == 0 {
        return;
    }
    // SAFETY: Linux-PAM passes the closure of the conversation (pam_fail_delay(3)).
    let conversation = unsafe { &mut *closure.cast::<Conversation>() };
    // A panic must not cross libpam; there is nobody to tell.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        conversation.0.delay(Duration::from_micros(microseconds.into()));
    }));
}

impl Message {
    /// # Safety
    /// The text ends with NUL, or is no text at all and of another style than the four.
    unsafe fn of(raw: &RawMessage) -> Self {
        let style = match raw.style {
            1 => Style::Hidden,
            2 => Style::Shown,
            3 => Style::Error,
            4 => Style::Text,
            _ => Style::Other,
        };
        let text = if style == Style::Other || raw.text.is_null() {
            String::new()
        } else {
            // SAFETY: the caller's promise.
            unsafe { CStr::from_ptr(raw.text) }.to_string_lossy().into_owned()
        };
        Self { style, text }
    }
}

#[repr(C)]
struct RawMessage {
    style: c_int,
    text: *const c_char,
}

#[repr(C)]
struct RawResponse {
    text: *mut c_char,
    /// Unused, and must be 0.
    code: c_int,
}

#[repr(C)]
struct RawConversation {
    converse: extern "C" fn(c_int, *const *const RawMessage, *mut *mut RawResponse, *mut c_void) -> c_int,
    closure: *mut c_void,
}

const SYSTEM_ERR: c_int = 4;
const CONV_ERR: c_int = 19;
const FAIL_DELAY: c_int = 10;
const MAX_NUM_MSG: usize = 32;

#[link(name = "pam")]
unsafe extern "C" {
    fn pam_start_confdir(
        service: *const c_char,
        user: *const c_char,
        conversation: *const RawConversation,
        directory: *const c_char,
        handle: *mut *mut c_void,
    ) -> c_int;
    fn pam_end(handle: *mut c_void, status: c_int) -> c_int;
    fn pam_set_item(handle: *mut c_void, item: c_int, value: *const c_void) -> c_int;
    fn pam_get_item(handle: *const c_void, item: c_int, value: *mut *const c_void) -> c_int;
    fn pam_authenticate(handle: *mut c_void, flags: c_int) -> c_int;
    fn pam_setcred(handle: *mut c_void, flags: c_int) -> c_int;
    fn pam_acct_mgmt(handle: *mut c_void, flags: c_int) -> c_int;
    fn pam_chauthtok(handle: *mut c_void, flags: c_int) -> c_int;
    fn pam_open_session(handle: *mut c_void, flags: c_int) -> c_int;
    fn pam_close_session(handle: *mut c_void, flags: c_int) -> c_int;
}

unsafe extern "C" {
    fn calloc(count: usize, size: usize) -> *mut c_void;
    fn strdup(text: *const c_char) -> *mut c_char;
}
