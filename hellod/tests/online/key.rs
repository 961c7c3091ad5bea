//! A key in software, in the place of the TPM's.

use std::cell::RefCell;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
};
use hellod::online::{DeviceKey, DeviceRequest, Handshake, OnlineError, Scheme, Signing, Whom};

use crate::house::{Fetched, hellod};

pub(crate) enum SoftwareKey {
    Rsa(Box<RsaKeyPair>),
    Ecdsa(EcdsaKeyPair),
}

impl SoftwareKey {
    pub(crate) fn rsa() -> Self {
        Self::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()))
    }

    pub(crate) fn ecdsa() -> Self {
        Self::Ecdsa(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    /// Fetches as the device whose key this is; and how it signed.
    pub(crate) fn fetch(&self, request: DeviceRequest) -> (Result<Fetched, OnlineError>, Vec<Scheme>) {
        hellod(async |online| {
            let counted = Counted { key: self, used: RefCell::default() };
            let outcome = online.fetch_as(request, &counted).await;
            (outcome.map(Fetched::from), counted.used.into_inner())
        })
    }

    fn signature(&self, scheme: Scheme, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let padding = match scheme {
            Scheme::RsaPkcs1Sha256 => &RSA_PKCS1_SHA256,
            _ => &RSA_PSS_SHA256,
        };
        match self {
            Self::Ecdsa(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }
}

impl rcgen::PublicKeyData for SoftwareKey {
    fn der_bytes(&self) -> &[u8] {
        match self {
            Self::Rsa(key) => key.public_key().as_ref(),
            Self::Ecdsa(key) => key.public_key().as_ref(),
        }
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        match self {
            Self::Rsa(_) => &rcgen::PKCS_RSA_SHA256,
            Self::Ecdsa(_) => &rcgen::PKCS_ECDSA_P256_SHA256,
        }
    }
}

struct Counted<'a> {
    key: &'a SoftwareKey,
    used: RefCell<Vec<Scheme>>,
}

impl DeviceKey for Counted<'_> {
    fn sign<'a>(&'a self, whom: Whom, scheme: Scheme, handshake: &'a Handshake) -> Signing<'a> {
        self.used.borrow_mut().push(scheme);
        self.key.sign(whom, scheme, handshake)
    }
}

impl DeviceKey for SoftwareKey {
    fn sign<'a>(&'a self, _: Whom, scheme: Scheme, handshake: &'a Handshake) -> Signing<'a> {
        Box::pin(async move { Some(self.signature(scheme, handshake.octets())) })
    }
}

/// A key that won't.
pub(crate) struct Unwilling;

impl DeviceKey for Unwilling {
    fn sign<'a>(&'a self, _: Whom, _: Scheme, _: &'a Handshake) -> Signing<'a> {
        Box::pin(std::future::ready(None))
    }
}

/// A key that never answers.
pub(crate) struct Silent;

impl DeviceKey for Silent {
    fn sign<'a>(&'a self, _: Whom, _: Scheme, _: &'a Handshake) -> Signing<'a> {
        Box::pin(std::future::pending())
    }
}
