//! Who may sign in, and how.

use serde_json::{Value, json};

use crate::clock::Seconds;
use crate::random;

#[derive(Default)]
pub(crate) struct People(Vec<User>);

pub(crate) struct User {
    pub(crate) upn: String,
    pub(crate) oid: String,
    pub(crate) sid: String,
    pub(crate) name: String,
    pub(crate) password: String,
    /// Counts changes of the password: what was born from another one is worth nothing.
    pub(crate) password_version: u64,
    pub(crate) enabled: bool,
    /// When the last wrong passwords were typed.
    guesses: Vec<Seconds>,
    /// Has a telephone for the second factor.
    pub(crate) second_factor: bool,
    /// The last code that was sent to it.
    pub(crate) sent: Option<SentCode>,
}

/// One code, for one sign-in, for three minutes and three tries.
#[derive(Clone)]
pub(crate) struct SentCode {
    pub(crate) digits: String,
    pub(crate) at: Seconds,
    pub(crate) tries: u32,
}

impl People {
    /// Replaces whoever had that name.
    pub(crate) fn create(&mut self, upn: &str, password: &str, second_factor: bool) -> &User {
        self.delete(upn);
        let name = upn.split('@').next().unwrap_or(upn);
        let number = u32::from_be_bytes(random::bytes());
        self.0.push(User {
            upn: upn.to_ascii_lowercase(),
            oid: random::guid(),
            sid: format!("S-1-12-1-{number}-1113-2987-{}", self.0.len() + 1100),
            name: name.to_owned(),
            password: password.to_owned(),
            password_version: 0,
            enabled: true,
            guesses: Vec::new(),
            second_factor,
            sent: None,
        });
        &self.0[self.0.len() - 1]
    }

    pub(crate) fn delete(&mut self, upn: &str) {
        self.0.retain(|user| !user.upn.eq_ignore_ascii_case(upn));
    }

    pub(crate) fn find(&self, upn: &str) -> Option<&User> {
        self.0.iter().find(|user| user.upn.eq_ignore_ascii_case(upn))
    }

    pub(crate) fn find_mut(&mut self, upn: &str) -> Option<&mut User> {
        self.0.iter_mut().find(|user| user.upn.eq_ignore_ascii_case(upn))
    }

    pub(crate) fn dump(&self) -> Value {
        let users = self.0.iter().map(|user| {
            json!({"upn": user.upn, "oid": user.oid, "sid": user.sid, "password": user.password, "enabled": user.enabled,
                "second_factor": user.second_factor, "sent": user.sent.as_ref().map(|sent| &sent.digits)})
        });
        users.collect()
    }
}

impl User {
    /// Whether too many have guessed of late.
    pub(crate) fn is_locked(&self, now: Seconds) -> bool {
        self.guesses.iter().filter(|at| now - **at < 60).count() >= 10
    }

    /// Whether that is the password; if not, it counts.
    pub(crate) fn has_password(&mut self, typed: &str, now: Seconds) -> bool {
        let right = self.password == typed;
        if !right {
            self.guesses.retain(|at| now - *at < 60);
            self.guesses.push(now);
        }
        right
    }

    /// Sends a code to the telephone; tests read it over the control socket.
    pub(crate) fn send_code(&mut self, now: Seconds) {
        self.sent = Some(SentCode { digits: random::digits(), at: now, tries: 0 });
    }

    /// Whether that is the code; a right one is spent, and so is one that was guessed at too often.
    pub(crate) fn answers(&mut self, typed: &str, now: Seconds) -> bool {
        let Some(sent) = &mut self.sent else { return false };
        sent.tries += 1;
        let right = sent.digits == typed && now - sent.at <= 180;
        if right || sent.tries >= 3 {
            self.sent = None;
        }
        right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_good_once_for_three_minutes_and_three_tries() {
        let mut people = People::default();
        people.create("dora@corp.example", "x", true);
        let user = people.find_mut("Dora@corp.example").unwrap();
        assert!(!user.answers("", 0), "none was sent");
        let code = |user: &User| user.sent.as_ref().unwrap().digits.clone();
        user.send_code(0);
        let right = code(user);
        assert!(user.answers(&right, 180));
        assert!(!user.answers(&right, 180), "once");
        user.send_code(0);
        let late = code(user);
        assert!(!user.answers(&late, 181));
        user.send_code(0);
        let guessed = code(user);
        assert!((0..3).all(|_| !user.answers("wrong", 1)));
        assert!(!user.answers(&guessed, 1), "guessed at too often");
    }
}
