//! From a sign-in with a second factor to a key that the PIN opens, a primary token, and what its session key does.

use hellod::clock::Clock;
use hellod::identity::aadsts::Refusal;
use hellod::identity::entra::primary::{self, Session};
use hellod::identity::{
    AtDirectory, DirectoryError, Freshness, IdentityProvider, Nonce, Permit, Proof, ProviderError,
    Registered, Subject,
};
use hellod::keys::child::{ProvenRoot, Root};
use hellod::keys::{CheckedKey, CheckedMachineKeys};
use hellod::secret::{SessionKey, Token};
use hellod::wire::{PrimaryAnswer, Upn};
use serde_json::json;

use crate::by_code;
use crate::house::House;
use crate::lab::{BROKER, CTX, DORA, Lab, refusal, run};

const REGISTRATION: &str = "urn:ms-drs:enterpriseregistration.windows.net";

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
            Session { online: &house.lab.online, tenant: house.tenant.id, token: &token, key: &session };
        let nonce = primary::nonce(&house.lab.online).await.unwrap();
        let answer = session.redeem((BROKER, REGISTRATION), &nonce, &CTX).await.unwrap();
        let permit = Permit::check(answer.access, &house.tenant).unwrap();
        assert_eq!(permit.claims.deviceid, Some(device.certificate.device));
        let key = house.lab.key_with_pin(device.certificate.device.to_string()).await;
        let registered =
            house.directory().register_key(&house.lab.online, &permit, key.public_key()).await.unwrap();
        assert!(registered.person.is(&Upn::parse(DORA).unwrap()));
        Self { house, keys, device, key }
    }

    /// What one PIN brings about: both signatures, the answer to them, and by way of which storage root.
    pub(crate) async fn sign_in(&self) -> Result<(PrimaryAnswer, ProvenRoot), DirectoryError> {
        let House { lab, tenant, .. } = &self.house;
        let provider = AtDirectory { online: lab.online.clone(), directory: self.house.directory() };
        let dora = Subject { id: String::new(), uid: 1000, upn: Upn::parse(DORA) };
        let nonce = provider.nonce(&dora).await.unwrap();
        let assertion =
            provider.statement(&dora, self.key.public_key(), &nonce, lab.clock.now().wall).unwrap();
        let around = |assertion: &Token| {
            primary::request(&self.device.certificate.der, &nonce, &Proof::Hello(assertion)).unwrap()
        };
        let (request, root) = lab.signed_by_both(&self.keys, &self.key, &assertion, around).await;
        Ok((primary::send(&lab.online, tenant.id, &request).await?, root))
    }

    async fn opened(&self, (answer, root): (PrimaryAnswer, ProvenRoot)) -> (Token, SessionKey) {
        self.house.lab.opened((&self.keys, Root::Proven(&root)), answer).await
    }
}

/// A primary token for whoever has just signed in.
async fn first_primary(
    house: &House,
    keys: &CheckedMachineKeys,
    device: &Registered,
    refresh: &Token,
) -> (Token, SessionKey) {
    let nonce = primary::nonce(&house.lab.online).await.unwrap();
    let request = primary::request(&device.certificate.der, &nonce, &Proof::SignIn(refresh)).unwrap();
    let request = house.lab.signed_by_device(keys, &request).await;
    let answer = primary::send(&house.lab.online, house.tenant.id, &request).await.unwrap();
    house.lab.opened((keys, Root::OnTrust), answer).await
}

#[test]
fn one_pin_answers_the_directory_and_the_session_goes_on_without_it() {
    run(async {
        for (seed, cipher) in [(11, "cbc"), (12, "gcm")] {
            let enrolled = Enrolled::with(seed, json!({"answer_cipher": cipher})).await;
            let answer = enrolled.sign_in().await.unwrap();
            let (token, key) = enrolled.opened(answer).await;
            let House { lab: Lab { online, .. }, tenant, .. } = &enrolled.house;
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
        let provider = AtDirectory { online: house.lab.online.clone(), directory: house.directory() };
        let dora = Subject { id: String::new(), uid: 1000, upn: Upn::parse(DORA) };
        let fault = |kind, code| json!({"do": "fault", "path": "oauth2/token", "kind": kind, "code": code});
        for (kind, code, error) in [
            ("drop", 0, ProviderError::Unreachable),
            ("malformed", 0, ProviderError::Unreadable),
            ("aadsts", 90033, ProviderError::Unreachable),
            ("aadsts", 50196, ProviderError::Busy),
            ("aadsts", 53003, ProviderError::Refused(Refusal::ConditionalAccess.says())),
        ] {
            house.lab.idp.order(&fault(kind, code)).unwrap();
            assert_eq!(provider.nonce(&dora).await, Err(error), "{kind} {code}");
        }
        assert!(provider.nonce(&dora).await.is_ok());
        let key = house.lab.tpm.create_machine_keys().await.unwrap();
        let nobody = Subject { upn: None, ..dora };
        let nonce = Nonce::new("nonce".into());
        assert!(provider.statement(&nobody, key.device(), &nonce, 0).is_err(), "of nobody it says nothing");
    });
}

#[test]
fn a_clock_that_is_days_off_keeps_nobody_out() {
    run(async {
        let enrolled = Enrolled::with(19, json!({})).await;
        for days in [400, -800] {
            enrolled.house.lab.idp.advance(days * 86_400).unwrap();
            assert!(enrolled.sign_in().await.is_ok(), "{days} days off");
        }
    });
}

#[test]
fn a_nonce_is_good_once_and_a_session_key_for_its_own_token_alone() {
    run(async {
        let enrolled = Enrolled::with(13, json!({})).await;
        let (token, key) = enrolled.opened(enrolled.sign_in().await.unwrap()).await;
        let (_, another) = enrolled.opened(enrolled.sign_in().await.unwrap()).await;
        let House { lab: Lab { online, .. }, tenant, .. } = &enrolled.house;
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
        let order = |order| enrolled.house.lab.idp.order(&order).unwrap();
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
