//! The sentence model at work: what messages mean, computed aside of the async threads, a few at once; the rest go without
//! (words alone then decide, more cautiously). Knows threads and permits; not what a vector is compared with.

use crate::meaning::{Coarse, Model, ModelError, VectorCache};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Semaphore;

/// A message waits so long for its turn before it goes without; WeChat's own limit is five seconds.
const WAIT: Duration = Duration::from_millis(2);

/// Computes what messages mean. Shared; of no use until a model is given to it.
#[derive(Debug)]
pub struct Thinker {
    model: OnceLock<Arc<Model>>,
    permits: Arc<Semaphore>,
    n_computed: AtomicU64,
    n_shed: AtomicU64,
}

impl Thinker {
    /// For so many messages at once.
    pub fn new(n_at_once: usize) -> Self {
        Self {
            model: OnceLock::new(),
            permits: Arc::new(Semaphore::new(n_at_once)),
            n_computed: AtomicU64::new(0),
            n_shed: AtomicU64::new(0),
        }
    }

    /// For half of this machine's processors, at least one.
    pub fn of_this_machine() -> Self {
        Self::new(std::thread::available_parallelism().map_or(1, |n| (n.get() / 2).max(1)))
    }

    /// Reads the model. Takes a tenth of a second: call it off the async threads.
    pub fn load(&self, file: &Path) -> Result<(), ModelError> {
        let model = Model::load_matching(file)?;
        tracing::info!(isa = model.isa().name(), "sentence model read");
        // A second model would be the same one.
        let _ = self.model.set(Arc::new(model));
        Ok(())
    }

    /// How many messages got their vector, and how many went without.
    pub fn counts(&self) -> (u64, u64) {
        (self.n_computed.load(Ordering::Relaxed), self.n_shed.load(Ordering::Relaxed))
    }

    /// What a message means; `None` without a model, or when too many wait.
    pub async fn vector(&self, message: &str) -> Option<Vec<f32>> {
        let model = self.model.get()?.clone();
        let permits = self.permits.clone();
        let Ok(Ok(permit)) = tokio::time::timeout(WAIT, permits.acquire_owned()).await else {
            self.n_shed.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        self.n_computed.fetch_add(1, Ordering::Relaxed);
        let message = message.to_owned();
        let work = move || {
            let vector = model.embed(&message);
            drop(permit);
            vector
        };
        tokio::task::spawn_blocking(work).await.ok()
    }

    /// The vectors of these texts, from the cache file or computed by one thread; `None` without a model.
    pub fn vectors(&self, texts: &[(String, usize)], cache: &Path) -> Option<Vec<Coarse>> {
        let model = self.model.get()?;
        let mut cache = VectorCache::open(Some(cache), model);
        let vectors = cache.embed(model, texts, 1);
        if let Err(error) = cache.save() {
            tracing::warn!(%error, "the vectors of the knowledge could not be kept; they are computed again at the next start");
        }
        Some(vectors)
    }
}

/// Where the vectors are kept.
pub fn cache_file(data_dir: &Path) -> PathBuf {
    data_dir.join("vectors.bin")
}

#[cfg(test)]
mod tests {
    use super::Thinker;
    use std::path::Path;

    #[tokio::test]
    async fn who_finds_no_permit_goes_without_and_nobody_waits_long() {
        let thinker = Thinker::new(0);
        assert_eq!(thinker.vector("房租").await, None, "there is no model yet");
        thinker.load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("model/zh-e5-small.q4")).unwrap();
        assert_eq!(thinker.vector("房租").await, None);
        assert_eq!(thinker.counts(), (0, 1));
        let free = Thinker::new(1);
        free.load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("model/zh-e5-small.q4")).unwrap();
        assert_eq!(free.vector("房租").await.map(|vector| vector.len()), Some(384));
    }
}
