//! A person, as a directory knows them.

use std::fmt;

use hello_words::tr;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::guid::Guid;
use crate::wire::{Sid, Upn};

/// A person, as a directory knows them. Names change hands there; ids never do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Person {
    /// Who.
    pub id: PersonId,
    /// What they were called when they enrolled.
    pub upn: Upn,
}

/// Who somebody is, for ever. `Display` is that as one text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PersonId {
    /// In a tenant of Entra ID.
    Entra {
        /// The tenant.
        tenant: Guid,
        /// The person in it.
        object: Guid,
    },
    /// In the domains behind an AD FS.
    AdFs {
        /// The host where it signs people in.
        farm: String,
        /// The person: no domain ever gives one out twice ([MS-DTYP] 2.4.2).
        sid: Sid,
    },
}

impl Person {
    /// Whether both are the same person. What they are called has no say.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl PersonId {
    /// Whether both are of the same directory.
    #[must_use]
    pub fn is_beside(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Entra { tenant, .. }, Self::Entra { tenant: other, .. }) => tenant == other,
            (Self::AdFs { farm, .. }, Self::AdFs { farm: other, .. }) => farm == other,
            (Self::Entra { .. }, Self::AdFs { .. }) | (Self::AdFs { .. }, Self::Entra { .. }) => false,
        }
    }
}

impl fmt::Display for PersonId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entra { tenant, object } => write!(formatter, "{tenant}/{object}"),
            Self::AdFs { farm, sid } => write!(formatter, "{farm}/{}", sid.as_str()),
        }
    }
}

/// As it stands in a record.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<Guid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<Guid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    farm: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<Sid>,
    upn: Upn,
}

/// A record names nobody, or somebody of two directories.
#[derive(Debug, Error)]
#[error("{}", tr!("a person has a tenant and an object, or a farm and a sid"))]
struct Nobody;

impl TryFrom<Written> for Person {
    type Error = Nobody;

    fn try_from(Written { tenant, object, farm, sid, upn }: Written) -> Result<Self, Nobody> {
        let id = match (tenant, object, farm, sid) {
            (Some(tenant), Some(object), None, None) => PersonId::Entra { tenant, object },
            (None, None, Some(farm), Some(sid)) => PersonId::AdFs { farm, sid },
            _ => return Err(Nobody),
        };
        Ok(Self { id, upn })
    }
}

impl From<Person> for Written {
    fn from(Person { id, upn }: Person) -> Self {
        let nobody = Self { tenant: None, object: None, farm: None, sid: None, upn };
        match id {
            PersonId::Entra { tenant, object } => {
                Self { tenant: Some(tenant), object: Some(object), ..nobody }
            }
            PersonId::AdFs { farm, sid } => Self { farm: Some(farm), sid: Some(sid), ..nobody },
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// dora, in a tenant.
    pub(crate) fn dora() -> Person {
        let id = |text| Guid::parse(text).unwrap();
        let (tenant, object) =
            (id("6e1f0e84-2b4e-4e0f-9d61-0b2a3f4c5d6e"), id("0ce67455-8ea1-4523-be5f-bfd09190fad6"));
        Person { id: PersonId::Entra { tenant, object }, upn: Upn::parse("dora@corp.example").unwrap() }
    }

    /// The same where an AD FS knows her.
    pub(crate) fn dora_of_the_farm() -> Person {
        let sid = Sid::parse("S-1-5-21-2378277246-2682074319-435474115-1105").unwrap();
        Person { id: PersonId::AdFs { farm: "sts.corp.example".into(), sid }, ..dora() }
    }

    #[test]
    fn the_ids_decide_who_somebody_is_and_the_name_does_not() {
        let PersonId::Entra { tenant, object } = dora().id else { panic!("she is in a tenant") };
        let PersonId::AdFs { farm, sid } = dora_of_the_farm().id else { panic!("she is at a farm") };
        let others = |id: &str| Sid::parse(&format!("S-1-5-21-1-2-3-{id}")).unwrap();
        let table = [
            PersonId::Entra { tenant, object },
            PersonId::Entra { tenant, object: tenant },
            PersonId::Entra { tenant: object, object },
            PersonId::AdFs { farm: farm.clone(), sid: sid.clone() },
            PersonId::AdFs { farm: "sts.fabrikam.example".into(), sid },
            PersonId::AdFs { farm, sid: others("1105") },
        ];
        for (place, id) in table.iter().enumerate() {
            for (other_place, other) in table.iter().enumerate() {
                let renamed = Person { id: other.clone(), upn: Upn::parse("eve@corp.example").unwrap() };
                let person = Person { id: id.clone(), ..dora() };
                assert_eq!(person.is(&renamed), place == other_place, "{id} {other}");
                assert_eq!(id.to_string() == other.to_string(), place == other_place, "{id} {other}");
            }
        }
        let beside = |a: usize, b: usize| table[a].is_beside(&table[b]);
        assert_eq!(
            [beside(0, 1), beside(0, 2), beside(3, 5), beside(3, 4), beside(0, 3)],
            [true, false, true, false, false]
        );
    }

    #[test]
    fn a_record_names_somebody_of_one_directory_or_is_refused() {
        let written = |person: &Person| serde_json::to_value(person).unwrap();
        for person in [dora(), dora_of_the_farm()] {
            assert_eq!(serde_json::from_value::<Person>(written(&person)).unwrap(), person);
        }
        assert_eq!(written(&dora()).as_object().unwrap().len(), 3);
        let (entra, farm) = (written(&dora()), written(&dora_of_the_farm()));
        for (record, member, value) in [
            (&entra, "object", json!(null)),
            (&entra, "sid", farm["sid"].clone()),
            (&farm, "tenant", entra["tenant"].clone()),
            (&farm, "sid", json!("S-1-5-21-x")),
            (&farm, "farm", json!(null)),
            (&farm, "upn", json!("dora")),
            (&farm, "more", json!(1)),
        ] {
            let mut odd = record.clone();
            odd[member] = value;
            assert!(serde_json::from_value::<Person>(odd).is_err(), "{member}");
        }
    }
}
