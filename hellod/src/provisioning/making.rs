//! Making a key and having it registered, from the chosen PIN to the record in force, or to nothing at all.

use hello_words::{english, tr};

use crate::accounts::{Account, NoAccount};
use crate::audit::Event;
use crate::enrolments::{Enrolment, VERSION};
use crate::gesture::pin::PinShape;
use crate::guid::Guid;
use crate::identity::{DirectoryError, NoPermit, ProviderError};
use crate::keys::child::{ChipId, Choosing, CreateSpec, Created};
use crate::keys::queue::Asker;
use crate::keys::{Algorithm, CheckedKey, Kdf, KeyError, Protector, TpmObjects};
use crate::membership::MembershipError;
use crate::parts::Parts;
use crate::party::RelyingParty;
use crate::policy::NoPlace;
use crate::store::{Kind, StoreError};
use crate::tries::{LIMIT, NewPin};

use super::intent::{Footprint, Intent, settle_earlier};
use super::person::Vouched;
use super::{REPLACED, TooOften};

/// Why no enrolment came about. `Display` is what the person reads.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Provider(#[from] ProviderError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    NoPlace(#[from] NoPlace),
    #[error("{}", tr!("This machine gives no random numbers."))]
    Random,
    #[error(transparent)]
    TooOften(#[from] TooOften),
    #[error("{}", tr!("This account can't be found any more: {0}.", _0))]
    Account(#[from] NoAccount),
    #[error("{REPLACED}")]
    Replaced,
    #[error(transparent)]
    Membership(#[from] MembershipError),
    #[error(transparent)]
    NoPermit(#[from] NoPermit),
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error("{}", tr!("Nobody has signed in at the directory."))]
    NobodySignedIn,
    #[error("{}", tr!("{0} has signed in, and this account is set up for somebody else there. To change that: helloctl unenroll", _0))]
    SomebodyElse(String),
    #[error("{}", tr!("{0} has a PIN in another account of this computer. Remove it there first: helloctl unenroll", _0))]
    InAnotherAccount(String),
    #[error("{}", tr!("This computer was taken out of the directory meanwhile."))]
    Left,
    #[error("{}", tr!("The directory says that it has registered the key for {0}, who has not signed in here.", _0))]
    AnotherKey(String),
}

/// Who is going to rely on the key, and what lets it be registered there.
pub(super) enum Registering {
    /// This machine itself.
    Here(RelyingParty),
    /// The directory.
    There(Box<Vouched>),
}

impl Registering {
    pub(super) fn party(&self) -> RelyingParty {
        match self {
            Self::Here(machine) => machine.clone(),
            Self::There(vouched) => vouched.party(),
        }
    }
}

/// A key that is to be made.
pub(super) struct Making<'a> {
    pub(super) parts: &'a Parts,
    pub(super) account: &'a Account,
    /// The command of helloctl.
    pub(super) command: &'static str,
    /// The key in whose place it comes.
    pub(super) former: Option<&'a String>,
    pub(super) registering: &'a Registering,
}

/// What came of it.
pub(super) struct Made {
    /// The key in force.
    pub(super) kid: Result<String, Failure>,
    /// The directory that lists a key which is gone here, or may: the one that was replaced, or the one that failed.
    pub(super) left_at: Option<String>,
}

impl Making<'_> {
    /// From the chosen PIN to the record in force, or to nothing here.
    pub(super) async fn complete(&self, choosing: Choosing, shape: PinShape) -> Made {
        let kid = self.tried(choosing, shape).await;
        // Either way the record now says which end it is.
        let left_at = settle_earlier(self.parts, self.account).await.unwrap_or_else(|error| {
            tracing::warn!("to be cleared up later: {error}");
            None
        });
        Made { kid, left_at }
    }

    async fn tried(&self, choosing: Choosing, shape: PinShape) -> Result<String, Failure> {
        let Self { parts, account, .. } = *self;
        account.still_exists().await?;
        settle_earlier(parts, account).await.map_err(|error| {
            tracing::error!("what an earlier enrolment left can't be cleared up: {error}");
            KeyError::Stopped
        })?;
        let removes = Footprint::of(&parts.store, account)?;
        let party = self.registering.party();
        let spec = self.specify(&party).await?;
        // Never taken back: an enrolment that fails has worn the chip, too.
        let _writing = parts.tries.begin_new_pin(account.uid, NewPin::Made).map_err(TooOften::of)?;
        if !spec.proven {
            Intent::trial(account).declare(&parts.store)?;
        }
        let mut objects = TpmObjects::default();
        let created = choosing
            .create(spec, async |candidate| {
                let key = candidate.key.check(&party.binding(account))?;
                // What was announced before and came to nothing is looked for, too.
                objects.0.extend_from_slice(&candidate.objects.0);
                let kid = key.public_key().thumbprint();
                let adds = Footprint { kid, objects: objects.clone(), listed: None };
                Intent::new(account, Some(adds), removes.clone())
                    .declare(&parts.store)
                    .map_err(|_| KeyError::Stopped)
            })
            .await?;
        self.put_in_force(created, shape, &party).await
    }

    /// What the key is to be like. Whether this make of chip counts wrong PINs as it should is tried out once.
    async fn specify(&self, party: &RelyingParty) -> Result<CreateSpec, Failure> {
        let Self { parts, account, .. } = *self;
        let report = parts.tpm.probe(Asker::Enrolling(account.uid)).await?;
        let chip = ChipId { manufacturer: report.manufacturer, firmware: report.firmware };
        let proven = parts.store.get::<ChipId>(Kind::Device, PROVEN_CHIP)?.is_some_and(|known| known == chip);
        let mut challenge = [0; 32];
        let mut salt = [0; 32];
        aws_lc_rs::rand::fill(&mut challenge).map_err(|_| Failure::Random)?;
        aws_lc_rs::rand::fill(&mut salt).map_err(|_| Failure::Random)?;
        Ok(CreateSpec {
            binding: party.binding(account),
            algorithm: Algorithm::Rs256,
            kdf: Kdf::with_salt(salt),
            limit: LIMIT,
            challenge: challenge.to_vec(),
            message: [b"hello/v1/enrolment".as_slice(), &challenge].concat(),
            taken: Vec::new(),
            proven,
            allow_da_auth: parts.policy.allow_da_auth && self.has_no_counter(),
            keep: parts.escrows.wanted(account, &party.device()),
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
        party: &RelyingParty,
    ) -> Result<String, Failure> {
        let Self { parts, account, .. } = *self;
        if created.self_tested {
            parts.store.put(Kind::Device, PROVEN_CHIP, &created.chip)?;
        }
        let key = created.key.check(&party.binding(account))?;
        let directory_key = self.registered(&key, party).await?;
        // Making and registering the key has taken its time.
        account.still_exists().await?;
        if !is_in_force(parts, account, self.former) {
            return Err(Failure::Replaced);
        }
        // Others may have come first, while this one chose a PIN.
        if !parts.enrolments.exists(account.uid) {
            parts.policy.admits_one_more(parts.enrolments.count()?)?;
        }
        let now = parts.clock.now().wall;
        let record = Enrolment {
            version: VERSION,
            user: account.name.clone(),
            uid: account.uid,
            device: party.device(),
            provider: party.provider().to_owned(),
            person: party.person().cloned(),
            directory_key,
            kid: key.public_key().thumbprint(),
            shape,
            pending_shape: None,
            enrolled: now,
            pin_set: now,
            key: created.key,
        };
        parts.enrolments.put(&record)?;
        // After it: before it, what is kept of the former key would be gone if the new one does not come.
        if let Some(escrow) = created.escrow {
            super::kept(parts, account, &record, escrow);
        }
        // After it: cut in between, the key before would have the no that was said about it taken off. Without this the first
        // sign-in needs the network, and no more.
        if record.person.is_some()
            && let now = parts.clock.now()
            && let Err(error) = parts.standings.confirmed(account.uid, &now, &now)
        {
            tracing::error!("that the directory has accepted somebody can't be written down: {error}");
        }
        parts.tries.forgive(account.uid);
        Ok(record.kid)
    }

    /// Has whoever is to rely on the key put it on their list; what a directory calls it there.
    async fn registered(&self, key: &CheckedKey, party: &RelyingParty) -> Result<Option<Guid>, Failure> {
        let Self { parts, account, .. } = *self;
        let Registering::There(vouched) = self.registering else {
            if let Some(registrar) = parts.provider(party).keys() {
                registrar.register(&party.subject(account), key.public_key()).await?;
            }
            return Ok(None);
        };
        if !vouched.holds(parts) {
            return Err(Failure::Left);
        }
        let directory = vouched.member.joined.directory();
        // From here on an answer may get lost, and the key be on the list all the same.
        Intent::note_listed(&parts.store, account, Some(english(directory)))?;
        let online = parts.online.for_person(account.uid);
        let answer = directory.register_key(&online, &vouched.permit, key.public_key()).await;
        if matches!(&answer, Err(DirectoryError::NotRegistered { status, .. }) if *status < 500) {
            Intent::note_listed(&parts.store, account, None)?;
        }
        let answer = answer?;
        let person = vouched.person().upn.as_str().to_owned();
        if !answer.person.is(&vouched.person().upn) {
            return Err(Failure::AnotherKey(answer.person.as_str().to_owned()));
        }
        let (kid, directory, id) = (key.public_key().thumbprint(), english(directory), answer.id);
        parts.record(&Event::KeyRegistered { kid, person, directory, id }, account, self.command);
        Ok(Some(id))
    }
}

/// Whether the key in force of `account` is the one that was there at the start.
pub(super) fn is_in_force(parts: &Parts, account: &Account, former: Option<&String>) -> bool {
    parts.enrolments.key_in_force(account.uid).is_ok_and(|now| now.as_ref() == former)
}

/// The record of the chip that was last tried out.
const PROVEN_CHIP: &str = "proven-chip";
