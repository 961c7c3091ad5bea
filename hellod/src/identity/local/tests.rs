//! The relying party, against a signer that holds its key in memory.

use std::cell::RefCell;
use std::rc::Rc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};

use super::*;
use crate::clock::Stamp;
use crate::jose::jws::{Header, SigningInput};
use crate::store::tests::Scratch;

struct Standing(RefCell<Stamp>);

impl Clock for Standing {
    fn now(&self) -> Stamp {
        self.0.borrow().clone()
    }
}

/// A relying party that knows alice's key.
struct World {
    local: Local,
    clock: Rc<Standing>,
    key: EcdsaKeyPair,
    kid: String,
    alice: Subject,
    _scratch: Scratch,
}

const NOW: i64 = 1_800_000_000;

impl World {
    async fn new(name: &str) -> Self {
        let scratch = Scratch::new(name);
        let clock = Rc::new(Standing(RefCell::new(Stamp { wall: NOW, uptime: 0, boot: "a".into() })));
        let store = Rc::new(Store::open(scratch.store.path()).unwrap());
        let local = Local::new("device-1", store, clock.clone());
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let alice = Subject { id: "alice".into(), uid: 1000, upn: None };
        let public = public(&key);
        local.register(&alice, &public).await.unwrap();
        Self { local, clock, key, kid: public.thumbprint(), alice, _scratch: scratch }
    }

    async fn claims(&self) -> Claims {
        let nonce = self.local.nonce(&self.alice).await.unwrap();
        Claims {
            iss: "device-1".into(),
            sub: "alice".into(),
            uid: 1000,
            aud: self.local.audience(),
            nonce: nonce.text,
            iat: NOW,
            exp: NOW + 300,
        }
    }

    fn sign(&self, header: &Header, claims: &Claims) -> String {
        let input = SigningInput::new(header, claims).unwrap();
        let signature = self.key.sign(&SystemRandom::new(), input.as_bytes()).unwrap();
        input.signed(signature.as_ref()).unwrap().expose().to_owned()
    }

    fn header(&self) -> Header {
        Header::new("ES256", TYPE, &self.kid)
    }

    async fn verdict(&self, claims: &Claims) -> Result<Accepted, ProviderError> {
        self.local.exchange(&self.sign(&self.header(), claims)).await
    }
}

fn public(key: &EcdsaKeyPair) -> PublicKey {
    let point = key.public_key().as_ref();
    PublicKey::P256 { x: point[1..33].try_into().unwrap(), y: point[33..].try_into().unwrap() }
}

#[tokio::test]
async fn an_assertion_is_accepted_once_and_its_replay_is_refused() {
    let world = World::new("local-replay").await;
    let assertion = world.sign(&world.header(), &world.claims().await);
    assert_eq!(world.local.exchange(&assertion).await, Ok(Accepted { kid: world.kid.clone() }));
    assert_eq!(world.local.exchange(&assertion).await, Err(ProviderError::Nonce));
}

#[tokio::test]
async fn every_claim_must_be_the_expected_one() {
    let world = World::new("local-claims").await;
    type Change = fn(&mut Claims);
    let changes: [(&str, Change); 10] = [
        ("audience", |claims| claims.aud = "urn:hello:local:device-2".into()),
        ("offline audience", |claims| claims.aud = "urn:hello:offline:device-1".into()),
        ("device", |claims| claims.iss = "device-2".into()),
        ("person", |claims| claims.sub = "bob".into()),
        ("uid", |claims| claims.uid = 1001),
        ("nonce", |claims| claims.nonce = "bm9uY2U".into()),
        ("made in the future", |claims| claims.iat = NOW + 60),
        ("over", |claims| (claims.iat, claims.exp) = (NOW - 200, NOW - 1)),
        ("too long", |claims| claims.exp = NOW + 3600),
        ("endless", |claims| (claims.iat, claims.exp) = (i64::MIN, i64::MAX)),
    ];
    for (what, change) in changes {
        let mut claims = world.claims().await;
        change(&mut claims);
        assert!(world.verdict(&claims).await.is_err(), "{what}");
    }
    assert!(world.verdict(&world.claims().await).await.is_ok());
}

#[tokio::test]
async fn another_type_algorithm_key_or_signature_is_refused() {
    let world = World::new("local-header").await;
    let claims = world.claims().await;
    let refused = |header: Header| {
        let assertion = world.sign(&header, &claims);
        async { world.local.exchange(&{ assertion }).await.unwrap_err() }
    };
    let wrong_type = refused(Header::new("ES256", "JWT", &world.kid)).await;
    assert_eq!(wrong_type, ProviderError::Assertion("another type"));
    for alg in ["none", "RS256", "HS256", "es256"] {
        let error = refused(Header::new(alg, TYPE, &world.kid)).await;
        assert_eq!(error, ProviderError::Assertion("another algorithm"), "{alg}");
    }
    for kid in ["", "../device/device", &"A".repeat(43)] {
        assert_eq!(refused(Header::new("ES256", TYPE, kid)).await, ProviderError::UnknownKey, "{kid:?}");
    }
    let stranger = World { key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(), ..world };
    let error = stranger.verdict(&stranger.claims().await).await.unwrap_err();
    assert_eq!(error, ProviderError::Assertion("a wrong signature"));
}

#[tokio::test]
async fn a_nonce_grows_old_and_belongs_to_one_person() {
    let world = World::new("local-nonce").await;
    let claims = world.claims().await;
    world.clock.0.borrow_mut().uptime = 301_000;
    assert_eq!(world.verdict(&claims).await, Err(ProviderError::Nonce));
    let bob = Subject { id: "bob".into(), uid: 1001, upn: None };
    let nonce = world.local.nonce(&bob).await.unwrap().text;
    let claims = Claims { nonce, ..world.claims().await };
    assert_eq!(world.verdict(&claims).await, Err(ProviderError::Nonce));
}

#[tokio::test]
async fn asking_for_nonces_without_end_shuts_out_nobody_else() {
    let world = World::new("local-flood").await;
    let claims = world.claims().await;
    let bob = Subject { id: "bob".into(), uid: 1001, upn: None };
    for _ in 0..10_000 {
        world.local.nonce(&bob).await.unwrap();
    }
    assert!(world.verdict(&claims).await.is_ok());
}

#[tokio::test]
async fn a_key_taken_off_the_list_signs_nobody_in() {
    let world = World::new("local-deregister").await;
    let bob = Subject { id: "bob".into(), uid: 1001, upn: None };
    world.local.deregister(&bob, &world.kid).await.unwrap();
    assert!(world.verdict(&world.claims().await).await.is_ok(), "bob can't take alice's key off");
    world.local.deregister(&world.alice, &world.kid).await.unwrap();
    assert_eq!(world.verdict(&world.claims().await).await, Err(ProviderError::UnknownKey));
}
