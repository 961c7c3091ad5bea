//! The local provider, against somebody who holds alice's key and says anything with it, and against somebody who
//! holds none. The first line is the header, the rest the claims; `NONCE` in them becomes one that was given out.
#![no_main]

use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use hellod::clock::{Clock, Stamp};
use hellod::identity::local::{Claims, LIFETIME, Local};
use hellod::identity::{Acceptor, IdentityProvider, Subject};
use hellod::jose::jws::{Header, SigningInput};
use hellod::keys::PublicKey;
use hellod::store::Store;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|text: &str| WORLD.with(|world| world.hear(text)));

thread_local! {
    static WORLD: World = World::new();
}

struct World {
    local: Local,
    key: EcdsaKeyPair,
    kid: String,
    alice: Subject,
}

impl World {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("hello-fuzz-assertion-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a scratch directory");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).expect("a private one");
        let store = Rc::new(Store::open(&path).expect("a store"));
        let local = Local::new(DEVICE, store, Rc::new(Standing));
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        let (x, y) = key.public_key().as_ref()[1..].split_at(32);
        let public = PublicKey::P256 { x: x.try_into().expect("32"), y: y.try_into().expect("32") };
        let alice = Subject { id: "alice".into(), uid: 1000, upn: None };
        let registrar = local.keys().expect("a registrar");
        now(registrar.register(&alice, &public)).expect("registered");
        Self { local, key, kid: public.thumbprint(), alice }
    }

    fn hear(&self, text: &str) {
        assert!(now(self.local.exchange(text)).is_err(), "without the key");
        let Some((header, claims)) = text.split_once('\n') else { return };
        let Ok(mut header) = serde_json::from_str::<Header>(header) else { return };
        header.kid = header.kid.replace("KID", &self.kid);
        let nonce = now(self.local.nonce(&self.alice)).expect("a nonce").text;
        let Ok(claims) = serde_json::from_str::<Value>(&claims.replace("NONCE", &nonce)) else { return };
        let Ok(input) = SigningInput::new(&header, &claims) else { return };
        let signature = self.key.sign(&SystemRandom::new(), input.as_bytes()).expect("a signature");
        let assertion = input.signed(signature.as_ref()).expect("short enough");
        if now(self.local.exchange(assertion.expose())).is_ok() {
            let claims: Claims = serde_json::from_value(claims).expect("the claims");
            assert_eq!((header.alg.as_str(), header.typ.as_str()), ("ES256", "hello-assertion+jwt"));
            assert_eq!((claims.iss.as_str(), claims.sub.as_str(), claims.uid), (DEVICE, "alice", 1000));
            assert_eq!((claims.aud, claims.nonce), (self.local.audience(), nonce));
            assert!(i128::from(claims.exp) - i128::from(claims.iat) <= i128::from(LIFETIME));
            assert!(claims.iat <= NOW + 5 && claims.exp >= NOW);
            assert!(now(self.local.exchange(assertion.expose())).is_err(), "twice");
        }
    }
}

struct Standing;

impl Clock for Standing {
    fn now(&self) -> Stamp {
        Stamp { wall: NOW, uptime: 0, boot: "a".into() }
    }
}

/// The local provider never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the local provider waits"),
    }
}

const DEVICE: &str = "device-1";
const NOW: i64 = 1_800_000_000;
