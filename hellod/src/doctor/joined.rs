//! What has to hold between this machine and its directory before anybody can enrol there: what Windows asks before it
//! offers a PIN, as far as it applies here.

use std::time::Duration;

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
        Err(error) => return vec![failed("Directory", error.to_string(), ANEW)],
    };
    let (keys, connection) = tokio::join!(
        keys_check(parts, Asker::Looking(uid), &joined),
        connection_check(parts, uid, joined.directory())
    );
    let mut checks = vec![
        well(
            "Directory",
            format!("this computer is the device {} of {}", joined.device(), joined.directory()),
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
    const NAME: &str = "Certificate";
    let now = u64::try_from(now).unwrap_or_default();
    if now < certificate.not_before {
        return failed(
            NAME,
            "the device's certificate is not valid yet by this machine's clock".into(),
            CLOCK,
        );
    }
    let days = certificate.not_after.saturating_sub(now) / DAY;
    if now > certificate.not_after {
        return failed(NAME, "the device's certificate has ended".into(), ANEW);
    }
    let found = format!("the device's certificate is valid for {days} days more");
    if days < SOON { warned(NAME, found, ANEW) } else { well(NAME, found) }
}

async fn keys_check(parts: &Parts, asker: Asker, joined: &Joined) -> Check {
    const NAME: &str = "Device keys";
    match parts.tpm.check_machine_keys(asker, joined.keys.record()).await {
        Ok(Condition::Fine) => well(NAME, "both work: one signs, the other decrypts".into()),
        Ok(Condition::TpmReplaced) => {
            failed(NAME, "the chip has been cleared or replaced since this computer joined".into(), ANEW)
        }
        Ok(Condition::Damaged { what }) => failed(NAME, format!("their record is damaged ({what})"), ANEW),
        Err(error) => failed(NAME, error.to_string(), "See to the security chip first, then look again"),
    }
}

/// Without the directory a PIN signs in all the same.
async fn connection_check(parts: &Parts, uid: u32, directory: &Directory) -> Check {
    const NAME: &str = "Connection";
    match tokio::time::timeout(PATIENCE, directory.nonce(&parts.online.for_person(uid))).await {
        Ok(Ok(_)) => well(NAME, "the directory answers".into()),
        Ok(Err(DirectoryError::Online(error))) => warned(NAME, error.to_string(), AWAY),
        Ok(Err(error)) => warned(NAME, error.to_string(), AWAY),
        Err(_) => {
            let found = format!("the directory has not answered within {} s", PATIENCE.as_secs());
            warned(NAME, found, AWAY)
        }
    }
}

/// Always the same, and worth knowing before somebody is refused.
fn compliance_check() -> Check {
    let found = "whether this computer complies is not reported to the directory";
    warned("Compliance", found.into(), COMPLIANCE)
}

fn failed(name: &'static str, found: String, remedy: &str) -> Check {
    Check { name, state: State::Fail, found, remedy: remedy.to_owned() }
}

fn warned(name: &'static str, found: String, remedy: &str) -> Check {
    Check { name, state: State::Warn, found, remedy: remedy.to_owned() }
}

const ANEW: &str =
    "An administrator has it join anew: sudo helloctl leave (or leave --forget), then sudo helloctl join";
const CLOCK: &str = "Set the clock: timedatectl";
const AWAY: &str = "PINs sign in all the same; to set one up, the directory has to be reached";
const COMPLIANCE: &str = "Rules that demand a compliant or a hybrid joined device refuse sign-ins from here (AADSTS53000 \
     and 53001). Whoever runs the directory leaves this computer out of those rules";

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
