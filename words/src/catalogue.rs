//! The catalogues that are installed, as gettext(7) has them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tr::{MoTranslator, Translator};

/// One of them.
#[derive(Clone)]
pub(crate) struct Catalogue(Arc<MoTranslator>);

impl Catalogue {
    /// The one of a language, whose name has only letters and `_`; nothing where none can be read. Each is read once.
    pub(crate) fn named(language: &str) -> Option<Self> {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(catalogue) = known.get(language) {
            return Some(catalogue.clone());
        }
        let path = Path::new(LOCALES).join(language).join("LC_MESSAGES/hello-for-linux.mo");
        let catalogue = Self::parse(std::fs::read(path).ok()?)?;
        known.insert(language.to_owned(), catalogue.clone());
        Some(catalogue)
    }

    fn parse(octets: Vec<u8>) -> Option<Self> {
        MoTranslator::from_vec_u8(octets).ok().map(|translator| Self(Arc::new(translator)))
    }

    /// What the text with this id is in it; nothing where it is not translated.
    pub(crate) fn text(&self, id: &str) -> Option<String> {
        let text = self.0.translate(id, None);
        (text != id).then(|| text.into_owned())
    }
}

/// Where Debian keeps them; each belongs to root.
const LOCALES: &str = "/usr/share/locale";

static KNOWN: Mutex<BTreeMap<String, Catalogue>> = Mutex::new(BTreeMap::new());
