//! Enrolments: one person's key on this device, as a record that vouches for itself.

use std::rc::Rc;

use hello_dbus::Shape;
use hello_words::tr;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::accounts::Account;
use crate::gesture::pin::PinShape;
use crate::guid::Guid;
use crate::identity::{Person, local};
use crate::keys::{CheckedKey, KeyError, UserKey};
use crate::membership::{Membership, MembershipError};
use crate::party::{Member, RelyingParty};
use crate::store::{Kind, Store, StoreError};
use crate::wire::Upn;

/// The record of an enrolment. Nothing in it is secret, and what matters of it is bound to the key's Name in the TPM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolment {
    /// Version of the record, [`VERSION`].
    pub version: u32,
    /// The account.
    pub user: String,
    /// Its number.
    pub uid: u32,
    /// The device, as the provider calls it.
    pub device: String,
    /// Which provider knows the key.
    pub provider: String,
    /// Who the person is at a directory; nobody, where the machine itself knows the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<Person>,
    /// What the directory's list of the person's keys calls this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory_key: Option<Guid>,
    /// The key, by its thumbprint.
    pub kid: String,
    /// Whether the PIN has digits only.
    pub shape: PinShape,
    /// The same of the next PIN, written before a PIN change and taken away after it: it says that a change may have been
    /// cut short, and that either PIN may hold.
    pub pending_shape: Option<PinShape>,
    /// When the person enrolled, in seconds since 1970.
    pub enrolled: i64,
    /// When the PIN was set, in seconds since 1970; of a change that was cut short nobody knows.
    pub pin_set: i64,
    /// The key and what guards it.
    pub key: UserKey,
}

impl Enrolment {
    /// What a terminal may take for the PIN: while a change hangs in the air, either.
    #[must_use]
    pub fn shape_at_a_prompt(&self) -> Shape {
        self.pending_shape.map_or(self.shape, |pending| self.shape.or(pending)).for_terminal()
    }

    /// Accepts the record if it is `account`'s, for `party`, and all its parts fit together. No TPM is needed.
    ///
    /// # Errors
    /// [`EnrolmentError::Tampered`].
    pub fn checked(self, account: &Account, party: RelyingParty) -> Result<Enrolled, EnrolmentError> {
        let tampered = |why: &str| EnrolmentError::Tampered(why.to_owned());
        if self.version != VERSION {
            return Err(tampered("the record is of another version of hellod"));
        }
        if self.user != account.name || self.uid != account.uid || self.device != party.device() {
            return Err(tampered("the record belongs to another person or device"));
        }
        if self.provider != party.provider() || self.person.as_ref() != party.person() {
            return Err(tampered("the record names another provider"));
        }
        let key = self
            .key
            .check(&party.binding(account))
            .map_err(|error: KeyError| tampered(&error.to_string()))?;
        if key.public_key().thumbprint() != self.kid {
            return Err(tampered("the record names another key"));
        }
        Ok(Enrolled { record: self, key, party })
    }
}

/// An enrolment whose parts fit together, for the person who was asked for.
#[derive(Debug, Clone)]
pub struct Enrolled {
    /// The record.
    pub record: Enrolment,
    /// Its key, checked.
    pub key: CheckedKey,
    /// Who relies on it.
    pub party: RelyingParty,
}

/// Why there is no enrolment to work with.
#[derive(Debug, Error)]
pub enum EnrolmentError {
    /// The record contradicts itself, or is somebody else's.
    #[error("{0}")]
    Tampered(String),
    /// The key is registered with a directory for a device that this machine is not, or no longer: also where it has joined
    /// the same directory again, which made it another device.
    #[error("{}", tr!("it is registered for {} at a directory that this computer has left", person.as_str()))]
    Elsewhere {
        /// For whom, in the directory's words.
        person: Upn,
    },
    /// Whether this machine is that device can't be told.
    #[error(transparent)]
    Membership(#[from] MembershipError),
    /// The record can't be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All enrolments of this device.
pub struct Enrolments {
    store: Rc<Store>,
    device: Rc<str>,
    membership: Membership,
}

impl Enrolments {
    /// Those in `store`, on a machine that calls itself `device`.
    #[must_use]
    pub fn new(store: Rc<Store>, device: &str) -> Self {
        Self { membership: Membership::new(store.clone()), store, device: device.into() }
    }

    /// The enrolment of `account`, if there is one.
    ///
    /// # Errors
    /// [`EnrolmentError::Tampered`] for a record that was changed or belongs to another person, account or device: it
    /// is refused before the TPM is asked anything. [`EnrolmentError::Elsewhere`] for one of a directory that this machine
    /// has left.
    pub fn of(&self, account: &Account) -> Result<Option<Enrolled>, EnrolmentError> {
        let record = self.store.get::<Enrolment>(Kind::Enrolment, &account.uid.to_string())?;
        let Some(record) = record else { return Ok(None) };
        let party = self.party_of(&record)?;
        record.checked(account, party).map(Some)
    }

    /// Whom the key of a record is registered with, if that still holds.
    fn party_of(&self, record: &Enrolment) -> Result<RelyingParty, EnrolmentError> {
        if (record.provider == local::NAME) == record.person.is_some() {
            return Err(EnrolmentError::Tampered("the record contradicts itself about its provider".into()));
        }
        let Some(person) = record.person.clone() else {
            return Ok(RelyingParty::Machine(self.device.clone()));
        };
        let joined = self.membership.joined()?.filter(|joined| {
            joined.directory().has(&person.id) && joined.device().to_string() == record.device
        });
        match joined {
            Some(joined) => Ok(RelyingParty::Directory(Box::new(Member { joined, person }))),
            None => Err(EnrolmentError::Elsewhere { person: person.upn }),
        }
    }

    /// Whom the machine itself stands for.
    #[must_use]
    pub fn machine(&self) -> RelyingParty {
        RelyingParty::Machine(self.device.clone())
    }

    /// Whether there is a record, sound or not.
    #[must_use]
    pub fn exists(&self, uid: u32) -> bool {
        !matches!(self.store.get::<Enrolment>(Kind::Enrolment, &uid.to_string()), Ok(None))
    }

    /// How many people have one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn count(&self) -> Result<usize, StoreError> {
        self.store.names(Kind::Enrolment).map(|names| names.len())
    }

    /// The key that the record names, for clearing up; nothing where there is no record, or none that can be read.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn key_in_force(&self, uid: u32) -> Result<Option<String>, StoreError> {
        match self.store.get::<Enrolment>(Kind::Enrolment, &uid.to_string()) {
            Ok(record) => Ok(record.map(|record| record.kid)),
            Err(StoreError::Damaged { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Who the person is at a directory to whom the record names the account; nobody where it names none, or can't be read.
    #[must_use]
    pub fn person_of(&self, uid: u32) -> Option<Person> {
        self.store.get::<Enrolment>(Kind::Enrolment, &uid.to_string()).ok()??.person
    }

    /// Whether `person` has enrolled in another account here than that of `uid`. Records that can't be read name nobody.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn is_another_accounts(&self, person: &Person, uid: u32) -> Result<bool, StoreError> {
        for name in self.store.names(Kind::Enrolment)? {
            if name.parse() == Ok(uid) {
                continue;
            }
            match self.store.get::<Enrolment>(Kind::Enrolment, &name) {
                Ok(Some(record)) if record.person.as_ref().is_some_and(|other| other.is(person)) => {
                    return Ok(true);
                }
                Ok(_) | Err(StoreError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
            // There may be many, and somebody may want to sign in.
            tokio::task::yield_now().await;
        }
        Ok(false)
    }

    /// Puts a record in force.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put(&self, record: &Enrolment) -> Result<(), StoreError> {
        self.store.put(Kind::Enrolment, &record.uid.to_string(), record)
    }

    /// Writes the record of a key anew, and says whether that key is still in force. If it is not, nothing is written: a
    /// record that was removed meanwhile does not come back.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn rewrite(&self, record: &Enrolment) -> Result<bool, StoreError> {
        let still = self.key_in_force(record.uid)?.is_some_and(|kid| kid == record.kid);
        if still {
            self.put(record)?;
        }
        Ok(still)
    }

    /// Writes down what the directory calls a person by now, if `kid` is still their key and that is another name than the record
    /// has; says what it was. It is what their key signs for, and the directory knows nobody by a former name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn renamed(&self, uid: u32, kid: &str, person: &Person) -> Result<Option<Upn>, StoreError> {
        let record = self.store.get::<Enrolment>(Kind::Enrolment, &uid.to_string())?;
        let Some(record) = record.filter(|record| record.kid == kid) else { return Ok(None) };
        let former = record.person.clone().filter(|former| former.is(person) && former.upn != person.upn);
        let Some(former) = former else { return Ok(None) };
        self.put(&Enrolment { person: Some(person.clone()), ..record })?;
        Ok(Some(former.upn))
    }

    /// Deletes a record.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn delete(&self, uid: u32) -> Result<(), StoreError> {
        self.store.delete(Kind::Enrolment, &uid.to_string())
    }
}

/// The version of the record that this hellod writes.
pub const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::identity::person::tests::{dora, dora_of_the_farm};
    use crate::keys::chain::tests::{counted, person};
    use crate::keys::{Algorithm, Protector};
    use crate::store::tests::Scratch;

    fn anna() -> Account {
        Account { name: person().user, uid: person().uid }
    }

    fn desk() -> RelyingParty {
        RelyingParty::Machine("desk".into())
    }

    fn enrolment() -> Enrolment {
        let key = counted(Algorithm::Rs256);
        Enrolment {
            version: VERSION,
            user: anna().name,
            uid: anna().uid,
            device: person().device,
            provider: "local".into(),
            person: None,
            directory_key: None,
            kid: key.check(&person()).unwrap().public_key().thumbprint(),
            shape: PinShape::Digits,
            pending_shape: None,
            enrolled: 1_800_000_000,
            pin_set: 1_800_000_000,
            key,
        }
    }

    #[test]
    fn a_record_is_its_owners_and_survives_its_file() {
        let text = serde_json::to_string(&enrolment()).unwrap();
        let read: Enrolment = serde_json::from_str(&text).unwrap();
        assert_eq!(read, enrolment());
        assert!(read.checked(&anna(), desk()).is_ok());
    }

    #[test]
    fn a_record_is_written_anew_only_where_its_key_is_still_in_force() {
        let scratch = Scratch::new("rewrite");
        let enrolments = Enrolments::new(Rc::new(Store::open(scratch.store.path()).unwrap()), "desk");
        let renewed = Enrolment { pin_set: 1_900_000_000, ..enrolment() };
        assert!(!enrolments.rewrite(&renewed).unwrap());
        assert!(enrolments.of(&anna()).unwrap().is_none());
        enrolments.put(&enrolment()).unwrap();
        assert!(enrolments.rewrite(&renewed).unwrap());
        assert_eq!(enrolments.of(&anna()).unwrap().unwrap().record, renewed);
        let of_another_key = Enrolment { kid: "A".repeat(43), ..enrolment() };
        assert!(!enrolments.rewrite(&of_another_key).unwrap());
        assert_eq!(enrolments.of(&anna()).unwrap().unwrap().record, renewed);
    }

    #[test]
    fn a_record_of_a_directory_that_the_machine_has_left_is_refused_and_stays() {
        let scratch = Scratch::new("elsewhere");
        let enrolments = Enrolments::new(Rc::new(Store::open(scratch.store.path()).unwrap()), "desk");
        let record = Enrolment { provider: "entra".into(), person: Some(dora()), ..enrolment() };
        enrolments.put(&record).unwrap();
        let error = enrolments.of(&anna()).unwrap_err();
        assert!(matches!(&error, EnrolmentError::Elsewhere { person } if *person == dora().upn), "{error}");
        assert!(enrolments.exists(anna().uid));
        // What says both contradicts itself, wherever the machine is.
        for record in
            [Enrolment { provider: "local".into(), ..record.clone() }, Enrolment { person: None, ..record }]
        {
            enrolments.put(&record).unwrap();
            assert!(matches!(enrolments.of(&anna()), Err(EnrolmentError::Tampered(_))), "{record:?}");
        }
    }

    #[tokio::test]
    async fn a_person_of_a_directory_is_found_in_every_account_but_the_own_by_ids_alone() {
        let scratch = Scratch::new("persons");
        let enrolments = Enrolments::new(Rc::new(Store::open(scratch.store.path()).unwrap()), "desk");
        let record = Enrolment { provider: "entra".into(), person: Some(dora()), ..enrolment() };
        enrolments.put(&record).unwrap();
        let is_anothers =
            async |person: &Person, uid| enrolments.is_another_accounts(person, uid).await.unwrap();
        assert!(!is_anothers(&dora(), anna().uid).await);
        assert!(is_anothers(&dora(), 1001).await);
        let renamed = Person { upn: Upn::parse("eve@corp.example").unwrap(), ..dora() };
        assert!(is_anothers(&renamed, 1001).await);
        assert!(!is_anothers(&dora_of_the_farm(), 1001).await, "a namesake");
        assert_eq!(enrolments.person_of(anna().uid), Some(dora()));
        assert_eq!(enrolments.person_of(1001), None);
    }

    #[test]
    fn a_person_is_called_what_the_directory_calls_them_now_and_nobody_else_is() {
        let scratch = Scratch::new("renamed");
        let enrolments = Enrolments::new(Rc::new(Store::open(scratch.store.path()).unwrap()), "desk");
        let record = Enrolment { provider: "entra".into(), person: Some(dora()), ..enrolment() };
        enrolments.put(&record).unwrap();
        let married = Person { upn: Upn::parse("dora.smith@corp.example").unwrap(), ..dora() };
        let (uid, kid) = (record.uid, record.kid.as_str());
        let somebody = Person { upn: married.upn.clone(), ..dora_of_the_farm() };
        assert_eq!(enrolments.renamed(uid, kid, &somebody).unwrap(), None, "by the id, and not by a name");
        assert_eq!(enrolments.renamed(uid, &"A".repeat(43), &married).unwrap(), None, "of another key");
        assert_eq!(enrolments.renamed(uid, kid, &dora()).unwrap(), None);
        assert_eq!(enrolments.person_of(uid), Some(dora()));
        assert_eq!(enrolments.renamed(uid, kid, &married).unwrap(), Some(dora().upn));
        assert_eq!(enrolments.person_of(uid), Some(married));
        assert_eq!(enrolments.renamed(1001, kid, &dora()).unwrap(), None);
    }

    #[test]
    fn the_record_that_fuzzing_starts_from_is_such_a_record() {
        let seed = include_str!("../../fuzz/seeds/record/enrolment.json");
        assert_eq!(serde_json::from_str::<Enrolment>(seed).unwrap(), enrolment());
    }

    #[test]
    fn a_record_that_names_another_version_person_device_or_key_is_refused() {
        type Change = fn(&mut Enrolment);
        let changes: [(&str, Change); 7] = [
            ("version", |record| record.version += 1),
            ("user", |record| record.user = "bob".into()),
            ("uid", |record| record.uid += 1),
            ("device", |record| record.device = "lap".into()),
            ("provider", |record| record.provider = "entra".into()),
            ("person", |record| record.person = Some(dora())),
            ("kid", |record| record.kid = "A".repeat(43)),
        ];
        for (what, change) in changes {
            let mut record = enrolment();
            change(&mut record);
            let verdict = record.checked(&anna(), desk());
            assert!(matches!(verdict, Err(EnrolmentError::Tampered(_))), "{what}");
        }
    }

    /// What of a record the PIN's way through the TPM depends on.
    fn bound(record: &Enrolment) -> impl PartialEq + std::fmt::Debug + use<> {
        let Protector::PinFail(counter) = record.key.protector.clone() else { return None };
        let names = (record.key.srk.clone(), counter.index_name, counter.init_name);
        let areas = (record.key.public.clone(), counter.finger.public, counter.reset.public);
        Some((names, areas, counter.index, counter.gate, record.uid, record.kid.clone()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]
        #[test]
        fn a_file_with_a_flipped_bit_is_nobody_elses_and_what_its_owner_keeps_is_as_it_was(place: prop::sample::Index) {
            let mut octets = serde_json::to_vec(&enrolment()).unwrap();
            let bit = place.index(8 * octets.len());
            octets[bit / 8] ^= 1 << (bit % 8);
            let Ok(record) = serde_json::from_slice::<Enrolment>(&octets) else { return Ok(()) };
            let bob = Account { name: "bob".into(), uid: 1001 };
            let claimed = Enrolment { user: bob.name.clone(), uid: bob.uid, ..record.clone() };
            prop_assert!(claimed.checked(&bob, desk()).is_err());
            if let Ok(enrolled) = record.checked(&anna(), desk()) {
                prop_assert_eq!(bound(&enrolled.record), bound(&enrolment()));
            }
        }
    }
}
