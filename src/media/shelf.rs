//! The folder of files beside the database: `<ticket>/<file>.<ending>`, both names 16 hexadecimal digits. A file is whole
//! and on the disk before it has its name. One change at a time; reading waits for nobody. Knows paths and limits; not
//! what is in the files.

use super::{Kind, Limits, Media, MediaError, examine, name};
use crate::clock::{Clock, Timestamp};
use crate::ticket::{FileId, TicketId, hex16};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

/// Disks give room in such pieces.
const BLOCK: u64 = 4096;
/// What is being written, and what is being removed, has this before its name.
const UNFINISHED: &str = ".";

/// All files of all tickets. Every call blocks; share it and call it where that may be.
pub struct MediaStore {
    dir: PathBuf,
    limits: Limits,
    clock: Clock,
    /// Bytes of all files in whole blocks. Held by whoever changes anything.
    used: Mutex<u64>,
}

/// A file, open for reading.
#[derive(Debug)]
pub struct Opened {
    /// Where its bytes come from.
    pub file: File,
    /// What it is.
    pub kind: Kind,
    /// How many bytes it has.
    pub bytes: u64,
}

/// What a [`sweep`](MediaStore::sweep) took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// So many files.
    pub n_files: usize,
    /// So many bytes on the disk, in whole blocks.
    pub bytes: u64,
}

/// One file as the folder lists it.
struct Found {
    path: PathBuf,
    id: FileId,
    bytes: u64,
}

impl MediaStore {
    /// Opens the folder, which is made if there is none, measures what is in it and removes what a crash left half done.
    /// The clock says when a file was put. Only one may be open on a folder at a time; the database's lock sees to that.
    pub fn open(dir: &Path, limits: Limits, clock: Clock) -> Result<Self, MediaError> {
        make_folder(dir)?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
        let mut used = 0;
        for item in fs::read_dir(dir)? {
            let item = item?;
            let name = item.file_name();
            let Some(name) = name.to_str() else { continue };
            if is_unfinished(name) {
                fs::remove_dir_all(item.path())?;
            } else if hex16(name).is_some() {
                clear_unfinished(&item.path())?;
                used += files(&item.path())?.iter().map(|file| on_disk(file.bytes)).sum::<u64>();
            }
        }
        Ok(Self { dir: dir.to_owned(), limits, clock, used: Mutex::new(used) })
    }

    /// Takes a file in under this id: when this returns it is on the disk. `name` is what the sender called it, for people to
    /// read. Of a file that is refused nothing is kept, and nothing else is removed for its sake. One that is there already
    /// stays as it is.
    pub fn put_as(
        &self,
        ticket: TicketId,
        id: FileId,
        name: &str,
        bytes: &[u8],
    ) -> Result<Media, MediaError> {
        let n_bytes = bytes.len() as u64;
        if n_bytes > self.limits.per_file {
            return Err(MediaError::TooLarge(self.limits.per_file));
        }
        let kind = examine(bytes)?;
        let media = Media { id, kind, bytes: n_bytes, name: name::clean(name, kind).into() };
        let mut used = self.used();
        if let Ok(there) = self.open_file(ticket, id) {
            let name = name::clean(name, there.kind).into();
            return Ok(Media { id, kind: there.kind, bytes: there.bytes, name });
        }
        let folder = self.folder(ticket);
        self.check_room(*used, &folder, n_bytes)?;
        make_folder(&folder)?;
        write(&folder, &media, bytes, self.clock.now())?;
        *used += on_disk(n_bytes);
        Ok(media)
    }

    fn check_room(&self, used: u64, folder: &Path, n_bytes: u64) -> Result<(), MediaError> {
        let own = files(folder)?;
        if own.len() >= self.limits.n_per_ticket {
            return Err(MediaError::TooMany(own.len()));
        }
        if own.iter().map(|file| file.bytes).sum::<u64>() + n_bytes > self.limits.per_ticket {
            return Err(MediaError::TicketFull(self.limits.per_ticket));
        }
        if used + on_disk(n_bytes) > self.limits.whole {
            return Err(MediaError::StoreFull(self.limits.whole));
        }
        Ok(())
    }

    /// Opens one file for reading. It can be read to its end even if it is removed meanwhile.
    pub fn open_file(&self, ticket: TicketId, id: FileId) -> Result<Opened, MediaError> {
        for kind in Kind::ALL {
            match File::open(self.folder(ticket).join(file_name(id, kind))) {
                Ok(file) => {
                    let bytes = file.metadata()?.len();
                    return Ok(Opened { file, kind, bytes });
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(MediaError::Missing)
    }

    /// All bytes of one file, at most as many as a file may have.
    pub fn read(&self, ticket: TicketId, id: FileId) -> Result<Vec<u8>, MediaError> {
        let opened = self.open_file(ticket, id)?;
        // The limit may have been lowered since the file was put.
        let most = self.limits.per_file.max(Limits::default().per_file);
        if opened.bytes > most {
            return Err(MediaError::TooLarge(most));
        }
        let mut bytes = Vec::with_capacity(opened.bytes as usize);
        opened.file.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Which tickets have files, in no order.
    pub fn tickets(&self) -> Result<Vec<TicketId>, MediaError> {
        let mut tickets = Vec::new();
        for item in fs::read_dir(&self.dir)? {
            tickets.extend(item?.file_name().to_str().and_then(hex16).map(TicketId));
        }
        Ok(tickets)
    }

    /// Removes one file, if it is there.
    pub fn remove(&self, ticket: TicketId, id: FileId) -> Result<(), MediaError> {
        let mut used = self.used();
        let folder = self.folder(ticket);
        for file in files(&folder)?.into_iter().filter(|file| file.id == id) {
            fs::remove_file(&file.path)?;
            *used = used.saturating_sub(on_disk(file.bytes));
            sync(&folder)?;
        }
        Ok(())
    }

    /// Removes all files of a ticket, and tells how many there were. None of them can be had any more once any cannot,
    /// even if the machine stops in between. Their blocks are given back, not overwritten. After an error call it again.
    pub fn remove_ticket(&self, ticket: TicketId) -> Result<usize, MediaError> {
        let mut used = self.used();
        let folder = self.folder(ticket);
        let going = self.dir.join(format!("{UNFINISHED}{:016x}", ticket.0));
        // Left by a removal that failed.
        let mut n_files = remove_folder(&going, &mut used)?;
        match fs::rename(&folder, &going) {
            Ok(()) => {
                sync(&self.dir)?;
                n_files += remove_folder(&going, &mut used)?;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        sync(&self.dir)?;
        Ok(n_files)
    }

    /// Removes every file that was put before that moment, and folders that are empty then.
    pub fn sweep(&self, older_than: Timestamp) -> Result<Swept, MediaError> {
        let mut swept = Swept::default();
        for item in fs::read_dir(&self.dir)? {
            let folder = item?.path();
            if folder.file_name().and_then(|name| name.to_str()).is_none_or(|name| hex16(name).is_none()) {
                continue;
            }
            // Held for one ticket at a time, so that others get in between.
            let mut used = self.used();
            let before = swept.n_files;
            for file in files(&folder)? {
                if put_at(&file.path)? < older_than {
                    fs::remove_file(&file.path)?;
                    let freed = on_disk(file.bytes);
                    *used = used.saturating_sub(freed);
                    swept.n_files += 1;
                    swept.bytes += freed;
                }
            }
            // It stays where there is still something in it.
            if fs::remove_dir(&folder).is_err() && swept.n_files > before {
                sync(&folder)?;
            }
        }
        sync(&self.dir)?;
        Ok(swept)
    }

    /// How many bytes are in use, in whole blocks, and how many may be.
    pub fn room(&self) -> (u64, u64) {
        (*self.used(), self.limits.whole)
    }

    fn folder(&self, ticket: TicketId) -> PathBuf {
        self.dir.join(format!("{:016x}", ticket.0))
    }

    fn used(&self) -> MutexGuard<'_, u64> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn file_name(id: FileId, kind: Kind) -> String {
    format!("{id}.{}", kind.extension())
}

/// Writes a file under another name first, so that under its own there is all of it or nothing.
fn write(folder: &Path, media: &Media, bytes: &[u8], at: Timestamp) -> io::Result<()> {
    let fresh = folder.join(format!("{UNFINISHED}{}", media.id));
    let path = folder.join(file_name(media.id, media.kind));
    let all = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(bytes)?;
        file.set_modified(UNIX_EPOCH + Duration::from_millis(u64::try_from(at.0).unwrap_or_default()))?;
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        sync(folder)
    };
    all().inspect_err(|_| {
        // Whichever there is; what cannot be removed now either is removed by the next start.
        let _ = (fs::remove_file(&fresh), fs::remove_file(&path));
    })
}

/// When a file was put.
fn put_at(path: &Path) -> io::Result<Timestamp> {
    let since = fs::metadata(path)?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}

/// The finished files of a folder; none where there is no folder.
fn files(folder: &Path) -> io::Result<Vec<Found>> {
    let items = match fs::read_dir(folder) {
        Ok(items) => items,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for item in items {
        let item = item?;
        let name = item.file_name();
        let Some((stem, ending)) = name.to_str().and_then(|name| name.split_once('.')) else { continue };
        let known = Kind::ALL.iter().any(|kind| kind.extension() == ending);
        if let Some(id) = hex16(stem).filter(|_| known) {
            found.push(Found { path: item.path(), id: FileId(id), bytes: item.metadata()?.len() });
        }
    }
    Ok(found)
}

fn is_unfinished(name: &str) -> bool {
    name.strip_prefix(UNFINISHED).is_some_and(|name| hex16(name).is_some())
}

fn clear_unfinished(folder: &Path) -> io::Result<()> {
    for item in fs::read_dir(folder)? {
        let item = item?;
        if item.file_name().to_str().is_some_and(is_unfinished) {
            fs::remove_file(item.path())?;
        }
    }
    Ok(())
}

/// Removes a folder that may not be there; how many finished files were in it.
fn remove_folder(folder: &Path, used: &mut u64) -> io::Result<usize> {
    let inside = files(folder)?;
    for file in &inside {
        fs::remove_file(&file.path)?;
        *used = used.saturating_sub(on_disk(file.bytes));
    }
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(inside.len()),
    }
}

/// Makes a folder that only this account may look into, unless it is there.
fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

const fn on_disk(bytes: u64) -> u64 {
    bytes.next_multiple_of(BLOCK)
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, MediaStore, files};
    use crate::clock::{Clock, Timestamp};
    use crate::media::{Kind, Limits, Media, MediaError};
    use crate::ticket::{FileId, TicketId};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    const ONE: TicketId = TicketId(1);
    const TWO: TicketId = TicketId(u64::MAX);
    const PDF: &[u8] = b"%PDF-1.7\n...";
    const NOW: Timestamp = Timestamp::from_s(1_700_000_000);

    static N_PUT: AtomicU64 = AtomicU64::new(1);

    impl MediaStore {
        /// A file under an id that no other has.
        fn put(&self, ticket: TicketId, name: &str, bytes: &[u8]) -> Result<Media, MediaError> {
            self.put_as(ticket, FileId(N_PUT.fetch_add(1, Ordering::Relaxed)), name, bytes)
        }

        /// Which files a ticket has, in no order.
        fn list(&self, ticket: TicketId) -> Result<Vec<FileId>, MediaError> {
            Ok(files(&self.folder(ticket))?.iter().map(|file| file.id).collect())
        }
    }

    fn open(dir: &Path, limits: Limits) -> MediaStore {
        MediaStore::open(&dir.join("media"), limits, Clock::standing_at(NOW)).unwrap()
    }

    fn names(dir: &Path) -> Vec<String> {
        let items = std::fs::read_dir(dir).unwrap();
        items.map(|item| item.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_there_as_it_came_also_after_a_restart() {
        let home = tempfile::tempdir().unwrap();
        let store = open(home.path(), Limits::default());
        let media = store.put(ONE, "../合同.doc", PDF).unwrap();
        assert_eq!((media.kind, media.bytes, &*media.name), (Kind::Pdf, 12, "合同.doc.pdf"));
        assert_eq!(store.read(ONE, media.id).unwrap(), PDF);
        assert!(matches!(store.read(TWO, media.id), Err(MediaError::Missing)));
        assert!(matches!(store.read(ONE, FileId(media.id.0 ^ 1)), Err(MediaError::Missing)));
        drop(store);
        let store = open(home.path(), Limits::default());
        let opened = store.open_file(ONE, media.id).unwrap();
        assert_eq!((opened.kind, opened.bytes), (Kind::Pdf, 12));
        assert_eq!(store.list(ONE).unwrap(), [media.id]);
        assert_eq!(store.room(), (BLOCK, 2 << 30));
    }

    #[test]
    fn nobody_else_on_the_machine_may_look() {
        let home = tempfile::tempdir().unwrap();
        let media = open(home.path(), Limits::default()).put(ONE, "", PDF).unwrap();
        let folder = home.path().join("media/0000000000000001");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&home.path().join("media")), 0o700);
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(names(&folder), [format!("{}.pdf", media.id)]);
        assert_eq!(mode(&folder.join(format!("{}.pdf", media.id))), 0o600);
    }

    #[test]
    fn what_is_over_a_limit_is_refused_and_nothing_is_removed_for_it() {
        let home = tempfile::tempdir().unwrap();
        let mut limits = Limits { per_file: 20, n_per_ticket: 3, per_ticket: 30, whole: 3 * BLOCK };
        let store = open(home.path(), limits);
        assert!(matches!(store.put(ONE, "", &[PDF, PDF].concat()), Err(MediaError::TooLarge(20))));
        assert!(matches!(store.put(ONE, "a.pdf", b"PK\x03\x04"), Err(MediaError::NotAccepted)));
        for _ in 0..2 {
            store.put(ONE, "", PDF).unwrap();
        }
        assert!(matches!(store.put(ONE, "", PDF), Err(MediaError::TicketFull(30))));
        store.put(ONE, "", b"#!AMR\n").unwrap();
        assert!(matches!(store.put(ONE, "", b"#!AMR\n"), Err(MediaError::TooMany(3))));
        assert!(matches!(store.put(TWO, "", PDF), Err(MediaError::StoreFull(_))));
        assert_eq!((store.list(ONE).unwrap().len(), store.list(TWO).unwrap().len()), (3, 0));
        limits.whole = 4 * BLOCK;
        drop(store);
        let store = open(home.path(), limits);
        store.put(TWO, "", PDF).unwrap();
        assert!(matches!(store.put(TWO, "", PDF), Err(MediaError::StoreFull(_))));
        assert_eq!(store.remove_ticket(ONE).unwrap(), 3);
        store.put(TWO, "", PDF).unwrap();
    }

    #[test]
    fn a_ticket_is_removed_at_once_and_alone() {
        let home = tempfile::tempdir().unwrap();
        let store = open(home.path(), Limits::default());
        let (gone, kept) = (store.put(ONE, "", PDF).unwrap(), store.put(TWO, "", PDF).unwrap());
        assert_eq!(store.remove_ticket(ONE).unwrap(), 1);
        assert!(matches!(store.read(ONE, gone.id), Err(MediaError::Missing)));
        assert_eq!(store.read(TWO, kept.id).unwrap(), PDF);
        assert_eq!(store.remove_ticket(ONE).unwrap(), 0);
        assert_eq!(store.room().0, BLOCK);
        assert_eq!(names(&home.path().join("media")), ["ffffffffffffffff"]);
    }

    #[test]
    fn what_a_crash_left_is_not_seen_and_goes_at_the_next_start() {
        let home = tempfile::tempdir().unwrap();
        let store = open(home.path(), Limits::default());
        let kept = store.put(ONE, "", PDF).unwrap();
        let media = home.path().join("media");
        let half = media.join("0000000000000001/.00000000000000aa");
        std::fs::write(&half, b"half").unwrap();
        let going = media.join(".0000000000000002");
        std::fs::create_dir(&going).unwrap();
        std::fs::write(going.join("00000000000000bb.pdf"), PDF).unwrap();
        assert_eq!(store.list(ONE).unwrap(), [kept.id]);
        let store = open(home.path(), Limits::default());
        assert!(!half.exists() && !going.exists());
        assert_eq!(store.read(ONE, kept.id).unwrap(), PDF);
        assert_eq!(store.room().0, BLOCK);
    }

    #[test]
    fn a_removal_that_was_cut_off_is_finished_when_asked_again() {
        let home = tempfile::tempdir().unwrap();
        let store = open(home.path(), Limits::default());
        store.put(ONE, "", PDF).unwrap();
        let media = home.path().join("media");
        std::fs::rename(media.join("0000000000000001"), media.join(".0000000000000001")).unwrap();
        assert!(store.list(ONE).unwrap().is_empty());
        store.put(ONE, "", PDF).unwrap();
        assert_eq!(store.remove_ticket(ONE).unwrap(), 2);
        assert_eq!(store.room().0, 0);
        assert!(names(&media).is_empty());
    }

    #[test]
    fn a_sweep_takes_what_is_old_by_our_clock() {
        let home = tempfile::tempdir().unwrap();
        let clock = Clock::standing_at(NOW);
        let store = MediaStore::open(home.path(), Limits::default(), clock.clone()).unwrap();
        store.put(ONE, "", PDF).unwrap();
        store.put(TWO, "", PDF).unwrap();
        clock.advance(Duration::from_secs(10));
        let young = store.put(TWO, "", PDF).unwrap();
        assert_eq!(store.sweep(NOW).unwrap().n_files, 0);
        let swept = store.sweep(NOW.after(Duration::from_secs(1))).unwrap();
        assert_eq!((swept.n_files, swept.bytes), (2, 2 * BLOCK));
        assert_eq!((store.list(ONE).unwrap().len(), store.list(TWO).unwrap()), (0, vec![young.id]));
        assert_eq!(names(home.path()), ["ffffffffffffffff"]);
        assert_eq!(store.room().0, BLOCK);
    }
}
