//! The sentence model at work: what messages mean, computed aside of the async threads, a few at once; the rest go without
//! (words alone then decide, more cautiously). Knows threads, permits and patience; not what a vector is compared with.

use crate::meaning::{Coarse, MAX_PIECES, Model, ModelError, VectorCache};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

/// A message waits so long for its turn before it goes without; WeChat's own limit is five seconds.
const WAIT: Duration = Duration::from_millis(2);
/// A message whose meaning takes so many times as long as where nothing else is done goes without, too: the processors have
/// more to do than they can.
const PATIENCE: u32 = 3;
const MIN_PATIENCE: Duration = Duration::from_millis(10);
/// After each message computed, nothing is for so long for every message that had to go without meanwhile: where many more
/// come than can be computed, the processors belong to those that are answered from their words.
const REST_EACH: Duration = Duration::from_millis(2);
const MAX_REST: Duration = Duration::from_millis(250);
/// A message of so many characters takes as long as any.
const LONG_CHARS: u32 = 100;
/// Knowledge is read beside the answering, which comes first: 19 is the humblest.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Computes what messages mean. Shared; of no use until a model is given to it.
#[derive(Debug)]
pub struct Thinker {
    /// The model, and how long a long message takes.
    model: OnceLock<(Arc<Model>, Duration)>,
    permits: Arc<Semaphore>,
    n_computed: AtomicU64,
    n_shed: Arc<AtomicU64>,
}

impl Thinker {
    /// For so many messages at once.
    pub fn new(n_at_once: usize) -> Self {
        Self {
            model: OnceLock::new(),
            permits: Arc::new(Semaphore::new(n_at_once)),
            n_computed: AtomicU64::new(0),
            n_shed: Arc::default(),
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
        let longest = longest(&model);
        tracing::debug!(?longest, "so long the meaning of a long message takes");
        // A second model would be the same one.
        let _ = self.model.set((Arc::new(model), longest));
        Ok(())
    }

    /// How many messages got their vector, and how many went without.
    pub fn counts(&self) -> (u64, u64) {
        (self.n_computed.load(Ordering::Relaxed), self.n_shed.load(Ordering::Relaxed))
    }

    /// What a message means; `None` without a model, or when it would have to wait too long.
    pub async fn vector(&self, message: &str) -> Option<Vec<f32>> {
        let (_, longest) = self.model.get()?;
        let n_chars = message.chars().take(LONG_CHARS as usize).count() as u32;
        let patience = (*longest * PATIENCE * n_chars / LONG_CHARS).max(MIN_PATIENCE);
        let vector = match timeout(WAIT, self.permit()).await {
            Ok(permit) => timeout(patience, self.compute(permit?, message)).await.ok().flatten(),
            Err(_) => None,
        };
        let count = if vector.is_some() { &self.n_computed } else { &*self.n_shed };
        count.fetch_add(1, Ordering::Relaxed);
        vector
    }

    /// The same for somebody who would rather wait; `None` only without a model.
    pub async fn vector_patiently(&self, message: &str) -> Option<Vec<f32>> {
        self.model.get()?;
        self.compute(self.permit().await?, message).await
    }

    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        self.permits.clone().acquire_owned().await.ok()
    }

    /// Given up when the one who waits is dropped.
    async fn compute(&self, permit: OwnedSemaphorePermit, message: &str) -> Option<Vec<f32>> {
        let (model, _) = self.model.get()?.clone();
        let message = message.to_owned();
        let given_up = GivesUp(Arc::default());
        let seen = given_up.0.clone();
        let (n_shed, runtime) = (self.n_shed.clone(), tokio::runtime::Handle::current());
        let before = n_shed.load(Ordering::Relaxed);
        let work = move || {
            let vector = model.embed_unless(&message, &seen);
            let rest = rest(n_shed.load(Ordering::Relaxed) - before);
            if !rest.is_zero() {
                runtime.spawn(async move {
                    tokio::time::sleep(rest).await;
                    drop(permit);
                });
            }
            vector
        };
        tokio::task::spawn_blocking(work).await.ok().flatten()
    }

    /// The vectors of these texts, from the cache file or computed by one thread; `None` without a model.
    pub fn vectors(&self, texts: &[(String, usize)], cache: &Path) -> Option<Vec<Coarse>> {
        let (model, _) = self.model.get()?;
        let mut cache = VectorCache::open(Some(cache), model);
        // On a thread of its own: a humble one cannot become as important as others again.
        let humbly = || {
            be_humble();
            cache.embed(model, texts, 1)
        };
        let vectors = std::thread::scope(|scope| scope.spawn(humbly).join()).ok()?;
        if let Err(error) = cache.save() {
            tracing::warn!(%error, "the vectors of the knowledge could not be kept; they are computed again at the next start");
        }
        Some(vectors)
    }
}

/// Nobody waits any more, also where the one who waited was dropped: what is under way ends at the next layer.
struct GivesUp(Arc<AtomicBool>);

impl Drop for GivesUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How long nothing is computed after a message while which so many had to go without.
fn rest(n_shed: u64) -> Duration {
    REST_EACH.saturating_mul(u32::try_from(n_shed).unwrap_or(u32::MAX)).min(MAX_REST)
}

/// How long the longest message takes: the quickest of three tries, because others may be at work.
fn longest(model: &Model) -> Duration {
    let text = "问".repeat(4 * MAX_PIECES);
    let try_once = |_| {
        let began = Instant::now();
        model.embed(&text);
        began.elapsed()
    };
    (0..3).map(try_once).min().unwrap_or_default()
}

/// This thread gives way to all others, where the system knows threads' priorities.
fn be_humble() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "the thread's priority stays as it is");
    }
}

/// Where the vectors are kept.
pub fn cache_file(data_dir: &Path) -> PathBuf {
    data_dir.join("vectors.bin")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_finds_no_permit_goes_without_and_nobody_waits_long() {
        let thinker = Thinker::new(0);
        assert_eq!(thinker.vector("房租").await, None, "there is no model yet");
        thinker.load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("model/zh-e5-small.q4")).unwrap();
        assert_eq!(thinker.vector("房租").await, None);
        assert_eq!(thinker.counts(), (0, 1));
        let free = Thinker::new(1);
        free.load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("model/zh-e5-small.q4")).unwrap();
        assert_eq!(free.vector_patiently("房租").await.map(|vector| vector.len()), Some(384));
    }

    #[test]
    fn the_more_go_without_the_longer_nothing_is_computed_and_never_for_long() {
        assert_eq!(rest(0), Duration::ZERO);
        assert_eq!(rest(30), 30 * REST_EACH);
        assert_eq!(rest(u64::MAX), MAX_REST);
    }

    #[tokio::test]
    async fn nobody_computes_for_one_who_has_gone() {
        let thinker = Thinker::new(1);
        thinker.load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("model/zh-e5-small.q4")).unwrap();
        let (model, _) = thinker.model.get().unwrap();
        let given_up = AtomicBool::new(false);
        assert!(model.embed_unless("房租", &given_up).is_some());
        given_up.store(true, Ordering::Relaxed);
        assert_eq!(model.embed_unless("房租", &given_up), None);
        // The one permit comes back from who was dropped while computing.
        let permit = thinker.permit().await.unwrap();
        drop(timeout(Duration::ZERO, thinker.compute(permit, "房租")).await);
        assert!(thinker.vector_patiently("房租").await.is_some());
    }
}
