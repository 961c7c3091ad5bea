//! The number behind what a person reads when they are refused something. `helloctl explain` answers it; where the refusal is recorded,
//! too, it is that of the event.

use crate::audit::Event;

/// Why somebody is refused something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal(&'static str);

impl Refusal {
    /// Somebody else, or the same person in another window, is at work on the same.
    pub const AT_WORK: Self = Self("4000");
    /// No domain was named, or none that could be one.
    pub const NO_DOMAIN: Self = Self("4100");
    /// Nobody answers for a domain.
    pub const NO_DIRECTORY: Self = Self("4101");
    /// The directory of a domain can't be signed in at in the way that was wanted.
    pub const NOT_THAT_WAY: Self = Self("4102");
    /// Nobody has signed in at the directory.
    pub const NOBODY_SIGNED_IN: Self = Self("4103");
    /// What was typed for a sign-in at a directory is not what was asked for, or not right.
    pub const NOT_AT_THE_DIRECTORY: Self = Self("4104");
    /// The computer is in another directory.
    pub const JOINED_ELSEWHERE: Self = Self("4105");
    /// The directory has no such device any more.
    pub const NO_SUCH_DEVICE: Self = Self("4106");
    /// Enough transcripts are being written.
    pub const TRANSCRIPTS: Self = Self("4107");
    /// root has no PIN.
    pub const NOT_ROOT: Self = Self("4200");
    /// The account's number is given away again.
    pub const PASSING_ACCOUNT: Self = Self("4212");
    /// The person is being asked for the password already.
    pub const ASKED_ALREADY: Self = Self("4201");
    /// The person has a PIN.
    pub const HAS_PIN: Self = Self("4202");
    /// The PIN was replaced or removed meanwhile.
    pub const REPLACED: Self = Self("4203");
    /// A way to sign in at a directory was named, and there is no directory.
    pub const NOWHERE: Self = Self("4204");
    /// A new PIN is none that policy takes, or was not typed twice alike, or not in time.
    pub const NOT_A_NEW_PIN: Self = Self("4205");
    /// Nothing is kept with which the organisation could let a new PIN be set.
    pub const NOT_KEPT: Self = Self("4206");
    /// What was typed is no answer to the code.
    pub const NOT_THE_ANSWER: Self = Self("4207");
    /// No password can be kept for the keyring here.
    pub const NO_KEYRING: Self = Self("4208");
    /// No finger was removed.
    pub const FINGER_STAYS: Self = Self("4209");
    /// A password is no proof where only the PIN counts.
    pub const NO_PROOF: Self = Self("4210");
    /// A new PIN is set, and the count of wrong ones could not be cleared.
    pub const HALF_RENEWED: Self = Self("4211");
    /// Policy has only the PIN let somebody in.
    pub const ONLY_PIN: Self = Self("4400");
    /// No finger has touched the reader.
    pub const NO_FINGER: Self = Self("4401");

    /// All that no event stands for.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 24] = [
        Self::AT_WORK,
        Self::NO_DOMAIN,
        Self::NO_DIRECTORY,
        Self::NOT_THAT_WAY,
        Self::NOBODY_SIGNED_IN,
        Self::NOT_AT_THE_DIRECTORY,
        Self::JOINED_ELSEWHERE,
        Self::NO_SUCH_DEVICE,
        Self::TRANSCRIPTS,
        Self::NOT_ROOT,
        Self::PASSING_ACCOUNT,
        Self::ASKED_ALREADY,
        Self::HAS_PIN,
        Self::REPLACED,
        Self::NOWHERE,
        Self::NOT_A_NEW_PIN,
        Self::NOT_KEPT,
        Self::NOT_THE_ANSWER,
        Self::NO_KEYRING,
        Self::FINGER_STAYS,
        Self::NO_PROOF,
        Self::HALF_RENEWED,
        Self::ONLY_PIN,
        Self::NO_FINGER,
    ];

    /// What is shown of a refusal: its number stands at the end of the first line, and a command below it, where nobody copies the one
    /// with the other. No line breaks before the number.
    #[must_use]
    pub fn behind(self, text: &str) -> String {
        let (first, rest) = text.split_at(text.find('\n').unwrap_or(text.len()));
        let Some((said, command)) = command_in(first).map(|colon| first.split_at(colon + 1)) else {
            return format!("{first}\u{a0}[{}]{rest}", self.0);
        };
        format!("{said}\u{a0}[{}]\n {command}{rest}", self.0)
    }
}

/// Where the colon stands behind which a line has a command. Nobody copies one from two lines, or with something behind it.
pub(crate) fn command_in(line: &str) -> Option<usize> {
    [": sudo helloctl ", ": helloctl "].iter().find_map(|begins| line.find(begins))
}

impl From<&Event> for Refusal {
    fn from(event: &Event) -> Self {
        Self(event.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_stands_behind_the_first_line() {
        assert_eq!(Refusal::NOT_ROOT.behind("No."), "No.\u{a0}[4200]");
        assert_eq!(Refusal::NOT_ROOT.behind("No.\nTry:\n  this"), "No.\u{a0}[4200]\nTry:\n  this");
        assert_eq!(
            Refusal::NOT_ROOT.behind("No. Try: sudo helloctl join\nOr not."),
            "No. Try:\u{a0}[4200]\n  sudo helloctl join\nOr not."
        );
        assert_eq!(Refusal::from(&Event::Locked).behind("Locked."), "Locked.\u{a0}[7400]");
    }

    #[test]
    fn every_refusal_is_in_the_catalogue() {
        let catalogue = include_str!("../../docs/events.md");
        for Refusal(id) in Refusal::ALL {
            let rows = catalogue.lines().filter(|line| line.starts_with(&format!("| {id} ")));
            assert_eq!(rows.count(), 1, "{id}");
        }
    }
}
