//! From a person's sign-in to a permit that names this device, too: without the device no key is registered ([MS-KPP]
//! 3.1.5.1.1.3).
//!
//! The machine asks for a primary token in the person's name and has that redeemed. Nothing of it is kept: the person's key
//! is going to bring the first one that lasts.

use hello_words::tr;
use thiserror::Error;

use super::oauth::BROKER;
use super::{Directory, DirectoryError, Machine, Moment, Nonce, Permit, Person, Proof, Session};
use crate::keys::KeyError;
use crate::online::Online;
use crate::secret::{SessionKey, Token};

/// What a key may be registered with: whose, from which device, and after which proof is said in it.
pub struct DevicePermit {
    /// For the registration service.
    pub permit: Permit,
    /// Whom it is about.
    pub person: Person,
}

/// Why there is none. `Display` is what the person reads.
#[derive(Debug, Error)]
pub enum NoPermit {
    /// The directory could not be asked, or says no.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The machine's keys did not work.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// There is no randomness.
    #[error("{}", tr!("This machine gives no random numbers."))]
    Random,
    /// The sign-in brought nothing with which the machine could go on.
    #[error("{}", tr!("The directory has signed you in, but not so that this computer could go on in your name."))]
    NoSession,
    /// The permit is of another device, or of none.
    #[error("{}", tr!("The directory has answered for another computer than this one."))]
    AnotherDevice,
    /// The permit is of somebody else than whoever has signed in.
    #[error("{}", tr!("The directory has answered for somebody other than whoever has signed in."))]
    SomebodyElse,
    /// The directory doesn't say who it is about.
    #[error("{}", tr!("The directory doesn't say who has signed in."))]
    Nobody,
    /// There was no second factor, or not just now.
    #[error("{}", tr!("Please confirm it with your second factor again: the directory takes a key only right after that."))]
    Stale,
}

/// Has the directory vouch for whoever has signed in, on this device, at the time `now` in seconds since 1970.
///
/// # Errors
/// [`NoPermit`].
pub async fn device_permit(
    online: &Online,
    directory: &Directory,
    machine: &Machine<'_>,
    sign_in: &Permit,
    now: i64,
) -> Result<DevicePermit, NoPermit> {
    let refresh = sign_in.refresh.as_ref().ok_or(NoPermit::NoSession)?;
    let (token, key) = first_primary(online, directory, machine, refresh).await?;
    let session = Session { online, directory, token: &token, key: &key };
    let answer = with_nonce(online, directory, async |nonce| {
        let mut ctx = [0; 24];
        aws_lc_rs::rand::fill(&mut ctx).map_err(|_| NoPermit::Random)?;
        let moment = Moment { nonce: &nonce, now, ctx: &ctx };
        Ok(session.redeem((BROKER, directory.registration()), moment).await?)
    });
    let permit = Permit::check(answer.await?.access, directory)?;
    if permit.claims.deviceid != Some(machine.certificate.device) {
        return Err(NoPermit::AnotherDevice);
    }
    let person = directory.person(&permit.claims).ok_or(NoPermit::Nobody)?;
    if !directory.person(&sign_in.claims).is_some_and(|signed_in| signed_in.is(&person)) {
        return Err(NoPermit::SomebodyElse);
    }
    if !permit.claims.is_fresh() {
        return Err(NoPermit::Stale);
    }
    Ok(DevicePermit { permit, person })
}

/// The primary token that a sign-in for the broker is worth, and its session key.
async fn first_primary(
    online: &Online,
    directory: &Directory,
    Machine { certificate, keys }: &Machine<'_>,
    refresh: &Token,
) -> Result<(Token, SessionKey), NoPermit> {
    let answer = with_nonce(online, directory, async |nonce| {
        let request = directory.request(&certificate.der, &nonce, &Proof::SignIn(refresh));
        let request = request.map_err(DirectoryError::Unwritten)?;
        let signature = keys.sign(request.as_bytes()).await?;
        let request = request.signed(&signature).map_err(DirectoryError::Unwritten)?;
        Ok(directory.hand_in(online, &request).await?)
    });
    let answer = answer.await?;
    let encrypted = answer.session_key.ok_or(NoPermit::NoSession)?;
    Ok((answer.token, keys.open(&encrypted.0).await?))
}

/// Asks with a nonce that was given out just now; once more where it was too old all the same, for a TPM takes its time.
async fn with_nonce<T>(
    online: &Online,
    directory: &Directory,
    ask: impl AsyncFn(Nonce) -> Result<T, NoPermit>,
) -> Result<T, NoPermit> {
    match ask(directory.nonce(online).await?).await {
        Err(NoPermit::Directory(DirectoryError::Refused { refusal, .. }))
            if refusal.is_for_another_nonce() =>
        {
            ask(directory.nonce(online).await?).await
        }
        answered => answered,
    }
}
