//! A primary token in use: what its session key signs, at either directory.

use super::cookie::{self, Page};
use super::{Directory, DirectoryError, Nonce, adfs, entra};
use crate::jose::jws::JwsError;
use crate::jose::kdf::KdfVersion;
use crate::online::Online;
use crate::secret::{SessionKey, Token};
use crate::wire::{PrimaryAnswer, TokenAnswer};

/// A primary token with its session key, in use.
pub struct Session<'a> {
    /// The way there.
    pub online: &'a Online,
    /// Whose.
    pub directory: &'a Directory,
    /// The token.
    pub token: &'a Token,
    /// What it is worth nothing without.
    pub key: &'a SessionKey,
}

/// What makes a request of a session one of a kind. AD FS looks at the time, Entra at the nonce.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// A nonce of just now.
    pub nonce: &'a Nonce,
    /// The time here, in seconds since 1970.
    pub now: i64,
    /// Random.
    pub ctx: &'a [u8; 24],
}

impl Moment<'_> {
    /// The time there.
    fn there(&self) -> i64 {
        self.now.saturating_sub(self.nonce.ahead)
    }
}

impl Session<'_> {
    /// Renews the token.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn renew(&self, moment: Moment<'_>) -> Result<PrimaryAnswer, DirectoryError> {
        let Self { online, directory, token, key } = *self;
        let Moment { nonce, ctx, .. } = moment;
        match directory {
            Directory::Entra(tenant) => {
                entra::primary::Session { online, tenant: tenant.id, token, key }.renew(nonce, ctx).await
            }
            Directory::AdFs(farm) => {
                adfs::primary::Session { online, farm, token, key }.renew(moment.there(), ctx).await
            }
        }
    }

    /// Has a token made for the application `client`, for `resource`.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn redeem(&self, app: (&str, &str), moment: Moment<'_>) -> Result<TokenAnswer, DirectoryError> {
        let Self { online, directory, token, key } = *self;
        let Moment { nonce, ctx, .. } = moment;
        match directory {
            Directory::Entra(tenant) => {
                let session = entra::primary::Session { online, tenant: tenant.id, token, key };
                session.redeem(app, nonce, ctx).await
            }
            Directory::AdFs(farm) => {
                adfs::primary::Session { online, farm, token, key }.redeem(app, moment.there(), ctx).await
            }
        }
    }

    /// Makes what signs a browser in.
    ///
    /// # Errors
    /// [`JwsError`].
    pub fn cookie(&self, nonce: &Nonce, ctx: &[u8; 24]) -> Result<Token, JwsError> {
        let kdf = match self.directory {
            Directory::Entra(_) => KdfVersion::V2,
            Directory::AdFs(farm) => farm.kdf,
        };
        cookie::cookie((self.token, self.key), kdf, nonce, ctx)
    }

    /// What the address of a page of this directory says; nothing where it is none at which it signs people in.
    #[must_use]
    pub fn page(&self, address: &str) -> Option<Page> {
        match self.directory {
            Directory::Entra(_) => Page::parse(address, entra::LOGIN),
            Directory::AdFs(farm) => Page::parse(address, farm.token.host()),
        }
    }
}
