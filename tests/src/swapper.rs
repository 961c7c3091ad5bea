//! A thief between hellod and the TPM who puts a key of their own in the storage root's place, to read what is salted to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::{digest, hmac};

/// The thief. Tells a false public area, and beside it a Name.
#[derive(Debug)]
pub struct Swapper {
    key: PrivateKey,
    named: Named,
    srk_name: Vec<u8>,
    session: Option<Session>,
    /// How many public areas were swapped.
    pub swapped: Arc<AtomicUsize>,
    /// How many commands were found to be authorised in a session whose key the thief knows.
    pub opened: Arc<AtomicUsize>,
}

/// Which Name the thief tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// That of the true storage root: what is pinned by its Name alone falls for it.
    True,
    /// That of the false public area: there is nothing for libtss2 to stumble over, so only a pin is in the way.
    False,
}

#[derive(Debug)]
struct Session {
    handle: [u8; 4],
    key: Vec<u8>,
    nonce_tpm: Vec<u8>,
}

impl Swapper {
    /// With a new key.
    #[track_caller]
    pub fn new(named: Named) -> Self {
        let key = PrivateKey::generate(&ECDH_P256).expect("there is randomness");
        let (srk_name, counters) = (Vec::new(), (Arc::default(), Arc::default()));
        Self { key, named, srk_name, session: None, swapped: counters.0, opened: counters.1 }
    }

    /// What to answer to a command: for [`Interposer::meddle`](crate::Interposer::meddle).
    pub fn answer(&mut self, command: &[u8], ask: &mut dyn FnMut(&[u8]) -> Vec<u8>) -> Option<Vec<u8>> {
        let mut answer = ask(command);
        let to_root = command.get(10..14) == Some(&STORAGE_ROOT);
        match command.get(6..10) {
            Some([0, 0, 1, 0x73]) if to_root && answer.len() >= 138 => {
                let public = self.public();
                answer[36..68].copy_from_slice(&public[1..33]);
                answer[70..102].copy_from_slice(&public[33..65]);
                if self.named == Named::False {
                    // A Name is the algorithm and the hash of the public area (part 1, 16), which ends here.
                    let name = digest::digest(&digest::SHA256, &answer[12..102]);
                    answer[106..138].copy_from_slice(name.as_ref());
                }
                self.srk_name = answer[104..138].to_vec();
                self.swapped.fetch_add(1, Ordering::SeqCst);
            }
            Some([0, 0, 1, 0x76]) if to_root => self.session = self.read_salt(command, &answer),
            Some([_, _, _, code]) if to_root && self.is_authorised(command) => {
                assert_ne!(*code, 0x76);
                self.opened.fetch_add(1, Ordering::SeqCst);
            }
            _ => {}
        }
        Some(answer)
    }

    /// TPM 2.0 Library, part 1, C.6.3 and 19.6.8: from the ephemeral point to the key of the session.
    fn read_salt(&self, command: &[u8], answer: &[u8]) -> Option<Session> {
        let (nonce_caller, rest) = sized(command.get(18..)?)?;
        let (secret, _) = sized(rest)?;
        let (x, rest) = sized(secret)?;
        let (y, _) = sized(rest)?;
        let point = [&[4], x, y].concat();
        let peer = UnparsedPublicKey::new(&ECDH_P256, &point);
        let salt = agree(&self.key, peer, (), |shared| {
            let public = self.public();
            let parts = [&[0, 0, 0, 1][..], shared, b"SECRET\0", x, &public[1..33]];
            Ok(digest::digest(&digest::SHA256, &parts.concat()))
        });
        let (nonce_tpm, _) = sized(answer.get(14..)?)?;
        let parts = [&[0, 0, 0, 1][..], b"ATH\0", nonce_tpm, nonce_caller, &[0, 0, 1, 0]];
        Some(Session {
            handle: answer.get(10..14)?.try_into().ok()?,
            key: mac(salt.ok()?.as_ref(), &parts.concat()),
            nonce_tpm: nonce_tpm.to_vec(),
        })
    }

    /// Whether a command to the storage root, which has no authorisation value of its own, carries the HMAC that the
    /// key of the session gives (part 1, 19.6.5).
    fn is_authorised(&self, command: &[u8]) -> bool {
        let computed = || {
            let session = self.session.as_ref()?;
            let length = u32::from_be_bytes(command.get(14..18)?.try_into().ok()?);
            let area = command.get(18..)?;
            let parameters = area.get(usize::try_from(length).ok()?..)?;
            if area.get(..4)? != session.handle {
                return None;
            }
            let (nonce_caller, rest) = sized(&area[4..])?;
            let (found, _) = sized(rest.get(1..)?)?;
            let code = command.get(6..10)?;
            let hash = digest::digest(&digest::SHA256, &[code, &self.srk_name, parameters].concat());
            let parts = [hash.as_ref(), nonce_caller, &session.nonce_tpm, &rest[..1]];
            Some(found == mac(&session.key, &parts.concat()))
        };
        computed() == Some(true)
    }

    fn public(&self) -> Vec<u8> {
        self.key.compute_public_key().map(|key| key.as_ref().to_vec()).unwrap_or_default()
    }
}

/// Puts the proof of an answer's first session right again after the answer was changed, as far as anybody can: the key of a session
/// that is neither salted nor bound is empty (part 1, 19.6.8 and 18.10). For commands with one handle.
pub fn reseal(command: &[u8], answer: &mut [u8]) -> Option<()> {
    let (nonce_caller, _) = sized(command.get(22..)?)?;
    let length = usize::try_from(u32::from_be_bytes(answer.get(10..14)?.try_into().ok()?)).ok()?;
    let (parameters, session) = answer.get(14..)?.split_at_checked(length)?;
    let (nonce_tpm, rest) = sized(session)?;
    let hash =
        digest::digest(&digest::SHA256, &[answer.get(6..10)?, command.get(6..10)?, parameters].concat());
    let proof = mac(b"", &[hash.as_ref(), nonce_tpm, nonce_caller, rest.get(..1)?].concat());
    let at = 14 + length + 2 + nonce_tpm.len() + 1 + 2;
    answer.get_mut(at..at + proof.len())?.copy_from_slice(&proof);
    Some(())
}

/// A TPM2B: what its length says, and what follows.
fn sized(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = octets.split_first_chunk()?;
    rest.split_at_checked(u16::from_be_bytes(*length).into())
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

const STORAGE_ROOT: [u8; 4] = [0x81, 0, 0, 1];
