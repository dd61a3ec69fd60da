//! The one thread that writes to sled: up to 64 turns in a batch, then flush and fsync, then they are acknowledged;
//! turns that only answered are written in rounds 250 ms apart, the latest memory of each follower once. Knows durability; the
//! meaning of a turn was settled before it came here.

use super::sled_board::Board;
use super::sled_deliveries::StoredDelivery;
use super::sled_home::{Home, Opened, io};
use super::sled_keys as keys;
use super::sled_ledger;
use super::sled_numbers;
use super::sled_shared::Shared;
use super::{Delivery, Result, StoreError, Turn};
use crate::audit::{Deed, End};
use crate::clock::Timestamp;
use crate::conversation::{Memory, Settlement};
use crate::ticket::{DeliveryId, FollowerId, Line, Ticket, TicketId};
use arc_swap::{ArcSwap, Guard};
use serde::Serialize;
use sled::Batch;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Turns in one batch, of as many followers.
const MAX_BATCH: usize = 64;
/// When a round of answers begins at the latest; sled's own flush comes on top (100 ms).
const IDLE: Duration = Duration::from_millis(250);
/// So many memories are written in one piece, with a pause in between in which readers and other threads have their turn:
/// the slowest answers at half load wait for the writer.
const SLICE: usize = 8;
/// A writer that is busy with turns comes by more seldom, and writes so many.
const BUSY_SLICE: usize = 32;
const BETWEEN_SLICES: Duration = Duration::from_millis(1);

/// A task run on the writer's thread, between batches.
pub type Task = Box<dyn FnOnce(&Disk) + Send>;

/// What the writer is asked to do, in order.
pub enum Work {
    /// A turn whose number is filled in; the lapse noted before it and after it.
    Turn(Box<Turn>, [Option<Timestamp>; 2]),
    /// Anything else.
    Task(Task),
    /// Write everything and end.
    Stop,
}

/// What waits for the writer. Every piece of work has a sequence number; they are done in order.
#[derive(Default)]
pub struct Queue {
    inner: Mutex<(VecDeque<(u64, Work)>, u64)>,
    wake: Condvar,
}

impl Queue {
    /// Adds work and tells its number, from 1.
    pub fn push(&self, work: Work) -> u64 {
        let mut inner = lock(&self.inner);
        inner.1 += 1;
        let seq = inner.1;
        inner.0.push_back((seq, work));
        self.wake.notify_one();
        seq
    }

    /// Waits for work for so long; takes turns of different followers, or one other piece.
    fn take(&self, wait: Duration) -> Vec<(u64, Work)> {
        let mut inner = lock(&self.inner);
        if inner.0.is_empty() {
            inner = match self.wake.wait_timeout(inner, wait) {
                Ok((inner, _)) => inner,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        let mut taken: Vec<(u64, Work)> = Vec::new();
        while let Some((_, work)) = inner.0.front() {
            let fits = match work {
                Work::Turn(turn, _) => {
                    taken.len() < MAX_BATCH
                        && taken.iter().all(
                            |(_, other)| matches!(other, Work::Turn(t, _) if t.follower != turn.follower),
                        )
                }
                Work::Task(_) | Work::Stop => taken.is_empty(),
            };
            if !fits {
                break;
            }
            let single = !matches!(work, Work::Turn(..));
            taken.extend(inner.0.pop_front());
            if single {
                break;
            }
        }
        taken
    }
}

/// A lock survives a panicking holder: what it guards is only replaced whole.
pub fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The database as the writer sees it; a rewrite puts another in its place.
pub struct Disk {
    home: Home,
    now: ArcSwap<Opened>,
    /// What lists need of every ticket.
    pub board: Board,
    /// The end of the audit chain; only the writer moves it.
    end: Mutex<End>,
}

impl Disk {
    /// The database of this folder.
    pub fn open(dir: &Path) -> Result<Self> {
        let (home, opened) = Home::open(dir)?;
        let board = Board::default();
        for value in opened.scan_prefix(keys::TICKETS).values() {
            let ticket: Ticket = keys::decode(&value.map_err(io)?, "ticket")?;
            board.put([&ticket]);
        }
        let end = Mutex::new(sled_ledger::end(&opened)?);
        Ok(Self { home, now: ArcSwap::from_pointee(opened), board, end })
    }

    /// Notes a deed in the audit trail.
    pub fn audit(&self, deed: Deed) -> Result<()> {
        let mut batch = Batch::default();
        let mut end = *lock(&self.end);
        sled_ledger::add_deed(&mut batch, &mut end, deed)?;
        self.db().apply_batch(batch).map_err(io)?;
        *lock(&self.end) = end;
        self.sync()
    }

    /// Where the audit trail ends.
    pub fn audit_end(&self) -> End {
        *lock(&self.end)
    }

    /// The database; its default tree holds everything.
    pub fn db(&self) -> Guard<Arc<Opened>> {
        self.now.load()
    }

    /// What was written so far survives a power cut when this returns.
    pub fn sync(&self) -> Result<()> {
        self.db().sync()
    }

    /// See [`Home::is_astray`].
    pub fn is_astray(&self) -> bool {
        self.home.is_astray(&self.db())
    }

    /// See [`super::Store::rewrite`].
    pub fn rewrite(&self, now: Timestamp) -> Result<[u64; 2]> {
        let old = self.now.load_full();
        let new = Arc::new(self.home.rewrite(&old, |key, value| keys::is_kept(key, value, now))?);
        let bytes = [old.bytes_on_disk(), new.bytes_on_disk()];
        self.now.store(new);
        self.home.drop_old(old);
        Ok(bytes)
    }

    /// A value, if it is there.
    pub fn get<T: serde::de::DeserializeOwned>(&self, key: &[u8], what: &'static str) -> Result<Option<T>> {
        self.db().get(key).map_err(io)?.map(|bytes| keys::decode(&bytes, what)).transpose()
    }

    /// `husks`: what is left of tickets that are erased by it.
    fn add_turn(
        &self,
        batch: &mut Batch,
        turn: &Turn,
        lapses: [Option<Timestamp>; 2],
        husks: &mut Vec<Ticket>,
    ) -> Result<()> {
        for relay in &turn.step.relays {
            let seq = self.db().generate_id().map_err(io)?;
            batch.insert(keys::relay(seq), keys::encode(relay)?);
        }
        if let Some(tickets) = &turn.step.erases {
            return self.add_erasure(batch, turn, (tickets, husks), lapses[0]);
        }
        add_memory(batch, turn.follower, &turn.step.memory, lapses)?;
        for change in &turn.step.changes {
            let ticket = &change.ticket;
            if let Some(before) = self.get::<Ticket>(&keys::ticket(ticket.id), "ticket")? {
                keys::place(&before).into_iter().for_each(|key| batch.remove(key));
            } else if let Some(number) = ticket.number {
                batch.insert(keys::number(number), &ticket.id.0.to_be_bytes());
            }
            batch.insert(keys::ticket(ticket.id), keys::encode(ticket)?);
            keys::place(ticket).into_iter().for_each(|key| batch.insert(key, &[]));
            let mut first = ticket.n_lines - change.lines.len() as u32;
            for block in keys::blocks(&change.lines) {
                batch.insert(keys::lines_from(ticket.id, first), keys::encode(&block)?);
                first += block.len() as u32;
            }
        }
        for say in &turn.step.says {
            let seq = self.db().generate_id().map_err(io)?;
            let delivery = Delivery::promised(say, turn.follower, turn.at);
            self.put_delivery(batch, StoredDelivery { seq, due: None, delivery })?;
        }
        self.add_fates(batch, turn)
    }

    /// What became of messages. One promised in this very turn is not settled by it; one that is gone needs no settling.
    fn add_fates(&self, batch: &mut Batch, turn: &Turn) -> Result<()> {
        let (settles, rungs) = (&turn.step.settles, &turn.step.rungs);
        let mut concerned: Vec<DeliveryId> =
            settles.iter().map(|(id, _)| *id).chain(rungs.iter().map(|(id, _)| *id)).collect();
        concerned.sort_unstable();
        concerned.dedup();
        for id in concerned {
            let Some(mut stored) = self.stored(id)? else { continue };
            for (_, fate) in settles.iter().filter(|(settled, _)| *settled == id) {
                if matches!(fate, Settlement::Due(_)) {
                    stored.delivery.n_before = stored.delivery.n_tries;
                }
                stored.delivery.fate = fate.clone();
            }
            for (_, rung) in rungs.iter().filter(|(of, _)| *of == id) {
                stored.delivery.note(rung.clone());
            }
            self.put_delivery(batch, stored)?;
        }
        Ok(())
    }

    /// Nothing is left that says who the follower is or what was said; of the tickets what serves for counting.
    fn add_erasure(
        &self,
        batch: &mut Batch,
        turn: &Turn,
        (tickets, husks): (&[TicketId], &mut Vec<Ticket>),
        lapse: Option<Timestamp>,
    ) -> Result<()> {
        let follower = turn.follower;
        for id in tickets {
            for key in self.db().scan_prefix(keys::drafts(*id)).keys() {
                batch.remove(key.map_err(io)?);
            }
            for item in self.db().scan_prefix(keys::lines(*id)) {
                let (key, value) = item.map_err(io)?;
                for delivery in
                    keys::decode::<Vec<Line>>(&value, "line")?.iter().filter_map(|line| line.delivery)
                {
                    self.remove_delivery(batch, delivery)?;
                }
                batch.remove(key);
            }
            if let Some(mut ticket) = self.get::<Ticket>(&keys::ticket(*id), "ticket")? {
                keys::place(&ticket).into_iter().for_each(|key| batch.remove(key));
                ticket.erase(turn.at);
                batch.insert(keys::ticket(*id), keys::encode(&ticket)?);
                husks.push(ticket);
            }
        }
        for id in self.db().scan_prefix(keys::queue(follower)).values() {
            if let Some(id) = read_u64(&id.map_err(io)?) {
                self.remove_delivery(batch, DeliveryId(id))?;
            }
        }
        if let Some(openid) = self.db().get(keys::openid(follower)).map_err(io)? {
            batch.remove(keys::by_openid(&String::from_utf8_lossy(&openid)));
            batch.remove(keys::openid(follower));
        }
        if let Some(at) = lapse {
            batch.remove(keys::lapse(at, follower));
        }
        batch.remove(keys::memory(follower));
        batch.insert(keys::erased(follower), &turn.at.0.to_be_bytes());
        Ok(())
    }
}

fn add_memory(
    batch: &mut Batch,
    follower: FollowerId,
    memory: &Memory,
    [before, after]: [Option<Timestamp>; 2],
) -> Result<()> {
    let tickets: Vec<TicketId> = memory.tickets.iter().map(|ticket| ticket.id).collect();
    batch.insert(keys::memory(follower), keys::encode(&RecordRef { tickets, memory })?);
    if before != after {
        if let Some(at) = before {
            batch.remove(keys::lapse(at, follower));
        }
        if let Some(at) = after {
            batch.insert(keys::lapse(at, follower), &[]);
        }
    }
    Ok(())
}

/// [`keys::Record`] without taking the memory.
#[derive(Serialize)]
struct RecordRef<'m> {
    tickets: Vec<TicketId>,
    memory: &'m Memory,
}

/// A number from its stored form.
pub fn read_u64(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}

/// The writer's life: until it is told to stop, or a write fails.
pub fn run(disk: &Disk, shared: &Arc<Shared>) {
    let _guard = FailsOnPanic(shared);
    match work(disk, shared) {
        Ok(()) => shared.stopped(),
        Err(error) => shared.fail(&error),
    }
}

/// A writer that panics must not leave those waiting who count on it.
struct FailsOnPanic<'s>(&'s Shared);

impl Drop for FailsOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(&StoreError::Io("写入线程出了意外".into()));
        }
    }
}

fn work(disk: &Disk, shared: &Arc<Shared>) -> Result<()> {
    // Of the followers to be written in this round, how many are left; a round begins when there is nothing else to do.
    let mut left = 0_usize;
    let mut n_batches = 0_u32;
    loop {
        let works = shared.queue.take(if left > 0 { BETWEEN_SLICES } else { IDLE });
        let idle = works.is_empty();
        if run_batch(disk, shared, works)? {
            return write_all(disk, shared);
        }
        if idle {
            write_counts(disk, shared)?;
        }
        n_batches = n_batches.wrapping_add(1);
        // A busy writer never idles: every few batches it looks after the answers, too.
        if left == 0 && (idle || n_batches.is_multiple_of(16)) {
            left = shared.n_dirty();
        }
        if left > 0 && (idle || n_batches.is_multiple_of(4)) {
            let slice = if idle { SLICE } else { BUSY_SLICE };
            write_dirty(disk, shared, slice)?;
            left = left.saturating_sub(slice);
        }
    }
}

/// Does the work and acknowledges it; tells whether it was the last.
fn run_batch(disk: &Disk, shared: &Arc<Shared>, works: Vec<(u64, Work)>) -> Result<bool> {
    let Some(last) = works.last().map(|(seq, _)| *seq) else { return Ok(false) };
    let (mut batch, mut turns, mut stop) = (Batch::default(), Vec::new(), false);
    let (mut end, mut husks) = (disk.audit_end(), Vec::new());
    for (_, work) in works {
        match work {
            Work::Turn(turn, lapses) => {
                disk.add_turn(&mut batch, &turn, lapses, &mut husks)?;
                if let Some(deed) = &turn.deed {
                    sled_ledger::add_deed(&mut batch, &mut end, deed.clone())?;
                }
                turns.push(turn);
            }
            Work::Task(task) => task(disk),
            Work::Stop => stop = true,
        }
    }
    if !turns.is_empty() {
        disk.db().apply_batch(batch).map_err(io)?;
        disk.sync()?;
        *lock(&disk.end) = end;
        let changed = turns.iter().flat_map(|turn| &turn.step.changes).map(|change| &change.ticket);
        disk.board.put(changed.chain(&husks));
    }
    shared.done(last);
    Ok(stop)
}

/// Writes everything that is newer than the disk, and syncs.
pub fn write_all(disk: &Disk, shared: &Arc<Shared>) -> Result<()> {
    for _ in 0..shared.n_dirty().div_ceil(BUSY_SLICE) {
        write_dirty(disk, shared, BUSY_SLICE)?;
    }
    write_counts(disk, shared)?;
    disk.sync()
}

/// Adds what the bot did since the last time to the counts of the days.
fn write_counts(disk: &Disk, shared: &Arc<Shared>) -> Result<()> {
    let counts = shared.take_counts();
    if counts.is_empty() {
        return Ok(());
    }
    let mut batch = Batch::default();
    sled_numbers::add_counts(disk, &mut batch, counts)?;
    disk.db().apply_batch(batch).map_err(io)
}

/// Writes the latest memory of the next followers whose turns only answered. Not flushed: sled does so within 100 ms.
/// Only a few at once: while sled applies a batch, it lets nobody read.
fn write_dirty(disk: &Disk, shared: &Arc<Shared>, most: usize) -> Result<()> {
    let (mut batch, mut writing) = (Batch::default(), Vec::with_capacity(most));
    for follower in shared.take_dirty(most) {
        if let Some((memory, lapses)) = shared.clean(follower) {
            add_memory(&mut batch, follower, &memory, lapses)?;
            writing.push(follower);
        }
    }
    disk.db().apply_batch(batch).map_err(io)?;
    writing.into_iter().for_each(|follower| shared.written(follower));
    Ok(())
}
