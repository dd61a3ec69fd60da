//! The embedded store: memories at hand in RAM, everything on disk through one writer thread (`sled_writer`). Knows how
//! concurrent turns of a follower are kept apart and when each may be acknowledged. Only one process can have it open.

use super::sled_bulletin::{due_after, last_number, opened_after};
use super::sled_home::io;
use super::sled_keys as keys;
use super::sled_people;
use super::sled_shared::{Progress, Shared};
use super::sled_writer::{self, Disk, Work, read_u64};
use super::{
    Bookmark, Changed, Commit, Counts, DayCount, Delivery, Draft, Fact, MAX_PAGE, Page, Place, Query, Result,
    SavedView, Session, StaffChange, Store, StoreError, TokenHash, Turn, sled_ledger, sled_numbers,
};
use crate::access::Sight;
use crate::audit::{Deed, End, Entry};
use crate::clock::Timestamp;
use crate::conversation::{Memory, Relay};
use crate::staff::Staff;
use crate::ticket::{DeliveryId, FollowerId, Line, Number, Ticket, TicketId};
use async_trait::async_trait;
use jiff::civil::Date;
use quick_cache::sync::Cache;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// Of so many followers the openid is at hand; some 100 bytes each.
const MAX_KNOWN: usize = 4_096;

/// The embedded store.
pub struct SledStore {
    pub(super) disk: Arc<Disk>,
    pub(super) shared: Arc<Shared>,
    progress: watch::Receiver<Progress>,
    /// Who wrote last: while sled applies a batch, it lets nobody read.
    known: Cache<Box<str>, FollowerId>,
    writer: Option<std::thread::JoinHandle<()>>,
}

impl SledStore {
    /// Opens the store in `dir`, making it if need be.
    pub fn open(dir: &Path) -> Result<Self> {
        let disk = Arc::new(Disk::open(dir)?);
        let (progress, receiver) = watch::channel(Progress::default());
        let shared = Arc::new(Shared::new(progress));
        let (writer_disk, writer_shared) = (disk.clone(), shared.clone());
        let writer = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || sled_writer::run(&writer_disk, &writer_shared))
            .map_err(|error| StoreError::Io(error.to_string()))?;
        let known = Cache::new(MAX_KNOWN);
        Ok(Self { disk, shared, progress: receiver, known, writer: Some(writer) })
    }

    /// Notes whose data this is, or refuses data of another account: what was promised to its followers must not go out
    /// through this one.
    pub fn belongs_to(&self, account: &str) -> Result<()> {
        let owner = self.disk.db().get(keys::ACCOUNT_KEY).map_err(io)?;
        match owner {
            Some(owner) if owner.as_ref() == account.as_bytes() => Ok(()),
            Some(owner) => Err(StoreError::Account(String::from_utf8_lossy(&owner).into_owned())),
            None => self.disk.db().insert(keys::ACCOUNT_KEY, account.as_bytes()).map(drop).map_err(io),
        }
    }

    /// Reads much, aside of the async threads.
    async fn aside<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Disk) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let disk = self.disk.clone();
        let read = tokio::task::spawn_blocking(move || read(&disk)).await;
        read.map_err(|_| StoreError::Io("读取线程出了意外".into()))?
    }

    /// Runs a task on the writer's thread and returns what it found.
    async fn task<T: Send + 'static>(
        &self,
        task: impl FnOnce(&Disk) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (send, receive) = oneshot::channel();
        self.check()?;
        self.shared.queue.push(Work::Task(Box::new(move |disk| drop(send.send(task(disk))))));
        let mut progress = self.progress.clone();
        tokio::select! {
            found = receive => found.map_err(|_| StoreError::Io("写入线程已停".into()))?,
            _ = progress.wait_for(|progress| progress.failed || progress.stopped) => Err(StoreError::Io("写入线程已停".into())),
        }
    }

    async fn follower_on_disk(&self, openid: &str, fresh: FollowerId) -> Result<FollowerId> {
        let key = keys::by_openid(openid);
        let found = self.disk.db().get(&key).map_err(io)?;
        if let Some(found) = found {
            return keys::read_follower(&found);
        }
        let openid = openid.to_owned();
        self.task(move |disk| {
            if let Some(found) = disk.db().get(&key).map_err(io)? {
                return keys::read_follower(&found);
            }
            let mut batch = sled::Batch::default();
            batch.insert(key, &fresh.0.to_be_bytes());
            batch.insert(keys::openid(fresh), openid.as_bytes());
            disk.db().apply_batch(batch).map_err(io)?;
            Ok(fresh)
        })
        .await
    }

    fn check(&self) -> Result<()> {
        if self.is_well() {
            Ok(())
        } else {
            Err(StoreError::Io("存储写不进去，需要检查后重启".into()))
        }
    }

    async fn durable(&self, seq: u64) -> Result<()> {
        let mut progress = self.progress.clone();
        let at =
            progress.wait_for(|progress| progress.done >= seq || progress.failed || progress.stopped).await;
        match at {
            Ok(progress) if progress.done >= seq => Ok(()),
            _ => Err(StoreError::Io("写入没有完成".into())),
        }
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        self.shared.queue.push(Work::Stop);
        // The directory can be opened anew once the writer has let go of it. A writer that panicked has said so.
        let _ = self.writer.take().map(std::thread::JoinHandle::join);
    }
}

#[async_trait]
impl Store for SledStore {
    async fn follower(&self, openid: &str, fresh: FollowerId) -> Result<FollowerId> {
        if let Some(known) = self.known.get(openid) {
            return Ok(known);
        }
        let found = self.follower_on_disk(openid, fresh).await?;
        self.known.insert(openid.into(), found);
        if self.is_erased(found)? {
            // Erased between the look and the note. Who comes back is somebody new.
            self.known.remove(openid);
            return self.follower_on_disk(openid, fresh).await;
        }
        Ok(found)
    }

    async fn known_follower(&self, openid: &str) -> Result<Option<FollowerId>> {
        let found = self.disk.db().get(keys::by_openid(openid)).map_err(io)?;
        found.map(|bytes| keys::read_follower(&bytes)).transpose()
    }

    async fn openid(&self, follower: FollowerId) -> Result<Option<String>> {
        let found = self.disk.db().get(keys::openid(follower)).map_err(io)?;
        Ok(found.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok()))
    }

    async fn recall(&self, follower: FollowerId) -> Result<Arc<Memory>> {
        self.with_slot(follower, |slot| slot.memory.clone())
    }

    async fn commit(&self, turn: Turn) -> Result<Commit> {
        self.check()?;
        let erased = turn.step.erases.is_some().then_some(turn.follower);
        let openid = match erased {
            Some(follower) => self.openid(follower).await?,
            None => None,
        };
        let (commit, wait_for) = self.accept(turn)?;
        if wait_for > 0 {
            self.durable(wait_for).await?;
        }
        if let Some(openid) = openid {
            self.known.remove(openid.as_str());
        }
        Ok(commit)
    }

    async fn ticket(&self, id: TicketId) -> Result<Option<Ticket>> {
        self.disk.get(&keys::ticket(id), "ticket")
    }

    async fn numbered(&self, number: Number) -> Result<Option<Ticket>> {
        let found = self.disk.db().get(keys::number(number)).map_err(io)?;
        let Some(id) = found.and_then(|bytes| read_u64(&bytes)) else { return Ok(None) };
        self.ticket(TicketId(id)).await
    }

    async fn lines(&self, id: TicketId) -> Result<Vec<Line>> {
        self.aside(move |disk| {
            let mut lines: Vec<Line> = Vec::new();
            for value in disk.db().scan_prefix(keys::lines(id)).values() {
                lines.extend(keys::decode::<Vec<Line>>(&value.map_err(io)?, "line")?);
            }
            Ok(lines)
        })
        .await
    }

    async fn line(&self, id: TicketId, n: u32) -> Result<Option<Line>> {
        let written_with = self.disk.db().range(keys::lines(id)..=keys::lines_from(id, n)).next_back();
        let Some((key, value)) = written_with.transpose().map_err(io)? else { return Ok(None) };
        let first = keys::first_line(&key).ok_or(StoreError::Corrupt("line"))?;
        let lines: Vec<Line> = keys::decode(&value, "line")?;
        Ok(lines.into_iter().nth((n - first) as usize))
    }

    async fn tickets(&self, query: &Query) -> Result<Page> {
        let query = query.clone();
        let page = self.aside(move |disk| {
            let (ids, next) = disk.board.page(&query, query.limit.clamp(1, MAX_PAGE));
            let tickets = ids.into_iter().map(|id| disk.get::<Ticket>(&keys::ticket(id), "ticket"));
            // What changed while it was read is judged by what it is now.
            let mut seen = tickets.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect::<Vec<_>>();
            seen.retain(|ticket| query.sight.sees(ticket));
            Ok(Page { tickets: seen, next })
        });
        page.await
    }

    async fn counts(&self, query: &Query) -> Result<Counts> {
        let query = query.clone();
        self.aside(move |disk| Ok(disk.board.counts(&query))).await
    }

    async fn all_tickets(&self) -> Result<Vec<(TicketId, Timestamp)>> {
        self.aside(move |disk| Ok(disk.board.all())).await
    }

    async fn labels(&self) -> Result<Vec<String>> {
        self.aside(move |disk| Ok(disk.board.labels())).await
    }

    async fn relays(&self, limit: usize) -> Result<Vec<(u64, Relay)>> {
        sled_ledger::relays(&self.disk, limit)
    }

    async fn relayed(&self, seq: u64) -> Result<()> {
        self.task(move |disk| disk.db().remove(keys::relay(seq)).map(drop).map_err(io)).await
    }

    async fn audit(&self, deed: Deed) -> Result<()> {
        self.task(move |disk| disk.audit(deed)).await
    }

    async fn audit_from(&self, seq: u64) -> Result<Vec<Entry>> {
        self.aside(move |disk| sled_ledger::entries(disk, seq)).await
    }

    async fn audit_before(&self, seq: Option<u64>, limit: usize) -> Result<Vec<Entry>> {
        self.aside(move |disk| sled_ledger::last_entries(disk, seq, limit)).await
    }

    async fn audit_end(&self) -> Result<End> {
        Ok(self.disk.audit_end())
    }

    async fn draft(&self, staff: &str, ticket: TicketId) -> Result<Option<Draft>> {
        self.disk.get(&keys::draft(ticket, staff), "draft")
    }

    async fn put_draft(&self, staff: &str, ticket: TicketId, draft: &Draft) -> Result<bool> {
        let (staff, draft) = (staff.to_owned(), draft.clone());
        self.task(move |disk| sled_ledger::put_draft(disk, &staff, ticket, &draft)).await
    }

    async fn saved_views(&self, staff: &str) -> Result<Vec<SavedView>> {
        sled_ledger::saved_views(&self.disk, staff)
    }

    async fn put_saved_views(&self, staff: &str, views: &[SavedView]) -> Result<()> {
        let (key, value) = (keys::saved_views(staff), keys::encode(&views)?);
        self.task(move |disk| disk.db().insert(key, value).map(drop).map_err(io)).await
    }

    async fn last_number(&self) -> Result<Option<Number>> {
        last_number(&self.disk)
    }

    async fn opened_after(&self, number: Option<Number>) -> Result<Vec<Ticket>> {
        self.aside(move |disk| opened_after(disk, number)).await
    }

    async fn due_after(&self, place: Place, until: Timestamp) -> Result<Vec<Ticket>> {
        self.aside(move |disk| due_after(disk, place, until)).await
    }

    async fn bookmark(&self, reader: &str) -> Result<Option<Bookmark>> {
        self.disk.get(&keys::bookmark(reader), "bookmark")
    }

    async fn put_bookmark(&self, reader: &str, bookmark: &Bookmark) -> Result<()> {
        let (key, value) = (keys::bookmark(reader), keys::encode(bookmark)?);
        self.task(move |disk| {
            disk.db().insert(key, value).map_err(io)?;
            disk.sync()
        })
        .await
    }

    async fn facts(&self, sight: &Sight, from: Date, to: Date) -> Result<Vec<Fact>> {
        let sight = sight.clone();
        self.aside(move |disk| sled_numbers::facts(disk, &sight, from, to)).await
    }

    async fn figures(&self, sight: &Sight, from: Date, to: Date) -> Result<Vec<Fact>> {
        let sight = sight.clone();
        self.aside(move |disk| sled_numbers::figures(disk, &sight, from, to)).await
    }

    async fn day_counts(&self, from: Date, to: Date) -> Result<Vec<DayCount>> {
        self.aside(move |disk| sled_numbers::day_counts(disk, from, to)).await
    }

    async fn secret(&self, name: &str, fresh: [u8; 32]) -> Result<[u8; 32]> {
        let key = keys::secret(name);
        let kept = self.task(move |disk| {
            if let Some(found) = disk.db().get(&key).map_err(io)? {
                return found.as_ref().try_into().map_err(|_| StoreError::Corrupt("secret"));
            }
            disk.db().insert(key, &fresh).map_err(io)?;
            disk.sync()?;
            Ok(fresh)
        });
        kept.await
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>> {
        Ok(self.disk.stored(id)?.map(|stored| stored.delivery))
    }

    async fn take_due(&self, now: Timestamp, lease: Duration, limit: usize) -> Result<Vec<Delivery>> {
        // Nothing due is the usual case; it is seen without troubling the writer.
        if self.disk.db().range(vec![b'e']..keys::due_until(now)).next().is_none() {
            return Ok(Vec::new());
        }
        self.task(move |disk| disk.take_due(now, lease, limit)).await
    }

    async fn postpone(&self, id: DeliveryId, at: Timestamp, why: &str, counts: bool) -> Result<()> {
        let why = why.to_owned();
        self.task(move |disk| disk.postpone(id, at, &why, counts)).await
    }

    async fn due_lapses(&self, now: Timestamp, limit: usize) -> Result<Vec<(FollowerId, Timestamp)>> {
        let items = self.disk.db().range(vec![b'w']..keys::lapses_until(now)).keys().take(limit);
        items.map(|key| keys::read_lapse(&key.map_err(io)?).ok_or(StoreError::Corrupt("lapse"))).collect()
    }

    async fn staff(&self, name: &str) -> Result<Option<Staff>> {
        sled_people::staff(&self.disk, name)
    }

    async fn all_staff(&self) -> Result<Vec<Staff>> {
        sled_people::all_staff(&self.disk)
    }

    async fn put_staff(&self, staff: &Staff, only_first: bool) -> Result<bool> {
        let staff = staff.clone();
        self.task(move |disk| sled_people::put_staff(disk, &staff, only_first)).await
    }

    async fn change_staff(
        &self,
        name: &str,
        goes_on: Option<TokenHash>,
        change: StaffChange,
    ) -> Result<Changed> {
        let name = name.to_owned();
        self.task(move |disk| sled_people::change_staff(disk, &name, goes_on, change)).await
    }

    async fn session(&self, token: &TokenHash) -> Result<Option<Session>> {
        sled_people::session(&self.disk, token)
    }

    async fn put_session(&self, token: &TokenHash, session: &Session) -> Result<()> {
        let (token, session) = (*token, session.clone());
        self.task(move |disk| sled_people::put_session(disk, &token, &session)).await
    }

    async fn prolong_session(&self, token: &TokenHash, session: &Session) -> Result<()> {
        let (token, session) = (*token, session.clone());
        self.task(move |disk| sled_people::prolong_session(disk, &token, &session)).await
    }

    async fn remove_staff(&self, name: &str) -> Result<bool> {
        let name = name.to_owned();
        self.task(move |disk| sled_people::remove_staff(disk, &name)).await
    }

    async fn end_session(&self, token: &TokenHash) -> Result<()> {
        let token = *token;
        self.task(move |disk| sled_people::end_session(disk, &token)).await
    }

    async fn sessions_of(&self, staff: &str) -> Result<Vec<(TokenHash, Session)>> {
        let staff = staff.to_owned();
        self.aside(move |disk| sled_people::sessions_of(disk, &staff)).await
    }

    async fn end_sessions_of(&self, staff: &str, but: Option<TokenHash>) -> Result<()> {
        let staff = staff.to_owned();
        self.task(move |disk| sled_people::end_sessions_of(disk, &staff, but)).await
    }

    async fn forget_before(&self, now: Timestamp) -> Result<()> {
        self.task(move |disk| {
            sled_people::forget_before(disk, now)?;
            sled_ledger::sweep_drafts(disk, now)
        })
        .await
    }

    fn is_well(&self) -> bool {
        !self.shared.failed.load(Ordering::Acquire)
    }

    async fn flush(&self) -> Result<()> {
        let shared = self.shared.clone();
        self.task(move |disk| sled_writer::write_all(disk, &shared)).await
    }

    async fn rewrite(&self, now: Timestamp) -> Result<[u64; 2]> {
        let shared = self.shared.clone();
        self.task(move |disk| {
            disk.rewrite(now).inspect_err(|error| {
                // A start would open the new one: nothing more may be written here.
                if disk.is_astray() {
                    shared.fail(error);
                }
            })
        })
        .await
    }
}
