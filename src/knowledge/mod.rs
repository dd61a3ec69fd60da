//! What the office knows, and which entry answers a question. Pure once loaded: no clock, no network, no follower.

mod answer;
mod file;
mod gaps;
mod guard;
mod load;
mod pattern;
mod rank;
pub mod replies;
mod smalltalk;
mod stance;
mod suite;

pub use crate::matching::place::{Place, Region};
pub use crate::matching::text::{normalise, shorten};
pub use answer::{Liaison, MAX_REPLY, OfficeFacts, Validity, zh_date};
pub use file::{Entry, FileError};
pub use gaps::Gap;
pub use rank::{Candidate, Reason, Thresholds, Verdict};
pub use smalltalk::{Talk, TalkKind};
pub use suite::{Purpose, SuiteQuestion, is_train};

use crate::matching::{Engine, Learned, Search, Sense, Without};
use jiff::civil::Date;
use pattern::Pattern;
use quick_cache::sync::Cache;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use smalltalk::Talks;
use stance::Stance;
use std::fmt;
use std::sync::Arc;

/// The name of an entry; it is the name of its file.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EntryId(Arc<str>);

impl EntryId {
    /// From its text.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a question is about. Each has a folder of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Category {
    /// 帮扶政策
    Policy,
    /// 复工复产
    Resumption,
    /// 劳资纠纷
    Labour,
    /// 法律事务
    Legal,
    /// 办事服务
    Service,
}

impl Category {
    /// All of them, in the order people read them.
    pub const ALL: [Self; 5] = [Self::Policy, Self::Resumption, Self::Labour, Self::Legal, Self::Service];

    /// The folder's name.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Resumption => "resumption",
            Self::Labour => "labour",
            Self::Legal => "legal",
            Self::Service => "service",
        }
    }

    /// The name people read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Policy => "帮扶政策",
            Self::Resumption => "复工复产",
            Self::Labour => "劳资纠纷",
            Self::Legal => "法律事务",
            Self::Service => "办事服务",
        }
    }

    /// Who answers for it where nothing else is said.
    pub fn department(self) -> Department {
        match self {
            Self::Policy | Self::Resumption => Department::Economy,
            Self::Labour => Department::Union,
            Self::Legal | Self::Service => Department::Desk,
        }
    }
}

/// Who in the office answers for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Department {
    /// The township's trade union.
    #[serde(rename = "镇总工会")]
    Union,
    /// The economic development office.
    #[serde(rename = "经发办")]
    Economy,
    /// The finance office.
    #[serde(rename = "财政所")]
    Finance,
    /// The consultation office itself: what belongs to nobody else.
    #[serde(rename = "咨询办公室")]
    Desk,
}

impl Department {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Union, Self::Economy, Self::Finance, Self::Desk];

    /// The name people read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Union => "镇总工会",
            Self::Economy => "经发办",
            Self::Finance => "财政所",
            Self::Desk => "咨询办公室",
        }
    }

    /// The department of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|department| department.name() == name)
    }
}

/// Everything the office knows, loaded and indexed. Replaced as a whole when a file changes.
#[derive(Debug)]
pub struct Knowledge {
    entries: Vec<Arc<Entry>>,
    by_id: FxHashMap<EntryId, usize>,
    /// Of each entry its phrasings: its own, then those of the suite that may be learned from.
    phrases: Vec<Vec<Arc<str>>>,
    /// Position of each entry's first phrasing among all phrasings.
    first_phrase: Vec<usize>,
    /// What is known to have no answer.
    gaps: Vec<Gap>,
    suite: Vec<SuiteQuestion>,
    engine: Engine,
    /// Of each entry.
    patterns: Vec<Vec<Pattern>>,
    /// Of each entry, which side its phrasings take.
    stances: Vec<Stance>,
    talks: Talks,
    office: OfficeFacts,
    thresholds: Thresholds,
    /// What came of the questions asked last: many owners ask the same in the same words.
    asked: Cache<Box<str>, (Date, Arc<Asked>)>,
    /// The answers given last, of entries by position, for a question that names no other place.
    told: Cache<(usize, Date), Arc<str>>,
}

/// So many questions' outcomes are kept, of no more than so many bytes each: some 4 MB.
const MAX_CACHED: usize = 2_048;
const MAX_CACHED_BYTES: usize = 300;
/// So many answers are kept as they read, of 2 kB each at most.
const MAX_TOLD: usize = 512;

/// What came of a question.
#[derive(Debug)]
pub struct Asked {
    /// What to do.
    pub verdict: Verdict,
    /// The entries that come nearest, best first, whatever the verdict.
    pub candidates: Vec<Candidate>,
    /// Under which category and with whom a ticket about it belongs.
    pub filed: (Category, Department),
    /// What is known to have no answer and comes nearest: its title.
    pub gap: Option<Arc<str>>,
    /// A place outside the office's reach that the question names.
    pub place: Option<Place>,
    /// The question's meaning was weighed, not only its words.
    pub meaning: bool,
    /// The words alone decided: meaning would change nothing.
    pub decisive: bool,
}

impl Knowledge {
    /// Which entry answers the question on that day; the candidates are there for every verdict. `vector` is the
    /// question's meaning, where there was time for it. A question asked before gets what came of it then.
    pub fn ask(&self, question: &str, vector: Option<&[f32]>, on: Date) -> Arc<Asked> {
        if question.len() > MAX_CACHED_BYTES {
            return Arc::new(rank::ask(self, question, vector, on));
        }
        let is_enough = |asked: &Asked| asked.meaning || asked.decisive || vector.is_none();
        let before = self.asked.get(question).filter(|(day, asked)| *day == on && is_enough(asked));
        if let Some((_, asked)) = before {
            return asked;
        }
        let asked = Arc::new(rank::ask(self, question, vector, on));
        self.asked.insert(question.into(), (on, asked.clone()));
        asked
    }

    /// Forgets which questions were asked last.
    pub fn forget_questions(&self) {
        self.asked.clear();
    }

    /// What to say at once to somebody in danger, whatever else the message says.
    pub fn urgent(&self, message: &str) -> Option<&Arc<Talk>> {
        // A message in the cache has been looked at: whether it is urgent does not change with the day.
        if message.len() <= MAX_CACHED_BYTES
            && let Some((_, asked)) = self.asked.get(message)
            && !matches!(asked.verdict, Verdict::Urgent(_))
        {
            return None;
        }
        let normalised = normalise(&guard::without_links(message));
        self.talks.urgent(message, &normalised)
    }

    /// The place outside the office's reach that a message names.
    pub fn place(message: &str) -> Option<Place> {
        crate::matching::place::foreign_place(&crate::matching::text::simplified(&guard::without_links(
            message,
        )))
    }

    /// From which probability on the bot answers, or offers.
    pub fn thresholds(&self) -> Thresholds {
        self.thresholds
    }

    /// Whether a question's vector would be of use: there are vectors to compare it with, and its words alone do not
    /// decide.
    pub fn wants_vector(&self, question: &str, on: Date) -> bool {
        if !self.engine.has_vectors() {
            return false;
        }
        let asked = self.ask(question, None, on);
        !asked.meaning && !asked.decisive
    }

    /// All entries that may answer, measured and weighed, best first.
    fn search(&self, learned: &Learned, question: &str, vector: Option<&[f32]>) -> Search {
        self.engine.search(learned, question, vector, |doc, text| self.pattern_matches(doc, text))
    }

    /// The same in these vectors, for measuring and training; `without` leaves one phrasing out of account.
    pub fn search_in(
        &self,
        learned: &Learned,
        question: &str,
        meant: Option<(&[f32], &Sense)>,
        without: Option<Without>,
    ) -> Search {
        let pattern = |doc: usize, text: &str| self.pattern_matches(doc, text);
        self.engine.search_in(learned, question, meant, pattern, without)
    }

    fn pattern_matches(&self, doc: usize, normalised: &str) -> bool {
        self.patterns[doc].iter().any(|pattern| pattern.is_match(normalised))
    }

    /// The entry's phrasings are all of the other side than the question.
    fn is_of_other_side(&self, entry: &Entry, question: &str) -> bool {
        self.by_id.get(&entry.id).is_some_and(|n| self.stances[*n].is_against(question))
    }

    /// The entries' texts and vectors.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The entry of that name.
    pub fn entry(&self, id: &EntryId) -> Option<&Arc<Entry>> {
        self.by_id.get(id).and_then(|n| self.entries.get(*n))
    }

    /// All entries, by category and name.
    pub fn entries(&self) -> &[Arc<Entry>] {
        &self.entries
    }

    /// The answer of an entry as it goes to the follower, and the entry that replaced it, if it is over.
    pub fn answer(&self, entry: &Entry, on: Date, place: Option<&Place>) -> (Arc<str>, Option<&Arc<Entry>>) {
        let place = place.filter(|place| !place.is_under(Region::Shanghai));
        let successor = self.successor(entry, on);
        let render = || Arc::from(self.render(entry, on, place));
        let Some(at) = self.by_id.get(&entry.id).filter(|_| place.is_none()) else {
            return (render(), successor);
        };
        let text = self.told.get(&(*at, on)).unwrap_or_else(|| {
            let text: Arc<str> = render();
            self.told.insert((*at, on), text.clone());
            text
        });
        (text, successor)
    }

    fn render(&self, entry: &Entry, on: Date, place: Option<&Place>) -> String {
        entry.render(on, &self.office, self.successor(entry, on).map(|entry| entry.title.as_str()), place)
    }

    /// What replaced an entry that is over.
    fn successor(&self, entry: &Entry, on: Date) -> Option<&Arc<Entry>> {
        let over = !matches!(entry.validity(on), Validity::Current | Validity::NotYet(_));
        entry.superseded_by.as_ref().filter(|_| over).and_then(|id| self.entry(id))
    }

    /// What the office says of itself.
    pub fn office(&self) -> &OfficeFacts {
        &self.office
    }

    /// Each phrasing with its entry's position and its own number among all, for measuring how the others find it.
    pub fn phrasings(&self) -> impl Iterator<Item = (usize, usize, &str)> {
        self.phrases.iter().enumerate().flat_map(move |(n, phrases)| {
            let first = self.first_phrase[n];
            phrases.iter().enumerate().map(move |(q, phrase)| (n, first + q, &**phrase))
        })
    }

    /// What is known to have no answer; the suite's wordings that may be learned from are among it.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// Each phrasing of a gap with its gap's position, in the order of their own numbers among all.
    pub fn gap_phrasings(&self) -> impl Iterator<Item = (usize, &str)> {
        self.gaps
            .iter()
            .enumerate()
            .flat_map(|(n, gap)| gap.questions.iter().map(move |text| (n, text.as_str())))
    }

    /// The suite.
    pub fn suite(&self) -> &[SuiteQuestion] {
        &self.suite
    }
}
