//! What the operator should know and do something about: one Chinese sentence a topic, shown in the console.
//! Knows sentences; not where they come from.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The board. Cheap to clone; all clones are one board.
#[derive(Clone, Debug, Default)]
pub struct Notices(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl Notices {
    /// Puts up a sentence under a topic, in the place of an older one.
    pub fn put(&self, topic: &'static str, sentence: impl Into<String>) {
        self.board().insert(topic, sentence.into());
    }

    /// Takes a topic down.
    pub fn clear(&self, topic: &'static str) {
        self.board().remove(topic);
    }

    /// All sentences, by topic.
    pub fn all(&self) -> Vec<String> {
        self.board().values().cloned().collect()
    }

    /// The sentence of a topic.
    pub fn get(&self, topic: &str) -> Option<String> {
        self.board().get(topic).cloned()
    }

    fn board(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
