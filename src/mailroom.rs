//! The mailroom: brings files that followers sent from WeChat into the office, and lends WeChat those that staff send. Knows
//! where files lie and when they can still be had; nothing of what is in them.

use crate::clock::{Clock, Timestamp};
use crate::media::{MediaError, MediaStore};
use crate::notices::Notices;
use crate::store::{MAX_PAGE, Query, Result, Store};
use crate::ticket::{Enclosure, FileId, Stage, TicketId};
use crate::wechat::media::KEPT_FOR;
use crate::wechat::{CallError, Client, MediaId, UploadKind};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Between tries of a download that failed in passing.
const RETRY_AFTER: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(10), Duration::from_secs(60)];
/// What was uploaded is taken for gone so long before WeChat says so.
const EARLY: Duration = Duration::from_secs(3600);
/// What was left unfetched is looked for when the service has got going, and so often afterwards.
const FIRST_LOOK: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_secs(3600);
/// In so many pages of open tickets, the most urgent first.
const MAX_PAGES: usize = 20;
/// So many files that cannot be had, or were uploaded, are remembered.
const MAX_REMEMBERED: usize = 1_024;
/// So many files are fetched at once.
const AT_ONCE: usize = 4;
/// So many wait to be fetched; of more, whoever looks at one fetches it.
pub const MAX_WAITING: usize = 256;

/// A file that a ticket's line names, and that may have to be fetched.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Whose.
    pub ticket: TicketId,
    /// What.
    pub enclosure: Enclosure,
}

/// The mailroom.
pub struct Mailroom {
    files: Arc<MediaStore>,
    client: Arc<Client>,
    store: Arc<dyn Store>,
    clock: Clock,
    notices: Notices,
    /// So long files are kept.
    keep: Duration,
    /// Why a file cannot be had.
    lost: Mutex<HashMap<FileId, String>>,
    /// What WeChat was lent, and since when.
    lent: Mutex<HashMap<FileId, (MediaId, Timestamp)>>,
    /// One download of a file at a time, and few in all.
    turns: tokio::sync::Semaphore,
    fetching: Fetching,
}

/// Why a file is not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Absent {
    /// It is being fetched, or can be fetched later.
    NotYet(String),
    /// It will not come.
    Lost(String),
}

impl Mailroom {
    /// A mailroom between WeChat and the folder of files.
    pub fn new(
        (files, keep): (Arc<MediaStore>, Duration),
        client: Arc<Client>,
        store: Arc<dyn Store>,
        clock: Clock,
        notices: Notices,
    ) -> Self {
        Self {
            files,
            client,
            store,
            clock,
            notices,
            keep,
            lost: Mutex::default(),
            lent: Mutex::default(),
            turns: tokio::sync::Semaphore::new(AT_ONCE),
            fetching: Fetching::default(),
        }
    }

    /// Fetches what arrives until told to stop. What a stop or a crash interrupts is fetched by who first looks at it, or
    /// taken up at the next look of this task.
    pub async fn run(
        self: Arc<Self>,
        mut arrivals: mpsc::Receiver<Arrival>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut working = tokio::task::JoinSet::new();
        let (mut left, first) = (VecDeque::new(), Instant::now() + FIRST_LOOK);
        let mut look = tokio::time::interval_at(first, LOOK_EVERY);
        while !*stop.borrow() {
            let arrival = match left.pop_front() {
                Some(arrival) => Some(arrival),
                None => tokio::select! {
                    arrival = arrivals.recv() => match arrival {
                        Some(arrival) => Some(arrival),
                        None => break,
                    },
                    _ = look.tick() => None,
                    _ = stop.changed() => break,
                },
            };
            while working.try_join_next().is_some() {}
            let Some(arrival) = arrival else {
                if let Err(error) = self.take_up(&mut left).await {
                    tracing::error!(%error, "files left unfetched could not be looked for");
                }
                continue;
            };
            let room = self.clone();
            working.spawn(async move { room.fetch_patiently(&arrival).await });
            if working.len() >= MAX_WAITING {
                working.join_next().await;
            }
        }
        working.shutdown().await;
    }

    async fn fetch_patiently(&self, arrival: &Arrival) {
        for wait in RETRY_AFTER.map(Some).into_iter().chain([None]) {
            match (self.fetch(arrival.ticket, &arrival.enclosure).await, wait) {
                (Ok(()), _) => return,
                (Err(Absent::NotYet(_)), Some(wait)) => tokio::time::sleep(wait).await,
                (Err(Absent::NotYet(why) | Absent::Lost(why)), _) => {
                    tracing::warn!(ticket = arrival.ticket.0, why, "a follower's file was not fetched");
                    return;
                }
            }
        }
    }

    /// The bytes of a file, fetched first where they have to be.
    pub async fn bytes(
        &self,
        ticket: TicketId,
        enclosure: &Enclosure,
    ) -> std::result::Result<Vec<u8>, Absent> {
        self.fetch(ticket, enclosure).await?;
        self.read(ticket, enclosure.file).await.map_err(|error| Absent::Lost(error.to_string()))
    }

    /// Why a file cannot be had, as far as is known.
    pub fn why_lost(&self, file: FileId) -> Option<String> {
        lock(&self.lost).get(&file).cloned()
    }

    /// Takes in a file of staff's under a name that follows from what sent it: sent twice, it is the same file.
    pub async fn take_in(
        &self,
        ticket: TicketId,
        file: FileId,
        name: String,
        bytes: Vec<u8>,
    ) -> std::result::Result<Enclosure, MediaError> {
        let put = self.aside(move |files| files.put_as(ticket, file, &name, &bytes)).await;
        self.tell_of_room(&put);
        let media = put?;
        let is_picture = media.kind.is_picture() && UploadKind::Image.takes_kind(media.kind);
        Ok(Enclosure { file: media.id, name: media.name, is_picture, from: None })
    }

    /// Lets go of a file that was not sent after all.
    pub async fn drop_file(&self, ticket: TicketId, file: FileId) {
        if let Err(error) = self.aside(move |files| files.remove(ticket, file)).await {
            tracing::error!(%error, "a file that nobody names could not be removed");
        }
    }

    /// WeChat's name for a picture of ours, lent to it if need be; `anew` where WeChat does not know the former one.
    pub async fn lend(
        &self,
        ticket: TicketId,
        file: FileId,
        anew: bool,
    ) -> std::result::Result<MediaId, CallError> {
        let now = self.clock.now();
        let good = |(id, at): &(MediaId, Timestamp)| (now.since(*at) + EARLY < KEPT_FOR).then(|| id.clone());
        if let Some(id) = lock(&self.lent).get(&file).and_then(good).filter(|_| !anew) {
            return Ok(id);
        }
        let bytes = self.read(ticket, file).await.map_err(|error| CallError::lasting(error.to_string()))?;
        let kind = crate::media::examine(&bytes).map_err(|error| CallError::lasting(error.to_string()))?;
        let id = self.client.upload(UploadKind::Image, "picture", kind.mime(), &bytes).await?;
        remember(&mut lock(&self.lent), file, (id.clone(), now));
        Ok(id)
    }

    /// Removes all files of these tickets, now.
    pub async fn forget(&self, tickets: Vec<TicketId>) -> std::result::Result<(), MediaError> {
        self.aside(move |files| {
            // One that fails keeps no other.
            let removed = tickets.iter().map(|ticket| files.remove_ticket(*ticket).map(drop));
            removed.fold(Ok(()), std::result::Result::and)
        })
        .await
    }

    /// How many bytes files take up, and how many they may.
    pub fn room(&self) -> (u64, u64) {
        self.files.room()
    }

    /// Removes files that are too old, and those of tickets that are not there or whose follower has left: what a crash left
    /// between the two.
    pub async fn sweep(&self) -> Result<()> {
        let oldest = Timestamp(self.clock.now().0.saturating_sub(self.keep.as_millis() as i64));
        match self.aside(move |files| files.sweep(oldest)).await {
            Ok(swept) if swept.n_files > 0 => tracing::info!(n = swept.n_files, "old files were removed"),
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "old files could not be removed; tried again tomorrow"),
        }
        let tickets = self.aside(|files| files.tickets()).await;
        let Ok(tickets) = tickets.inspect_err(|error| tracing::error!(%error, "files could not be listed"))
        else {
            return Ok(());
        };
        let mut gone = Vec::new();
        for id in tickets {
            if self.is_gone(id).await? {
                gone.push(id);
            }
        }
        if let Err(error) = self.forget(gone).await {
            tracing::error!(%error, "files of erased tickets could not be removed; tried again tomorrow");
        }
        Ok(())
    }

    async fn is_gone(&self, ticket: TicketId) -> Result<bool> {
        Ok(self.store.ticket(ticket).await?.is_none_or(|ticket| ticket.stage == Stage::Left))
    }

    async fn fetch(&self, ticket: TicketId, enclosure: &Enclosure) -> std::result::Result<(), Absent> {
        let file = enclosure.file;
        // Who comes while it is being fetched waits, and then looks again.
        let _mine = self.fetching.begin(file).await;
        if self.aside(move |files| files.open_file(ticket, file).map(drop)).await.is_ok() {
            return Ok(());
        }
        let Some(from) = &enclosure.from else { return Err(Absent::Lost(MediaError::Missing.to_string())) };
        if let Some(why) = self.why_lost(file) {
            return Err(Absent::Lost(why));
        }
        let _turn = self.turns.acquire().await.map_err(|_| Absent::NotYet("服务正在停止".into()))?;
        let downloaded = self.client.download(&MediaId::new(&**from)).await;
        // What WeChat says of the account or of the day says nothing of the file.
        let is_lasting =
            |error: &CallError| error.is_no_such_media() || (error.code.is_none() && !error.passing);
        let downloaded = downloaded.map_err(|error| self.absent(file, !is_lasting(&error), error.why))?;
        let (name, bytes) = (enclosure.name.to_string(), downloaded.bytes);
        let put = self.aside(move |files| files.put_as(ticket, file, &name, &bytes)).await;
        self.tell_of_room(&put);
        put.map_err(|error| {
            let passing = matches!(error, MediaError::Io(_) | MediaError::StoreFull(_));
            self.absent(file, passing, error.to_string())
        })?;
        // The follower may have left meanwhile.
        match self.is_gone(ticket).await {
            Ok(false) => Ok(()),
            Ok(true) => {
                let _ = self.forget(vec![ticket]).await;
                Err(Absent::Lost("内容已删除".into()))
            }
            Err(error) => Err(Absent::NotYet(error.to_string())),
        }
    }

    /// The operator learns of a full store, and that it is over.
    fn tell_of_room<T>(&self, put: &std::result::Result<T, MediaError>) {
        match put {
            Err(MediaError::StoreFull(_)) => self.notices.put(
                "media",
                "附件空间已满，新的图片和文件存不下。请调大 media.store_mib，或调小 media.keep_days 让旧附件在夜里清掉。",
            ),
            Err(MediaError::Io(error)) => {
                tracing::error!(%error, "a file could not be written");
                self.notices.put("media", "附件写不进磁盘，请检查磁盘空间和权限。");
            }
            Ok(_) => self.notices.clear("media"),
            Err(_) => {}
        }
    }

    /// Takes up what a stop or a crash has left unfetched, of tickets that are open and files that WeChat still keeps.
    async fn take_up(&self, arrivals: &mut VecDeque<Arrival>) -> Result<()> {
        let now = self.clock.now();
        let mut query = Query { limit: MAX_PAGE, ..Query::default() };
        for _ in 0..MAX_PAGES {
            let page = self.store.tickets(&query).await?;
            for ticket in page.tickets.iter().filter(|ticket| now.since(ticket.changed_at) < KEPT_FOR) {
                let lines = self.store.lines(ticket.id).await?;
                let kept = lines.into_iter().filter(|line| now.since(line.at) < KEPT_FOR);
                let enclosed = kept.filter_map(|line| line.enclosure).filter(|file| file.from.is_some());
                for enclosure in enclosed.filter(|enclosure| self.why_lost(enclosure.file).is_none()) {
                    let (id, file) = (ticket.id, enclosure.file);
                    if self.aside(move |files| files.open_file(id, file).map(drop)).await.is_err() {
                        arrivals.push_back(Arrival { ticket: id, enclosure });
                    }
                }
            }
            query.after = page.next;
            if query.after.is_none() || arrivals.len() >= MAX_WAITING {
                break;
            }
        }
        Ok(())
    }

    fn absent(&self, file: FileId, passing: bool, why: String) -> Absent {
        if passing {
            return Absent::NotYet(why);
        }
        remember(&mut lock(&self.lost), file, why.clone());
        Absent::Lost(why)
    }

    async fn read(&self, ticket: TicketId, file: FileId) -> std::result::Result<Vec<u8>, MediaError> {
        self.aside(move |files| files.read(ticket, file)).await
    }

    /// Works with the folder aside of the async threads.
    async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&MediaStore) -> std::result::Result<T, MediaError> + Send + 'static,
    ) -> std::result::Result<T, MediaError> {
        let files = self.files.clone();
        let done = tokio::task::spawn_blocking(move || work(&files)).await;
        done.unwrap_or_else(|_| Err(MediaError::Io(std::io::Error::other("线程出了意外"))))
    }
}

/// Which files somebody looks after just now.
#[derive(Default)]
struct Fetching {
    files: Mutex<Vec<FileId>>,
    ended: tokio::sync::Notify,
}

/// A file is one's own as long as this lives.
struct Mine<'f>(&'f Fetching, FileId);

impl Fetching {
    /// Waits until nobody else looks after the file.
    async fn begin(&self, file: FileId) -> Mine<'_> {
        loop {
            // Asked for before looking, so that an end in between is not slept through.
            let ended = self.ended.notified();
            {
                let mut files = lock(&self.files);
                if !files.contains(&file) {
                    files.push(file);
                    return Mine(self, file);
                }
            }
            ended.await;
        }
    }
}

impl Drop for Mine<'_> {
    fn drop(&mut self) {
        lock(&self.0.files).retain(|file| *file != self.1);
        self.0.ended.notify_waiters();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Nothing depends on what is remembered here: when there is too much, all of it goes.
fn remember<T>(map: &mut HashMap<FileId, T>, file: FileId, what: T) {
    if map.len() >= MAX_REMEMBERED {
        map.clear();
    }
    map.insert(file, what);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Deadline;
    use crate::config::Secret;
    use crate::conversation::{Cause, Memory, Step};
    use crate::knowledge::{Category, Department};
    use crate::media::Limits;
    use crate::store::{SledStore, Turn};
    use crate::ticket::{Author, Change, FollowerId, Line, Ticket};

    const NOW: Timestamp = Timestamp::from_s(1_795_480_000);

    fn ticket(id: u64) -> Ticket {
        let deadline = Deadline { at: NOW, tentative: false };
        Ticket::new(TicketId(id), FollowerId(7), NOW, (Category::Service, Department::Desk), deadline)
    }

    fn sent(at: Timestamp, file: u64) -> Line {
        let from = Some(format!("media-{file}").into());
        let enclosure = Enclosure { file: FileId(file), name: "图片".into(), is_picture: true, from };
        let (author, text) = (Author::Follower, "[图片]".into());
        Line { at, author, text, delivery: None, enclosure: Some(enclosure) }
    }

    #[tokio::test]
    async fn what_a_crash_left_unfetched_is_taken_up_as_long_as_wechat_keeps_it() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::standing_at(NOW);
        let store = Arc::new(SledStore::open(dir.path()).unwrap());
        let files = MediaStore::open(&dir.path().join("media"), Limits::default(), clock.clone()).unwrap();
        let mut change = Change::of(&ticket(1), NOW);
        let four_days = Duration::from_secs(4 * 24 * 3600);
        for line in [sent(Timestamp(NOW.0 - four_days.as_millis() as i64), 1), sent(NOW, 2), sent(NOW, 3)] {
            assert!(change.write(line));
        }
        let memory = Memory { tickets: vec![change.ticket.clone()], ..Memory::default() };
        let step = Step { memory, changes: vec![change], ..Step::default() };
        let turn = Turn { cause: Cause(1), follower: FollowerId(7), made_from: 0, at: NOW, step, deed: None };
        store.commit(turn).await.unwrap();
        files.put_as(TicketId(1), FileId(3), "图片", b"GIF89a\x01\0\x01\0").unwrap();
        let client = Client::new("http://127.0.0.1:1", "wx1", Secret::new("s"), clock.clone()).unwrap();
        let (keep, notices) = (four_days, Notices::default());
        let room = Mailroom::new((Arc::new(files), keep), Arc::new(client), store, clock, notices);
        let mut left = VecDeque::new();
        room.take_up(&mut left).await.unwrap();
        let taken: Vec<_> = left.iter().map(|arrival| arrival.enclosure.file).collect();
        assert_eq!(taken, [FileId(2)], "one is too old, one is here");
        // Where nobody answers it is not lost: it may be had later.
        let unreached = room.fetch(TicketId(1), &left[0].enclosure).await;
        assert!(matches!(unreached, Err(Absent::NotYet(_))), "{unreached:?}");
        assert_eq!(room.why_lost(FileId(2)), None);
        room.sweep().await.unwrap();
        assert!(room.read(TicketId(1), FileId(3)).await.is_ok(), "its ticket is there");
    }
}
