//! A new PIN for the same key, by word of the organisation: what Windows calls PIN recovery.
//!
//! The value that sets a new PIN is sealed for the organisation when the key is made, and stays on this computer, where nobody
//! can open it ([`Escrow`]). Whoever has forgotten their PIN shows their administrator a [`Request`]: that sealed value, and a
//! key for the answer, sealed likewise. The administrator's tool opens both, and answers with the value under that key
//! ([`Custodian::answer`]). It opens in the process that has asked, and in no other ([`Pending`]): an answer is good once.
//!
//! To seal is HPKE in its base mode (RFC 9180), with X25519, HKDF-SHA256 and AES-128-GCM; whose value it is, is sealed in with
//! it. An answer is AES-256-GCM under a key that encrypts nothing else.

mod code;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest;
use data_encoding::BASE64URL_NOPAD;
use hello_words::tr;
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_128;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::keys::base64url;
use crate::secret::AuthValue;

/// An organisation, by its public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Organisation(#[serde(with = "base64url")] [u8; 32]);

/// Whose value is sealed. Whoever answers is shown it, and it can't be exchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The account.
    pub account: String,
    /// The computer, by the name that it had.
    pub computer: String,
    /// The computer, by the id that it has at its directory, or for itself: two may have one name.
    pub device: String,
}

/// What stays on the computer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Escrow {
    /// Who can open it.
    pub organisation: Organisation,
    /// Whose it is.
    pub subject: Subject,
    #[serde(with = "base64url")]
    sealed: Vec<u8>,
}

/// What the person shows to their administrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    organisation: [u8; 4],
    /// Who asks, as it was when the key was made.
    pub subject: Subject,
    value: Vec<u8>,
    key: Vec<u8>,
}

/// A request that waits for its answer.
pub struct Pending {
    request: Request,
    key: Zeroizing<[u8; 32]>,
}

/// Whoever answers for an organisation.
pub struct Custodian(Zeroizing<[u8; 32]>, Organisation);

/// Why there is no request or no answer. `Display` is what whoever typed it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "snake_case")]
pub enum EscrowError {
    /// A code is cut short, or a character of it is wrong.
    #[error("{}", tr!("This code is not complete, or there is a mistake in it.\nPaste it again, from its first line to its last."))]
    Garbled,
    /// It was sealed for another key than the organisation's.
    #[error("{}", tr!("This code is for another key file than this one.\nUse the one that the computer's PinRecoveryKey is from."))]
    AnotherKey,
    /// It can't be opened, whoever made it.
    #[error("{}", tr!("This code was changed, or hellod has not made it.\nDon't answer. Ask for a new code."))]
    Forged,
    /// An answer is cut short, or a character of it is wrong.
    #[error("{}", tr!("The answer is not complete, or there is a mistake in it.\nIf it came in two lines, type the second one now.\nElse type all of it again."))]
    Incomplete,
    /// The answer is to another request, or was used before.
    #[error("{}", tr!("This answer is to another code, or was used before.\nAsk for the answer to this one; compare the numbers."))]
    AnotherAnswer,
    /// No random numbers.
    #[error("{}", tr!("This machine gives no random numbers."))]
    Random,
}

impl Organisation {
    /// Reads the key as the policy has it. Something can be sealed for it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let octets = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let (key, sum) = octets.split_last_chunk::<4>()?;
        let organisation = Self(key.try_into().ok().filter(|_| first_four(key) == *sum)?);
        organisation.seal(VALUE, &[], &[0; 32]).is_ok().then_some(organisation)
    }

    /// As the policy has it: 32 octets, and four against mistakes, in base64url.
    #[must_use]
    pub fn text(&self) -> String {
        BASE64URL_NOPAD.encode(&[self.0.as_slice(), &first_four(&self.0)].concat())
    }

    /// Eight digits by which people tell keys apart.
    #[must_use]
    pub fn short(&self) -> String {
        eight_digits(self.id())
    }

    fn id(&self) -> [u8; 4] {
        first_four(&self.0)
    }

    /// Seals a value for it.
    ///
    /// # Errors
    /// [`EscrowError::Random`].
    pub fn keep(&self, value: &AuthValue, subject: Subject) -> Result<Escrow, EscrowError> {
        let sealed = self.seal(VALUE, &subject.octets(), value.expose())?;
        Ok(Escrow { organisation: self.clone(), subject, sealed })
    }

    fn seal(&self, purpose: &[u8], aad: &[u8], secret: &[u8; 32]) -> Result<Vec<u8>, EscrowError> {
        let (enc, sealed) = SUITE
            .seal(purpose, aad, secret, &HpkePublicKey(self.0.to_vec()))
            .map_err(|_| EscrowError::Random)?;
        Ok([enc.0, sealed].concat())
    }
}

impl Subject {
    /// Somebody whose names fit into a request, and can be shown to people.
    #[must_use]
    pub fn new(account: &str, computer: &str, device: &str) -> Option<Self> {
        let [account, computer, device] = [account, computer, device].map(str::to_owned);
        let is_clean = [&account, &computer, &device].iter().all(|name| is_clean(name));
        is_clean.then_some(Self { account, computer, device })
    }

    /// Each with its length before it.
    fn octets(&self) -> Vec<u8> {
        let names = [&self.account, &self.computer, &self.device];
        names.iter().flat_map(|name| [&[name.len() as u8], name.as_bytes()].concat()).collect()
    }
}

impl Escrow {
    /// Whether it could have been made here.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let Subject { account, computer, device } = &self.subject;
        self.sealed.len() == SEALED && Subject::new(account, computer, device).is_some()
    }

    /// Asks for the value.
    ///
    /// # Errors
    /// [`EscrowError::Random`].
    pub fn request(&self) -> Result<Pending, EscrowError> {
        let mut key = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(key.as_mut_slice()).map_err(|_| EscrowError::Random)?;
        let mut request = Request {
            organisation: self.organisation.id(),
            subject: self.subject.clone(),
            value: self.sealed.clone(),
            key: Vec::new(),
        };
        request.key = self.organisation.seal(ANSWER, &request.before_key(), &key)?;
        Ok(Pending { request, key })
    }
}

impl Request {
    /// As it is shown: lines of at most 47 columns.
    #[must_use]
    pub fn code(&self) -> String {
        let octets = [self.before_key(), self.key.clone()].concat();
        code::written(&[octets.as_slice(), &first_four(&octets)].concat())
    }

    /// Reads what was typed.
    ///
    /// # Errors
    /// [`EscrowError::Garbled`].
    pub fn parse(text: &str) -> Result<Self, EscrowError> {
        Self::read(&code::read(text).ok_or(EscrowError::Garbled)?).ok_or(EscrowError::Garbled)
    }

    fn read(octets: &[u8]) -> Option<Self> {
        let (octets, sum) = octets.split_last_chunk::<4>()?;
        if first_four(octets) != *sum {
            return None;
        }
        let (&VERSION, rest) = octets.split_first()? else { return None };
        let (organisation, rest) = rest.split_first_chunk::<4>()?;
        let (account, rest) = text(rest)?;
        let (computer, rest) = text(rest)?;
        let (device, rest) = text(rest)?;
        let (value, key) = rest.split_at_checked(SEALED)?;
        let subject = Subject::new(account, computer, device)?;
        let request = Self { organisation: *organisation, subject, value: value.into(), key: key.into() };
        (key.len() == SEALED).then_some(request)
    }

    /// All but the key for the answer, into which this is sealed.
    fn before_key(&self) -> Vec<u8> {
        [&[VERSION], self.organisation.as_slice(), &self.subject.octets(), &self.value].concat()
    }

    /// Sixteen hexadecimal digits that are the same at both ends, for people to compare: the code is the one that was shown. So many,
    /// because whoever has seen a code could look for another one with the same number, and has an hour.
    #[must_use]
    pub fn number(&self) -> String {
        let digest = self.digest();
        let digits = data_encoding::HEXUPPER.encode(digest.as_ref().get(..8).unwrap_or_default());
        let groups = digits.as_bytes().chunks(4).filter_map(|four| std::str::from_utf8(four).ok());
        groups.collect::<Vec<_>>().join("-")
    }

    fn digest(&self) -> digest::Digest {
        digest::digest(&digest::SHA256, &[self.before_key(), self.key.clone()].concat())
    }
}

impl Pending {
    /// What is to be shown.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Opens an answer.
    ///
    /// # Errors
    /// [`EscrowError::Incomplete`], [`EscrowError::AnotherAnswer`].
    pub fn open(&self, answer: &str) -> Result<AuthValue, EscrowError> {
        let mut octets = Zeroizing::new(code::read(answer).ok_or(EscrowError::Incomplete)?);
        if octets.len() != ANSWERED {
            return Err(EscrowError::Incomplete);
        }
        let opened = cipher(&self.key)?.open_in_place(
            Nonce::assume_unique_for_key([0; 12]),
            Aad::from(self.request.digest()),
            &mut octets,
        );
        let value = opened.map_err(|_| EscrowError::AnotherAnswer)?;
        AuthValue::parse(value).ok_or(EscrowError::Incomplete)
    }
}

impl Custodian {
    /// A new one.
    ///
    /// # Errors
    /// [`EscrowError::Random`].
    pub fn new() -> Result<Self, EscrowError> {
        let (public, private) = SUITE.generate_key_pair().map_err(|_| EscrowError::Random)?;
        Self::of(&public.0, private.secret_bytes()).ok_or(EscrowError::Random)
    }

    fn of(public: &[u8], private: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(private.try_into().ok()?), Organisation(public.try_into().ok()?)))
    }

    /// Reads what [`Custodian::text`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let octets: Zeroizing<Vec<u8>> = Zeroizing::new(BASE64URL_NOPAD.decode(text.trim().as_bytes()).ok()?);
        let (private, public) = octets.split_at_checked(32)?;
        let custodian = Self::of(public, private)?;
        // A file that was damaged would have a policy made of it that nobody can answer.
        let sealed = custodian.1.seal(VALUE, &[], &[7; 32]).ok()?;
        custodian.open(VALUE, &[], &sealed).is_ok_and(|opened| *opened == [7; 32]).then_some(custodian)
    }

    /// Private and public key, for a file that nobody else reads.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        let mut both = Zeroizing::new(Vec::with_capacity(64));
        both.extend_from_slice(self.0.as_slice());
        both.extend_from_slice(&self.1.0);
        Zeroizing::new(BASE64URL_NOPAD.encode(both.as_slice()))
    }

    /// For whom it answers.
    #[must_use]
    pub fn organisation(&self) -> &Organisation {
        &self.1
    }

    /// Answers a request: one line of at most 79 columns.
    ///
    /// # Errors
    /// [`EscrowError::AnotherKey`], [`EscrowError::Forged`].
    pub fn answer(&self, request: &Request) -> Result<String, EscrowError> {
        if request.organisation != self.1.id() {
            return Err(EscrowError::AnotherKey);
        }
        let value = self.open(VALUE, &request.subject.octets(), &request.value)?;
        let key = self.open(ANSWER, &request.before_key(), &request.key)?;
        // With room for the tag: growing would leave a copy behind.
        let mut answer = Zeroizing::new(Vec::with_capacity(ANSWERED));
        answer.extend_from_slice(value.as_slice());
        cipher(&key)?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key([0; 12]),
                Aad::from(request.digest()),
                &mut *answer,
            )
            .map_err(|_| EscrowError::Forged)?;
        Ok(code::written_in_one(&answer))
    }

    fn open(&self, purpose: &[u8], aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<[u8; 32]>, EscrowError> {
        let (enc, sealed) = sealed.split_at_checked(32).ok_or(EscrowError::Forged)?;
        let key = HpkePrivateKey::from(self.0.to_vec());
        let opened = SUITE.open(&EncapsulatedSecret(enc.to_vec()), purpose, aad, sealed, &key);
        let opened = opened.map(Zeroizing::new).map_err(|_| EscrowError::Forged)?;
        <[u8; 32]>::try_from(opened.as_slice()).map(Zeroizing::new).map_err(|_| EscrowError::Forged)
    }
}

fn cipher(key: &[u8; 32]) -> Result<LessSafeKey, EscrowError> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new).map_err(|_| EscrowError::Forged)
}

fn eight_digits([a, b, c, d]: [u8; 4]) -> String {
    format!("{a:02X}{b:02X}-{c:02X}{d:02X}")
}

fn first_four(octets: &[u8]) -> [u8; 4] {
    let hash = digest::digest(&digest::SHA256, octets);
    hash.as_ref().first_chunk().copied().unwrap_or_default()
}

/// Reads a text with its length before it, and what comes after it.
fn text(octets: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = octets.split_first()?;
    let (text, rest) = rest.split_at_checked(usize::from(*length))?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

/// Whether it is a name that people can read and nobody is fooled by: no blanks, nothing that a terminal obeys, that turns the
/// direction of writing, or that can't be seen.
fn is_clean(name: &str) -> bool {
    let is_hidden = |c: char| HIDDEN.iter().any(|hidden| hidden.contains(&c));
    (1..=LONGEST_NAME).contains(&name.len())
        && !name.chars().any(|c| c.is_control() || c.is_whitespace() || is_hidden(c))
}

/// The suite of RFC 9180, 7: 0x0020, 0x0001, 0x0001.
static SUITE: &dyn Hpke = DH_KEM_X25519_HKDF_SHA256_AES_128;
const VERSION: u8 = 1;
const VALUE: &[u8] = b"hello/v1/escrow/value";
const ANSWER: &[u8] = b"hello/v1/escrow/answer";
/// The encapsulated key, 32 octets, and the tag of 16.
const SEALED: usize = 32 + 32 + 16;
/// The value, and the tag.
const ANSWERED: usize = 32 + 16;
/// Characters that can't be seen, or turn the direction of writing.
const HIDDEN: [std::ops::RangeInclusive<char>; 14] = [
    '\u{ad}'..='\u{ad}',
    '\u{34f}'..='\u{34f}',
    '\u{61c}'..='\u{61c}',
    '\u{115f}'..='\u{1160}',
    '\u{180e}'..='\u{180e}',
    '\u{200b}'..='\u{200f}',
    '\u{202a}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{2800}'..='\u{2800}',
    '\u{3164}'..='\u{3164}',
    '\u{feff}'..='\u{feff}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{fff0}'..='\u{ffff}',
    '\u{e0000}'..='\u{e0fff}',
];
/// In octets.
const LONGEST_NAME: usize = 64;

#[cfg(test)]
mod tests;
