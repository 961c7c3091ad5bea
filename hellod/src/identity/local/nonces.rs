//! Nonces of the local provider: given out once, used once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::Stamp;
use crate::identity::{Nonce, ProviderError};

/// The nonces that are out, by person.
#[derive(Debug, Default)]
pub(super) struct Nonces(RefCell<HashMap<u32, Vec<(String, Stamp)>>>);

impl Nonces {
    /// Gives one out. A person has at most [`MAX_OUT`]: an older one makes room, so that asking without answering uses
    /// no memory and shuts nobody out.
    pub(super) fn issue(&self, uid: u32, now: &Stamp) -> Result<Nonce, ProviderError> {
        let mut random = [0; 32];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| ProviderError::Busy)?;
        let nonce = URL_SAFE_NO_PAD.encode(random);
        let mut all = self.0.borrow_mut();
        let out = all.entry(uid).or_default();
        out.retain(|(_, issued)| now.since(issued) <= LIFETIME);
        if out.len() >= MAX_OUT {
            out.remove(0);
        }
        out.push((nonce.clone(), now.clone()));
        Ok(Nonce::new(nonce))
    }

    /// Takes one back, for good.
    pub(super) fn use_up(&self, uid: u32, nonce: &str, now: &Stamp) -> Result<(), ProviderError> {
        let mut all = self.0.borrow_mut();
        let out = all.get_mut(&uid).ok_or(ProviderError::Nonce)?;
        let place = out.iter().position(|(issued, _)| issued == nonce).ok_or(ProviderError::Nonce)?;
        let (_, issued) = out.remove(place);
        if out.is_empty() {
            all.remove(&uid);
        }
        if now.since(&issued) <= LIFETIME { Ok(()) } else { Err(ProviderError::Nonce) }
    }
}

/// How long a nonce is good for.
const LIFETIME: Duration = Duration::from_secs(300);

/// Most nonces that one person has out.
const MAX_OUT: usize = 16;
