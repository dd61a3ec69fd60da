//! The audit trail (审计): who did what, when, to what; each entry carries the hash of the one before, so that nothing can be
//! changed or taken out in the middle without showing. Knows the chain; the store keeps it, others decide what is noted.
//! What followers wrote never stands in it, so that it can outlive them.

use crate::clock::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A SHA-256.
pub type Hash = [u8; 32];

/// What is to be noted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deed {
    /// When.
    pub at: Timestamp,
    /// Who: a member of staff, or 命令行.
    pub by: String,
    /// What, in a few words people read: 答复, 查看号码.
    pub what: String,
    /// To what: the number of a ticket, a name, a range of dates.
    pub about: String,
}

/// The longest of a deed's texts, in characters.
const MAX_CHARS: usize = 200;

impl Deed {
    /// Something somebody did.
    pub fn new(at: Timestamp, by: &str, what: &str, about: &str) -> Self {
        let bounded = |text: &str| text.chars().filter(|c| !c.is_control()).take(MAX_CHARS).collect();
        Self { at, by: bounded(by), what: bounded(what), about: bounded(about) }
    }
}

/// A deed in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Counts from 1.
    pub seq: u64,
    /// What was done.
    pub deed: Deed,
    /// The hash of the entry before; zeroes before the first.
    pub before: Hash,
    /// The hash of all of the above.
    pub hash: Hash,
}

/// The end of the chain: what the next entry joins on to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Of the last entry; 0 where there is none.
    pub seq: u64,
    /// Its hash.
    pub hash: Hash,
}

impl End {
    /// The next entry; the end moves on to it.
    pub fn join(&mut self, deed: Deed) -> Entry {
        let (seq, before) = (self.seq + 1, self.hash);
        let entry = Entry { hash: hash(seq, &deed, &before), seq, deed, before };
        *self = Self { seq, hash: entry.hash };
        entry
    }
}

/// Every part with its length, so that no two entries are hashed alike.
fn hash(seq: u64, deed: &Deed, before: &Hash) -> Hash {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(seq.to_be_bytes());
    hash.update(deed.at.0.to_be_bytes());
    for text in [&deed.by, &deed.what, &deed.about] {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    hash.finalize().into()
}

/// Where a chain is broken, as a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// An entry is missing or out of its place.
    #[error("审计记录断在第 {0} 条：这一条不见了，或者次序被改过")]
    Missing(u64),
    /// An entry says something else than it did.
    #[error("第 {0} 条审计记录被改过：内容和它的校验值对不上")]
    Changed(u64),
    /// The chain ends before the end that was noted.
    #[error("审计记录少了结尾：应有 {should} 条，只有 {is} 条")]
    Cut {
        /// Where it should end.
        should: u64,
        /// Where it does.
        is: u64,
    },
}

/// Checks a chain an entry at a time.
#[derive(Debug, Default)]
pub struct Check {
    end: End,
}

impl Check {
    /// The next entry.
    pub fn next(&mut self, entry: &Entry) -> Result<(), Broken> {
        let should = self.end.seq + 1;
        if entry.seq != should || entry.before != self.end.hash {
            return Err(Broken::Missing(should));
        }
        if entry.hash != hash(entry.seq, &entry.deed, &entry.before) {
            return Err(Broken::Changed(should));
        }
        self.end = End { seq: entry.seq, hash: entry.hash };
        Ok(())
    }

    /// There are no more entries; the end is this one.
    pub fn finish(self, noted: End) -> Result<End, Broken> {
        if self.end == noted {
            return Ok(noted);
        }
        if self.end.seq == noted.seq {
            return Err(Broken::Changed(noted.seq));
        }
        Err(Broken::Cut { should: noted.seq, is: self.end.seq })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(n: u64) -> (Vec<Entry>, End) {
        let mut end = End::default();
        let deed = |n: u64| Deed::new(Timestamp(n as i64), "王敏", "答复", &format!("1124-{n:03}"));
        ((1..=n).map(|n| end.join(deed(n))).collect(), end)
    }

    fn check(entries: &[Entry], end: End) -> Result<End, Broken> {
        let mut check = Check::default();
        entries.iter().try_for_each(|entry| check.next(entry))?;
        check.finish(end)
    }

    #[test]
    fn what_was_changed_taken_out_or_cut_off_shows() {
        let (whole, end) = chain(5);
        assert_eq!(check(&whole, end), Ok(end));
        assert_eq!(check(&[], End::default()), Ok(End::default()));
        let mut changed = whole.clone();
        changed[2].deed.by = "李雷".into();
        assert_eq!(check(&changed, end), Err(Broken::Changed(3)));
        let mut rehashed = whole.clone();
        rehashed[2].deed.by = "李雷".into();
        rehashed[2].hash = hash(3, &rehashed[2].deed, &rehashed[2].before);
        assert_eq!(check(&rehashed, end), Err(Broken::Missing(4)));
        let without: Vec<Entry> = whole.iter().filter(|entry| entry.seq != 3).cloned().collect();
        assert_eq!(check(&without, end), Err(Broken::Missing(3)));
        assert_eq!(check(&whole[..3], end), Err(Broken::Cut { should: 5, is: 3 }));
        assert_eq!(check(&whole, End { seq: 5, hash: [0; 32] }), Err(Broken::Changed(5)));
    }

    #[test]
    fn a_deed_is_short_and_on_one_line() {
        let deed = Deed::new(Timestamp(0), "王\n敏", &"长".repeat(900), "");
        assert_eq!((deed.by.as_str(), deed.what.chars().count()), ("王敏", MAX_CHARS));
    }
}
