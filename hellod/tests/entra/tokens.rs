//! What comes of a sign-in: renewals, tokens for applications and cookies, against the stand-in, with the keys in a TPM.

use std::cell::{Cell, RefCell};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use hellod::accounts::Account;
use hellod::audit::Audit;
use hellod::clock::{Clock, Stamp, SystemClock};
use hellod::identity::{Directory, Person};
use hellod::keys::child::{ProvenRoot, Root};
use hellod::keys::queue::Asker;
use hellod::membership::{Membership, Registration};
use hellod::online::{Field, Header, Online, Request};
use hellod::random::SystemRandom;
use hellod::secret::{Token, WrappingKey};
use hellod::store::Store;
use hellod::tokens::{App, Means, NoToken, Opened, Over, Owner, Received, Renewal, Shelf, Tokens, Wrapped};
use hellod::wire::{PrimaryAnswer, TokenClaims, Upn};
use serde_json::{Value, json};
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::house::House;
use crate::lab::{DORA, Gate, Lab, host, run};
use crate::primary::Enrolled;

const GRAPH: &str = "https://graph.microsoft.com";
const CLIENT: &str = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";

/// A machine that has joined, with somebody who has signed in, and their tokens.
struct Desk {
    enrolled: Enrolled,
    owner: Owner,
    clock: Rc<Late>,
    audit: Rc<Audit>,
    store: Rc<Store>,
    tokens: Tokens,
    /// Before the tokens' way to the network, and not before that of a sign-in.
    gate: watch::Sender<Gate>,
    _state: State,
}

impl Desk {
    async fn with(seed: u64, switches: Value) -> Self {
        let enrolled = Enrolled::with(seed, switches).await;
        let state = State::new();
        let store = Rc::new(Store::open(&state.0).unwrap());
        let registration = Registration {
            version: hellod::membership::VERSION,
            directory: Directory::Entra(enrolled.house.tenant.clone()),
            domain: "corp.example".into(),
            certificate: enrolled.device.certificate.der.clone(),
            keys: enrolled.keys.record().clone(),
            joined: 0,
            person: None,
        };
        Membership::new(store.clone()).put(&registration).unwrap();
        let clock = Rc::new(Late { clock: SystemClock::new(), by: Cell::new(0) });
        let audit = Rc::new(Audit::new(&state.0, clock.clone()));
        let (gate, way) = watch::channel(Gate::Open);
        let tokens = tokens(&enrolled.house, enrolled.house.lab.online_behind(way), (&store, &clock, &audit));
        let answer = enrolled.sign_in().await.unwrap();
        let account = answer.0.account.as_ref().unwrap();
        let owner = Owner {
            account: Account { name: "dora".into(), uid: 1000 },
            person: Person { tenant: account.tenant, object: account.user, upn: Upn::parse(DORA).unwrap() },
            device: enrolled.device.certificate.device,
            kid: enrolled.key.public_key().thumbprint(),
        };
        let desk = Self { enrolled, owner, clock, audit, store, tokens, gate, _state: state };
        desk.take(answer).await;
        desk
    }

    /// Signs in once more.
    async fn signs_in(&self) {
        let answer = self.enrolled.sign_in().await.unwrap();
        self.take(answer).await;
    }

    async fn take(&self, (answer, root): (PrimaryAnswer, ProvenRoot)) {
        let (asked, wrapping) = (self.clock.now(), WrappingKey::new(Zeroizing::new([5; 32])));
        let encrypted = answer.session_key.as_ref().unwrap().0;
        let keep = Some((&self.enrolled.key, &wrapping));
        let keys = (&self.enrolled.keys, Root::Proven(&root));
        let tpm = &self.enrolled.house.lab.tpm;
        let opened = tpm.open_session_key(Asker::Answered(1000), keys, &encrypted, keep).await.unwrap();
        let wrapped = Wrapped { key: wrapping, sealed: opened.sealed.unwrap().unwrap() };
        let received = Received { asked, answer, key: opened.session_key, wrapped: Some(wrapped) };
        self.tokens.take(self.owner.clone(), received).unwrap();
    }

    /// The next hellod, after a start of the machine and the PIN.
    fn next_hellod(&self) -> (Tokens, Opened) {
        let House { lab: Lab { online, .. }, .. } = &self.enrolled.house;
        let next = tokens(&self.enrolled.house, online.clone(), (&self.store, &self.clock, &self.audit));
        let opened = next.opened(self.owner.clone(), WrappingKey::new(Zeroizing::new([5; 32])));
        (next, opened)
    }

    async fn renew(&self) -> Renewal {
        self.tokens.renew(&self.owner.account).await
    }

    async fn graph(&self) -> Result<hellod::tokens::AppToken, NoToken> {
        self.tokens.for_app(&self.owner.account, &App::parse(CLIENT, GRAPH).unwrap()).await
    }

    fn order(&self, order: Value) -> Value {
        self.enrolled.house.lab.idp.order(&order).unwrap()
    }

    /// Requests for the renewal of a primary token, or for one for an application, since the last look.
    fn asked(&self) -> usize {
        let log = self.order(json!({"do": "requests", "clear": true}));
        let asked = log.as_array().unwrap().iter();
        asked.filter(|request| request["path"].as_str().unwrap().ends_with("/oauth2/token")).count()
    }

    fn events(&self) -> Vec<String> {
        self.audit.last(100, Some(1000)).into_iter().map(|entry| entry.id).collect()
    }

    /// Nothing is left of a token, and the last event says so.
    async fn is_over(&self, event: &str) {
        assert!(self.tokens.is_empty() && self.record().is_none());
        assert_eq!(self.events().last().map(String::as_str), Some(event));
        assert_eq!(self.graph().await.err(), Some(NoToken::NotSignedIn));
    }

    fn record(&self) -> Option<Value> {
        self.store.get(hellod::store::Kind::Token, "1000").unwrap()
    }
}

fn tokens(
    house: &House,
    online: Online,
    (store, clock, audit): (&Rc<Store>, &Rc<Late>, &Rc<Audit>),
) -> Tokens {
    Tokens::new(Means {
        store: store.clone(),
        clock: clock.clone(),
        random: Rc::new(SystemRandom),
        audit: audit.clone(),
        online,
        opener: Rc::new(house.lab.tpm.clone()),
        shelf: Rc::new(NoShelf),
    })
}

/// The machine's clock, later by some seconds.
struct Late {
    clock: SystemClock,
    by: Cell<u64>,
}

impl Clock for Late {
    fn now(&self) -> Stamp {
        let Stamp { wall, uptime, boot } = self.clock.now();
        Stamp { wall: wall + self.by.get() as i64, uptime: uptime + self.by.get() * 1000, boot }
    }
}

pub(crate) struct NoShelf;

impl Shelf for NoShelf {
    fn put(&self, _: u32, _: &WrappingKey) {}
    fn take_away(&self, _: u32) {}
}

/// A state directory, which goes with the test.
struct State(PathBuf);

impl State {
    fn new() -> Self {
        thread_local!(static COUNT: RefCell<u32> = const { RefCell::new(0) });
        let count = COUNT.with_borrow_mut(|count| std::mem::replace(count, *count + 1));
        let id = format!("{}-{:?}-{count}", std::process::id(), std::thread::current().id());
        let path = std::env::temp_dir().join(format!("hellod-entra-tokens-{id}"));
        std::fs::create_dir_all(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        Self(path)
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn claims(token: &Token) -> TokenClaims {
    TokenClaims::read(token).unwrap()
}

#[test]
fn a_token_for_an_application_is_for_it_from_this_device_and_fetched_once() {
    run(async {
        let desk = Desk::with(21, json!({})).await;
        desk.asked();
        let token = desk.graph().await.unwrap();
        assert!((3590..3600).contains(&token.left), "{}", token.left);
        let said = claims(&token.token);
        assert_eq!(said.aud.as_str(), GRAPH);
        assert_eq!(said.deviceid, Some(desk.owner.device));
        assert_eq!(said.oid, Some(desk.owner.person.object));
        assert_eq!(desk.asked(), 2, "a nonce and the token");
        let again = desk.graph().await.unwrap();
        assert!(again.token.expose() == token.token.expose() && desk.asked() == 0);
        // Shortly before its end another is fetched; many at once are one.
        desk.clock.by.set(3310);
        let (one, other, third) = tokio::join!(desk.graph(), desk.graph(), desk.graph());
        let [one, other, third] = [one, other, third].map(|token| token.unwrap().token);
        assert!(one.expose() != token.token.expose());
        assert!(one.expose() == other.expose() && one.expose() == third.expose());
        assert_eq!(desk.asked(), 2);
    });
}

#[test]
fn a_renewed_token_is_on_disk_before_it_is_used_and_the_former_one_may_end() {
    run(async {
        for (seed, switches) in [
            (22, json!({"rotate": true})),
            (23, json!({"rotate": true, "new_session_key": true})),
            (24, json!({})),
        ] {
            let desk = Desk::with(seed, switches.clone()).await;
            let before = desk.record().unwrap();
            assert_eq!(desk.renew().await, Renewal::Fresh, "{switches}");
            let after = desk.record().unwrap();
            assert!(before["ciphertext"] != after["ciphertext"] && before["nonce"] != after["nonce"]);
            assert_eq!(before["wrapping"], after["wrapping"], "under the same key, sealed once");
            assert_eq!(desk.renew().await, Renewal::Fresh, "{switches}");
            assert!(desk.graph().await.is_ok(), "{switches}");
            // What is on disk is what is in force.
            let (next, opened) = desk.next_hellod();
            assert_eq!(opened, Opened::Held);
            assert_eq!(next.renew(&desk.owner.account).await, Renewal::Fresh, "{switches}");
        }
    });
}

#[test]
fn a_crash_between_answer_and_file_costs_a_sign_in_only_where_a_renewal_ends_the_token_before() {
    run(async {
        for (seed, rotate, renewal) in [(25, false, Renewal::Fresh), (26, true, Renewal::Over(Over::Revoked))]
        {
            let desk = Desk::with(seed, json!({"rotate": rotate})).await;
            let before = desk.record().unwrap();
            assert_eq!(desk.renew().await, Renewal::Fresh);
            // As if the answer had come and the file had not.
            desk.store.put(hellod::store::Kind::Token, "1000", &before).unwrap();
            let (next, opened) = desk.next_hellod();
            assert_eq!(opened, Opened::Held);
            assert_eq!(next.renew(&desk.owner.account).await, renewal, "rotate: {rotate}");
            assert_eq!(desk.record().is_some(), !rotate);
        }
    });
}

#[test]
fn however_many_wait_for_a_renewal_there_is_one() {
    run(async {
        let desk = Desk::with(27, json!({"rotate": true})).await;
        desk.asked();
        let (one, other, third) = tokio::join!(desk.renew(), desk.renew(), desk.renew());
        assert_eq!([one, other, third], [Renewal::Fresh; 3]);
        assert_eq!(desk.asked(), 2, "a nonce and the token");
        // Whoever stops waiting breaks nothing off: the answer might hold the only token that is left.
        let waited = tokio::time::timeout(Duration::from_millis(1), desk.renew()).await;
        assert!(waited.is_err());
        desk.tokens.settled().await;
        assert_eq!(desk.renew().await, Renewal::Fresh);
    });
}

#[test]
fn a_renewal_that_a_sign_in_has_overtaken_changes_nothing() {
    run(async {
        let desk = Desk::with(28, json!({})).await;
        // It has begun, and gets to the directory when the sign-in is over.
        desk.gate.send_replace(Gate::Shut);
        let (renewal, in_force) = tokio::join!(desk.renew(), async {
            desk.signs_in().await;
            desk.gate.send_replace(Gate::Open);
            desk.record()
        });
        assert_eq!(renewal, Renewal::Overtaken);
        assert_eq!(desk.record(), in_force);
        // What the sign-in has brought is what is renewed next.
        assert_eq!(desk.renew().await, Renewal::Fresh);

        // Nor does one bring back what was forgotten.
        desk.gate.send_replace(Gate::Shut);
        let (renewal, ()) = tokio::join!(desk.renew(), async {
            desk.tokens.forget(1000).unwrap();
            desk.gate.send_replace(Gate::Open);
        });
        assert_eq!(renewal, Renewal::Overtaken);
        assert!(desk.tokens.is_empty() && desk.record().is_none());
    });
}

#[test]
fn the_directorys_word_on_person_device_and_token_is_obeyed_at_the_next_contact() {
    run(async {
        let desk = Desk::with(30, json!({})).await;
        let device =
            |enabled| json!({"do": "enable-device", "id": desk.owner.device.to_string(), "enabled": enabled});
        let person = |enabled| json!({"do": "enable-user", "upn": DORA, "enabled": enabled});
        let table = [
            (json!({"do": "revoke", "upn": DORA}), json!({"do": "now"}), Over::Revoked, "7600"),
            (person(false), person(true), Over::PersonDisabled, "7600"),
            (device(false), device(true), Over::DeviceDisabled, "7601"),
        ];
        for (order, undone, why, event) in table {
            desk.order(order.clone());
            assert_eq!(desk.renew().await, Renewal::Over(why));
            desk.is_over(event).await;
            // The same, where a program is the first to ask.
            desk.order(undone.clone());
            desk.signs_in().await;
            desk.order(order);
            assert_eq!(desk.graph().await.err(), Some(NoToken::Over(why)));
            desk.is_over(event).await;
            desk.order(undone);
            desk.signs_in().await;
        }
        desk.order(json!({"do": "delete-device", "id": desk.owner.device.to_string()}));
        assert_eq!(desk.renew().await, Renewal::Over(Over::DeviceGone));
        desk.is_over("7601").await;

        let desk = Desk::with(31, json!({})).await;
        desk.order(json!({"do": "delete-user", "upn": DORA}));
        assert_eq!(desk.graph().await.err(), Some(NoToken::Over(Over::PersonGone)));
        desk.is_over("7600").await;
    });
}

#[test]
fn what_passes_keeps_the_token_and_is_said_once() {
    run(async {
        let desk = Desk::with(40, json!({})).await;
        for (code, count) in [(90033, 1), (90055, 1), (53003, 1), (50076, 1)] {
            desk.order(json!({"do": "fault", "path": "/oauth2/token", "kind": "aadsts", "code": code, "count": count}));
            assert_eq!(desk.renew().await, Renewal::Kept, "{code}");
        }
        for fault in
            [json!({"kind": "malformed"}), json!({"kind": "drop"}), json!({"kind": "status", "status": 503})]
        {
            let mut order = json!({"do": "fault", "path": "/oauth2/token", "count": 2});
            order.as_object_mut().unwrap().extend(fault.as_object().unwrap().clone());
            desk.order(order);
            assert_eq!(desk.renew().await, Renewal::Kept, "{fault}");
            desk.order(json!({"do": "clear-faults"}));
        }
        assert_eq!(desk.events(), ["6600"], "the first in a row");
        assert!(desk.tokens.standing(&desk.owner.account).unwrap().failing);
        assert_eq!(desk.renew().await, Renewal::Fresh);
        assert!(!desk.tokens.standing(&desk.owner.account).unwrap().failing);
        // A nonce that was too old is no reason: it is asked once more with another.
        desk.order(
            json!({"do": "fault", "path": "/oauth2/token", "kind": "aadsts", "code": 50027, "count": 1}),
        );
        assert_eq!(desk.renew().await, Renewal::Kept, "the nonce itself was refused");
    });
}

#[test]
fn a_directory_that_is_asked_too_often_is_left_alone_by_programs_too() {
    run(async {
        let desk = Desk::with(41, json!({})).await;
        desk.order(json!({"do": "fault", "path": "/oauth2/token", "kind": "status", "status": 429}));
        assert_eq!(desk.graph().await.err(), Some(NoToken::Busy));
        desk.asked();
        assert_eq!(desk.graph().await.err(), Some(NoToken::Busy));
        assert_eq!(desk.asked(), 0);
        desk.clock.by.set(61);
        assert!(desk.graph().await.is_ok());
    });
}

#[test]
fn an_application_that_is_refused_ends_nothing_and_is_not_asked_for_in_a_loop() {
    run(async {
        let desk = Desk::with(42, json!({})).await;
        desk.enrolled.house.lab.idp.switch(&json!({"conditional_access": 53003})).unwrap();
        desk.asked();
        let Some(NoToken::Denied(why)) = desk.graph().await.err() else { panic!("it was not denied") };
        assert!(why.contains("rule of your organisation"), "{why}");
        assert_eq!(desk.asked(), 2);
        assert!(matches!(desk.graph().await.err(), Some(NoToken::Denied(_))));
        assert_eq!(desk.asked(), 0);
        desk.enrolled.house.lab.idp.switch(&json!({"conditional_access": null})).unwrap();
        desk.clock.by.set(61);
        assert!(desk.graph().await.is_ok());

        // In the words of a token that was revoked, about this application alone: its renewal tells.
        let wiki = App::parse(CLIENT, "https://graph.windows.net").unwrap();
        desk.enrolled.house.lab.idp.switch(&json!({"conditional_access": 50132})).unwrap();
        let refused = desk.tokens.for_app(&desk.owner.account, &wiki).await;
        assert!(matches!(refused.err(), Some(NoToken::Denied(_))));
        assert!(!desk.tokens.is_empty() && desk.events().is_empty());
    });
}

#[test]
fn whatever_is_due_is_renewed_without_anybody_asking() {
    run(async {
        let desk = Desk::with(43, json!({})).await;
        let before = desk.record().unwrap();
        let keeps = {
            let tokens = desk.tokens.clone();
            tokio::task::spawn_local(async move { match tokens.keep().await {} })
        };
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(desk.record().unwrap(), before, "nothing is due");
        keeps.abort();
        desk.clock.by.set(5 * 3600);
        let keeps = {
            let tokens = desk.tokens.clone();
            tokio::task::spawn_local(async move { match tokens.keep().await {} })
        };
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if desk.record().unwrap() != before {
                break;
            }
        }
        assert_ne!(desk.record().unwrap(), before);
        keeps.abort();
    });
}

#[test]
fn what_is_due_is_renewed_when_a_program_asks_and_what_can_not_be_renewed_serves_on() {
    run(async {
        let desk = Desk::with(44, json!({})).await;
        let before = desk.record().unwrap();
        desk.clock.by.set(5 * 3600);
        assert!(desk.graph().await.is_ok());
        assert_ne!(desk.record().unwrap(), before);
        desk.clock.by.set(10 * 3600);
        desk.order(json!({"do": "fault", "path": "/oauth2/token", "kind": "status", "status": 503}));
        assert!(desk.graph().await.is_ok(), "with the token that there is");
        assert_eq!(desk.events(), ["6600"]);
    });
}

#[test]
fn a_browser_is_signed_in_by_the_cookie_with_the_nonce_of_the_page_or_with_a_new_one() {
    run(async {
        let desk = Desk::with(45, json!({"sso_nonce_rounds": 1})).await;
        let page = |nonce: &str| {
            format!(
                "https://login.microsoftonline.com/common/oauth2/authorize?client_id={CLIENT}&response_type=code\
                 &redirect_uri=http%3A%2F%2Flocalhost&resource=https%3A%2F%2Fgraph.microsoft.com{nonce}"
            )
        };
        let browse = async |address: &str| {
            let cookie = desk.tokens.cookie(&desk.owner.account, address).await.unwrap();
            let value = Zeroizing::new(cookie.expose().to_owned());
            let request = Request::get(&host("login.microsoftonline.com"), address).unwrap();
            let request = request.with(Header::RefreshTokenCredential, value).unwrap();
            let end = desk.enrolled.house.lab.browse(request).await;
            end.header(Field::Location).unwrap_or_default().to_owned()
        };
        // Once round for another nonce, and in.
        let round = browse(&page("")).await;
        assert!(round.contains("sso_nonce="), "{round}");
        let end = browse(&round).await;
        assert!(end.starts_with("http://localhost") && end.contains("code="), "{end}");
        // The nonce was good once.
        let stale = browse(&round).await;
        assert!(stale.contains("sso_nonce=") && !stale.contains("code="), "{stale}");
        let elsewhere = desk.tokens.cookie(&desk.owner.account, "https://evil.example/?sso_nonce=x").await;
        assert_eq!(elsewhere.err(), Some(NoToken::NoPage));
    });
}
