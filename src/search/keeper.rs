//! Keeps the index up to date beside everything else: a humble thread that is told which tickets changed, asks for them, and
//! commits at most once a second. Knows threads, waiting and trying again; not where tickets come from.

use super::{Doc, Finder, Index, Result, SearchError};
use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// So many tickets may wait; it is far more than there are.
const MAX_NOTED: usize = 1_000_000;
/// So many are taken in before what has come is committed, even when more wait: until then the writer keeps them in memory.
const ROUND: usize = 2_000;
/// So many are in memory at once.
const BATCH: usize = 64;
/// Between two commits, and before an attempt that failed is made again.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(10);
/// The humblest: whoever asks and whoever answers comes first.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 19;

/// The thread that keeps the index. Ends when it is dropped, after what was noted is committed (of a great backlog only the
/// next round).
#[derive(Debug)]
pub struct Keeper {
    shared: Arc<Shared>,
    finder: Finder,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    noted: BTreeSet<u64>,
    /// How often somebody asked to wait for everything noted until then, and up to which of these it is done.
    n_asked: u64,
    n_done: u64,
    wants_purge: bool,
    /// How the last round that somebody waited for went.
    outcome: Option<SearchError>,
    stops: bool,
    has_ended: bool,
}

impl State {
    fn is_urgent(&self) -> bool {
        self.stops || self.n_asked > self.n_done
    }
}

impl Shared {
    /// A thread that panicked leaves nothing half done in here.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keeper {
    /// Begins to keep the index. `fetch` gives a ticket as it is now, `None` when there is none any more; it may take its time.
    pub fn start(index: Index, fetch: impl Fn(u64) -> Option<Doc> + Send + 'static) -> Result<Self> {
        let (shared, finder) = (Arc::new(Shared::default()), index.finder());
        let worker = Worker { index, fetch, shared: shared.clone() };
        let thread = std::thread::Builder::new().name("search".to_owned()).spawn(move || worker.run())?;
        Ok(Self { shared, finder, thread: Some(thread) })
    }

    /// This ticket has changed, or has gone. `false` when it could not be noted: a million wait already, or the thread has
    /// ended. [`Finder::stamps`] tells later what was missed.
    pub fn note(&self, id: u64) -> bool {
        let mut state = self.shared.lock();
        let room = state.noted.len() < MAX_NOTED || state.noted.contains(&id);
        if state.has_ended || !room {
            return false;
        }
        if state.noted.insert(id) {
            self.shared.changed.notify_all();
        }
        true
    }

    /// What searches the index.
    pub fn finder(&self) -> Finder {
        self.finder.clone()
    }

    /// How many tickets wait to be taken in.
    pub fn n_waiting(&self) -> usize {
        self.shared.lock().noted.len()
    }

    /// Waits until everything noted before is found, or why it is not; then it is tried again by itself.
    pub fn flush(&self) -> Result<()> {
        self.ask(false)
    }

    /// The same, and then nothing that was removed or replaced is on the disk any more, see [`Index::purge`].
    pub fn purge(&self) -> Result<()> {
        self.ask(true)
    }

    fn ask(&self, purge: bool) -> Result<()> {
        let mut state = self.shared.lock();
        state.n_asked += 1;
        state.wants_purge |= purge;
        let mine = state.n_asked;
        self.shared.changed.notify_all();
        let waits = |state: &mut State| state.n_done < mine && !state.has_ended;
        let state = self.shared.changed.wait_while(state, waits).unwrap_or_else(PoisonError::into_inner);
        match &state.outcome {
            _ if state.n_done < mine => Err(SearchError::Stopped),
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.lock().stops = true;
        self.shared.changed.notify_all();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that kept the search index had failed");
        }
    }
}

/// What a round has to do.
struct Round {
    ids: Vec<u64>,
    /// Nothing was left waiting when it was taken: whoever asked until then is served by it.
    serves: Option<u64>,
    purges: bool,
    /// It is the last: what still waits is missed, and found by its stamp at the next start.
    ends: bool,
}

struct Worker<F> {
    index: Index,
    fetch: F,
    shared: Arc<Shared>,
}

impl<F: Fn(u64) -> Option<Doc>> Worker<F> {
    fn run(mut self) {
        be_humble();
        let _ended = Ended(self.shared.clone());
        loop {
            let round = self.next_round();
            let done = self.work(&round);
            if let Err(error) = &done {
                tracing::warn!(%error, n = round.ids.len(), "the search index could not be brought up to date; it is tried again");
                self.index.recover();
            }
            let ends = round.ends;
            let pause = if done.is_ok() { PAUSE } else { PAUSE_AFTER_FAILURE };
            let has_failed = self.settle(round, done);
            if ends {
                return;
            }
            // Nobody waits for this: what was noted can be found already.
            if !has_failed && let Err(error) = self.index.tidy() {
                tracing::warn!(%error, "the search index could not be tidied; it is tried after the next change");
                self.index.recover();
            }
            self.rest(pause, has_failed);
        }
    }

    /// Waits for something to do.
    fn next_round(&self) -> Round {
        let state = self.shared.lock();
        let idle = |state: &mut State| state.noted.is_empty() && !state.is_urgent();
        let mut state = self.shared.changed.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
        let rest = match state.noted.iter().nth(ROUND).copied() {
            Some(first) => state.noted.split_off(&first),
            None => BTreeSet::new(),
        };
        let ids: Vec<u64> = std::mem::replace(&mut state.noted, rest).into_iter().collect();
        let is_whole = state.noted.is_empty();
        Round {
            ids,
            serves: is_whole.then_some(state.n_asked),
            purges: is_whole && std::mem::take(&mut state.wants_purge),
            ends: state.stops,
        }
    }

    fn work(&mut self, round: &Round) -> Result<()> {
        for ids in round.ids.chunks(BATCH) {
            let mut docs = Vec::with_capacity(ids.len());
            for id in ids {
                match (self.fetch)(*id) {
                    Some(doc) => docs.push(doc),
                    None => self.index.remove(*id)?,
                }
            }
            self.index.put(docs)?;
        }
        self.index.commit()?;
        if round.purges { self.index.purge() } else { Ok(()) }
    }

    /// Tells who waits; what failed is noted again. Whether it did.
    fn settle(&self, round: Round, done: Result<()>) -> bool {
        let mut state = self.shared.lock();
        let has_failed = done.is_err();
        if has_failed {
            state.noted.extend(round.ids);
        }
        if let Some(serves) = round.serves {
            state.n_done = serves;
            state.outcome = done.err();
        } else if has_failed {
            // Who waits for more than this round need not wait for what fails.
            state.n_done = state.n_asked;
            state.outcome = done.err();
        }
        self.shared.changed.notify_all();
        has_failed
    }

    /// Between two commits; not while thousands wait, nor while somebody does.
    fn rest(&self, pause: Duration, has_failed: bool) {
        let state = self.shared.lock();
        let rests = |state: &mut State| !state.is_urgent() && (has_failed || state.noted.len() < ROUND);
        drop(self.shared.changed.wait_timeout_while(state, pause, rests));
    }
}

/// Says, however the thread ends, that it has.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.lock().has_ended = true;
        self.0.changed.notify_all();
    }
}

/// This thread, and those it begins, give way to all others, where the system knows threads' priorities.
fn be_humble() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "the thread's priority stays as it is");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::{ALL, Reader};
    use std::collections::HashMap;

    type Tickets = Arc<Mutex<HashMap<u64, String>>>;

    fn keeper(dir: &std::path::Path) -> (Keeper, Tickets) {
        let tickets = Tickets::default();
        let known = tickets.clone();
        let fetch = move |id| {
            let text = known.lock().unwrap().get(&id).cloned()?;
            Some(Doc { id, opened_at: id as i64, stamp: 1, text: vec![text], ..Doc::default() })
        };
        (Keeper::start(Index::open(dir).unwrap().0, fetch).unwrap(), tickets)
    }

    fn found(finder: &Finder, query: &str) -> Vec<u64> {
        let reader = Reader { departments: ALL, names: &[], confidential_departments: 0 };
        finder.search(query, &reader, 200).unwrap().iter().map(|hit| hit.id).collect()
    }

    #[test]
    fn what_was_noted_is_found_after_a_flush_as_it_is_now() {
        let dir = tempfile::tempdir().unwrap();
        let (keeper, tickets) = keeper(dir.path());
        let finder = keeper.finder();
        tickets.lock().unwrap().extend([(1, "房租".to_owned()), (2, "房租".to_owned())]);
        assert!(keeper.note(1) && keeper.note(2) && keeper.note(2) && keeper.note(3));
        keeper.flush().unwrap();
        assert_eq!((found(&finder, "房租"), keeper.n_waiting()), (vec![2, 1], 0));
        tickets.lock().unwrap().remove(&1);
        tickets.lock().unwrap().insert(2, "社保".to_owned());
        keeper.note(1);
        keeper.note(2);
        keeper.purge().unwrap();
        assert_eq!((found(&finder, "房租"), found(&finder, "社保")), (vec![], vec![2]));
        assert_eq!(finder.n_docs(), 1);
        keeper.flush().unwrap();
    }

    #[test]
    fn a_backlog_of_many_rounds_is_taken_in_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (keeper, tickets) = keeper(dir.path());
        let n = 2 * ROUND as u64 + 1;
        tickets.lock().unwrap().extend((0..n).map(|id| (id, "房租".to_owned())));
        assert!((0..n).all(|id| keeper.note(id)));
        keeper.flush().unwrap();
        assert_eq!(keeper.finder().n_docs(), n);
    }

    #[test]
    fn many_note_at_once_and_each_finds_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let (keeper, tickets) = keeper(dir.path());
        std::thread::scope(|scope| {
            for id in 0..8 {
                let (keeper, tickets) = (&keeper, &tickets);
                scope.spawn(move || {
                    tickets.lock().unwrap().insert(id, format!("房租{id}{id}号"));
                    keeper.note(id);
                    keeper.flush().unwrap();
                    assert_eq!(found(&keeper.finder(), &format!("租{id}{id}号")), [id]);
                });
            }
        });
    }

    #[test]
    fn what_was_noted_before_the_end_is_on_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let (keeper, tickets) = keeper(dir.path());
        tickets.lock().unwrap().insert(1, "房租".to_owned());
        keeper.note(1);
        drop(keeper);
        let (index, _) = Index::open(dir.path()).unwrap();
        assert_eq!(index.stamps().unwrap(), HashMap::from([(1, 1)]));
    }

    #[test]
    fn nobody_waits_for_a_thread_that_has_failed() {
        let dir = tempfile::tempdir().unwrap();
        let keeper = Keeper::start(Index::open(dir.path()).unwrap().0, |_| panic!("on purpose")).unwrap();
        keeper.note(1);
        assert!(matches!(keeper.flush(), Err(SearchError::Stopped)));
        assert!(!keeper.note(2));
    }

    #[test]
    fn what_fails_is_told_and_done_later() {
        let dir = tempfile::tempdir().unwrap();
        let (keeper, tickets) = keeper(dir.path());
        tickets.lock().unwrap().insert(1, "房租".to_owned());
        // Nothing can be written to a folder that is not there.
        let (away, here) = (dir.path().with_extension("away"), dir.path());
        std::fs::rename(here, &away).unwrap();
        keeper.note(1);
        assert!(matches!(keeper.flush(), Err(SearchError::Io(_))));
        assert_eq!(keeper.n_waiting(), 1);
        std::fs::rename(&away, here).unwrap();
        keeper.flush().unwrap();
        assert_eq!(found(&keeper.finder(), "房租"), [1]);
    }
}
