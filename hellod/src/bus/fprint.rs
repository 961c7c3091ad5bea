//! fprintd, as hellod-finger uses it (net.reactivated.Fprint.Device).
//!
//! Each operation has a connection of its own. fprintd lets a device go when the one who claimed it leaves the bus, so an
//! operation that is dropped, wherever it stood, leaves nothing claimed.

use std::time::Duration;

use futures_util::StreamExt;
use hello_dbus::BUS_ADDRESS;
use hello_dbus::finger::{Finger, Hint, Seen};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use zbus::proxy::CacheProperties;
use zbus::{DBusError as _, OwnedObjectPath, connection, proxy};

use crate::finger::{Sensor, SensorError};

/// The sensor, as one operation has it.
pub(super) struct Fprint {
    device: DeviceProxy<'static>,
}

impl Fprint {
    /// Finds it, which starts fprintd where it has to be.
    pub(super) async fn open() -> Result<Self, SensorError> {
        let connection = connection::Builder::address(BUS_ADDRESS).build().await.map_err(said)?;
        let manager = ManagerProxy::new(&connection).await.map_err(said)?;
        let path = manager.get_default_device().await.map_err(said)?;
        let device = DeviceProxy::builder(&connection).path(path);
        let device = device.cache_properties(CacheProperties::No).build().await.map_err(said)?;
        Ok(Self { device })
    }

    /// Its name, and what it knows of an account.
    pub(super) async fn look(&self, user: &str) -> Result<Sensor, SensorError> {
        let name = self.device.name().await.map_err(said)?;
        let fingers = match self.device.list_enrolled_fingers(user).await.map_err(said) {
            Err(SensorError::NoneMatched) => Vec::new(),
            fingers => fingers?,
        };
        Ok(Sensor { name, fingers })
    }

    /// Claims it for the account. Whoever has just left may still be on their way out.
    async fn claim(&self, user: &str) -> Result<(), SensorError> {
        match self.device.claim(user).await.map_err(said) {
            Err(SensorError::InUse) => {
                sleep(A_MOMENT).await;
                self.device.claim(user).await.map_err(said)
            }
            claimed => claimed,
        }
    }

    /// Waits for a finger of the account, until it matches or too many have not; tells what it sees.
    pub(super) async fn verify(
        &self,
        (user, known): (&str, &Sensor),
        seen: &mpsc::Sender<Seen>,
    ) -> Result<(), SensorError> {
        self.claim(user).await?;
        let mut there = self.look(user).await?;
        there.fingers.sort();
        let mut expected = known.clone();
        expected.fingers.sort();
        if there != expected || expected.fingers.is_empty() {
            return Err(SensorError::Changed);
        }
        let which = match expected.fingers.as_slice() {
            [one] => one.as_str(),
            _ => ANY,
        };
        for _ in 0..FINGERS_AT_ONCE {
            // After the claim and anew for each: what another's has matched before it is nothing to us.
            let mut statuses = self.device.receive_verify_status().await.map_err(said)?;
            let mut selected = self.device.receive_verify_finger_selected().await.map_err(said)?;
            self.device.verify_start(which).await.map_err(said)?;
            // Many readers look for any finger at once, and some for one alone.
            if which == ANY
                && let Ok(Some(signal)) = timeout(A_MOMENT, selected.next()).await
                && let Some(finger) = signal.args().ok().and_then(|args| Finger::parse(args.finger))
            {
                tell(seen, Seen::Only(finger)).await?;
            }
            let ended = loop {
                let status = statuses.next().await.ok_or(SensorError::Gone)?;
                let status = status.args().map_err(said)?;
                match Verified::of(status.result) {
                    Verified::Again(hint) => tell(seen, Seen::Again(hint)).await?,
                    ended => break ended,
                }
            };
            // One that is gone can't be stopped, and says why it is gone in the status.
            let _ = self.device.verify_stop().await;
            match ended {
                Verified::Match => {
                    let _ = self.device.release().await;
                    return tell(seen, Seen::Match).await;
                }
                Verified::NoMatch => tell(seen, Seen::NoMatch).await?,
                Verified::Again(_) => {}
                Verified::Failed(error) => return Err(error),
            }
        }
        Err(SensorError::NoneMatched)
    }

    /// Learns a finger of the account; tells how far it is.
    pub(super) async fn learn(
        &self,
        (user, finger): (&str, Finger),
        seen: &mpsc::Sender<Seen>,
    ) -> Result<(), SensorError> {
        self.claim(user).await?;
        let of = self.device.num_enroll_stages().await.unwrap_or(-1).try_into().unwrap_or(0);
        let mut statuses = self.device.receive_enroll_status().await.map_err(said)?;
        self.device.enroll_start(finger.word()).await.map_err(said)?;
        let mut done = 0;
        loop {
            let status = statuses.next().await.ok_or(SensorError::Gone)?;
            let status = status.args().map_err(said)?;
            match status.result.strip_prefix("enroll-").unwrap_or_default() {
                "completed" => break,
                "stage-passed" => {
                    done += 1;
                    tell(seen, Seen::Part { done, of }).await?;
                }
                "data-full" => return Err(SensorError::Full),
                "duplicate" => return Err(SensorError::Duplicate),
                "disconnected" => return Err(SensorError::Gone),
                word => match hint(word) {
                    Some(hint) => tell(seen, Seen::Again(hint)).await?,
                    None => return Err(SensorError::Failed(status.result.to_owned())),
                },
            }
        }
        let _ = self.device.enroll_stop().await;
        let _ = self.device.release().await;
        tell(seen, Seen::Learnt).await
    }

    /// Forgets a finger of the account.
    pub(super) async fn remove(&self, user: &str, finger: &str) -> Result<(), SensorError> {
        self.claim(user).await?;
        let removed = self.device.delete_enrolled_finger(finger).await.map_err(said);
        let _ = self.device.release().await;
        removed
    }
}

/// A status of a verification.
enum Verified {
    Match,
    NoMatch,
    Again(Hint),
    Failed(SensorError),
}

impl Verified {
    /// Only the one word is a match.
    fn of(result: &str) -> Self {
        match result {
            "verify-match" => Self::Match,
            "verify-no-match" => Self::NoMatch,
            "verify-disconnected" => Self::Failed(SensorError::Gone),
            other => match hint(other.strip_prefix("verify-").unwrap_or_default()) {
                Some(hint) => Self::Again(hint),
                None => Self::Failed(SensorError::Failed(other.to_owned())),
            },
        }
    }
}

fn hint(word: &str) -> Option<Hint> {
    Some(match word {
        "retry-scan" => Hint::Retry,
        "swipe-too-short" => Hint::TooShort,
        "too-fast" => Hint::TooFast,
        "finger-not-centered" => Hint::OffCentre,
        "remove-and-retry" => Hint::Lift,
        _ => return None,
    })
}

/// Whoever waits no longer ends it.
async fn tell(seen: &mpsc::Sender<Seen>, what: Seen) -> Result<(), SensorError> {
    seen.send(what).await.map_err(|_| SensorError::Gone)
}

fn said(error: zbus::Error) -> SensorError {
    let name = match &error {
        zbus::Error::MethodError(name, ..) => name.to_string(),
        // A property.
        zbus::Error::FDO(error) => error.name().to_string(),
        _ => return SensorError::Failed(error.to_string()),
    };
    match name.as_str() {
        "org.freedesktop.DBus.Error.ServiceUnknown" => SensorError::NoFprintd,
        "net.reactivated.Fprint.Error.NoSuchDevice" => SensorError::NoSensor,
        "net.reactivated.Fprint.Error.AlreadyInUse" => SensorError::InUse,
        "net.reactivated.Fprint.Error.PermissionDenied" | "org.freedesktop.DBus.Error.AccessDenied" => {
            SensorError::NotAllowed
        }
        "net.reactivated.Fprint.Error.NoEnrolledPrints" => SensorError::NoneMatched,
        name => SensorError::Failed(name.rsplit('.').next().unwrap_or(name).to_owned()),
    }
}

#[proxy(
    interface = "net.reactivated.Fprint.Manager",
    default_service = "net.reactivated.Fprint",
    default_path = "/net/reactivated/Fprint/Manager"
)]
trait Manager {
    fn get_default_device(&self) -> zbus::Result<OwnedObjectPath>;
}

#[proxy(interface = "net.reactivated.Fprint.Device", default_service = "net.reactivated.Fprint")]
trait Device {
    #[zbus(property, name = "name")]
    fn name(&self) -> zbus::Result<String>;
    #[zbus(property, name = "num-enroll-stages")]
    fn num_enroll_stages(&self) -> zbus::Result<i32>;
    fn list_enrolled_fingers(&self, user: &str) -> zbus::Result<Vec<String>>;
    fn delete_enrolled_finger(&self, finger: &str) -> zbus::Result<()>;
    fn claim(&self, user: &str) -> zbus::Result<()>;
    fn release(&self) -> zbus::Result<()>;
    fn verify_start(&self, finger: &str) -> zbus::Result<()>;
    fn verify_stop(&self) -> zbus::Result<()>;
    #[zbus(signal)]
    fn verify_finger_selected(&self, finger: &str) -> zbus::Result<()>;
    #[zbus(signal)]
    fn verify_status(&self, result: &str, done: bool) -> zbus::Result<()>;
    fn enroll_start(&self, finger: &str) -> zbus::Result<()>;
    fn enroll_stop(&self) -> zbus::Result<()>;
    #[zbus(signal)]
    fn enroll_status(&self, result: &str, done: bool) -> zbus::Result<()>;
}

/// fprintd's word for whichever finger.
const ANY: &str = "any";
/// It says which finger it waits for as soon as it does.
const A_MOMENT: Duration = Duration::from_millis(200);
/// Fingers that may fail to match before the person is asked for the PIN again.
const FINGERS_AT_ONCE: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_its_own_word_is_a_match() {
        assert!(matches!(Verified::of("verify-match"), Verified::Match));
        for word in
            ["", "match", "verify-", "verify-matched", "verify-match ", "VERIFY-MATCH", "enroll-match"]
        {
            assert!(matches!(Verified::of(word), Verified::Failed(_)), "{word:?}");
        }
        for word in ["retry-scan", "swipe-too-short", "too-fast", "finger-not-centered", "remove-and-retry"] {
            assert!(matches!(Verified::of(&format!("verify-{word}")), Verified::Again(_)), "{word}");
        }
    }
}
