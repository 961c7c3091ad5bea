//! Which language each program is spoken to in, and `org.hellod.Hello1.Words`, where it says so.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hello_dbus::BusError;
use hello_words::Language;
use zbus::names::OwnedUniqueName;
use zbus::{interface, message};

use super::desk::Desk;

/// Of every connection that has said so and has not left. There is a bound, and it is the oldest that make room: whoever fills it has
/// people read English, and no more.
#[derive(Debug, Default)]
pub(super) struct Languages(Mutex<VecDeque<(OwnedUniqueName, Language)>>);

impl Languages {
    pub(super) fn put(&self, name: &OwnedUniqueName, language: Language) {
        self.forget(name);
        if !language.is_english() {
            let mut spoken = self.spoken();
            spoken.truncate(MOST - 1);
            spoken.push_front((name.clone(), language));
        }
    }

    pub(super) fn of(&self, name: &OwnedUniqueName) -> Language {
        let spoken = self.spoken();
        let language = spoken.iter().find(|(known, _)| known == name).map(|(_, language)| language.clone());
        language.unwrap_or_default()
    }

    pub(super) fn forget(&self, name: &str) {
        self.spoken().retain(|(known, _)| known.as_str() != name);
    }

    fn spoken(&self) -> MutexGuard<'_, VecDeque<(OwnedUniqueName, Language)>> {
        // Nothing panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a program says of itself.
#[derive(Debug)]
pub(super) struct Words(pub(super) Arc<Desk>);

#[interface(name = "org.hellod.Hello1.Words")]
impl Words {
    async fn speak(&self, #[zbus(header)] header: message::Header<'_>, locale: &str) -> Result<(), BusError> {
        let visitor = self.0.receive(&header).await?;
        self.0.languages.put(&visitor.name, Language::of_locale(locale));
        Ok(())
    }
}

/// Programs that are not spoken to in English, at a time.
const MOST: usize = 1024;
