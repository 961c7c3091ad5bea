//! What there is in memory, on disk and on the shelf, without a directory. With one: tests/entra/tokens.rs.

use std::cell::RefCell;
use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::record::Record;
use super::*;
use crate::identity::PersonId;
use crate::online::{Door, OnlineError};
use crate::random::{NoRandom, SystemRandom};
use crate::store::tests::Scratch;
use crate::wire::Upn;
use crate::wire::tokens::{self as wire_tokens, Tickets};

pub(crate) fn owner() -> Owner {
    let id = |text| Guid::parse(text).unwrap();
    Owner {
        account: Account { name: "alice".into(), uid: 1000 },
        person: Person {
            id: PersonId::Entra {
                tenant: id("00000000-0000-0000-0000-00000000000a"),
                object: id("00000000-0000-0000-0000-00000000000b"),
            },
            upn: Upn::parse("alice@corp.example").unwrap(),
        },
        device: id("00000000-0000-0000-0000-00000000000d"),
        kid: "A".repeat(43),
    }
}

pub(crate) fn wrapped(octet: u8) -> Wrapped {
    Wrapped {
        key: WrappingKey::new(Zeroizing::new([octet; 32])),
        sealed: Blob { public: vec![octet], private: vec![octet, octet] },
    }
}

fn received(token: &str, wrapped: Option<Wrapped>) -> Received {
    let token = Token::parse(Zeroizing::new(token.into())).unwrap();
    let PersonId::Entra { tenant, object } = owner().person.id else { panic!("she is in a tenant") };
    let account = wire_tokens::Account { user: object, tenant };
    let answer = PrimaryAnswer {
        token,
        lifetime: 1_209_599,
        session_key: None,
        id_token: None,
        account: Some(account),
        device_tenant: None,
        tickets: Tickets::default(),
    };
    let key = SessionKey::new(Zeroizing::new([9; 32]));
    Received { asked: at(0), answer, key, root: ProvenRoot::pretended(), wrapped }
}

fn at(seconds: u64) -> Stamp {
    Stamp { wall: 1_800_000_000 + seconds as i64, uptime: seconds * 1000, boot: "b".into() }
}

/// Goes when it is told to.
struct Hand(RefCell<Stamp>);

impl Clock for Hand {
    fn now(&self) -> Stamp {
        self.0.borrow().clone()
    }
}

/// Leads nowhere.
struct Wall;

impl Door for Wall {
    fn open(&self, _: std::os::fd::OwnedFd) -> crate::online::Opened<'_> {
        Box::pin(std::future::ready(Err(OnlineError::NoNetwork)))
    }
}

struct Board(RefCell<BTreeMap<u32, [u8; 32]>>);

impl Shelf for Board {
    fn put(&self, uid: u32, key: &WrappingKey) {
        self.0.borrow_mut().insert(uid, *key.expose());
    }

    fn take_away(&self, uid: u32) {
        self.0.borrow_mut().remove(&uid);
    }
}

struct NoKey;

impl Opener for NoKey {
    fn open<'a>(&'a self, _: (&'a CheckedMachineKeys, Root<'a>), _: &'a EncryptedSessionKey) -> Opening<'a> {
        Box::pin(std::future::ready(Err(KeyError::NoTpm)))
    }
}

struct Dry;

impl Random for Dry {
    fn fill(&self, _: &mut [u8]) -> Result<(), NoRandom> {
        Err(NoRandom)
    }
}

struct House {
    scratch: Scratch,
    store: Rc<Store>,
    clock: Rc<Hand>,
    board: Rc<Board>,
    audit: Rc<Audit>,
}

impl House {
    fn new(name: &str) -> Self {
        let scratch = Scratch::new(name);
        let store = Rc::new(Store::open(scratch.store.path()).unwrap());
        let clock = Rc::new(Hand(RefCell::new(at(0))));
        let audit = Rc::new(Audit::new(store.path(), clock.clone()));
        Self { scratch, store, clock, board: Rc::new(Board(RefCell::default())), audit }
    }

    /// A hellod that begins.
    fn tokens(&self) -> Tokens {
        self.tokens_with(Rc::new(SystemRandom))
    }

    fn tokens_with(&self, random: Rc<dyn Random>) -> Tokens {
        Tokens::new(Means {
            store: self.store.clone(),
            clock: self.clock.clone(),
            random,
            audit: self.audit.clone(),
            online: Online::new(Rc::new(Wall)),
            opener: Rc::new(NoKey),
            shelf: self.board.clone(),
            standings: Rc::new(Standings::new(self.store.clone(), Duration::from_secs(86_400))),
            enrolments: Rc::new(Enrolments::new(self.store.clone(), "desk")),
        })
    }

    fn record(&self) -> Option<Record> {
        self.store.get(Kind::Token, "1000").unwrap()
    }

    fn events(&self) -> Vec<String> {
        self.audit.last(100, Some(1000)).into_iter().map(|entry| entry.id).collect()
    }

    fn wait(&self, seconds: u64) {
        *self.clock.0.borrow_mut() = at(seconds);
    }
}

fn held_token(tokens: &Tokens) -> Option<String> {
    tokens.with(&owner().account, |held| held.primary.token.expose().to_owned()).ok()
}

#[test]
fn what_a_sign_in_has_left_opens_with_its_wrapping_key_after_a_restart_and_with_nothing_else() {
    let house = House::new("tokens-restart");
    let tokens = house.tokens();
    assert!(tokens.is_empty() && tokens.sealed(&owner()).is_none());
    tokens.take(owner(), received("one", Some(wrapped(1)))).unwrap();
    assert_eq!(held_token(&tokens).as_deref(), Some("one"));
    assert_eq!(tokens.sealed(&owner()), Some(wrapped(1).sealed));
    assert_eq!(house.board.0.borrow().get(&1000), Some(&[1; 32]));

    let next = house.tokens();
    assert_eq!(next.opened(owner(), wrapped(1).key, None), Opened::Held);
    assert_eq!(held_token(&next).as_deref(), Some("one"));
    let next = house.tokens();
    assert_eq!(next.opened(owner(), wrapped(2).key, None), Opened::Refused);
    assert!(next.is_empty() && house.record().is_none() && house.board.0.borrow().is_empty());
    assert_eq!(house.events(), ["7602"]);
}

#[test]
fn what_is_in_memory_is_not_replaced_by_what_is_on_disk() {
    let house = House::new("tokens-memory");
    let tokens = house.tokens();
    tokens.take(owner(), received("one", Some(wrapped(1)))).unwrap();
    let old = house.record().unwrap();
    tokens.take(owner(), received("two", Some(wrapped(1)))).unwrap();
    house.store.put(Kind::Token, "1000", &old).unwrap();
    assert_eq!(tokens.opened(owner(), wrapped(1).key, None), Opened::Held);
    assert_eq!(held_token(&tokens).as_deref(), Some("two"));
}

#[test]
fn what_was_asked_for_earlier_replaces_nothing_that_came_of_a_later_question() {
    let house = House::new("tokens-later");
    let tokens = house.tokens();
    let take = |token, asked| {
        let received = Received { asked, ..received(token, Some(wrapped(1))) };
        tokens.take(owner(), received).unwrap();
        held_token(&tokens).unwrap()
    };
    house.wait(100);
    assert_eq!(take("later", at(50)), "later");
    assert_eq!(take("earlier", at(10)), "later");
    assert_eq!(take("last", at(60)), "last");
    // From before a restart, with the clock far ahead.
    assert_eq!(take("ahead", Stamp { boot: "a".into(), ..at(9000) }), "ahead");
    assert_eq!(take("now", at(90)), "now");
}

#[test]
fn an_answer_about_somebody_else_changes_nothing() {
    let house = House::new("tokens-somebody");
    let tokens = house.tokens();
    tokens.take(owner(), received("one", Some(wrapped(1)))).unwrap();
    let mut another = received("two", Some(wrapped(1)));
    another.answer.account.as_mut().unwrap().user = owner().device;
    assert_eq!(tokens.take(owner(), another), Err(SomebodyElse));
    assert_eq!(held_token(&tokens).as_deref(), Some("one"));
    let bob = Account { name: "bob".into(), uid: 1000 };
    assert!(tokens.state(&bob).is_none() && tokens.state(&owner().account).is_some());
}

#[test]
fn without_a_wrapping_key_nothing_outlives_hellod() {
    let house = House::new("tokens-unwrapped");
    let tokens = house.tokens();
    tokens.take(owner(), received("one", Some(wrapped(1)))).unwrap();
    tokens.take(owner(), received("two", None)).unwrap();
    assert_eq!(held_token(&tokens).as_deref(), Some("two"));
    assert!(house.record().is_none() && house.board.0.borrow().is_empty());
}

#[test]
fn who_is_forgotten_is_gone_from_memory_shelf_and_disk() {
    let house = House::new("tokens-forget");
    let tokens = house.tokens();
    tokens.take(owner(), received("one", Some(wrapped(1)))).unwrap();
    tokens.forget(1000).unwrap();
    assert!(tokens.is_empty() && house.record().is_none() && house.board.0.borrow().is_empty());
    tokens.take(owner(), received("one", Some(wrapped(1)))).unwrap();
    // Somebody's whose PIN has not been typed since the start.
    house.store.put(Kind::Token, "1001", &house.record()).unwrap();
    tokens.forget_all().unwrap();
    assert!(tokens.is_empty() && house.store.names(Kind::Token).unwrap().is_empty());
}

#[test]
fn what_can_not_be_written_is_held_and_written_later() {
    let house = House::new("tokens-unwritten");
    let tokens = house.tokens_with(Rc::new(Dry));
    tokens.take(owner(), received("one", Some(wrapped(1)))).unwrap();
    assert!(held_token(&tokens).is_some() && house.record().is_none());
    assert_eq!(house.events(), ["7603"]);
    let _ = tokens.look();
    assert!(house.record().is_none());
    assert_eq!(house.events(), ["7603"], "said once");

    let folder = house.scratch.store.path().join("tokens");
    let tokens = house.tokens();
    std::fs::remove_dir(&folder).unwrap();
    tokens.take(owner(), received("one", Some(wrapped(1)))).unwrap();
    std::fs::create_dir(&folder).unwrap();
    let _ = tokens.look();
    assert!(house.record().is_some());
}

#[tokio::test]
async fn a_token_whose_time_is_over_is_gone_from_memory_and_disk() {
    let house = House::new("tokens-expired");
    let tokens = house.tokens();
    tokens.take(owner(), received("one", Some(wrapped(1)))).unwrap();
    house.wait(1_209_599);
    // One that is not over would be renewed there.
    let local = tokio::task::LocalSet::new();
    local.run_until(async { tokens.look() }).await;
    assert!(tokens.is_empty() && house.record().is_none() && house.board.0.borrow().is_empty());
    assert_eq!(house.events(), ["5600"]);

    house.wait(0);
    tokens.take(owner(), received("one", Some(wrapped(1)))).unwrap();
    house.wait(2_000_000);
    assert_eq!(house.tokens().opened(owner(), wrapped(1).key, None), Opened::Nothing);
    assert!(house.record().is_none());
}

#[tokio::test]
async fn nobody_who_has_not_signed_in_gets_anything() {
    let house = House::new("tokens-nobody");
    let tokens = house.tokens();
    let app = App::parse("04b07795-8ddb-461a-bbee-02f9e1bf7b46", "https://graph.microsoft.com").unwrap();
    let bob = Account { name: "bob".into(), uid: 1001 };
    tokens.take(owner(), received("one", Some(wrapped(1)))).unwrap();
    // Neither somebody else, nor somebody who has the number of another by now.
    for account in [bob, Account { name: "carol".into(), uid: 1000 }] {
        assert_eq!(tokens.for_app(&account, &app).await.err(), Some(NoToken::NotSignedIn));
        let page = "https://login.microsoftonline.com/";
        assert_eq!(tokens.cookie(&account, page).await.err(), Some(NoToken::NotSignedIn));
        assert_eq!(tokens.renew(&account).await, Renewal::Overtaken);
    }
}

#[tokio::test]
async fn on_a_machine_that_belongs_to_no_directory_any_more_a_token_ends() {
    let house = House::new("tokens-left");
    let tokens = house.tokens();
    tokens.take(owner(), received("one", Some(wrapped(1)))).unwrap();
    let local = tokio::task::LocalSet::new();
    let renewal = local.run_until(tokens.renew(&owner().account)).await;
    assert_eq!(renewal, Renewal::Over(Over::NotJoined));
    assert!(tokens.is_empty() && house.record().is_none());
    assert_eq!(house.events(), ["7600"]);
}
