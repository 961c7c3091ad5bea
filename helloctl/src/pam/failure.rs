//! What can go wrong with the PAM configuration, and what to do next.

use std::io;

use hello_words::{Text, tr};
use thiserror::Error;

use crate::failure::Failure;

/// Why the PAM configuration could not be changed, confirmed or restored.
#[derive(Debug, Error)]
pub(crate) enum PamFailure {
    /// Not called by root.
    #[error("{}", tr!("only root can change how people sign in to this computer"))]
    NotRoot,
    /// The package with the module isn't there.
    #[error("{}", tr!("there is no module to enable: the package libpam-hello is not installed"))]
    NoProfile,
    /// pam-auth-update leaves files alone that somebody has edited.
    #[error("{}", tr!("/etc/pam.d/common-* were changed by hand, so pam-auth-update leaves them as they are"))]
    ChangedByHand,
    /// What it wrote is not what it wrote in the copy.
    #[error("{}", tr!("pam-auth-update wrote something other than what it had shown; it was undone"))]
    NotAsRehearsed,
    /// A program is missing, or failed.
    #[error("{}", tr!("{program} failed: {why}", program, why))]
    Program {
        /// Which one.
        program: &'static str,
        /// Its last words.
        why: String,
    },
    /// A file can't be read or written.
    #[error("{}", tr!("{path} can't be read or written: {why}", path, why))]
    File {
        /// Which one.
        path: String,
        /// Why.
        why: io::Error,
    },
    /// Nothing would undo it.
    #[error("{}", tr!("systemd can't be told to undo it if it goes wrong ({0})", _0))]
    NoTimer(String),
    /// Enabled before, and not confirmed yet.
    #[error("{}", tr!("it was enabled a moment ago and is not confirmed yet"))]
    OnProbation,
    /// Nothing is on probation.
    #[error("{}", tr!("there is nothing to confirm"))]
    NothingToConfirm,
    /// The session of whoever confirms was there before.
    #[error("{}", tr!("you signed in before it was enabled, so this proves nothing"))]
    NotFresh,
    /// The session began without the stack that is to be confirmed.
    #[error("{}", tr!("you came in from elsewhere or without being asked, so this proves nothing"))]
    NotAsked,
    /// logind knows no session of the caller.
    #[error("{}", tr!("systemd-logind knows of no session that you signed in to"))]
    NoSession,
    /// Standard output takes nothing.
    #[error(transparent)]
    Screen(#[from] Box<Failure>),
}

impl PamFailure {
    /// The number that explains it.
    pub(crate) fn number(&self) -> &'static str {
        match self {
            Self::NotRoot => "4300",
            Self::NoProfile => "4301",
            Self::ChangedByHand => "4302",
            Self::NotAsRehearsed => "4303",
            Self::Program { .. } | Self::File { .. } => "4304",
            Self::NoTimer(_) => "4305",
            Self::OnProbation => "4306",
            Self::NothingToConfirm => "4307",
            Self::NotFresh | Self::NotAsked | Self::NoSession => "4308",
            Self::Screen(_) => "4010",
        }
    }

    /// What to do next.
    pub(crate) fn remedy(&self) -> Text {
        match self {
            Self::NotRoot => tr!("Run it with sudo."),
            Self::NoProfile => tr!("Install it: sudo apt install libpam-hello"),
            Self::ChangedByHand => {
                tr!(
                    "Edit /etc/pam.d/common-auth yourself, as pam_hello(8) shows, or let 'pam-auth-update --force' write it anew."
                )
            }
            Self::NotAsRehearsed => tr!("Another program may have changed it at the same time. Try again."),
            Self::Program { .. } | Self::File { .. } => {
                tr!("Nothing of it is kept. If a package is being installed, wait for that and try again.")
            }
            Self::NoTimer(_) => {
                tr!(
                    "Nothing was changed. Without systemd, enable it with 'pam-auth-update' and keep a root shell open until you have signed in anew."
                )
            }
            Self::OnProbation => {
                tr!(
                    "Sign in once more and run 'sudo helloctl pam confirm' there, or undo it with 'sudo helloctl pam disable'."
                )
            }
            Self::NothingToConfirm => {
                tr!(
                    "It is confirmed already, or was undone because nobody confirmed it in time. 'sudo helloctl pam enable' enables it."
                )
            }
            Self::NotFresh | Self::NotAsked | Self::NoSession => {
                tr!(
                    "Leave this session open. Sign in once more, on another console (Ctrl+Alt+F3) or after signing out, and run it there."
                )
            }
            Self::Screen(_) => tr!("See whether the disk is full."),
        }
    }
}

impl From<Failure> for PamFailure {
    fn from(failure: Failure) -> Self {
        Self::Screen(Box::new(failure))
    }
}

/// Names the file that an error is about.
pub(super) fn of(path: impl AsRef<std::path::Path>) -> impl FnOnce(io::Error) -> PamFailure {
    let path = path.as_ref().display().to_string();
    move |why| PamFailure::File { path, why }
}
