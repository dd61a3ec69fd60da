//! Full-text search over tickets (咨询单): an index derived from the store, which can always be made anew from it. Knows
//! characters, numbers and who may see what, as plain values; nothing of conversations or of how a ticket lives.
//! No text is stored in it, only grams; what was removed leaves the disk with [`Index::purge`].

mod fields;
mod finder;
mod folder;
mod grams;
mod index;
mod keeper;

pub use finder::Finder;
pub use index::{Index, Opened};
pub use keeper::Keeper;

use tantivy::directory::error::LockError;

/// Of a question only so many characters, and so many words, are looked for.
pub const MAX_QUERY_CHARS: usize = 64;
/// Of a question only so many words are looked for.
pub const MAX_WORDS: usize = 8;
/// A search gives no more than so many tickets.
pub const MAX_HITS: usize = 200;
/// All departments, in a [`Reader`]: also tickets that belong to none.
pub const ALL: u8 = 0xff;

/// What goes wrong in the index. Nothing is lost by it: the tickets are in the store.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SearchError {
    /// Another process has the index open.
    #[error("搜索索引已被另一个 xinqi 进程占用（{0}）")]
    Locked(String),
    /// Reading or writing failed.
    #[error("读写搜索索引失败：{0}")]
    Io(String),
    /// The thread that keeps the index has ended.
    #[error("搜索索引已停止更新")]
    Stopped,
}

impl From<tantivy::TantivyError> for SearchError {
    fn from(error: tantivy::TantivyError) -> Self {
        match error {
            tantivy::TantivyError::LockFailure(lock, _) => lock.into(),
            other => Self::Io(other.to_string()),
        }
    }
}

impl From<LockError> for SearchError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::LockBusy => Self::Locked(error.to_string()),
            LockError::IoError(error) => Self::Io(error.to_string()),
        }
    }
}

impl From<std::io::Error> for SearchError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error.to_string())
    }
}

/// Short for results of this module.
pub type Result<T> = std::result::Result<T, SearchError>;

/// One ticket, as it is searched.
#[derive(Clone, Debug, Default)]
pub struct Doc {
    /// Its name; putting another of the same name replaces it.
    pub id: u64,
    /// Its number within the year, as people say it: `1124-007`.
    pub number: String,
    /// The number's year.
    pub year: i16,
    /// Changes whenever the ticket changed.
    pub stamp: i64,
    /// Since when, in milliseconds: the newest is found first.
    pub opened_at: i64,
    /// The departments it belongs to, one bit each.
    pub departments: u8,
    /// Staff who see it by name, in whatever department they are.
    pub people: Vec<String>,
    /// Only these people and the main department's lead see it.
    pub is_confidential: bool,
    /// The main department's bit.
    pub lead_department: u8,
    /// Telephone numbers in the contact data.
    pub phones: Vec<String>,
    /// Names and subject: what is found here stands before what was only said.
    pub fields: Vec<String>,
    /// What follower and staff said.
    pub text: Vec<String>,
}

/// Who asks: sees what belongs to one of these departments, and what names one of these people.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// Departments whose tickets they see, unless these are confidential; [`ALL`] for every ticket.
    pub departments: u8,
    /// Their own names (and those they stand in for).
    pub names: &'a [String],
    /// Departments whose confidential tickets they see; [`ALL`] for every confidential ticket.
    pub confidential_departments: u8,
}

/// Where the words were found. The earlier, the higher it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// The question is the ticket's number.
    Number,
    /// All words stand in its names, subject or telephone numbers, or are part of its number.
    Field,
    /// Some stand only in what was said.
    Text,
}

/// A ticket that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Its name.
    pub id: u64,
    /// Where the words were found.
    pub rank: Rank,
}
