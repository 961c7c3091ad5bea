//! From a sign-in with a second factor to a key that the PIN opens, a primary token, and what its session key does.

use std::cell::RefCell;
use std::io::Write as _;
use std::os::fd::OwnedFd;

use hellod::gesture::pin::{PinRules, PinShape};
use hellod::identity::aadsts::Refusal;
use hellod::identity::entra::primary::{self, Proof, Session};
use hellod::identity::entra::{Entra, Freshness, Permit, Registered, register_key};
use hellod::identity::{DirectoryError, IdentityProvider, Nonce, ProviderError, Subject};
use hellod::keys::child::{CreateSpec, ProvenRoot, Request, Root, SignIn};
use hellod::keys::queue::Asker;
use hellod::keys::{Algorithm, Binding, CheckedKey, CheckedMachineKeys, DeviceScheme, Kdf};
use hellod::secret::{SessionKey, Token};
use hellod::wire::{PrimaryAnswer, Upn};
use serde_json::json;

use crate::house::{DORA, House, run};
use crate::{by_code, refusal};

const PIN: &str = "246813";
const BROKER: &str = "29d9ed98-a469-4536-ade2-f981bc1d605e";
const REGISTRATION: &str = "urn:ms-drs:enterpriseregistration.windows.net";
const CTX: [u8; 24] = *b"twenty-four octets of it";

/// A machine that has joined, with a person who has registered a key.
pub(crate) struct Enrolled {
    pub(crate) house: House,
    pub(crate) keys: CheckedMachineKeys,
    pub(crate) device: Registered,
    pub(crate) key: CheckedKey,
}

impl Enrolled {
    pub(crate) async fn with(seed: u64, switches: serde_json::Value) -> Self {
        let mut house = House::with(seed, switches).await;
        house.freshness = Freshness::SecondFactorNow;
        let permit = by_code(&house).await;
        assert!(permit.claims.is_fresh());
        let (keys, device) = house.register(&permit).await.unwrap();
        let refresh = permit.refresh.unwrap();
        let (token, session) = first_primary(&house, &keys, &device, &refresh).await;
        let session =
            Session { online: &house.online, tenant: house.tenant.id, token: &token, key: &session };
        let nonce = primary::nonce(&house.online).await.unwrap();
        let answer = session.redeem((BROKER, REGISTRATION), &nonce, &CTX).await.unwrap();
        let permit = Permit::check(answer.access, &house.tenant).unwrap();
        assert_eq!(permit.claims.deviceid, Some(device.certificate.device));
        let key = key_with_pin(&house, &device).await;
        let registered =
            register_key(&house.online, &house.tenant.keys, &permit, key.public_key()).await.unwrap();
        assert!(registered.person.is(&Upn::parse(DORA).unwrap()));
        Self { house, keys, device, key }
    }

    /// What one PIN brings about: both signatures, the answer to them, and by way of which storage root.
    pub(crate) async fn sign_in(&self) -> Result<(PrimaryAnswer, ProvenRoot), DirectoryError> {
        let provider = Entra::new(self.house.online.clone(), self.house.tenant.id);
        let dora = Subject { id: String::new(), uid: 1000, upn: Upn::parse(DORA) };
        let nonce = provider.nonce(&dora).await.unwrap();
        let now = self.house.idp.order(&json!({"do": "now"})).unwrap().as_i64().unwrap();
        let assertion = provider.statement(&dora, self.key.public_key(), &nonce, now).unwrap();
        let request = RefCell::default();
        let compose = |signature: &[u8]| {
            let assertion = assertion.signed(signature).ok()?;
            let made =
                primary::request(&self.device.certificate.der, &nonce, &Proof::Hello(&assertion)).ok()?;
            let message = made.as_bytes().to_vec();
            *request.borrow_mut() = Some(made);
            Some(message)
        };
        let wanted = SignIn {
            message: assertion.as_bytes(),
            keyring: None,
            tokens: None,
            request: Some(Request { keys: &self.keys, compose: Box::new(compose) }),
        };
        let signed = self.house.tpm.sign_in(1000, &self.key, pipe(PIN), wanted).await.unwrap();
        let signature = signed.request.unwrap().unwrap().signature;
        let request = request.into_inner().unwrap().signed(&signature).unwrap();
        let answer = primary::send(&self.house.online, self.house.tenant.id, &request).await?;
        Ok((answer, signed.root))
    }

    async fn opened(&self, (answer, root): (PrimaryAnswer, ProvenRoot)) -> (Token, SessionKey) {
        opened(&self.house, (&self.keys, Root::Proven(&root)), answer).await
    }
}

/// A primary token for whoever has just signed in.
async fn first_primary(
    house: &House,
    keys: &CheckedMachineKeys,
    device: &Registered,
    refresh: &Token,
) -> (Token, SessionKey) {
    let nonce = primary::nonce(&house.online).await.unwrap();
    let request = primary::request(&device.certificate.der, &nonce, &Proof::SignIn(refresh)).unwrap();
    let what = (DeviceScheme::Rs256, request.as_bytes());
    let signature = house.tpm.sign_as_device(Asker::Machine, keys, what).await.unwrap();
    let request = request.signed(&signature).unwrap();
    let answer = primary::send(&house.online, house.tenant.id, &request).await.unwrap();
    opened(house, (keys, Root::OnTrust), answer).await
}

/// The session key of an answer, which only the transport key opens.
async fn opened(
    house: &House,
    keys: (&CheckedMachineKeys, Root<'_>),
    answer: PrimaryAnswer,
) -> (Token, SessionKey) {
    let encrypted = answer.session_key.unwrap().0;
    let opened = house.tpm.open_session_key(Asker::Answered(1000), keys, &encrypted, None).await.unwrap();
    (answer.token, opened.session_key)
}

async fn key_with_pin(house: &House, device: &Registered) -> CheckedKey {
    let device = device.certificate.device.to_string();
    let binding = Binding { user: DORA.into(), uid: 1000, device };
    let mut choosing = house.tpm.choose(PinRules::default());
    assert_eq!(choosing.first(pipe(PIN)).await, Ok(Ok(PinShape::Digits)));
    assert_eq!(choosing.repeat(pipe(PIN)).await, Ok(hellod::keys::child::Same::Yes));
    let spec = CreateSpec {
        binding: binding.clone(),
        algorithm: Algorithm::Rs256,
        kdf: Kdf::with_salt([1; 32]),
        limit: 32,
        challenge: b"challenge".into(),
        message: b"first".into(),
        taken: Vec::new(),
        proven: true,
        allow_da_auth: false,
    };
    choosing.create(spec, async |_| Ok(())).await.unwrap().key.check(&binding).unwrap()
}

fn pipe(pin: &str) -> OwnedFd {
    let (read, mut write) = std::io::pipe().unwrap();
    let length = u16::try_from(pin.len()).unwrap().to_be_bytes();
    write.write_all(&[&length, pin.as_bytes()].concat()).unwrap();
    read.into()
}

#[test]
fn one_pin_answers_the_directory_and_the_session_goes_on_without_it() {
    run(async {
        for (seed, cipher) in [(11, "cbc"), (12, "gcm")] {
            let enrolled = Enrolled::with(seed, json!({"answer_cipher": cipher})).await;
            let answer = enrolled.sign_in().await.unwrap();
            let (token, key) = enrolled.opened(answer).await;
            let House { online, tenant, .. } = &enrolled.house;
            let session = Session { online, tenant: tenant.id, token: &token, key: &key };
            let nonce = primary::nonce(online).await.unwrap();
            let renewed = session.renew(&nonce, &CTX).await.unwrap();
            let session = Session { token: &renewed.token, ..session };
            let nonce = primary::nonce(online).await.unwrap();
            let redeemed = session.redeem((BROKER, REGISTRATION), &nonce, &CTX).await.unwrap();
            let permit = Permit::check(redeemed.access, tenant).unwrap();
            assert_eq!(permit.claims.deviceid, Some(enrolled.device.certificate.device), "{cipher}");
        }
    });
}

#[test]
fn a_directory_that_can_not_be_asked_is_told_from_one_that_refuses() {
    run(async {
        let house = House::with(15, json!({})).await;
        let provider = Entra::new(house.online.clone(), house.tenant.id);
        let dora = Subject { id: String::new(), uid: 1000, upn: Upn::parse(DORA) };
        let fault = |kind, code| json!({"do": "fault", "path": "oauth2/token", "kind": kind, "code": code});
        for (kind, code, error) in [
            ("drop", 0, ProviderError::Unreachable),
            ("malformed", 0, ProviderError::Unreadable),
            ("aadsts", 90033, ProviderError::Unreachable),
            ("aadsts", 50196, ProviderError::Busy),
            ("aadsts", 53003, ProviderError::Refused(Refusal::ConditionalAccess.says())),
        ] {
            house.idp.order(&fault(kind, code)).unwrap();
            assert_eq!(provider.nonce(&dora).await, Err(error), "{kind} {code}");
        }
        assert!(provider.nonce(&dora).await.is_ok());
        let key = house.tpm.create_machine_keys().await.unwrap();
        let nobody = Subject { upn: None, ..dora };
        let nonce = Nonce("nonce".into());
        assert!(provider.statement(&nobody, key.device(), &nonce, 0).is_err(), "of nobody it says nothing");
    });
}

#[test]
fn a_nonce_is_good_once_and_a_session_key_for_its_own_token_alone() {
    run(async {
        let enrolled = Enrolled::with(13, json!({})).await;
        let (token, key) = enrolled.opened(enrolled.sign_in().await.unwrap()).await;
        let (_, another) = enrolled.opened(enrolled.sign_in().await.unwrap()).await;
        let House { online, tenant, .. } = &enrolled.house;
        let session = Session { online, tenant: tenant.id, token: &token, key: &key };
        let nonce = primary::nonce(online).await.unwrap();
        assert!(session.renew(&nonce, &CTX).await.is_ok());
        assert_eq!(refusal(session.renew(&nonce, &CTX).await), Refusal::RetryWithFreshNonce);
        let nonce = primary::nonce(online).await.unwrap();
        let with_another = Session { key: &another, ..session };
        assert!(with_another.renew(&nonce, &CTX).await.is_err());
    });
}

#[test]
fn a_device_or_a_person_that_the_directory_has_struck_off_signs_in_no_more() {
    run(async {
        let enrolled = Enrolled::with(14, json!({})).await;
        let order = |order| enrolled.house.idp.order(&order).unwrap();
        let device = enrolled.device.certificate.device.to_string();
        order(json!({"do": "enable-user", "upn": DORA, "enabled": false}));
        assert_eq!(refusal(enrolled.sign_in().await), Refusal::PersonDisabled);
        order(json!({"do": "enable-user", "upn": DORA, "enabled": true}));
        order(json!({"do": "enable-device", "id": device, "enabled": false}));
        assert_eq!(refusal(enrolled.sign_in().await), Refusal::DeviceDisabled);
        order(json!({"do": "enable-device", "id": device, "enabled": true}));
        assert!(enrolled.sign_in().await.is_ok());
        order(json!({"do": "delete-device", "id": device}));
        assert_eq!(refusal(enrolled.sign_in().await), Refusal::DeviceGone);
    });
}
