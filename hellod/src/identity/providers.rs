//! The providers that a key can be registered with here.

use std::rc::Rc;

use super::local::Local;
use super::provider::AtDirectory;
use super::{Directory, IdentityProvider};
use crate::online::Online;

/// The providers: this machine itself always, and a directory where it has joined one.
pub struct Providers {
    local: Rc<Local>,
    online: Online,
}

impl Providers {
    /// With the provider that is always there, and the way to the others.
    #[must_use]
    pub fn new(local: Local, online: Online) -> Self {
        Self { local: Rc::new(local), online }
    }

    /// This machine itself.
    #[must_use]
    pub fn local(&self) -> Rc<dyn IdentityProvider> {
        self.local.clone()
    }

    /// A directory.
    #[must_use]
    pub fn directory(&self, directory: &Directory) -> Rc<dyn IdentityProvider> {
        Rc::new(AtDirectory { online: self.online.clone(), directory: directory.clone() })
    }
}
