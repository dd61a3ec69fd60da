//! Keeps the handbook up to date with the files: a change is picked up, a broken one keeps the last good version and
//! says why. Polls size and time of each file, which works on every file system and moves with a test's clock.

use crate::calendar::Calendar;
use crate::desk::Handbook;
use crate::knowledge::{Knowledge, Thresholds, replies};
use crate::notices::Notices;
use crate::thinker::Thinker;
use arc_swap::ArcSwap;
use jiff::civil::Date;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The folder, what was last seen of it, and the handbook made from it.
pub struct Library {
    dir: PathBuf,
    thresholds: Thresholds,
    handbook: Arc<ArcSwap<Handbook>>,
    seen: Mutex<Vec<Stamp>>,
    notices: Notices,
    thinker: Arc<Thinker>,
    /// Where the vectors of the entries are kept.
    vectors: PathBuf,
    thinking: Mutex<()>,
}

type Stamp = (PathBuf, u64, Option<std::time::SystemTime>);

/// So many errors stand in a notice.
const SHOWN: usize = 5;
/// A folder of more files than this is looked at only so far.
const MAX_FILES: usize = 10_000;
/// Holidays should be known so many days ahead.
const CALENDAR_AHEAD_DAYS: i32 = 60;

impl Library {
    /// Reads the folder; the list of everything that is wrong if it cannot be used.
    pub fn open(
        dir: &Path,
        thresholds: Thresholds,
        notices: Notices,
        thinker: Arc<Thinker>,
        vectors: PathBuf,
    ) -> Result<Self, Vec<String>> {
        let seen = stamps(dir);
        let handbook = load(dir, thresholds)?;
        let handbook = Arc::new(ArcSwap::from_pointee(handbook));
        let (dir, seen) = (dir.to_owned(), Mutex::new(seen));
        Ok(Self { dir, thresholds, handbook, seen, notices, thinker, vectors, thinking: Mutex::new(()) })
    }

    /// The handbook, replaced as a whole when a file changes.
    pub fn handbook(&self) -> Arc<ArcSwap<Handbook>> {
        self.handbook.clone()
    }

    /// Reads the sentence model and computes what the entries mean; until then words alone decide. Takes twenty seconds of a
    /// processor the first time, later what a file takes to read: call it on a thread of its own.
    pub fn begin_to_think(&self, model: &Path) {
        match self.thinker.load(model) {
            // Loaded only now: a handbook taken over before the model was there has no vectors yet.
            Ok(()) => self.think(),
            Err(error) => self.cannot_think(&error.to_string()),
        }
    }

    /// Computes what the entries of the handbook in use mean, if there is a model. One thread at a time: two would compute
    /// the same. Takes as long as [`Library::begin_to_think`].
    pub fn think(&self) {
        let _turn = self.thinking.lock().unwrap_or_else(PoisonError::into_inner);
        let handbook = self.handbook.load_full();
        let engine = handbook.knowledge.engine();
        if engine.has_vectors() {
            return;
        }
        match self.thinker.vectors(&engine.texts(), &self.vectors) {
            None => {}
            Some(vectors) if engine.set_vectors(&vectors) => self.notices.clear("meaning"),
            Some(_) => self.cannot_think("条目的语义没有算完"),
        }
    }

    fn cannot_think(&self, why: &str) {
        tracing::error!(why, "no meaning: words alone decide");
        let what = format!("{why}。现在只按字词匹配，答得会更谨慎；请恢复 model/ 里的文件后重启。");
        self.notices.put("meaning", what);
    }

    /// Looks whether a file has changed and takes over what is good; whether something was. What the editor saved counts
    /// at once, by its words; [`Library::think`] then finds out what it means. Reads files: call it off the async threads.
    pub fn refresh(&self, today: Date) -> bool {
        match calendar_warning(&self.handbook.load().calendar, today) {
            Some(warning) => self.notices.put("calendar", warning),
            None => self.notices.clear("calendar"),
        }
        let now = stamps(&self.dir);
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if *seen == now {
                return false;
            }
            *seen = now;
        }
        match load(&self.dir, self.thresholds) {
            Ok(handbook) => {
                tracing::info!(n_entries = handbook.knowledge.entries().len(), "knowledge taken over");
                self.handbook.store(Arc::new(handbook));
                self.notices.clear("knowledge");
                true
            }
            Err(errors) => {
                for error in errors.iter().take(SHOWN) {
                    tracing::error!(%error, "knowledge not taken over");
                }
                let n = errors.len();
                let shown = errors.into_iter().take(SHOWN).collect::<Vec<_>>().join("；");
                self.notices.put("knowledge", format!("知识库有 {n} 处错误，仍在用上一个好的版本：{shown}"));
                false
            }
        }
    }
}

/// The folder → a handbook, or everything that is wrong.
pub fn load(dir: &Path, thresholds: Thresholds) -> Result<Handbook, Vec<String>> {
    let knowledge = Knowledge::load(dir, thresholds)
        .map_err(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>());
    let calendar = Calendar::load(&dir.join("calendar")).map_err(|list| {
        list.iter().map(|error| format!("{}:1: {}", error.file.display(), error.what)).collect::<Vec<_>>()
    });
    let replies = replies::load(dir).map_err(|error| vec![error]);
    match (knowledge, calendar, replies) {
        (Ok(knowledge), Ok(calendar), Ok(replies)) => Ok(Handbook { knowledge, calendar, replies }),
        (knowledge, calendar, replies) => {
            Err(knowledge.err().into_iter().chain(calendar.err()).chain(replies.err()).flatten().collect())
        }
    }
}

/// A sentence when the holidays soon end.
pub fn calendar_warning(calendar: &Calendar, today: Date) -> Option<String> {
    let Some(until) = calendar.known_until() else {
        return Some("calendar/ 里没有任何一年的放假安排，期限只按周末计算".into());
    };
    let left = today.until(until).map_or(0, |span| span.get_days());
    (left <= CALENDAR_AHEAD_DAYS).then(|| {
        let next = until.year() + 1;
        format!("放假安排只到 {until}，请按国务院办公厅通知添加 calendar/{next}.toml；在此之前，跨年的期限只扣周末，并注明以通知为准")
    })
}

fn stamps(dir: &Path) -> Vec<Stamp> {
    let mut stamps = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for item in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (path, meta) = (item.path(), item.metadata().ok());
            if stamps.len() >= MAX_FILES {
                break;
            }
            // Folders are two deep; a loop of links is not followed.
            if meta.as_ref().is_some_and(Metadata::is_dir) && folder == dir {
                folders.push(path);
            } else if let Some(meta) = meta.filter(Metadata::is_file) {
                stamps.push((path, meta.len(), meta.modified().ok()));
            }
        }
    }
    stamps.sort();
    stamps
}
