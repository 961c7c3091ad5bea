//! The one place here that knows which directory a token is of.

use super::apps::App;
use super::primary::Primary;
use crate::identity::entra::cookie::{self, Page};
use crate::identity::entra::primary::{self, Session};
use crate::identity::{Directory, DirectoryError, Nonce};
use crate::jose::jws::JwsError;
use crate::online::Online;
use crate::secret::Token;
use crate::wire::{PrimaryAnswer, TokenAnswer};

/// A directory, and a primary token of its.
pub(super) struct AtDirectory<'a> {
    pub(super) online: Online,
    pub(super) directory: &'a Directory,
    pub(super) primary: &'a Primary,
}

impl AtDirectory<'_> {
    /// Fetches a nonce.
    pub(super) async fn nonce(&self) -> Result<Nonce, DirectoryError> {
        match self.directory {
            Directory::Entra(_) => primary::nonce(&self.online).await,
        }
    }

    /// Renews the token.
    pub(super) async fn renew(&self, nonce: &Nonce, ctx: &[u8; 24]) -> Result<PrimaryAnswer, DirectoryError> {
        self.session().renew(nonce, ctx).await
    }

    /// Has a token made for an application.
    pub(super) async fn redeem(
        &self,
        app: &App,
        nonce: &Nonce,
        ctx: &[u8; 24],
    ) -> Result<TokenAnswer, DirectoryError> {
        let client = app.client.to_string();
        self.session().redeem((&client, &app.resource), nonce, ctx).await
    }

    /// Makes what signs a browser in.
    pub(super) fn cookie(&self, nonce: &Nonce, ctx: &[u8; 24]) -> Result<Token, JwsError> {
        match self.directory {
            Directory::Entra(_) => cookie::cookie(&self.primary.token, &self.primary.key, nonce, ctx),
        }
    }

    /// What the address of a page of this directory says; nothing where it is none of its pages.
    pub(super) fn page(&self, address: &str) -> Option<Page> {
        match self.directory {
            Directory::Entra(_) => Page::parse(address),
        }
    }

    fn session(&self) -> Session<'_> {
        let Directory::Entra(tenant) = self.directory;
        Session {
            online: &self.online,
            tenant: tenant.id,
            token: &self.primary.token,
            key: &self.primary.key,
        }
    }
}
