//! Where the database lies in the data folder, and how it is written anew: sled leaves the bytes of what was removed in its
//! file, so all that is kept is copied into a database beside it, which then takes its place. Knows folders and copies; not
//! what the values mean.

use super::sled_keys as keys;
use super::{Result, StoreError};
use std::fs::File;
use std::io::Write;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// sled's page cache. With 15 MiB 149 to 155 MiB are resident at 100,000 tickets, with 20 MiB 152 to 156; the slowest answers
/// under load came sooner with 20.
const CACHE_BYTES: u64 = 20 * 1024 * 1024;
const FLUSH_EVERY_MS: u64 = 100;
/// The folder of a database that has never been written anew.
const FIRST: &str = "store";
/// Names the folder in use, where it is another.
const POINTER: &str = "store.current";
/// So many values are copied at a time.
const COPY: usize = 2_000;
/// So long a rewrite waits for those who still read in what was before: they read on in a file without a name.
const READERS: Duration = Duration::from_secs(1);

/// So long a database that is let go of is waited for.
const CLOSING: Duration = Duration::from_secs(2);

/// A data folder.
pub struct Home {
    dir: PathBuf,
}

/// An open database, and a handle of our own to fsync it by: on Linux sled's flush ends in sync_file_range, which a power
/// cut undoes.
pub struct Opened {
    db: sled::Db,
    file: File,
    path: PathBuf,
    /// Last: fields are dropped in this order.
    _closing: Closing,
}

/// Dropped after the database. What sled still does in the background keeps its lock for some milliseconds more; whoever
/// opens it again once this is gone, finds it free.
struct Closing(PathBuf);

impl Drop for Closing {
    fn drop(&mut self) {
        const STEP: Duration = Duration::from_millis(2);
        let Ok(file) = File::open(&self.0) else { return };
        let mut waited = Duration::ZERO;
        while file.try_lock().is_err() && waited < CLOSING {
            std::thread::sleep(STEP);
            waited += STEP;
        }
    }
}

impl Deref for Opened {
    type Target = sled::Db;

    fn deref(&self) -> &sled::Db {
        &self.db
    }
}

impl Opened {
    fn at(path: PathBuf) -> Result<Self> {
        let config =
            sled::Config::new().path(&path).cache_capacity(CACHE_BYTES).flush_every_ms(Some(FLUSH_EVERY_MS));
        let db = config.open().map_err(|error| match error.to_string() {
            text if text.contains("lock") => {
                StoreError::Locked(path.parent().unwrap_or(&path).display().to_string())
            }
            text => StoreError::Io(text),
        })?;
        let file = File::open(path.join("db")).map_err(|error| fs(&path, &error))?;
        let closing = Closing(path.join("db"));
        Ok(Self { db, file, path, _closing: closing })
    }

    /// What was written so far survives a power cut when this returns.
    pub fn sync(&self) -> Result<()> {
        self.db.flush().map_err(io)?;
        self.file.sync_data().map_err(|error| fs(&self.path, &error))
    }

    /// What the database takes up on disk.
    pub fn bytes_on_disk(&self) -> u64 {
        self.db.size_on_disk().unwrap_or_default()
    }
}

impl Home {
    /// The database of this folder, made if need be.
    pub fn open(dir: &Path) -> Result<(Self, Opened)> {
        std::fs::create_dir_all(dir).map_err(|error| fs(dir, &error))?;
        let home = Self { dir: dir.to_owned() };
        let name = home.current()?;
        let opened = Opened::at(dir.join(&name))?;
        match opened.get(keys::FORMAT_KEY).map_err(io)?.map(|value| value.first().copied().unwrap_or(0)) {
            Some(found) if found != keys::FORMAT => {
                return Err(StoreError::Format { found, known: keys::FORMAT });
            }
            Some(_) => {}
            None => drop(opened.insert(keys::FORMAT_KEY, &[keys::FORMAT]).map_err(io)?),
        }
        opened.sync()?;
        sync_folder(&opened.path)?;
        home.sweep(&name);
        Ok((home, opened))
    }

    /// The name of the folder in use.
    fn current(&self) -> Result<String> {
        let pointer = self.dir.join(POINTER);
        match std::fs::read_to_string(&pointer) {
            // A folder that is named and not there: an empty one in its place would look as if nothing had ever been.
            Ok(name) if is_ours(name.trim()) && self.dir.join(name.trim()).is_dir() => {
                Ok(name.trim().to_owned())
            }
            Ok(_) => Err(StoreError::Corrupt(POINTER)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(FIRST.to_owned()),
            Err(error) => Err(fs(&pointer, &error)),
        }
    }

    /// Removes what a rewrite that was cut off has left. What stays behind is tried again at the next start.
    fn sweep(&self, current: &str) {
        let items = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let is_left = |name: &str| is_ours(name) && name != current;
        for item in items.filter(|item| item.file_name().to_str().is_some_and(is_left)) {
            remove(&item.path());
        }
    }

    /// Whether a start would open another database than this one: what is written here would be lost.
    pub fn is_astray(&self, opened: &Opened) -> bool {
        !self.current().is_ok_and(|name| self.dir.join(name) == opened.path)
    }

    /// Copies what `is_kept` into a new database, which is the one in use from then on. Where that fails, what was copied
    /// is removed again: the disk may be full.
    pub fn rewrite(&self, old: &Opened, is_kept: impl Fn(&[u8], &[u8]) -> bool) -> Result<Opened> {
        let n = old.path.file_name().and_then(|name| name.to_str()?.rsplit_once('-')?.1.parse::<u64>().ok());
        let name = format!("{FIRST}-{}", n.unwrap_or(0) + 1);
        let path = self.dir.join(&name);
        if path.exists() {
            std::fs::remove_dir_all(&path).map_err(|error| fs(&path, &error))?;
        }
        let copied = copy(old, path.clone(), is_kept).and_then(|new| self.point_at(&name).map(|()| new));
        if copied.is_err() && !self.is_astray(old) && path.exists() {
            remove(&path);
        }
        copied
    }

    /// From here on a start opens this folder.
    fn point_at(&self, name: &str) -> Result<()> {
        let (fresh, pointer) = (self.dir.join("store.current.new"), self.dir.join(POINTER));
        let write = || {
            let mut file = File::create(&fresh)?;
            file.write_all(name.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&fresh, &pointer)?;
            File::open(&self.dir)?.sync_all()
        };
        write().map_err(|error| fs(&pointer, &error))
    }

    /// Lets go of the database before, and of its files.
    pub fn drop_old(&self, old: Arc<Opened>) {
        const STEP: Duration = Duration::from_millis(2);
        let path = old.path.clone();
        let mut waited = Duration::ZERO;
        while Arc::strong_count(&old) > 1 && waited < READERS {
            std::thread::sleep(STEP);
            waited += STEP;
        }
        drop(old);
        remove(&path);
    }
}

/// What `is_kept`, in a new database, synced.
fn copy(old: &Opened, path: PathBuf, is_kept: impl Fn(&[u8], &[u8]) -> bool) -> Result<Opened> {
    let new = Opened::at(path)?;
    let (mut batch, mut n_waiting) = (sled::Batch::default(), 0);
    for item in old.iter() {
        let (key, value) = item.map_err(io)?;
        if is_kept(&key, &value) {
            batch.insert(key, value);
            n_waiting += 1;
        }
        if n_waiting == COPY {
            new.apply_batch(std::mem::take(&mut batch)).map_err(io)?;
            n_waiting = 0;
        }
    }
    new.apply_batch(batch).map_err(io)?;
    // Numbers that order messages go on where they were.
    let next = old.generate_id().map_err(io)?;
    while new.generate_id().map_err(io)? < next {}
    new.sync()?;
    sync_folder(&new.path)?;
    Ok(new)
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_dir_all(path) {
        tracing::error!(%error, path = %path.display(), "a former database could not be removed; tried again at the next start");
    }
}

/// A folder of a database: no other name is opened or removed.
fn is_ours(name: &str) -> bool {
    let number = name.strip_prefix(FIRST).and_then(|rest| rest.strip_prefix('-'));
    name == FIRST || number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

fn sync_folder(path: &Path) -> Result<()> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(|error| fs(path, &error))
}

fn fs(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Io(format!("{}: {error}", path.display()))
}

/// sled's errors as ours.
pub fn io(error: sled::Error) -> StoreError {
    StoreError::Io(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_rewrite_cut_off_has_left_is_swept_and_the_folder_that_is_named_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let (home, opened) = Home::open(dir.path()).unwrap();
        opened.insert(b"a", b"1").unwrap();
        let new = home.rewrite(&opened, |_, _| true).unwrap();
        // It ends here: both folders are there, and so is one of an attempt before.
        drop((opened, new));
        std::fs::create_dir(dir.path().join("store-9")).unwrap();
        std::fs::create_dir(dir.path().join("store-of-somebody")).unwrap();
        let (_, again) = Home::open(dir.path()).unwrap();
        assert_eq!(again.get(b"a").unwrap().unwrap().as_ref(), b"1");
        let is_there = |name: &str| dir.path().join(name).exists();
        assert!(is_there("store-1") && !is_there("store") && !is_there("store-9"));
        assert!(is_there("store-of-somebody"), "no name of ours");
    }

    #[test]
    fn a_folder_that_is_named_and_not_there_is_an_error_and_no_new_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let (home, opened) = Home::open(dir.path()).unwrap();
        assert!(!home.is_astray(&opened));
        home.point_at("store-7").unwrap();
        assert!(home.is_astray(&opened));
        drop(opened);
        assert!(matches!(Home::open(dir.path()), Err(StoreError::Corrupt(_))));
        assert!(!dir.path().join("store-7").exists());
    }

    #[test]
    fn a_copy_that_fails_leaves_nothing_behind_and_the_old_one_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let (home, opened) = Home::open(dir.path()).unwrap();
        // The pointer cannot be written where a folder has its name.
        std::fs::create_dir(dir.path().join("store.current.new")).unwrap();
        assert!(home.rewrite(&opened, |_, _| true).is_err());
        assert!(!home.is_astray(&opened) && !dir.path().join("store-1").exists());
    }
}
