//! Enrolling, and replacing an enrolment whose PIN is forgotten.

use hello_dbus::{Outcome, Style};

use super::choose::{Chosen, choose};
use super::intent::{Footprint, Intent, settle_earlier};
use super::keyring::offer;
use super::{AT_WORK, REPLACED, end, entitled, proven, too_often};
use crate::accounts::{Account, NoAccount};
use crate::audit::Event;
use crate::caller::Caller;
use crate::conversation::{Gone, Terminal};
use crate::enrolments::{Enrolment, VERSION};
use crate::gesture::pin::PinShape;
use crate::identity::ProviderError;
use crate::keys::child::{ChipId, Choosing, CreateSpec, Created};
use crate::keys::queue::Asker;
use crate::keys::{Algorithm, Kdf, KeyError, Protector, TpmObjects};
use crate::parts::{Action, Parts};
use crate::store::{Kind, StoreError};
use crate::tries::{LIMIT, NewPin};

/// Gives `account` a PIN and a key, and ends the conversation.
pub async fn enroll(parts: &Parts, caller: &Caller, account: &Account, mut terminal: Terminal) {
    let outcome = Enrolling { parts, caller, account, action: Action::Enroll }.run(&mut terminal).await;
    if outcome == Ok(Outcome::Success) {
        // The enrolment stands, whatever is answered.
        let _ = offer(parts, caller, account, &mut terminal).await;
    }
    end(terminal, outcome).await;
}

/// Gives `account` a new PIN and a new key in the place of those it has, and ends the conversation.
pub async fn reset(parts: &Parts, caller: &Caller, account: &Account, mut terminal: Terminal) {
    let outcome = Enrolling { parts, caller, account, action: Action::Reset }.run(&mut terminal).await;
    end(terminal, outcome).await;
}

struct Enrolling<'a> {
    parts: &'a Parts,
    caller: &'a Caller,
    account: &'a Account,
    action: Action,
}

/// Why no enrolment came about.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Provider(#[from] ProviderError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("This machine gives no random numbers.")]
    Random,
    #[error("{0}")]
    TooOften(String),
    #[error("This account can't be found any more: {0}.")]
    Account(#[from] NoAccount),
    #[error("{REPLACED}")]
    Replaced,
}

impl Enrolling<'_> {
    async fn run(&self, terminal: &mut Terminal) -> Result<Outcome, Gone> {
        let Self { parts, caller, account, action } = *self;
        if !entitled(parts, caller, account, self.command(), terminal).await? {
            return Ok(Outcome::Declined);
        }
        let former = match parts.enrolments.key_in_force(account.uid) {
            Ok(former) => former,
            Err(error) => return self.give_up(&error.into(), terminal).await,
        };
        // Nobody is asked for a password in vain.
        if let Some(outcome) = self.out_of_place(former.as_ref(), terminal).await? {
            return Ok(outcome);
        }
        if let Some(why) = too_often(parts.tries.judge_new_pin(account.uid, NewPin::Made)) {
            return self.give_up(&Failure::TooOften(why), terminal).await;
        }
        if !proven(parts, caller, account, action, terminal).await? {
            return Ok(Outcome::Refused);
        }
        // While the password was asked for, others may have enrolled the person, or removed what is to be replaced.
        if let Some(outcome) = self.out_of_place(former.as_ref(), terminal).await? {
            return Ok(outcome);
        }
        parts.record(&Event::EnrolmentStarted, account, self.command());
        let mut choosing = parts.tpm.choose(parts.policy.pin_complexity.clone());
        let shape = match choose(&mut choosing, terminal).await? {
            Chosen::Pin(shape) => shape,
            Chosen::Nothing => {
                self.failed("no PIN was chosen");
                return Ok(Outcome::Refused);
            }
            Chosen::Failed(error) => return self.give_up(&error.into(), terminal).await,
        };
        // From here on, and not while somebody sits before the questions, who would so keep root from taking the PIN away.
        let Some(_note) = parts.at_work.begin(account.uid) else {
            self.failed("it is being worked on in another window");
            terminal.show(Style::Error, AT_WORK).await?;
            return Ok(Outcome::Refused);
        };
        if let Some(outcome) = self.out_of_place(former.as_ref(), terminal).await? {
            self.failed("it was set up, replaced or removed in another window meanwhile");
            return Ok(outcome);
        }
        terminal.show(Style::Info, MAKING).await?;
        match self.complete(choosing, shape, former.as_ref()).await {
            Ok(kid) => {
                let done =
                    if action == Action::Reset { Event::Reset { kid } } else { Event::Enrolled { kid } };
                parts.record(&done, account, self.command());
                // The enrolment stands, whether or not anybody is left to read this.
                let _ = terminal.show(Style::Info, DONE).await;
                Ok(Outcome::Success)
            }
            Err(failure) => self.give_up(&failure, terminal).await,
        }
    }

    /// How it ends where there is nothing to replace, or something else than `former`, or already what was to be made.
    async fn out_of_place(
        &self,
        former: Option<&String>,
        terminal: &mut Terminal,
    ) -> Result<Option<Outcome>, Gone> {
        let Self { parts, account, action, .. } = *self;
        match (action, parts.enrolments.exists(account.uid)) {
            (Action::Reset, false) => Ok(Some(Outcome::NotEnrolled)),
            (Action::Enroll, true) => {
                terminal.show(Style::Error, ALREADY).await?;
                Ok(Some(Outcome::Refused))
            }
            (Action::Reset, true) if !self.is_in_force(former) => {
                terminal.show(Style::Error, REPLACED).await?;
                Ok(Some(Outcome::Refused))
            }
            _ => Ok(None),
        }
    }

    /// Whether the record is the one that was there at the start.
    fn is_in_force(&self, former: Option<&String>) -> bool {
        self.parts.enrolments.key_in_force(self.account.uid).is_ok_and(|now| now.as_ref() == former)
    }

    /// From the chosen PIN to the record in force in the place of `former`, or to nothing at all.
    async fn complete(
        &self,
        choosing: Choosing,
        shape: PinShape,
        former: Option<&String>,
    ) -> Result<String, Failure> {
        let Self { parts, account, .. } = *self;
        account.still_exists().await?;
        settle_earlier(parts, account).await.map_err(|error| {
            tracing::error!("what an earlier enrolment left can't be cleared up: {error}");
            KeyError::Stopped
        })?;
        let removes = Footprint::of(&parts.store, account)?;
        let spec = self.specify().await?;
        // Never taken back: an enrolment that fails has worn the chip, too.
        let _writing = parts
            .tries
            .begin_new_pin(account.uid, NewPin::Made)
            .map_err(|may| Failure::TooOften(too_often(may).unwrap_or_default()))?;
        if !spec.proven {
            Intent::trial(account).declare(&parts.store)?;
        }
        let mut objects = TpmObjects::default();
        let created = choosing
            .create(spec, async |candidate| {
                let key = candidate.key.check(&parts.binding(account))?;
                // What was announced before and came to nothing is looked for, too.
                objects.0.extend_from_slice(&candidate.objects.0);
                let adds = Footprint { kid: key.public_key().thumbprint(), objects: objects.clone() };
                Intent::new(account, Some(adds), removes.clone())
                    .declare(&parts.store)
                    .map_err(|_| KeyError::Stopped)
            })
            .await;
        let result = match created {
            Ok(created) => self.put_in_force(created, shape, former).await,
            Err(error) => Err(error.into()),
        };
        // Either way the record now says which end it is.
        if let Err(error) = settle_earlier(parts, account).await {
            tracing::warn!("to be cleared up later: {error}");
        }
        result
    }

    /// What the key is to be like. Whether this make of chip counts wrong PINs as it should is tried out once.
    async fn specify(&self) -> Result<CreateSpec, Failure> {
        let Self { parts, account, .. } = *self;
        let report = parts.tpm.probe(Asker::Enrolling(account.uid)).await?;
        let chip = ChipId { manufacturer: report.manufacturer, firmware: report.firmware };
        let proven = parts.store.get::<ChipId>(Kind::Device, PROVEN_CHIP)?.is_some_and(|known| known == chip);
        let mut challenge = [0; 32];
        let mut salt = [0; 32];
        aws_lc_rs::rand::fill(&mut challenge).map_err(|_| Failure::Random)?;
        aws_lc_rs::rand::fill(&mut salt).map_err(|_| Failure::Random)?;
        Ok(CreateSpec {
            binding: parts.binding(account),
            algorithm: Algorithm::Rs256,
            kdf: Kdf::with_salt(salt),
            limit: LIMIT,
            challenge: challenge.to_vec(),
            message: [b"hello/v1/enrolment".as_slice(), &challenge].concat(),
            taken: Vec::new(),
            proven,
            allow_da_auth: parts.policy.allow_da_auth && self.has_no_counter(),
        })
    }

    /// Whether there is no key behind a counter of its own that would be replaced by a weaker one. Where that can't be told,
    /// there may be.
    fn has_no_counter(&self) -> bool {
        match self.parts.enrolments.of(self.account) {
            Ok(enrolled) => {
                enrolled.is_none_or(|enrolled| enrolled.record.key.protector == Protector::DaAuth)
            }
            Err(_) => false,
        }
    }

    async fn put_in_force(
        &self,
        created: Created,
        shape: PinShape,
        former: Option<&String>,
    ) -> Result<String, Failure> {
        let Self { parts, account, .. } = *self;
        if created.self_tested {
            parts.store.put(Kind::Device, PROVEN_CHIP, &created.chip)?;
        }
        let key = created.key.check(&parts.binding(account))?;
        if let Some(registrar) = parts.provider.keys() {
            registrar.register(&parts.subject(account), key.public_key()).await?;
        }
        // Making the key has taken its time.
        account.still_exists().await?;
        if !self.is_in_force(former) {
            return Err(Failure::Replaced);
        }
        let now = parts.clock.now().wall;
        let record = Enrolment {
            version: VERSION,
            user: account.name.clone(),
            uid: account.uid,
            device: parts.device.clone(),
            provider: parts.provider.name().to_owned(),
            person: None,
            kid: key.public_key().thumbprint(),
            shape,
            pending_shape: None,
            enrolled: now,
            pin_set: now,
            key: created.key,
        };
        parts.enrolments.put(&record)?;
        parts.tries.forgive(account.uid);
        Ok(record.kid)
    }

    async fn give_up(&self, failure: &Failure, terminal: &mut Terminal) -> Result<Outcome, Gone> {
        self.failed(&failure.to_string());
        let text = match failure {
            Failure::TooOften(_) | Failure::Account(_) | Failure::Replaced => {
                format!("{failure}\nNothing was changed.")
            }
            failure => format!("{failure}\nNo PIN was set up. What to do: helloctl doctor"),
        };
        terminal.show(Style::Error, &text).await?;
        Ok(Outcome::Unavailable)
    }

    fn failed(&self, why: &str) {
        let event = Event::EnrolmentFailed { why: why.to_owned() };
        self.parts.record(&event, self.account, self.command());
    }

    fn command(&self) -> &'static str {
        if self.action == Action::Reset { "reset" } else { "enroll" }
    }
}

const ALREADY: &str = "You have a PIN on this machine already.\n\
    To change it: helloctl pin change\n\
    If you have forgotten it: helloctl reset";
const MAKING: &str = "Making your key in the security chip. This can take up to 10 seconds.";
const DONE: &str = "Done. From now on your PIN answers sudo and signs you in on this machine.";

/// The record of the chip that was last tried out.
const PROVEN_CHIP: &str = "proven-chip";
