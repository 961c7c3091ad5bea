//! A device: its key, its certificate, its transport key, a Hello key, and what it signs with them.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use aws_lc_rs::{aead, cipher, digest, hmac, kdf};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair, RsaKeySize};
use serde_json::{Value, json};

use super::web::{Client, Response};
use super::{CLOUD_AP, DRS, PASSWORD, UPN};

/// An RSA key in three shapes.
pub(crate) struct Key {
    pub(crate) pkcs_8: Vec<u8>,
    pair: RsaKeyPair,
    rcgen: KeyPair,
}

impl Key {
    pub(crate) fn new() -> Self {
        let rcgen = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        let pkcs_8 = rcgen.serialize_der();
        Self { pair: RsaKeyPair::from_pkcs8(&pkcs_8).unwrap(), pkcs_8, rcgen }
    }

    /// BCRYPT_RSAKEY_BLOB.
    pub(crate) fn blob(&self) -> Vec<u8> {
        // RSAPublicKey of RFC 8017 A.1.1, whose lengths are those of every key of this size.
        let key = self.pair.public_key().as_ref();
        let (modulus, exponent) = (&key[9..265], &key[267..]);
        let mut blob = b"RSA1".to_vec();
        for word in [2048, exponent.len() as u32, modulus.len() as u32, 0, 0] {
            blob.extend(word.to_le_bytes());
        }
        [&blob[..], exponent, modulus].concat()
    }

    pub(crate) fn kid(&self) -> String {
        STANDARD.encode(digest::digest(&digest::SHA256, &self.blob()))
    }

    pub(crate) fn spki(&self) -> Vec<u8> {
        rcgen::PublicKeyData::subject_public_key_info(&self.rcgen)
    }

    pub(crate) fn sign(&self, header: &Value, payload: &Value) -> String {
        let text = unsigned(header, payload);
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    pub(crate) fn request(&self, subject: &str) -> Vec<u8> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = DistinguishedName::new();
        parameters
            .distinguished_name
            .push(DnType::CommonName, DnValue::PrintableString(subject.try_into().unwrap()));
        parameters.serialize_request(&self.rcgen).unwrap().der().to_vec()
    }

    /// The content key of a JWE, which is the session key.
    pub(crate) fn unwrap(&self, jwe: &str) -> Vec<u8> {
        let wrapped = URL_SAFE_NO_PAD.decode(jwe.split('.').nth(1).unwrap()).unwrap();
        let key =
            OaepPrivateDecryptingKey::new(PrivateDecryptingKey::from_pkcs8(&self.pkcs_8).unwrap()).unwrap();
        let mut room = vec![0; key.min_output_size()];
        key.decrypt(&OAEP_SHA1_MGF1SHA1, &wrapped, &mut room, None).unwrap().to_vec()
    }
}

pub(crate) struct Device {
    pub(crate) key: Key,
    pub(crate) transport: Key,
    pub(crate) hello: Key,
    pub(crate) certificate: Vec<u8>,
    pub(crate) id: String,
}

/// A primary token as the client holds it.
#[derive(Clone)]
pub(crate) struct Primary {
    pub(crate) token: String,
    pub(crate) session_key: Vec<u8>,
}

impl Device {
    pub(crate) fn new() -> Self {
        Self {
            key: Key::new(),
            transport: Key::new(),
            hello: Key::new(),
            certificate: Vec::new(),
            id: String::new(),
        }
    }

    pub(crate) fn join_body(&self) -> Value {
        json!({
            "CertificateRequest": {"Type": "pkcs10", "Data": STANDARD.encode(self.key.request(SUBJECT))},
            "TransportKey": STANDARD.encode(self.transport.blob()),
            "TargetDomain": "corp.example", "DeviceType": "Linux", "OSVersion": "13", "DeviceDisplayName": "desk",
            "JoinType": 0, "Attributes": {"ReuseDevice": "true", "ReturnClientSid": "true"},
        })
    }

    /// Joins, and keeps what came back.
    pub(crate) fn join(&mut self, client: &Client, token: &str) -> Response {
        let body = self.join_body();
        let response = join(client, token, &body);
        self.keep(&response);
        response
    }

    pub(crate) fn keep(&mut self, response: &Response) {
        let answer = response.maybe();
        if let Some(certificate) = answer["Certificate"]["RawBody"].as_str() {
            self.certificate = STANDARD.decode(certificate).unwrap();
            // Names of 36 octets are the unit of the issuer, and then the device.
            let strings =
                self.certificate.windows(38).filter(|window| window[..2] == [0x13, 36] && window.is_ascii());
            let name = strings.map(|window| window[2..].to_vec()).nth(1).unwrap();
            self.id = String::from_utf8(name).unwrap();
        }
    }

    pub(crate) fn header(&self) -> Value {
        json!({"alg": "RS256", "typ": "JWT", "kdf_ver": 2, "x5c": [STANDARD.encode(&self.certificate)]})
    }

    pub(crate) fn password_payload(&self, nonce: &str) -> Value {
        json!({"client_id": CLOUD_AP, "request_nonce": nonce, "scope": "openid aza ugs", "grant_type": "password",
            "username": UPN, "password": PASSWORD})
    }

    pub(crate) fn assertion_payload(&self, nonce: &str, now: i64) -> Value {
        json!({"iss": UPN, "aud": "common", "iat": now - 5, "exp": now + 300, "request_nonce": nonce, "scope": "openid aza ugs"})
    }

    pub(crate) fn assertion_header(&self) -> Value {
        json!({"alg": "RS256", "typ": "JWT", "kid": self.hello.kid(), "use": "ngc"})
    }

    pub(crate) fn hello_payload(&self, nonce: &str, assertion: &str) -> Value {
        json!({"client_id": CLOUD_AP, "request_nonce": nonce, "scope": "openid aza ugs",
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "username": UPN, "assertion": assertion})
    }

    pub(crate) fn primary(&self, response: &Response) -> Primary {
        let answer = response.object();
        let text =
            |name: &str| answer[name].as_str().unwrap_or_else(|| panic!("{name} in {answer}")).to_owned();
        Primary { session_key: self.transport.unwrap(&text("session_key_jwe")), token: text("refresh_token") }
    }
}

pub(crate) fn join(client: &Client, token: &str, body: &Value) -> Response {
    let bearer = format!("Bearer {token}");
    client.json(DRS, "/EnrollmentServer/device/?api-version=2.0", &[("Authorization", &bearer)], body)
}

pub(crate) fn register(client: &Client, token: &str, blob: &[u8]) -> Response {
    let headers = [("Authorization", &*format!("Bearer {token}")), ("Accept", "application/json")];
    client.json(
        DRS,
        "/EnrollmentServer/key/?api-version=1.0",
        &headers,
        &json!({"kngc": STANDARD.encode(blob)}),
    )
}

/// A request with a JWS in it.
pub(crate) fn send(client: &Client, request: &str) -> Response {
    client.token(&[
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("request", request),
        ("windows_api_version", "2.2"),
        ("client_info", "1"),
        ("tgt", "true"),
    ])
}

impl Primary {
    pub(crate) fn renewal(&self, nonce: &str) -> Value {
        json!({"client_id": CLOUD_AP, "scope": "openid aza ugs", "iss": "aad:brokerplugin", "grant_type": "refresh_token",
            "refresh_token": self.token, "request_nonce": nonce})
    }

    pub(crate) fn redemption(&self, nonce: &str, client: &str, resource: &str) -> Value {
        json!({"client_id": client, "scope": "openid", "resource": resource, "iss": "aad:brokerplugin",
            "grant_type": "refresh_token", "refresh_token": self.token, "request_nonce": nonce,
            "redirect_uri": format!("ms-appx-web://Microsoft.AAD.BrokerPlugin/{client}")})
    }

    pub(crate) fn cookie(&self, nonce: Option<&str>) -> Value {
        json!({"refresh_token": self.token, "is_primary": "true", "request_nonce": nonce})
    }

    /// HS256 by that version of the key derivation.
    pub(crate) fn sign(&self, payload: &Value, version: u64) -> String {
        let context: Vec<u8> = (0..24).collect();
        let header =
            json!({"alg": "HS256", "typ": "JWT", "kdf_ver": version, "ctx": STANDARD.encode(&context)});
        let octets = payload.to_string();
        let context = match version {
            1 => context,
            _ => digest::digest(&digest::SHA256, &[&context, octets.as_bytes()].concat()).as_ref().to_vec(),
        };
        let key = hmac::Key::new(hmac::HMAC_SHA256, &derive(&self.session_key, &context));
        let text = unsigned(&header, payload);
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, text.as_bytes())))
    }

    /// An encrypted answer.
    pub(crate) fn open(&self, response: &Response) -> Value {
        self.open_with(response, |context| context.to_vec())
    }

    /// The same, to a request that said this, by version 2 of the key derivation.
    pub(crate) fn open_bound(&self, response: &Response, payload: &Value) -> Value {
        let octets = payload.to_string();
        self.open_with(response, |context| {
            digest::digest(&digest::SHA256, &[context, octets.as_bytes()].concat()).as_ref().to_vec()
        })
    }

    fn open_with(&self, response: &Response, context: impl FnOnce(&[u8]) -> Vec<u8>) -> Value {
        let text = response.text();
        let parts: Vec<&str> = text.split('.').collect();
        assert_eq!(parts.len(), 5, "{text}");
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
        let header: Value = serde_json::from_slice(&decode(parts[0])).unwrap();
        let context = context(&STANDARD.decode(header["ctx"].as_str().unwrap()).unwrap());
        let key = derive(&self.session_key, &context);
        let (iv, mut text) = (decode(parts[2]), decode(parts[3]));
        let plain = if let Ok(iv) = <[u8; 12]>::try_from(&iv[..]) {
            text.extend(decode(parts[4]));
            let key = aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_256_GCM, &key).unwrap());
            key.open_in_place(aead::Nonce::assume_unique_for_key(iv), aead::Aad::from(parts[0]), &mut text)
                .unwrap()
                .to_vec()
        } else {
            assert!(parts[4].is_empty());
            let key = cipher::UnboundCipherKey::new(&cipher::AES_256, &key).unwrap();
            let key = cipher::PaddedBlockDecryptingKey::cbc_pkcs7(key).unwrap();
            let iv = aws_lc_rs::iv::FixedLength::from(<[u8; 16]>::try_from(&iv[..]).unwrap());
            key.decrypt(&mut text, cipher::DecryptionContext::Iv128(iv)).unwrap().to_vec()
        };
        serde_json::from_slice(&plain).unwrap()
    }
}

/// The library's own SP 800-108: the server does it by hand.
fn derive(session_key: &[u8], context: &[u8]) -> [u8; 32] {
    let algorithm = kdf::get_kbkdf_ctr_hmac_algorithm(kdf::KbkdfCtrHmacAlgorithmId::Sha256).unwrap();
    let fixed = [b"AzureAD-SecureConversation\0", context, &256_u32.to_be_bytes()[..]].concat();
    let mut key = [0; 32];
    kdf::kbkdf_ctr_hmac(algorithm, session_key, &fixed, &mut key).unwrap();
    key
}

fn unsigned(header: &Value, payload: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", encode(header), encode(payload))
}

pub(crate) const SUBJECT: &str = "7E980AD9-B86D-4306-9425-9AC066FB014A";
