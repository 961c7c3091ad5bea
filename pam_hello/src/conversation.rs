//! The person's side: the conversation function of the program that loaded this module (pam_conv(3)).

use hello_dbus::{Role, Style};
use pam::constants::{
    PAM_ERROR_MSG, PAM_PROMPT_ECHO_OFF, PAM_PROMPT_ECHO_ON, PAM_TEXT_INFO, PamMessageStyle,
};
use pam::conv::Conv;
use pam::items::AuthTok;
use pam::module::PamHandle;
use zeroize::Zeroizing;

use crate::ffi;
use crate::log::Log;
use crate::prompt::Wording;
use crate::talk::{NoReply, Secret, Terminal};

/// The [`Terminal`] that a PAM handle is.
pub(crate) struct PamTerminal<'a> {
    handle: &'a mut PamHandle,
    silent: bool,
    /// What went wrong and could not be said.
    unsaid: String,
    wording: Wording,
    log: &'a Log,
}

impl<'a> PamTerminal<'a> {
    /// A terminal that shows no messages where `silent` (`PAM_SILENT`), and words its prompts as told. sudo is silent by
    /// default; there, why a PIN was refused stands before the next prompt, or a person would not know that it was.
    pub(crate) fn new(handle: &'a mut PamHandle, silent: bool, wording: Wording, log: &'a Log) -> Self {
        Self { handle, silent, unsaid: String::new(), wording, log }
    }

    fn ask(&self, style: PamMessageStyle, text: &str) -> Result<Secret, NoReply> {
        let conversation = self.handle.get_item::<Conv<'_>>().ok().flatten().ok_or(NoReply)?;
        // A program without a conversation function, a function that fails and one that returns no reply are all one.
        let reply = conversation.send(style, &plain(text)).ok().flatten().ok_or(NoReply)?;
        Ok(Zeroizing::new(reply.as_bytes().to_vec()))
    }
}

impl PamTerminal<'_> {
    fn after_what_is_unsaid(&mut self, prompt: &str) -> String {
        match std::mem::take(&mut self.unsaid) {
            unsaid if unsaid.is_empty() => prompt.to_owned(),
            unsaid => format!("{unsaid}\n{prompt}"),
        }
    }
}

impl Terminal for PamTerminal<'_> {
    fn ask_secret(&mut self, role: Role, text: &str) -> Result<Secret, NoReply> {
        // Of that one nobody is asked: it is taken from where it is.
        if role == Role::Password {
            return Err(NoReply);
        }
        let text = match self.wording.apply(role, text) {
            words if words == text => self.after_what_is_unsaid(text),
            // These must stand alone to be recognised.
            words => words.to_owned(),
        };
        self.ask(PAM_PROMPT_ECHO_OFF, &text)
    }

    fn says(&self, role: Role, text: &str) -> bool {
        self.wording.apply(role, text) == text
    }

    fn ask_word(&mut self, text: &str) -> Result<Secret, NoReply> {
        let text = self.after_what_is_unsaid(text);
        self.ask(PAM_PROMPT_ECHO_ON, &text)
    }

    fn show(&mut self, style: Style, text: &str) {
        if self.silent && style != Style::Call {
            if style == Style::Error {
                text.clone_into(&mut self.unsaid);
            }
            return;
        }
        let style = match style {
            Style::Info | Style::Call => PAM_TEXT_INFO,
            Style::Error => PAM_ERROR_MSG,
        };
        if let Ok(Some(conversation)) = self.handle.get_item::<Conv<'_>>() {
            // Some programs have no place for a message; what matters is whether they answer a prompt.
            let _ = conversation.send(style, &plain(text));
        }
    }

    fn say_the_unsaid(&mut self) {
        let text = std::mem::take(&mut self.unsaid);
        if let (false, Ok(Some(conversation))) = (text.is_empty(), self.handle.get_item::<Conv<'_>>()) {
            let _ = conversation.send(PAM_ERROR_MSG, &plain(&text));
        }
    }

    fn earlier_secret(&self) -> Option<Secret> {
        let secret = self.handle.get_item::<AuthTok<'_>>().ok()??;
        Some(Zeroizing::new(secret.as_bytes().to_vec()))
    }

    fn hand_on_password(&mut self, password: &Secret) {
        if !ffi::hand_on_password(self.handle, password) {
            self.log.warn("the password can't be handed on; it will be asked for again");
        }
    }
}

/// Text that any program can show: no control characters but the end of a line, and not more than libpam allows.
fn plain(text: &str) -> String {
    let mut plain: String = text.chars().filter(|char| !char.is_control() || *char == '\n').collect();
    while plain.len() > MAX_MESSAGE {
        plain.pop();
    }
    plain
}

/// `PAM_MAX_MSG_SIZE`, without the NUL that ends it.
const MAX_MESSAGE: usize = 511;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_for_the_person_carries_no_control_characters_but_line_ends() {
        assert_eq!(plain("PIN or password: "), "PIN or password: ");
        assert_eq!(plain("one\ntwo\0\u{1b}[2J\r\u{9b}"), "one\ntwo[2J");
    }

    #[test]
    fn text_that_is_too_long_is_cut_between_characters() {
        let cut = plain(&"ä".repeat(400));
        assert_eq!(cut.len(), 510);
        assert!(cut.chars().all(|char| char == 'ä'));
    }
}
