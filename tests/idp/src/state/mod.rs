//! Everything the server remembers.

pub(crate) mod apps;
pub(crate) mod computers;
pub(crate) mod devices;
pub(crate) mod nonces;
pub(crate) mod people;
pub(crate) mod sign_ins;
pub(crate) mod tokens;

use serde_json::{Value, json};

use crate::checks::{Check, Skipped};
use crate::clock::Clock;
use crate::errors::Refusal;
use crate::faults::Faults;
use crate::jose::SigningKey;
use crate::random;
use crate::switches::Switches;
use crate::vary::Vary;
use computers::Computers;
use devices::Devices;
use nonces::Nonces;
use people::People;
use sign_ins::SignIns;
use tokens::Tokens;

/// The tenant, its people and devices, what was issued, and what tests have changed.
pub(crate) struct World {
    pub(crate) tenant: Tenant,
    pub(crate) clock: Clock,
    pub(crate) skipped: Skipped,
    pub(crate) switches: Switches,
    pub(crate) vary: Vary,
    pub(crate) people: People,
    pub(crate) computers: Computers,
    pub(crate) devices: Devices,
    pub(crate) nonces: Nonces,
    pub(crate) tokens: Tokens,
    pub(crate) sign_ins: SignIns,
    pub(crate) faults: Faults,
    pub(crate) log: Vec<Value>,
    pub(crate) token_key: SigningKey,
    pub(crate) device_key: SigningKey,
}

/// One organisation, in the cloud and on its own premises.
pub(crate) struct Tenant {
    pub(crate) id: String,
    pub(crate) domain: String,
    pub(crate) drs_guid: String,
}

/// Two services, one after the other's model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Entra,
    Adfs,
}

impl World {
    /// Nothing without random numbers for its keys.
    pub(crate) fn new(seed: u64, domain: &str) -> Option<Self> {
        Some(Self {
            tenant: Tenant {
                id: random::guid(),
                domain: domain.to_ascii_lowercase(),
                drs_guid: DRS_GUID.to_owned(),
            },
            clock: Clock::default(),
            skipped: Skipped::new(),
            switches: Switches::default(),
            vary: Vary::new(seed),
            people: People::default(),
            computers: Computers::default(),
            devices: Devices::default(),
            nonces: Nonces::default(),
            tokens: Tokens::default(),
            sign_ins: SignIns::default(),
            faults: Faults::default(),
            log: Vec::new(),
            token_key: SigningKey::generate()?,
            device_key: SigningKey::generate()?,
        })
    }

    /// One check: it holds, or is left out, or the request is refused.
    pub(crate) fn demand(
        &self,
        check: Check,
        holds: bool,
        refusal: impl FnOnce() -> Refusal,
    ) -> Result<(), Refusal> {
        if holds || self.skipped.contains(&check) { Ok(()) } else { Err(refusal().by(check)) }
    }

    /// The issuer of a dialect.
    pub(crate) fn issuer(&self, dialect: Dialect, v2: bool) -> String {
        match dialect {
            Dialect::Entra if v2 => format!("https://{LOGIN}/{}/v2.0", self.tenant.id),
            Dialect::Entra => format!("https://sts.windows.net/{}/", self.tenant.id),
            Dialect::Adfs => format!("https://{}/adfs", self.sts()),
        }
    }

    /// The host of AD FS.
    pub(crate) fn sts(&self) -> String {
        format!("sts.{}", self.tenant.domain)
    }

    /// What the domain is called in Kerberos.
    pub(crate) fn realm(&self) -> String {
        self.tenant.domain.to_ascii_uppercase()
    }

    /// Where AD FS registers devices, beside [`Self::sts`].
    pub(crate) fn enterprise_registration(&self) -> String {
        format!("enterpriseregistration.{}", self.tenant.domain)
    }

    /// Does a path name the tenant, or all of them?
    pub(crate) fn is_tenant(&self, segment: &str) -> bool {
        let segment = segment.to_ascii_lowercase();
        ["common", "organizations"].contains(&segment.as_str())
            || segment == self.tenant.id
            || (segment == self.tenant.domain && !self.switches.no_tenant)
    }

    pub(crate) fn dump(&self) -> Value {
        json!({
            "now": self.clock.now(),
            "tenant": {"id": self.tenant.id, "domain": self.tenant.domain},
            "skipped": self.skipped,
            "switches": self.switches,
            "users": self.people.dump(),
            "devices": self.devices.dump(),
            "keys": self.devices.dump_keys(),
            "nonces": self.nonces.dump(),
            "tokens": self.tokens.dump(),
            "device_codes": self.sign_ins.dump_device_codes(),
        })
    }
}

/// The one of the examples in MS-DVRD.
const DRS_GUID: &str = "434df4a9-3cf2-4c1d-917e-2cd2b72f515a";
/// Where Entra signs in.
pub(crate) const LOGIN: &str = "login.microsoftonline.com";
/// Where Entra registers devices.
pub(crate) const REGISTRATION: &str = "enterpriseregistration.windows.net";
