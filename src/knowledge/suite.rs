//! The project's own suite (`suite/*.toml`): what owners ask, and what they should get. Half of it is there to learn from:
//! those wordings count as phrasings of their entries; the other half is only for measuring. Knows the files and the split.

use super::file::{FileError, read_toml};
use super::{Category, EntryId};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Half of all questions may be learned from, by a hash of their name (FNV-1a, mixed), so that both halves stay the same.
pub fn is_train(name: &str) -> bool {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    // Names that differ in one digit differ little in FNV; this mixes (the finaliser of MurmurHash3).
    let hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    (hash ^ hash >> 33).is_multiple_of(2)
}

/// What a question of the suite is there for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// One of these entries answers it.
    Right(Vec<EntryId>),
    /// Anything but this entry.
    Not(EntryId),
    /// No entry answers it, though it looks so.
    Abstain,
    /// It names another region; this entry treats the matter.
    Elsewhere(EntryId),
    /// It names a place, but one that lies here.
    Here(EntryId),
    /// This entry answers it and has expired: that must be said.
    Expired(EntryId),
}

/// A question of the suite.
#[derive(Clone, Debug)]
pub struct SuiteQuestion {
    /// What is asked.
    pub text: String,
    /// What for.
    pub purpose: Purpose,
    /// Under which category a ticket about it belongs, where that is known.
    pub category: Option<Category>,
    /// It may be learned from.
    pub train: bool,
    /// Where it stands.
    pub file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SuiteFile {
    #[serde(default)]
    entry: Vec<OfEntry>,
    #[serde(default)]
    abstain: Vec<Abstain>,
    #[serde(default)]
    region: Vec<Placed>,
    #[serde(default)]
    local: Vec<Placed>,
    #[serde(default)]
    expired: Vec<Placed>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfEntry {
    id: EntryId,
    questions: Vec<Asked>,
    #[serde(default)]
    must_not: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Asked {
    Text(String),
    Also { text: String, also: Vec<EntryId> },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Abstain {
    text: String,
    #[serde(deserialize_with = "by_folder")]
    category: Category,
    #[serde(rename = "near")]
    _near: Option<EntryId>,
}

fn by_folder<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Category, D::Error> {
    let name = String::deserialize(deserializer)?;
    let category = Category::ALL.into_iter().find(|category| category.folder() == name);
    category.ok_or_else(|| serde::de::Error::custom(format!("没有类别 {name}")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Placed {
    text: String,
    id: EntryId,
    #[serde(rename = "place")]
    _place: Option<String>,
}

/// The suite of this folder, if it is there. Which entries it names is looked at by [`check`].
pub fn read(dir: &Path) -> Result<Vec<SuiteQuestion>, Vec<FileError>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .map(|items| items.flatten().map(|item| item.path()).collect())
        .unwrap_or_default();
    files.retain(|file| file.extension().is_some_and(|ext| ext == "toml"));
    files.sort();
    let (mut questions, mut errors) = (Vec::new(), Vec::new());
    for file in files {
        match read_toml::<SuiteFile>(&file) {
            Ok(parsed) => parsed.questions(&file, &mut questions),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(questions) } else { Err(errors) }
}

impl SuiteQuestion {
    /// The entries it names.
    pub fn entries(&self) -> &[EntryId] {
        match &self.purpose {
            Purpose::Right(ids) => ids,
            Purpose::Not(id) | Purpose::Elsewhere(id) | Purpose::Here(id) | Purpose::Expired(id) => {
                std::slice::from_ref(id)
            }
            Purpose::Abstain => &[],
        }
    }
}

/// Fills in the categories, and says which named entries are not there.
pub fn check(
    questions: &mut [SuiteQuestion],
    category: impl Fn(&EntryId) -> Option<Category>,
    errors: &mut Vec<FileError>,
) {
    for question in questions {
        for id in question.entries().to_vec() {
            match category(&id) {
                None => errors.push(FileError {
                    file: question.file.clone(),
                    line: 1,
                    what: format!("没有编号为“{id}”的条目（{}）", question.text),
                }),
                Some(found) if !matches!(question.purpose, Purpose::Not(_)) => {
                    question.category = question.category.or(Some(found));
                }
                Some(_) => {}
            }
        }
    }
}

impl SuiteFile {
    fn questions(self, file: &Path, out: &mut Vec<SuiteQuestion>) {
        let mut add = |text: String, purpose, category| {
            let train = is_train(&text);
            out.push(SuiteQuestion { text, purpose, category, train, file: file.to_owned() });
        };
        for entry in self.entry {
            for asked in entry.questions {
                let (text, also) = match asked {
                    Asked::Text(text) => (text, Vec::new()),
                    Asked::Also { text, also } => (text, also),
                };
                let right = std::iter::once(entry.id.clone()).chain(also).collect();
                add(text, Purpose::Right(right), None);
            }
            for text in entry.must_not {
                add(text, Purpose::Not(entry.id.clone()), None);
            }
        }
        self.abstain.into_iter().for_each(|q| add(q.text, Purpose::Abstain, Some(q.category)));
        self.region.into_iter().for_each(|q| add(q.text, Purpose::Elsewhere(q.id), None));
        self.local.into_iter().for_each(|q| add(q.text, Purpose::Here(q.id), None));
        self.expired.into_iter().for_each(|q| add(q.text, Purpose::Expired(q.id), None));
    }
}
