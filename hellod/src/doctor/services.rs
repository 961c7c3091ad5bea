//! What a person would be asked for, at each program that asks through PAM, and why for no more.

use hello_words::{Text, tr};

use crate::accounts::Account;
use crate::caller::{Caller, Seat, Session};
use crate::parts::Parts;
use crate::policy::{Admission, Asked, Class, Decline, Reach};
use crate::tries::MayTry;

/// What a service would offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The PAM service.
    pub service: String,
    /// The gestures beside the password.
    pub gesture: Gestures,
    /// Why not the PIN; empty where it is.
    pub why: String,
}

/// The gestures that may stand for the password, or in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gestures {
    /// None.
    None,
    /// None, and the password neither.
    Nothing,
    /// The PIN.
    Pin,
    /// A finger, where nothing is asked.
    Finger,
    /// None there.
    NoFinger,
    /// The PIN or a finger.
    PinOrFinger,
    /// The PIN, and no password beside it.
    OnlyPin,
    /// The PIN or a finger, and no password beside them.
    OnlyPinOrFinger,
}

impl Gestures {
    /// Its word on the bus.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "password",
            Self::Nothing => "nothing",
            Self::Pin => "pin",
            Self::Finger => "finger",
            Self::NoFinger => "no-finger",
            Self::PinOrFinger => "pin-or-finger",
            Self::OnlyPin => "only-pin",
            Self::OnlyPinOrFinger => "only-pin-or-finger",
        }
    }
}

/// Answers for each of the services what hellod would say to it now, asked for the person behind `caller`: by a program that they
/// start, or that stands where they sit.
pub async fn offers(parts: &Parts, caller: &Caller, services: Vec<String>) -> Vec<Offer> {
    let person = person(parts, caller).await;
    let mut offers = Vec::with_capacity(services.len());
    for service in services {
        let offer = match &person {
            Ok(person) => at(parts, caller, person, &service),
            Err(why) => Err(why.clone()),
        };
        let (gesture, why) = offer.unwrap_or_else(|why| (Gestures::None, why));
        offers.push(Offer { service, gesture, why });
    }
    // The one that was there has read the counter.
    parts.tpm.spare();
    offers
}

/// Somebody whose PIN works.
struct Person {
    account: Account,
    /// Whether a finger of theirs counts now.
    finger: Option<Reach>,
    /// Whether policy leaves them their password.
    has_password: bool,
}

/// Who they are, if there is a PIN of theirs that works; else why there is none.
async fn person(parts: &Parts, caller: &Caller) -> Result<Person, String> {
    if !parts.policy.use_passport_for_work {
        return Err(Decline::TurnedOff.reason().into());
    }
    if caller.uid == 0 {
        return Err(tr!("root has no PIN: run this without sudo").to_string());
    }
    let account = Account::numbered(caller.uid).await.map_err(|error| error.to_string())?;
    let enrolled = parts.enrolments.of(&account).map_err(|error| error.to_string())?;
    let enrolled = enrolled.ok_or_else(|| tr!("you have no PIN on this machine").to_string())?;
    if parts.tries.is_locked(account.uid) {
        return Err(LOCKED.to_string());
    }
    let finger =
        parts.fingers.counts(&account, &enrolled).await.map(|_| parts.fingers.reach(&account, &enrolled));
    let has_password = !parts.only_the_pin_counts(&account).await;
    match parts.tpm.tries(&enrolled.key).await {
        Ok(tries) if tries.left() == 0 => Err(LOCKED.to_string()),
        Ok(_) => Ok(Person { account, finger, has_password }),
        Err(error) => Err(error.to_string()),
    }
}

fn at(
    parts: &Parts,
    caller: &Caller,
    Person { account, finger, has_password }: &Person,
    service: &str,
) -> Result<(Gestures, String), String> {
    let program = program(parts, caller, service);
    let requester = (program.uid == 0).then_some(Ok(account));
    let asked = Asked { service, remote_host: false, requester };
    let class = match parts.surfaces.admit(&program, account, asked) {
        Admission::Admitted(class) => class,
        Admission::Declined(why) => return Err(why.reason().into()),
    };
    match parts.tries.judge(account.uid, class) {
        MayTry::Now => {}
        MayTry::Uncounted => {
            return Err(tr!("no try can be written down: the disk is full or broken").to_string());
        }
        may => {
            let why = match may {
                MayTry::After(wait) => tr!("again in {} s", wait.as_secs().max(1)),
                _ => tr!("only at a text console").to_string(),
            };
            let gesture = if *has_password { Gestures::None } else { Gestures::Nothing };
            return Ok((gesture, tr!("after too many wrong PINs, {why}", why)));
        }
    }
    let tty = if class == Class::Login { "tty1" } else { "" };
    let by_finger = finger.is_some_and(|reach| {
        parts.surfaces.asks_for_fingers(service)
            && parts.surfaces.has_a_finger_count(&program, (class, account.uid), (service, tty), reach)
    });
    if parts.surfaces.is_for_fingers_only(service) {
        return Ok(match by_finger {
            true => (Gestures::Finger, String::new()),
            false => (Gestures::NoFinger, NO_FINGER.to_string()),
        });
    }
    let gesture = match (by_finger, has_password) {
        (false, true) => Gestures::Pin,
        (true, true) => Gestures::PinOrFinger,
        (false, false) => Gestures::OnlyPin,
        (true, false) => Gestures::OnlyPinOrFinger,
    };
    Ok((gesture, String::new()))
}

/// The program that would ask there: one of root's at the console or the greeter, one of root's that the person starts, or one of
/// their own.
fn program(parts: &Parts, caller: &Caller, service: &str) -> Caller {
    let lists = |list: &[String]| list.iter().any(|listed| listed == service);
    let mine = caller.clone();
    if lists(&parts.surfaces.login) || lists(&parts.surfaces.greeter) {
        let session = if caller.session == Session::Unknown { Session::Unknown } else { Session::Outside };
        return Caller { uid: 0, real_uid: 0, session, seat: Seat::Greeter, is_locked: false, ..mine };
    }
    if parts.surfaces.is_of_root(service) { Caller { uid: 0, ..mine } } else { mine }
}

const NO_FINGER: Text = tr!("no finger of yours counts there now; see 'helloctl doctor'");
const LOCKED: Text = tr!("your PIN is locked after too many wrong ones");
