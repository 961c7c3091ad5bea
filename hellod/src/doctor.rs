//! Can this machine do it, and if not, what to do.

mod fingers;
mod joined;
mod services;

use hello_words::{Text, tr};

pub use services::{Gestures, Offer, offers};

use crate::accounts::Account;
use crate::caller::{Caller, Session};
use crate::config::Config;
use crate::keys::KeyError;
use crate::keys::child::TpmReport;
use crate::keys::queue::Asker;
use crate::parts::Parts;
use crate::party::RelyingParty;
use crate::policy::Policy;

/// One line of `helloctl doctor`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it is.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do; empty where all is well.
    pub remedy: String,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Well.
    Ok,
    /// Worth knowing.
    Warn,
    /// Hello can't work like this.
    Fail,
}

impl State {
    /// The word for it on the bus.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// Checks, in the order in which they matter: each that fails has a remedy.
pub async fn examine(parts: &Parts, caller: &Caller) -> Vec<Check> {
    let report = parts.tpm.probe(Asker::Looking(caller.uid)).await;
    let mut checks = vec![policy_check(parts), tpm_check(parts, &report)];
    checks.extend(place_check(parts, caller.uid));
    if let Ok(report) = &report {
        checks.push(counter_check(report));
        checks.push(room_check(report));
    }
    checks.extend(joined::checks(parts, caller.uid).await);
    checks.push(session_check(parts, caller));
    if let Ok(account) = Account::numbered(caller.uid).await.map_err(drop).and_then(person) {
        checks.push(enrolment_check(parts, &account).await);
        checks.extend(password_check(parts, &account).await);
        checks.extend(fingers::check(parts, caller, &account).await);
    }
    checks
}

fn policy_check(parts: &Parts) -> Check {
    if let Some(error) = &parts.policy_refused {
        return Check {
            name: tr!("Policy").into(),
            state: State::Warn,
            found: tr!("what was in force before stays: {error}", error),
            remedy: tr!("Your administrator mends the file, and then: systemctl reload hellod").to_string(),
        };
    }
    if !parts.policy.use_passport_for_work {
        return Check {
            name: tr!("Policy").into(),
            state: State::Fail,
            found: tr!("Hello is turned off by policy").to_string(),
            remedy: tr!("Your administrator turns it on: UsePassportForWork in /etc/hellod/hellod.toml")
                .to_string(),
        };
    }
    let Some((found, remedy)) = changed(parts) else {
        return well(tr!("Policy"), tr!("Hello is allowed on this machine").to_string());
    };
    Check { name: tr!("Policy").into(), state: State::Warn, found, remedy: remedy.into() }
}

/// What has become of the files since they were read, and what to do. Of a file that is wrong its name is told and not what stands in
/// it: whoever looks may be somebody whom it does not concern.
fn changed(parts: &Parts) -> Option<(String, Text)> {
    let path = parts.config.as_ref()?;
    Some(match Config::read(path).map(|config| config.layers) {
        Ok(Ok(layers)) if layers.settings() == parts.settings => return None,
        Ok(Ok(_)) => {
            let found = tr!("its files have changed since hellod read them");
            (found.into(), tr!("It counts after: sudo systemctl reload hellod"))
        }
        Ok(Err(error)) => (tr!("its files have changed, and {} is not valid", error.file), MEND),
        Err(_) => (tr!("its files have changed, and {} is not valid", path.display()), MEND),
    })
}

/// Whether the caller may have a PIN beside those who have one; nothing where policy sets no bound.
fn place_check(parts: &Parts, uid: u32) -> Option<Check> {
    let people = parts.enrolments.count().ok()?;
    if uid == 0 || parts.policy.maximum_people == 0 || parts.enrolments.exists(uid) {
        return None;
    }
    Some(match parts.policy.admits_one_more(people) {
        Ok(()) => well(
            tr!("Places"),
            tr!("{people} of {} people have a PIN here", parts.policy.maximum_people, people),
        ),
        Err(error) => Check {
            name: tr!("Places").into(),
            state: State::Fail,
            found: error.to_string(),
            remedy: tr!(
                "Your administrator raises MaximumPeople, or takes a PIN away: helloctl unenroll --user NAME"
            )
            .to_string(),
        },
    })
}

/// Whether the password still counts where the PIN is asked for; nothing where policy doesn't say otherwise.
async fn password_check(parts: &Parts, account: &Account) -> Option<Check> {
    let Policy { enable_passwordless_experience: true, passwordless_exempt_group: group, .. } = &parts.policy
    else {
        return None;
    };
    if !group.is_empty() && !Account::knows_group(group).await {
        return Some(Check {
            name: tr!("Password").into(),
            state: State::Warn,
            found: tr!("nobody is exempt from typing the PIN: there is no group '{group}'", group),
            remedy: tr!("Your administrator makes it, or names another one: PasswordlessExemptGroup")
                .to_string(),
        });
    }
    let found = match parts.only_the_pin_counts(account).await {
        true => tr!("once you have a PIN, nothing else lets you in where it is asked for"),
        false => tr!("it lets you in beside the PIN: you are exempt"),
    };
    Some(well(tr!("Password"), found))
}

fn tpm_check(parts: &Parts, report: &Result<TpmReport, KeyError>) -> Check {
    if let Err(error) = parts.policy.admits_tpm(parts.software_tpm) {
        return Check {
            name: tr!("Security chip").into(),
            state: State::Fail,
            found: error.to_string(),
            remedy: tr!("Take swtpm out of /etc/hellod/hellod.toml; it is for tests and demonstrations")
                .to_string(),
        };
    }
    match report {
        Ok(report) => well(tr!("Security chip"), tr!("a TPM 2.0 made by {}", report.manufacturer)),
        Err(error) => Check {
            name: tr!("Security chip").into(),
            state: State::Fail,
            found: error.to_string(),
            remedy: tr!("Turn on the TPM (also called PTT, fTPM or security device) in the firmware setup; \
                     Hello keeps no key without one")
            .to_string(),
        },
    }
}

fn counter_check(report: &TpmReport) -> Check {
    const NAME: Text = tr!("Counts wrong PINs");
    if report.counts_pins() {
        return well(NAME, tr!("the chip keeps a counter of its own for each person").to_string());
    }
    Check {
        name: NAME.into(),
        state: State::Fail,
        found: tr!("the chip is too old to keep a counter for each person").to_string(),
        remedy: tr!("See whether the maker of the machine has newer firmware for its TPM").to_string(),
    }
}

fn room_check(report: &TpmReport) -> Check {
    const NAME: Text = tr!("Room in the chip");
    if report.owner_auth_set {
        return Check {
            name: NAME.into(),
            state: State::Fail,
            found: tr!("the chip has an owner password, so no counter can be made in it").to_string(),
            remedy: tr!(
                "Take the owner password away, or clear the chip in the firmware setup (this destroys \
                     every key in it)"
            )
            .to_string(),
        };
    }
    well(NAME, tr!("the storage key is there or can be made").to_string())
}

fn session_check(parts: &Parts, caller: &Caller) -> Check {
    const NAME: Text = tr!("Session");
    match caller.session {
        Session::Local { .. } => well(NAME, tr!("you are at this machine").to_string()),
        _ if caller.uid == 0 => well(NAME, tr!("root may look from anywhere").to_string()),
        Session::Unknown if parts.surfaces.assume_local_session => {
            well(NAME, tr!("everybody counts as local here (assume-local-session)").to_string())
        }
        Session::Remote => Check {
            name: NAME.into(),
            state: State::Warn,
            found: tr!("you are signed in from elsewhere; Hello works at the machine itself").to_string(),
            remedy: tr!("Sit down at the machine, or use your password").to_string(),
        },
        Session::Outside | Session::Unknown => Check {
            name: NAME.into(),
            state: State::Fail,
            found: tr!("logind knows no session of yours").to_string(),
            remedy: tr!("Is systemd-logind running, and libpam-systemd installed?").to_string(),
        },
    }
}

async fn enrolment_check(parts: &Parts, account: &Account) -> Check {
    const NAME: Text = tr!("Your PIN");
    let broken = |found: String| Check {
        name: NAME.into(),
        state: State::Fail,
        found,
        remedy: tr!("Set up a new PIN: helloctl reset").to_string(),
    };
    let enrolled = match parts.enrolments.of(account) {
        Ok(Some(enrolled)) => enrolled,
        Ok(None) => {
            return Check {
                name: NAME.into(),
                state: State::Warn,
                found: tr!("you have none on this machine").to_string(),
                remedy: tr!("Set one up: helloctl enroll").to_string(),
            };
        }
        Err(error) => return broken(error.to_string()),
    };
    match parts.tpm.tries(&enrolled.key).await {
        Ok(tries) if tries.used < tries.limit => {
            let left = tries.limit - tries.used;
            let who = match &enrolled.party {
                RelyingParty::Machine(_) => tr!("this computer alone knows its key").to_string(),
                RelyingParty::Directory(member) => {
                    tr!("its key is registered for {}", member.person.upn.as_str())
                }
            };
            well(NAME, tr!("works; {left} of {} tries left in the chip; {who}", tries.limit, left, who))
        }
        Ok(_) => broken(tr!("it is locked after too many wrong ones").to_string()),
        Err(error) => broken(error.to_string()),
    }
}

fn person(account: Account) -> Result<Account, ()> {
    if account.uid == 0 { Err(()) } else { Ok(account) }
}

fn well(name: Text, found: impl Into<String>) -> Check {
    Check { name: name.into(), state: State::Ok, found: found.into(), remedy: String::new() }
}

const MEND: Text = tr!("Your administrator mends the file, and does not restart hellod before");
