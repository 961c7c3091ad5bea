//! The options of a line in a PAM service file.

use std::ffi::CStr;
use std::time::Duration;

use crate::log::Log;

/// What the administrator wrote behind `pam_hello.so` (pam_hello(8)).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// `debug`: say more in the journal.
    pub(crate) debug: bool,
    /// `try_first_pass`, `use_first_pass`.
    pub(crate) first_pass: FirstPass,
    /// `timeout=`: how long hellod may keep the person waiting in all; typing does not count.
    pub(crate) patience: Duration,
    /// `max_tries=`: wrong PINs in one conversation.
    pub(crate) max_tries: u8,
    /// `keep_password`: the line asks for nothing, and has the password kept that others asked for.
    pub(crate) keep_password: bool,
    /// Words that are no options, or that carry an impossible value.
    rejected: Vec<String>,
}

/// What becomes of a `PAM_AUTHTOK` that an earlier module of the stack asked for.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FirstPass {
    /// Not looked at.
    Ignored,
    /// Tried as the first PIN where it can be one; else the person is asked.
    Tried,
    /// The only PIN there is: nobody is asked.
    Only,
}

impl Arguments {
    /// Reads the options. A misspelt one must not lock anybody out, so it is kept for [`Arguments::complain`] and
    /// otherwise has no effect.
    pub(crate) fn read(words: &[&CStr]) -> Self {
        let mut arguments = Self::default();
        for word in words {
            let word = word.to_string_lossy();
            if arguments.take(&word).is_none() {
                arguments.rejected.push(word.into_owned());
            }
        }
        arguments
    }

    /// Logs what was not understood, in one line.
    pub(crate) fn complain(&self, log: &Log) {
        if !self.rejected.is_empty() {
            log.warn(&format!("unknown options: {}", self.rejected.join(" ")));
        }
    }

    fn take(&mut self, word: &str) -> Option<()> {
        match word.split_once('=') {
            None if word == "debug" => self.debug = true,
            None if word == "keep_password" => self.keep_password = true,
            None if word == "try_first_pass" => self.first_pass = FirstPass::Tried,
            None if word == "use_first_pass" => self.first_pass = FirstPass::Only,
            Some(("timeout", seconds)) => {
                let seconds = seconds.parse().ok().filter(|seconds| (1..=MAX_PATIENCE).contains(seconds))?;
                self.patience = Duration::from_secs(seconds);
            }
            Some(("max_tries", tries)) => {
                self.max_tries = tries.parse().ok().filter(|tries| (1..=MAX_TRIES).contains(tries))?;
            }
            _ => return None,
        }
        Some(())
    }
}

impl Default for Arguments {
    fn default() -> Self {
        Self {
            debug: false,
            first_pass: FirstPass::Ignored,
            patience: Duration::from_secs(60),
            max_tries: 3,
            keep_password: false,
            rejected: Vec::new(),
        }
    }
}

/// Longest `timeout=`, in seconds.
const MAX_PATIENCE: u64 = 600;

/// Most `max_tries=`; the fourth wrong PIN in a row meets hellod's delays anyway.
const MAX_TRIES: u8 = 10;

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use proptest::prelude::*;

    use super::*;

    fn read(words: &[&CStr]) -> Arguments {
        Arguments::read(words)
    }

    #[test]
    fn no_options_are_the_defaults() {
        assert_eq!(read(&[]), Arguments::default());
    }

    #[test]
    fn each_option_sets_its_own_field_and_nothing_else() {
        let default = Arguments::default;
        for (word, expected) in [
            (c"debug", Arguments { debug: true, ..default() }),
            (c"keep_password", Arguments { keep_password: true, ..default() }),
            (c"try_first_pass", Arguments { first_pass: FirstPass::Tried, ..default() }),
            (c"use_first_pass", Arguments { first_pass: FirstPass::Only, ..default() }),
            (c"timeout=5", Arguments { patience: Duration::from_secs(5), ..default() }),
            (c"timeout=600", Arguments { patience: Duration::from_secs(600), ..default() }),
            (c"max_tries=1", Arguments { max_tries: 1, ..default() }),
        ] {
            assert_eq!(read(&[word]), expected, "{word:?}");
        }
    }

    #[test]
    fn an_unknown_option_or_an_impossible_value_changes_nothing_and_is_kept_for_the_log() {
        for word in [
            c"nullok",
            c"debug=1",
            c"Debug",
            c"",
            c"timeout",
            c"timeout=",
            c"timeout=0",
            c"timeout=601",
            c"timeout=-1",
            c"timeout=1s",
            c"max_tries=0",
            c"max_tries=11",
            c"max_tries=256",
            c"\xff\xfe",
        ] {
            let rejected = vec![word.to_string_lossy().into_owned()];
            assert_eq!(read(&[word]), Arguments { rejected, ..Arguments::default() }, "{word:?}");
        }
    }

    #[test]
    fn of_two_that_contradict_each_other_the_later_wins() {
        assert_eq!(read(&[c"use_first_pass", c"try_first_pass"]).first_pass, FirstPass::Tried);
        assert_eq!(read(&[c"max_tries=2", c"max_tries=4"]).max_tries, 4);
    }

    proptest! {
        #[test]
        fn whatever_the_options_are_the_limits_hold(
            words in prop::collection::vec(prop_oneof![
                "(timeout|max_tries)=[-+0-9]{0,22}".prop_map(String::into_bytes),
                "(debug|try_first_pass|use_first_pass|keep_password)(=1)?".prop_map(String::into_bytes),
                prop::collection::vec(1u8.., 0..20),
            ], 0..8),
        ) {
            let words: Vec<CString> = words.into_iter().map(|word| CString::new(word).unwrap()).collect();
            let arguments = read(&words.iter().map(CString::as_c_str).collect::<Vec<_>>());
            prop_assert!((1..=MAX_PATIENCE).contains(&arguments.patience.as_secs()));
            prop_assert!((1..=MAX_TRIES).contains(&arguments.max_tries));
            prop_assert!(arguments.rejected.len() <= words.len());
        }
    }
}
