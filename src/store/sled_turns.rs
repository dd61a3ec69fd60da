//! Turns taken in, in RAM: memories at hand are loaded, a turn is found new, repeated or stale, its ticket gets its number. Knows
//! what is acknowledged; what is on disk when is `sled_writer`'s business.

use super::sled::SledStore;
use super::sled_home::io;
use super::sled_keys as keys;
use super::sled_shared::Slot;
use super::sled_writer::{Work, lock};
use super::{Commit, Result, Turn, fill_step, sled_numbers};
use crate::conversation::{Memory, Text};
use crate::ticket::{FollowerId, Number, Ticket};
use jiff::civil::Date;
use std::sync::Arc;

impl SledStore {
    /// A memory from disk, with its tickets.
    fn load(&self, follower: FollowerId) -> Result<Memory> {
        let Some(record) = self.disk.get::<keys::Record>(&keys::memory(follower), "memory")? else {
            return Ok(Memory::default());
        };
        let mut memory = record.memory;
        for id in record.tickets {
            memory.tickets.extend(self.disk.get::<Ticket>(&keys::ticket(id), "ticket")?);
        }
        Ok(memory)
    }

    /// Does something with the memory at hand, loading it first if need be.
    pub(super) fn with_slot<T>(&self, follower: FollowerId, work: impl FnOnce(&mut Slot) -> T) -> Result<T> {
        let load = || {
            let memory = self.load(follower)?;
            let is_erased = memory.version == 0 && self.is_erased(follower)?;
            Ok((memory, is_erased))
        };
        self.shared.with_slot(follower, load, work)
    }

    pub(super) fn is_erased(&self, follower: FollowerId) -> Result<bool> {
        self.disk.db().contains_key(keys::erased(follower)).map_err(io)
    }

    /// The next number of that day.
    fn next_number(&self, date: Date) -> Result<Number> {
        let mut serials = lock(&self.shared.serials);
        if let Some((_, serial)) = serials.iter_mut().find(|(day, _)| *day == date) {
            *serial += 1;
            return Ok(Number::new(date, *serial));
        }
        let day = keys::numbers_of_day(Number::new(date, 0));
        let last = self.disk.db().scan_prefix(day).keys().next_back().transpose().map_err(io)?;
        let serial = last.map_or(0, |key| keys::serial_of(&key)) + 1;
        if serials.len() >= 8 {
            serials.remove(0);
        }
        serials.push((date, serial));
        Ok(Number::new(date, serial))
    }

    /// Takes a turn in, in RAM; tells what to acknowledge and which work must be done before.
    pub(super) fn accept(&self, mut turn: Turn) -> Result<(Commit, u64)> {
        self.with_slot(turn.follower, |slot| {
            if slot.is_erased {
                return Ok((Commit::Repeated(None), slot.pending));
            }
            if let Some(reply) = slot.memory.replied(turn.cause) {
                return Ok((Commit::Repeated(reply), slot.pending));
            }
            if slot.memory.version != turn.made_from {
                return Ok((Commit::Stale, 0));
            }
            if turn.step.changes.iter().any(|change| change.ticket.number.is_none()) {
                let number = self.next_number(turn.at.date())?;
                fill_step(&mut turn.step, number);
            }
            turn.step.memory.version = turn.made_from + 1;
            if let Some(count) = sled_numbers::counted(&turn.step) {
                self.shared.count(turn.at.date(), &count);
            }
            let reply: Option<Text> = turn.step.reply.clone();
            if turn.is_durable() {
                slot.is_erased = turn.step.erases.is_some();
                slot.memory = Arc::new(turn.step.memory.clone());
                let before = std::mem::replace(&mut slot.lapse, slot.memory.wakes_at);
                slot.dirty = false;
                slot.pending = self.shared.queue.push(Work::Turn(Box::new(turn), [before, slot.lapse]));
                return Ok((Commit::Done(reply), slot.pending));
            }
            slot.memory = Arc::new(turn.step.memory);
            if !slot.dirty {
                slot.dirty = true;
                lock(&self.shared.dirty).push(turn.follower);
            }
            Ok((Commit::Done(reply), 0))
        })?
    }
}
