//! From a sign-in with a second factor to a key that the PIN opens, a primary token, and what its session key does.

use hellod::clock::Clock;
use hellod::identity::aadsts::Refusal;
use hellod::identity::adfs::Farm;
use hellod::identity::adfs::primary::{self, Session};
use hellod::identity::{DirectoryError, Freshness, Permit, Proof, Registered};
use hellod::jose::kdf::KdfVersion;
use hellod::keys::child::{ProvenRoot, Root};
use hellod::keys::{CheckedKey, CheckedMachineKeys};
use hellod::secret::{SessionKey, Token};
use hellod::wire::{PrimaryAnswer, Upn};
use serde_json::{Value, json};

use crate::by_code;
use crate::house::House;
use crate::lab::{BROKER, CTX, DORA, refusal, run};

/// A computer that has joined, with a person who has registered a key.
pub(crate) struct Enrolled {
    pub(crate) house: House,
    pub(crate) keys: CheckedMachineKeys,
    device: Registered,
    key: CheckedKey,
}

impl Enrolled {
    pub(crate) async fn with(seed: u64, switches: Value) -> Self {
        let mut house = House::with(seed, switches).await;
        let (keys, device) = house.register(&house.of_the_computer()).await.unwrap();
        house.freshness = Freshness::SecondFactorNow;
        let refresh = by_code(&house).await.refresh.unwrap();
        let (token, session) = first_primary(&house, &keys, &device, &refresh).await;
        let House { lab, farm, .. } = &house;
        let session = Session { online: &lab.online, farm, token: &token, key: &session };
        let answer = session.redeem((BROKER, farm.resource.as_str()), lab.now(), &CTX).await.unwrap();
        let permit = Permit::check(answer.access, farm).unwrap();
        assert!(permit.claims.is_fresh());
        assert_eq!(permit.claims.deviceid, Some(device.certificate.device));
        let key = lab.key_with_pin(device.certificate.device.to_string()).await;
        let registered =
            house.directory().register_key(&lab.online, &permit, key.public_key()).await.unwrap();
        assert!(registered.person.is(&Upn::parse(DORA).unwrap()));
        assert!(registered.provider_context.is_some(), "for a certificate some day");
        Self { house, keys, device, key }
    }

    /// What one PIN brings about: both signatures, the answer to them, and by way of which storage root.
    pub(crate) async fn sign_in(&self) -> Result<(PrimaryAnswer, ProvenRoot), DirectoryError> {
        let House { lab, farm, .. } = &self.house;
        let nonce = primary::nonce(&lab.online, farm).await?;
        let (public, person) = (self.key.public_key(), Upn::parse(DORA).unwrap());
        let assertion = primary::assertion(&person, farm, public, &nonce, lab.clock.now().wall).unwrap();
        let around = |assertion: &Token| {
            primary::request(&self.device.certificate.der, farm, &nonce, &Proof::Hello(assertion)).unwrap()
        };
        let (request, root) = lab.signed_by_both(&self.keys, &self.key, &assertion, around).await;
        Ok((primary::send(&lab.online, farm, &request).await?, root))
    }

    pub(crate) async fn opened(&self, (answer, root): (PrimaryAnswer, ProvenRoot)) -> (Token, SessionKey) {
        self.house.lab.opened((&self.keys, Root::Proven(&root)), answer).await
    }
}

/// A primary token for whoever has just signed in.
async fn first_primary(
    House { lab, farm, .. }: &House,
    keys: &CheckedMachineKeys,
    device: &Registered,
    refresh: &Token,
) -> (Token, SessionKey) {
    let nonce = primary::nonce(&lab.online, farm).await.unwrap();
    let request = primary::request(&device.certificate.der, farm, &nonce, &Proof::SignIn(refresh)).unwrap();
    let request = lab.signed_by_device(keys, &request).await;
    let answer = primary::send(&lab.online, farm, &request).await.unwrap();
    lab.opened((keys, Root::OnTrust), answer).await
}

#[test]
fn one_pin_answers_the_farm_and_the_session_goes_on_without_it_in_every_reading_of_its_cipher() {
    run(async {
        for (seed, switches) in [
            (11, json!({"answer_cipher": "cbc"})),
            (12, json!({"answer_cipher": "gcm"})),
            (13, json!({"adfs_kdf_v2": false})),
            (14, json!({"adfs_answer_kdf_v2": true})),
        ] {
            let enrolled = Enrolled::with(seed, switches.clone()).await;
            let answer = enrolled.sign_in().await.unwrap();
            assert_eq!(answer.0.lifetime, 604_800);
            let (token, key) = enrolled.opened(answer).await;
            let House { lab, farm, .. } = &enrolled.house;
            let session = Session { online: &lab.online, farm, token: &token, key: &key };
            let renewed = session.renew(lab.now(), &CTX).await.unwrap();
            assert_eq!((renewed.lifetime, renewed.session_key), (604_800, None), "{switches}");
            let session = Session { token: &renewed.token, ..session };
            let wanted = (BROKER, farm.resource.as_str());
            let redeemed = session.redeem(wanted, lab.now(), &CTX).await.unwrap();
            let permit = Permit::check(redeemed.access, farm).unwrap();
            assert_eq!(permit.claims.deviceid, Some(enrolled.device.certificate.device), "{switches}");
            assert!(!permit.claims.is_fresh(), "a key doesn't beget another");
            let asked = lab.idp.requests().unwrap();
            let others: Vec<&Value> = asked
                .iter()
                .filter(|asked| {
                    !["sts.corp.example", "enterpriseregistration.corp.example"]
                        .contains(&asked["host"].as_str().unwrap())
                })
                .collect();
            assert!(others.is_empty(), "nobody else was asked anything: {others:?}");
        }
    });
}

#[test]
fn a_nonce_of_a_farm_is_good_once_and_a_session_key_for_its_own_token_alone() {
    run(async {
        let enrolled = Enrolled::with(15, json!({})).await;
        let House { lab, farm, .. } = &enrolled.house;
        let refresh = by_code(&enrolled.house).await.refresh.unwrap();
        let nonce = primary::nonce(&lab.online, farm).await.unwrap();
        let certificate = &enrolled.device.certificate.der;
        let request = primary::request(certificate, farm, &nonce, &Proof::SignIn(&refresh)).unwrap();
        let request = lab.signed_by_device(&enrolled.keys, &request).await;
        assert!(primary::send(&lab.online, farm, &request).await.is_ok());
        let again = primary::send(&lab.online, farm, &request).await;
        assert_eq!(refusal(again), Refusal::Unexplained);

        let (token, key) = enrolled.opened(enrolled.sign_in().await.unwrap()).await;
        let (_, another) = enrolled.opened(enrolled.sign_in().await.unwrap()).await;
        let session = Session { online: &lab.online, farm, token: &token, key: &key };
        assert!(session.renew(lab.now(), &CTX).await.is_ok());
        let late = session.renew(lab.now() - 3600, &CTX).await;
        assert_eq!(refusal(late), Refusal::Unexplained);
        let with_another = Session { key: &another, ..session };
        assert_eq!(refusal(with_another.renew(lab.now(), &CTX).await), Refusal::Unexplained);
        lab.order(json!({"do": "revoke", "upn": DORA}));
        assert_eq!(refusal(session.renew(lab.now(), &CTX).await), Refusal::Unexplained);
    });
}

#[test]
fn a_farm_is_spoken_to_in_the_derivation_that_it_knows_and_in_no_other() {
    run(async {
        for (seed, knows_the_second, wrong) in [(16, true, KdfVersion::V1), (17, false, KdfVersion::V2)] {
            let enrolled = Enrolled::with(seed, json!({"adfs_kdf_v2": knows_the_second})).await;
            let (token, key) = enrolled.opened(enrolled.sign_in().await.unwrap()).await;
            let House { lab, farm, .. } = &enrolled.house;
            let mistaken = Farm { kdf: wrong, ..farm.clone() };
            let session = Session { online: &lab.online, farm: &mistaken, token: &token, key: &key };
            assert!(session.renew(lab.now(), &CTX).await.is_err(), "{wrong:?}");
            assert!(Session { farm, ..session }.renew(lab.now(), &CTX).await.is_ok());
        }
    });
}

#[test]
fn a_device_or_a_person_that_the_farm_has_struck_off_signs_in_no_more() {
    run(async {
        let enrolled = Enrolled::with(18, json!({})).await;
        let order = |order| enrolled.house.lab.order(order);
        let device = enrolled.device.certificate.device.to_string();
        for (off, on) in [
            (
                json!({"do": "enable-user", "upn": DORA, "enabled": false}),
                json!({"do": "enable-user", "upn": DORA, "enabled": true}),
            ),
            (
                json!({"do": "enable-device", "id": device, "enabled": false}),
                json!({"do": "enable-device", "id": device, "enabled": true}),
            ),
        ] {
            order(off);
            // AD FS does not say what is wrong.
            assert_eq!(refusal(enrolled.sign_in().await), Refusal::Unexplained);
            order(on);
            assert!(enrolled.sign_in().await.is_ok());
        }
        order(json!({"do": "delete-device", "id": device}));
        assert_eq!(refusal(enrolled.sign_in().await), Refusal::Unexplained);
    });
}
