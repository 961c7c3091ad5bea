//! What is allowed. Pure: facts in, a decision out.

mod admission;
mod foreign;
mod layers;
mod reader;

use std::time::Duration;

use hello_words::tr;
use serde::{Deserialize, Serialize};

pub use admission::{Admission, Asked, Class, Decline, Surfaces};
pub use layers::{Besides, Layers, PolicyError, Setting};
pub use reader::Reach;

use crate::escrow::Organisation;
use crate::finger::Biometrics;
use crate::gesture::pin::PinRules;

/// The settings, under the names that Windows Hello for Business gives them (PassportForWork CSP).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct Policy {
    /// Whether Hello may be used at all.
    pub use_passport_for_work: bool,
    /// Whether a TPM that is a program is none.
    pub require_security_device: bool,
    /// How many people may have a PIN on this machine; 0 for as many as its chip has room for.
    pub maximum_people: u32,
    /// Whether a key may be guarded by the TPM's common counter where a counter of its own can't be had.
    pub allow_da_auth: bool,
    /// Whether an organisation may let people set a new PIN who have forgotten theirs.
    pub enable_pin_recovery: bool,
    /// Which organisation: its public key, of 32 octets in base64url.
    pub pin_recovery_key: String,
    /// Whether the password lets nobody in who has a PIN, where the PIN is asked for.
    pub enable_passwordless_experience: bool,
    /// A group whose members' passwords do, all the same; none where it is empty.
    pub passwordless_exempt_group: String,
    /// Whether people may have their password kept for their keyring.
    pub allow_keyring_password: bool,
    /// Whether nobody is offered a PIN after signing in, whatever the next one says.
    pub disable_post_logon_provisioning: bool,
    /// Whether whoever has signed in with the password at a console is offered a PIN.
    pub post_logon_provisioning: PostLogon,
    /// For how many days nobody is asked again who said no to the offer.
    pub post_logon_pause_days: u32,
    /// Fingerprints.
    pub biometrics: Biometrics,
    /// What a PIN must look like.
    #[serde(rename = "PINComplexity")]
    pub pin_complexity: PinRules,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            use_passport_for_work: true,
            require_security_device: false,
            maximum_people: 0,
            allow_da_auth: false,
            enable_pin_recovery: false,
            pin_recovery_key: String::new(),
            enable_passwordless_experience: false,
            passwordless_exempt_group: String::new(),
            allow_keyring_password: true,
            disable_post_logon_provisioning: false,
            post_logon_provisioning: PostLogon::Offer,
            post_logon_pause_days: 7,
            biometrics: Biometrics::default(),
            pin_complexity: PinRules::default(),
        }
    }
}

/// What becomes of people without a PIN who sign in with the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PostLogon {
    /// Nothing.
    Off,
    /// They are asked whether they want one.
    Offer,
    /// They are to choose one, and are asked at each sign-in until they do.
    Require,
}

/// How somebody gets to a PIN without having asked for one.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launch {
    /// By saying yes.
    Offered,
    /// Because policy says so.
    Required,
}

/// Whether there may be one more PIN. `Display` is what the person reads.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// The TPM is a program.
    #[error("{}", tr!("The TPM of this computer is a program, and policy wants a chip (RequireSecurityDevice)."))]
    NoSecurityDevice,
    /// Enough people have one.
    #[error("{}", tr!("All places that policy has for PINs on this computer are taken (MaximumPeople = {0}).", _0))]
    Full(u32),
}

impl Policy {
    /// Which organisation may let people set a new PIN, if one may.
    #[must_use]
    pub fn organisation(&self) -> Option<Organisation> {
        Organisation::parse(&self.pin_recovery_key).filter(|_| self.enable_pin_recovery)
    }

    /// Whether a key may be made in this TPM.
    ///
    /// # Errors
    /// [`NoPlace::NoSecurityDevice`].
    pub fn admits_tpm(&self, is_a_program: bool) -> Result<(), NoPlace> {
        if self.require_security_device && is_a_program { Err(NoPlace::NoSecurityDevice) } else { Ok(()) }
    }

    /// Whether one more may have a PIN, where so many have.
    ///
    /// # Errors
    /// [`NoPlace::Full`].
    pub fn admits_one_more(&self, people: usize) -> Result<(), NoPlace> {
        let is_full = self.maximum_people > 0 && people >= self.maximum_people as usize;
        if is_full { Err(NoPlace::Full(self.maximum_people)) } else { Ok(()) }
    }

    /// Whether and how provisioning begins by itself.
    #[must_use]
    pub fn launch(&self) -> Option<Launch> {
        if !self.use_passport_for_work || self.disable_post_logon_provisioning {
            return None;
        }
        match self.post_logon_provisioning {
            PostLogon::Off => None,
            PostLogon::Offer => Some(Launch::Offered),
            PostLogon::Require => Some(Launch::Required),
        }
    }

    /// For how long nobody is asked again who said no.
    #[must_use]
    pub fn launch_pause(&self) -> Duration {
        Duration::from_secs(u64::from(self.post_logon_pause_days) * 24 * 3600)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_place_for_so_many_people_and_none_in_a_program_where_policy_wants_a_chip() {
        let policy = |maximum_people, require_security_device| Policy {
            maximum_people,
            require_security_device,
            ..Policy::default()
        };
        for (maximum, people, is_full) in [(0, 10_000, false), (1, 0, false), (1, 1, true), (10, 12, true)] {
            let admitted = policy(maximum, false).admits_one_more(people);
            assert_eq!(admitted, if is_full { Err(NoPlace::Full(maximum)) } else { Ok(()) });
        }
        for (wants_a_chip, is_a_program, admitted) in
            [(false, true, Ok(())), (true, false, Ok(())), (true, true, Err(NoPlace::NoSecurityDevice))]
        {
            assert_eq!(policy(0, wants_a_chip).admits_tpm(is_a_program), admitted);
        }
    }

    #[test]
    fn provisioning_begins_by_itself_only_where_nothing_forbids_it() {
        use PostLogon::{Off, Offer, Require};
        for (allowed, disabled, wish, launch) in [
            (true, false, Off, None),
            (true, false, Offer, Some(Launch::Offered)),
            (true, false, Require, Some(Launch::Required)),
            (true, true, Offer, None),
            (true, true, Require, None),
            (false, false, Require, None),
        ] {
            let policy = Policy {
                use_passport_for_work: allowed,
                disable_post_logon_provisioning: disabled,
                post_logon_provisioning: wish,
                ..Policy::default()
            };
            assert_eq!(policy.launch(), launch, "{policy:?}");
        }
    }
}
