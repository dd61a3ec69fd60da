//! Looks in the index: who may see what, in which order, and when to stop. Knows nothing of how it is written.

use super::fields::{Fields, ID, OPENED_AT, STAMP, words};
use super::{Hit, MAX_HITS, Rank, Reader, Result};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use tantivy::query::{EnableScoring, Query};
use tantivy::schema::IndexRecordOption;
use tantivy::{DocId, DocSet, IndexReader, Searcher, SegmentReader, TERMINATED, Term};

/// One search looks at no more than so many tickets that have the words, whether they may be seen or not. With more than so
/// many before the last that may be seen, the older ones are not found.
const MAX_EXAMINED: usize = 500_000;

/// Searches. Cheap to clone; of use from any thread while the index is being written. A search computes and reads files for
/// milliseconds: call it off the async threads.
#[derive(Clone)]
pub struct Finder {
    pub(super) reader: IndexReader,
    pub(super) fields: Fields,
    pub(super) dir: PathBuf,
}

impl std::fmt::Debug for Finder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Finder").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Finder {
    /// The tickets that have all the words and that this reader may see: by number, then in fields, then in the text; the
    /// newest first in each. At most `limit`, and at most [`MAX_HITS`].
    pub fn search(&self, query: &str, reader: &Reader, limit: usize) -> Result<Vec<Hit>> {
        let (words, sees) = (words(query), self.fields.sees(reader));
        let mut hunt = Hunt {
            searcher: self.reader.searcher(),
            sees,
            limit: limit.min(MAX_HITS),
            left: MAX_EXAMINED,
            found: HashSet::new(),
            hits: Vec::new(),
        };
        if words.is_empty() || hunt.sees.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(number) = self.fields.by_number(&words) {
            hunt.add(&*number, Rank::Number)?;
        }
        hunt.add(&*self.fields.by_names(&words), Rank::Field)?;
        hunt.add(&*self.fields.by_text(&words), Rank::Text)?;
        Ok(hunt.hits)
    }

    /// Every ticket's stamp, so that one can find which have changed since.
    pub fn stamps(&self) -> Result<HashMap<u64, i64>> {
        let searcher = self.reader.searcher();
        let mut stamps = HashMap::with_capacity(usize::try_from(searcher.num_docs()).unwrap_or(0));
        for segment in searcher.segment_readers() {
            let id = segment.fast_fields().u64(ID)?;
            let stamp = segment.fast_fields().i64(STAMP)?;
            for doc in segment.doc_ids_alive() {
                if let (Some(id), Some(stamp)) = (id.first(doc), stamp.first(doc)) {
                    stamps.insert(id, stamp);
                }
            }
        }
        Ok(stamps)
    }

    /// How many tickets are in it.
    pub fn n_docs(&self) -> u64 {
        self.reader.searcher().num_docs()
    }

    /// How much of the disk it takes.
    pub fn bytes(&self) -> Result<u64> {
        let mut bytes = 0;
        for item in std::fs::read_dir(&self.dir)? {
            // A file may go while they are counted.
            bytes += item?.metadata().map_or(0, |data| data.len());
        }
        Ok(bytes)
    }
}

/// One search under way.
struct Hunt {
    searcher: Searcher,
    sees: Vec<Term>,
    limit: usize,
    left: usize,
    found: HashSet<u64>,
    hits: Vec<Hit>,
}

impl Hunt {
    fn add(&mut self, query: &dyn Query, rank: Rank) -> Result<()> {
        let wanted = self.limit - self.hits.len();
        if wanted == 0 {
            return Ok(());
        }
        let searcher = self.searcher.clone();
        let weight = query.weight(EnableScoring::disabled_from_searcher(&searcher))?;
        let mut newest = Vec::new();
        for segment in searcher.segment_readers() {
            let mut scorer = weight.scorer(segment, 1.0)?;
            self.collect(segment, &mut *scorer, wanted, &mut newest)?;
        }
        newest.sort_unstable_by(|a, b| b.cmp(a));
        for (_, id) in newest.into_iter().take(wanted) {
            self.found.insert(id);
            self.hits.push(Hit { id, rank });
        }
        Ok(())
    }

    /// The first of a segment: its newest, since it is sorted so.
    fn collect(
        &mut self,
        segment: &SegmentReader,
        docs: &mut dyn DocSet,
        wanted: usize,
        newest: &mut Vec<(i64, u64)>,
    ) -> Result<()> {
        if docs.doc() == TERMINATED {
            return Ok(());
        }
        let mut seen = Seen::new(segment, &self.sees)?;
        let (id, opened_at) = (segment.fast_fields().u64(ID)?, segment.fast_fields().i64(OPENED_AT)?);
        let end = newest.len() + wanted;
        while docs.doc() != TERMINATED && newest.len() < end && self.left > 0 {
            let doc = docs.doc();
            self.left -= 1;
            if !segment.is_deleted(doc)
                && seen.has(doc)
                && let (Some(id), Some(at)) = (id.first(doc), opened_at.first(doc))
                && !self.found.contains(&id)
            {
                newest.push((at, id));
            }
            docs.advance();
        }
        Ok(())
    }
}

/// Which of a segment's tickets the reader may see; asked in rising order.
struct Seen(Vec<tantivy::postings::SegmentPostings>);

impl Seen {
    fn new(segment: &SegmentReader, terms: &[Term]) -> Result<Self> {
        let mut postings = Vec::with_capacity(terms.len());
        for term in terms {
            postings
                .extend(segment.inverted_index(term.field())?.read_postings(term, IndexRecordOption::Basic)?);
        }
        Ok(Self(postings))
    }

    fn has(&mut self, doc: DocId) -> bool {
        self.0.iter_mut().any(|postings| {
            if postings.doc() < doc {
                postings.seek(doc);
            }
            postings.doc() == doc
        })
    }
}
