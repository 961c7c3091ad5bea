//! What has to hold between this machine and its directory before anybody can enrol there: what Windows asks before it
//! offers a PIN, as far as it applies here.

use std::time::Duration;

use hello_words::{Text, tr};

use super::{Check, State, well};
use crate::identity::{Directory, DirectoryError};
use crate::keys::Condition;
use crate::keys::queue::Asker;
use crate::membership::Joined;
use crate::parts::Parts;
use crate::x509::DeviceCertificate;

/// The checks of a machine that has joined; none on one that hasn't, where people enrol with the machine itself. `uid` is who
/// looks, and whatever is asked for that is counted as theirs.
pub(super) async fn checks(parts: &Parts, uid: u32) -> Vec<Check> {
    let joined = match parts.membership.joined() {
        Ok(Some(joined)) => joined,
        Ok(None) => return Vec::new(),
        Err(error) => return vec![failed(tr!("Directory"), error.to_string(), ANEW)],
    };
    let (keys, connection) = tokio::join!(
        keys_check(parts, Asker::Looking(uid), &joined),
        connection_check(parts, uid, joined.directory())
    );
    let mut checks = vec![
        well(
            tr!("Directory"),
            tr!("this computer is the device {} of {}", joined.device(), joined.directory()),
        ),
        certificate_check(&joined.certificate, parts.clock.now().wall),
        keys,
        connection,
    ];
    // An AD FS asks for no such thing.
    if matches!(joined.directory(), Directory::Entra(_)) {
        checks.push(compliance_check());
    }
    checks
}

fn certificate_check(certificate: &DeviceCertificate, now: i64) -> Check {
    const NAME: Text = tr!("Certificate");
    let now = u64::try_from(now).unwrap_or_default();
    if now < certificate.not_before {
        return failed(
            NAME,
            tr!("the device's certificate is not valid yet by this machine's clock").to_string(),
            CLOCK,
        );
    }
    let days = certificate.not_after.saturating_sub(now) / DAY;
    if now > certificate.not_after {
        return failed(NAME, tr!("the device's certificate has ended").to_string(), ANEW);
    }
    let found = tr!("the device's certificate is valid; days left: {days}", days);
    if days < SOON { warned(NAME, found, ANEW) } else { well(NAME, found) }
}

async fn keys_check(parts: &Parts, asker: Asker, joined: &Joined) -> Check {
    const NAME: Text = tr!("Device keys");
    match parts.tpm.check_machine_keys(asker, joined.keys.record()).await {
        Ok(Condition::Fine) => well(NAME, tr!("both work: one signs, the other decrypts").to_string()),
        Ok(Condition::TpmReplaced) => failed(
            NAME,
            tr!("the chip has been cleared or replaced since this computer joined").to_string(),
            ANEW,
        ),
        Ok(Condition::Damaged { what }) => failed(NAME, tr!("their record is damaged ({what})", what), ANEW),
        Err(error) => failed(NAME, error.to_string(), tr!("See to the security chip first, then look again")),
    }
}

/// Without the directory a PIN signs in all the same.
async fn connection_check(parts: &Parts, uid: u32, directory: &Directory) -> Check {
    const NAME: Text = tr!("Connection");
    match tokio::time::timeout(PATIENCE, directory.nonce(&parts.online.for_person(uid))).await {
        Ok(Ok(_)) => well(NAME, tr!("the directory answers").to_string()),
        Ok(Err(DirectoryError::Online(error))) => warned(NAME, error.to_string(), AWAY),
        Ok(Err(error)) => warned(NAME, error.to_string(), AWAY),
        Err(_) => {
            let found = tr!("the directory has not answered within {} s", PATIENCE.as_secs());
            warned(NAME, found, AWAY)
        }
    }
}

/// Always the same, and worth knowing before somebody is refused.
fn compliance_check() -> Check {
    let found = tr!("whether this computer complies is not reported to the directory");
    warned(tr!("Compliance"), found, COMPLIANCE)
}

fn failed(name: Text, found: impl Into<String>, remedy: impl Into<String>) -> Check {
    Check { name: name.into(), state: State::Fail, found: found.into(), remedy: remedy.into() }
}

fn warned(name: Text, found: impl Into<String>, remedy: impl Into<String>) -> Check {
    Check { name: name.into(), state: State::Warn, found: found.into(), remedy: remedy.into() }
}

const ANEW: Text = tr!(
    "An administrator has it join anew: sudo helloctl leave (or leave --forget), then sudo helloctl join"
);
const CLOCK: Text = tr!("Set the clock: timedatectl");
const AWAY: Text = tr!("PINs sign in all the same; to set one up, the directory has to be reached");
const COMPLIANCE: Text =
    tr!("Rules that demand a compliant or a hybrid joined device refuse sign-ins from here (AADSTS53000 \
     and 53001). Whoever runs the directory leaves this computer out of those rules");

const DAY: u64 = 86_400;
/// How many days before its end a certificate is worth a word.
const SOON: u64 = 30;
/// How long the directory may take. Whoever looks waits for fifteen seconds, and the chip is asked, too.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guid::Guid;
    use crate::keys::PublicKey;

    fn certificate() -> DeviceCertificate {
        DeviceCertificate {
            der: Vec::new(),
            device: Guid::parse("0ce67455-8ea1-4523-be5f-bfd09190fad6").unwrap(),
            user: None,
            tenant: None,
            domain: None,
            join: None,
            region: None,
            not_before: 1_800_000_000,
            not_after: 1_800_000_000 + 100 * DAY,
            key: PublicKey::P256 { x: [1; 32], y: [2; 32] },
        }
    }

    #[test]
    fn a_certificate_is_looked_at_by_the_clock_and_its_end_announced() {
        let at = |day: i64| 1_800_000_000 + day * 86_400;
        for (now, state) in [
            (at(0) - 1, State::Fail),
            (-1, State::Fail),
            (at(0), State::Ok),
            (at(69), State::Ok),
            (at(71), State::Warn),
            (at(100), State::Warn),
            (at(100) + 1, State::Fail),
        ] {
            let check = certificate_check(&certificate(), now);
            assert_eq!(check.state, state, "{now}: {check:?}");
            assert_eq!(check.remedy.is_empty(), state == State::Ok, "{check:?}");
        }
    }
}
