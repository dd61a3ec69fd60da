//! What of a ticket can be found: its words, names and numbers as the index takes them, and the way from words somebody types
//! to tickets they may see. Keeps the index up to date with the store, also after a crash. Knows both; the index itself is
//! `search`'s business.

use crate::access::Sight;
use crate::conversation::Memory;
use crate::search::{Doc, Finder, Index, Keeper, Opened, Reader, SearchError};
use crate::store::{Result, Store, StoreError};
use crate::ticket::{Author, Departments, Line, Stage, Ticket, TicketId};
use std::path::Path;
use std::sync::Arc;
use tokio::runtime::Handle;

/// Of a ticket's words so many bytes can be found, the latest first.
const MAX_TEXT: usize = 64 * 1024;
/// So many are found at most.
pub const MAX_FOUND: usize = 50;

/// The index at work.
pub struct Finding {
    keeper: Arc<Keeper>,
    finder: Finder,
}

impl Finding {
    /// Opens the index in this folder and begins to keep it; what the store has and the index has not is looked up first.
    pub async fn open(dir: &Path, store: Arc<dyn Store>) -> anyhow::Result<Self> {
        let folder = dir.to_owned();
        let (index, opened) = tokio::task::spawn_blocking(move || Index::open(&folder)).await??;
        if let Opened::Anew(why) = &opened {
            tracing::warn!(why, "the search index was begun anew; tickets are found again as it is filled");
        }
        let (handle, source) = (Handle::current(), store.clone());
        let fetch = move |id| handle.block_on(doc(&*source, TicketId(id)));
        let keeper = Arc::new(Keeper::start(index, fetch)?);
        let finding = Self { finder: keeper.finder(), keeper };
        finding.catch_up(&*store).await?;
        Ok(finding)
    }

    /// Notes what changed while nobody kept the index.
    async fn catch_up(&self, store: &dyn Store) -> anyhow::Result<()> {
        let stamps = self.finder.stamps()?;
        for (ticket, changed_at) in store.all_tickets().await? {
            if stamps.get(&ticket.0) != Some(&changed_at.0) {
                self.keeper.note(ticket.0);
            }
        }
        Ok(())
    }

    /// This ticket has changed.
    pub fn note(&self, ticket: TicketId) {
        self.keeper.note(ticket.0);
    }

    /// Waits until everything noted so far can be found.
    pub async fn flush(&self) -> Result<()> {
        self.ask(Keeper::flush).await
    }

    /// The same, and what was removed is gone from the disk.
    pub async fn purge(&self) -> Result<()> {
        self.ask(Keeper::purge).await
    }

    async fn ask(&self, what: fn(&Keeper) -> std::result::Result<(), SearchError>) -> Result<()> {
        let keeper = self.keeper.clone();
        let done = tokio::task::spawn_blocking(move || what(&keeper)).await;
        done.map_err(|error| StoreError::Io(error.to_string()))?.map_err(failed)
    }

    /// Tickets in which all these words stand, of those somebody sees: numbers first, then names and subjects, then what was
    /// said; the newest first.
    pub async fn find(&self, store: &dyn Store, words: &str, sight: &Sight) -> Result<Vec<Ticket>> {
        let (finder, words, seen) = (self.finder.clone(), words.to_owned(), sight.clone());
        let hits = tokio::task::spawn_blocking(move || {
            let reader = Reader {
                departments: seen.departments.0,
                names: &seen.names,
                confidential_departments: seen.confidential.0,
            };
            finder.search(&words, &reader, MAX_FOUND)
        });
        let hits = hits.await.map_err(|error| StoreError::Io(error.to_string()))?.map_err(failed)?;
        let mut found = Vec::with_capacity(hits.len());
        for hit in hits {
            // The index may be a second behind: what somebody no longer sees is not shown.
            found.extend(store.ticket(TicketId(hit.id)).await?.filter(|ticket| sight.sees(ticket)));
        }
        Ok(found)
    }
}

fn failed(error: SearchError) -> StoreError {
    StoreError::Io(error.to_string())
}

/// A ticket as the index takes it; `None`: there is nothing of it to be found (any more).
async fn doc(store: &dyn Store, id: TicketId) -> Option<Doc> {
    let ticket = store.ticket(id).await.ok()??;
    if ticket.stage == Stage::Left {
        return None;
    }
    let lines = store.lines(id).await.ok()?;
    let memory = store.recall(ticket.follower).await.ok()?;
    Some(of(&ticket, &lines, &memory))
}

fn of(ticket: &Ticket, lines: &[Line], memory: &Memory) -> Doc {
    let number = ticket.number;
    let profile = &memory.profile;
    let names = [&profile.alias, &profile.enterprise, &profile.building, &profile.phone, &ticket.contact];
    let mut fields: Vec<String> = names.into_iter().flatten().map(|text| text.to_string()).collect();
    fields.push(ticket.subject.to_string());
    fields.extend(ticket.labels.iter().map(|label| label.to_string()));
    let phones = [&profile.phone, &ticket.contact].into_iter().flatten().flat_map(|text| numbers(text));
    let said = lines.iter().rev().filter(|line| !matches!(line.author, Author::Bot | Author::System));
    let mut left = MAX_TEXT;
    let text = said.map_while(|line| {
        left = left.checked_sub(line.text.len())?;
        Some(line.text.to_string())
    });
    Doc {
        id: ticket.id.0,
        number: number.map(|number| number.to_string()).unwrap_or_default(),
        year: number.map_or(0, |number| number.year),
        stamp: ticket.changed_at.0,
        opened_at: ticket.opened_at.0,
        departments: ticket.departments().0,
        people: ticket.assignee.iter().chain(&ticket.watchers).cloned().collect(),
        is_confidential: ticket.is_confidential,
        lead_department: Departments::of(ticket.department).0,
        phones: phones.collect(),
        fields,
        text: text.collect(),
    }
}

/// Numbers of a telephone's length in contact data, without what stands between their digits.
fn numbers(text: &str) -> Vec<String> {
    let joined: String = text.chars().filter(|c| !"- 　()（）".contains(*c)).collect();
    let runs = joined.split(|c: char| !c.is_ascii_digit());
    runs.filter(|run| (7..=15).contains(&run.len())).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn numbers_are_found_however_they_are_written() {
        assert_eq!(numbers("王女士，138-0013 8000，021-64881234转8"), ["13800138000", "02164881234"]);
        assert!(numbers("3号楼，2026年").is_empty());
    }
}
