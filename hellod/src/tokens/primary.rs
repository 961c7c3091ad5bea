//! A primary token with its session key: what a person has of a directory once they have signed in there.

use std::rc::Rc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::clock::Stamp;
use crate::secret::{SessionKey, Token};

/// A primary token. Without the session key it is worth nothing to anybody.
pub(super) struct Primary {
    /// The token.
    pub(super) token: Token,
    /// What signs whatever is asked with it. A renewal seldom brings another.
    pub(super) key: Rc<SessionKey>,
    /// When it was asked for, which is before its life began.
    pub(super) issued: Stamp,
    /// How long it lives from then on, in seconds.
    pub(super) lifetime: u64,
}

impl Primary {
    /// Whether its time is over. Both clocks are this machine's, and so it does not matter how far they are from the
    /// directory's.
    pub(super) fn is_over(&self, now: &Stamp) -> bool {
        self.left(now).is_zero()
    }

    /// How much of its time is left.
    pub(super) fn left(&self, now: &Stamp) -> Duration {
        Duration::from_secs(self.lifetime).saturating_sub(now.since(&self.issued))
    }

    /// When its time is over, in seconds since 1970. For people.
    pub(super) fn ends(&self) -> i64 {
        self.issued.wall.saturating_add_unsigned(self.lifetime)
    }

    /// What is encrypted: the numbers, most significant octet first, the boot with its length in front, the session key, and
    /// the token. There is room behind it for `tag` octets, so that nothing is moved and a copy stays behind.
    pub(super) fn to_octets(&self, tag: usize) -> Option<Zeroizing<Vec<u8>>> {
        let boot = self.issued.boot.as_bytes();
        let token = self.token.expose().as_bytes();
        let mut octets = Zeroizing::new(Vec::with_capacity(NUMBERS + boot.len() + KEY + token.len() + tag));
        octets.extend_from_slice(&self.lifetime.to_be_bytes());
        octets.extend_from_slice(&self.issued.wall.to_be_bytes());
        octets.extend_from_slice(&self.issued.uptime.to_be_bytes());
        octets.push(u8::try_from(boot.len()).ok()?);
        octets.extend_from_slice(boot);
        octets.extend_from_slice(self.key.expose());
        octets.extend_from_slice(token);
        Some(octets)
    }

    /// Reads what [`Primary::to_octets`] has written.
    pub(super) fn parse(octets: &[u8]) -> Option<Self> {
        let (lifetime, octets) = octets.split_first_chunk()?;
        let (wall, octets) = octets.split_first_chunk()?;
        let (uptime, octets) = octets.split_first_chunk()?;
        let (boot, octets) = octets.split_first()?;
        let (boot, octets) = octets.split_at_checked(usize::from(*boot))?;
        let (key, token) = octets.split_at_checked(KEY)?;
        let token = Zeroizing::new(std::str::from_utf8(token).ok()?.to_owned());
        Some(Self {
            token: Token::parse(token)?,
            key: Rc::new(SessionKey::parse(key)?),
            issued: Stamp {
                wall: i64::from_be_bytes(*wall),
                uptime: u64::from_be_bytes(*uptime),
                boot: std::str::from_utf8(boot).ok()?.to_owned(),
            },
            lifetime: u64::from_be_bytes(*lifetime),
        })
    }
}

/// Three numbers of eight octets, and a length.
const NUMBERS: usize = 25;
/// A session key, in octets.
const KEY: usize = 32;

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::tokens) fn primary(token: &str, issued: Stamp) -> Primary {
        Primary {
            token: Token::parse(Zeroizing::new(token.into())).unwrap(),
            key: Rc::new(SessionKey::new(Zeroizing::new([9; 32]))),
            issued,
            lifetime: 1_209_599,
        }
    }

    pub(in crate::tokens) fn same(one: &Primary, other: &Primary) -> bool {
        one.token == other.token
            && one.key.expose() == other.key.expose()
            && (&one.issued, one.lifetime) == (&other.issued, other.lifetime)
    }

    #[test]
    fn a_token_is_over_when_its_time_is_by_the_clock_that_nobody_sets() {
        let issued = Stamp { wall: 1_000, uptime: 5_000, boot: "a".into() };
        let token = primary("0.A", issued.clone());
        let after = |seconds: u64, wall| Stamp { wall, uptime: 5_000 + seconds * 1000, boot: "a".into() };
        assert!(!token.is_over(&after(1_209_598, i64::MAX)));
        assert!(token.is_over(&after(1_209_599, 0)));
        let next_boot = |wall| Stamp { wall, uptime: 0, boot: "b".into() };
        assert!(!token.is_over(&next_boot(0)) && token.is_over(&next_boot(1_000 + 1_209_599)));
        assert_eq!(token.ends(), 1_210_599);
    }

    proptest! {
        #[test]
        fn a_token_comes_back_as_it_was_written(
            token in "[!-~]{1,300}", wall: i64, uptime: u64, boot in "\\PC{0,60}", lifetime: u64, key: [u8; 32],
        ) {
            let mut written = primary(&token, Stamp { wall, uptime, boot });
            (written.key, written.lifetime) = (Rc::new(SessionKey::new(Zeroizing::new(key))), lifetime);
            let octets = written.to_octets(16).unwrap();
            prop_assert!(octets.capacity() >= octets.len() + 16, "it would be moved, and leave a copy behind");
            prop_assert!(same(&Primary::parse(&octets).unwrap(), &written));
        }

        #[test]
        fn any_octets_are_a_token_or_refused(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(read) = Primary::parse(&octets) {
                let written = read.to_octets(0).unwrap();
                prop_assert_eq!(written.as_slice(), octets);
            }
        }
    }
}
