//! Who it is, at the directory: the person signs in there with a second factor, and the machine has it said on which device.

use hello_dbus::{Style, Way};
use hello_words::{Text, tr};

use crate::accounts::Account;
use crate::clock::Stamp;
use crate::conversation::{Gone, Terminal};
use crate::identity::{DeviceKeys, Freshness, Machine, NoPermit, Permit, Person, Working, device_permit};
use crate::keys::child::{Root, Tpm};
use crate::keys::queue::Asker;
use crate::keys::{CheckedMachineKeys, DeviceScheme};
use crate::membership::Joined;
use crate::parts::Parts;
use crate::party::{Member, RelyingParty};
use crate::permit::{Asked, Asking};
use crate::secret::SessionKey;

/// Somebody for whom a key may be registered with the directory now.
pub(super) struct Vouched {
    pub(super) member: Member,
    /// What the directory takes the key with.
    pub(super) permit: Permit,
    /// When the second factor was shown, at the latest.
    signed_in: Stamp,
}

/// What came of asking somebody to sign in there.
pub(super) enum SignedIn {
    /// They have.
    Vouched(Box<Vouched>),
    /// They would rather not.
    GivenUp,
    /// The directory doesn't vouch for them.
    Failed(NoPermit),
}

/// Has the person behind `account` sign in at the directory. The second factor is asked for at once: without it the
/// directory takes no key, and a person is not told so at the end.
pub(super) async fn sign_in(
    parts: &Parts,
    account: &Account,
    (joined, way): (Joined, Option<Way>),
    terminal: &mut Terminal,
) -> Result<SignedIn, Gone> {
    let text = tr!("This computer belongs to {}.\n{SIGN_IN}", joined.directory(), SIGN_IN);
    terminal.show(Style::Info, &text).await?;
    // Whoever enrols has it fetched, and takes nothing from the machine.
    let online = parts.online.for_person(account.uid);
    let asking =
        Asking { online: &online, directory: joined.directory(), freshness: Freshness::SecondFactorNow, way };
    let sign_in = match asking.ask(terminal).await? {
        Asked::Permitted(permit) => permit,
        Asked::GivenUp => return Ok(SignedIn::GivenUp),
        Asked::Failed(error) => return Ok(SignedIn::Failed(error.into())),
    };
    let signed_in = parts.clock.now();
    let keys = InTheTpm { tpm: &parts.tpm, keys: &joined.keys, asker: Asker::Enrolling(account.uid) };
    let machine = Machine { certificate: &joined.certificate, keys: &keys };
    let now = parts.clock.now().wall;
    let permitted = device_permit(&online, joined.directory(), &machine, &sign_in, now).await;
    Ok(match permitted {
        Ok(permitted) => SignedIn::Vouched(Box::new(Vouched {
            member: Member { joined, person: permitted.person },
            permit: permitted.permit,
            signed_in,
        })),
        Err(error) => SignedIn::Failed(error),
    })
}

impl Vouched {
    /// Who.
    pub(super) fn person(&self) -> &Person {
        &self.member.person
    }

    /// Whether the directory is going to think the second factor too old by the time the key is made.
    pub(super) fn is_late(&self, now: &Stamp) -> bool {
        now.since(&self.signed_in) >= FRESH
    }

    /// Whether this machine is still the device for which the directory vouches.
    pub(super) fn holds(&self, parts: &Parts) -> bool {
        let device = self.member.joined.device();
        matches!(parts.membership.joined(), Ok(Some(joined)) if joined.device() == device)
    }

    /// Who relies on the key.
    pub(super) fn party(&self) -> RelyingParty {
        RelyingParty::Directory(Box::new(self.member.clone()))
    }
}

/// The machine's keys at work for an enrolment.
struct InTheTpm<'a> {
    tpm: &'a Tpm,
    keys: &'a CheckedMachineKeys,
    asker: Asker,
}

impl DeviceKeys for InTheTpm<'_> {
    fn sign<'a>(&'a self, message: &'a [u8]) -> Working<'a, Vec<u8>> {
        Box::pin(self.tpm.sign_as_device(self.asker, self.keys, (DeviceScheme::Rs256, message)))
    }

    fn open<'a>(&'a self, encrypted: &'a [u8; 256]) -> Working<'a, SessionKey> {
        Box::pin(async {
            // Whoever enrols has no PIN yet, and nothing of this session is kept.
            let keys = (self.keys, Root::OnTrust);
            let opened = self.tpm.open_session_key(self.asker, keys, encrypted, None).await?;
            Ok(opened.session_key)
        })
    }
}

const SIGN_IN: Text = tr!("Sign in there as the person for whom the PIN is to be, with a second factor.\n\
    (For a PIN that this computer alone knows: helloctl enroll --local)");

/// How long a second factor counts. The directory gives ten minutes, of which two are left for making the key.
const FRESH: std::time::Duration = std::time::Duration::from_secs(480);
