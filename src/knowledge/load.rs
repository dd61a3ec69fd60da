//! The knowledge folder → [`Knowledge`], with all errors of all files at once. The only part of `knowledge` that reads files.

use super::answer::{MAX_REPLY, OfficeFacts, Validity};
use super::file::{self, Entry, FileError};
use super::gaps::{self, Gap};
use super::pattern::Pattern;
use super::smalltalk::Talks;
use super::stance::Stance;
use super::suite::{self, Purpose, SuiteQuestion};
use super::{Category, EntryId, Knowledge, MAX_CACHED, MAX_TOLD, Place, Region, Thresholds, normalise};
use crate::matching::{Doc, Engine, Synonyms};
use jiff::civil::Date;
use quick_cache::sync::Cache;
use rustc_hash::FxHashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// More entries than this are refused.
const MAX_ENTRIES: usize = 5_000;

impl Knowledge {
    /// Reads the whole folder; every error of every file, not only the first.
    pub fn load(dir: &Path, thresholds: Thresholds) -> Result<Self, Vec<FileError>> {
        let mut errors = Vec::new();
        let entries = entries(dir, &mut errors);
        let talks = Talks::load(&dir.join("smalltalk.toml")).map_err(|list| errors.extend(list)).ok();
        let office = file::read_toml(&dir.join("office.toml")).map_err(|error| errors.push(error)).ok();
        let synonyms = synonyms(&dir.join("synonyms.txt")).map_err(|error| errors.push(error)).ok();
        let mut suite =
            suite::read(&dir.join("suite")).map_err(|list| errors.extend(list)).unwrap_or_default();
        let category =
            |id: &EntryId| entries.iter().find(|entry| entry.id == *id).map(|entry| entry.category);
        suite::check(&mut suite, category, &mut errors);
        let gaps = gaps::read(&dir.join("gaps")).map_err(|list| errors.extend(list)).unwrap_or_default();
        check_together(&entries, &gaps, dir, &mut errors);
        let (Some(talks), Some(office), Some(synonyms)) = (talks, office, synonyms) else {
            return Err(errors);
        };
        let knowledge = build(entries, gaps, suite, talks, office, synonyms, thresholds);
        knowledge.check_lengths(&mut errors);
        if errors.is_empty() { Ok(knowledge) } else { Err(errors) }
    }

    /// What an editor should look at on that day; nothing that stops the service. Files are named from `dir`.
    pub fn warnings(&self, dir: &Path, on: Date) -> Vec<String> {
        let mut warnings = Vec::new();
        for (name, value) in self.office.placeholders() {
            if value.trim().is_empty() {
                warnings.push(format!("office.toml：{name} 还没填，含它的句子不会发给用户"));
            }
        }
        if self.office.liaison.is_empty() {
            warnings.push("office.toml：还没有驻楼联络员（[[liaison]]）".into());
        }
        for entry in &self.entries {
            let name = entry.file.strip_prefix(dir).unwrap_or(&entry.file).display();
            if entry.recheck.is_some_and(|day| day <= on) {
                warnings.push(format!(
                    "{name}：数字已过复核日 {}，请核对后改 recheck",
                    entry.recheck.unwrap_or(on)
                ));
            }
            if let (Validity::Current, Some(last)) = (entry.validity(on), entry.expires)
                && on.until(last).is_ok_and(|span| span.get_days() <= 60)
            {
                warnings.push(format!("{name}：{last} 到期，请准备更新"));
            }
        }
        warnings
    }

    /// No entry may be too long for one WeChat text, in its longest form.
    fn check_lengths(&self, errors: &mut Vec<FileError>) {
        let far = Date::constant(9999, 1, 1);
        let place = Place { name: "内蒙古自治区".into(), within: Region::Nation };
        for entry in &self.entries {
            let days = [Date::constant(1990, 1, 1), entry.reviewed, far];
            let longest = days
                .iter()
                .flat_map(|day| [None, Some(&place)].map(|place| self.render(entry, *day, place).len()))
                .max()
                .unwrap_or(0);
            if longest > MAX_REPLY {
                let what = format!("整条答复最长 {longest} 字节，超过微信的 {MAX_REPLY} 字节，请删短");
                errors.push(FileError { file: entry.file.clone(), line: 1, what });
            }
        }
    }
}

fn build(
    entries: Vec<Entry>,
    mut gaps: Vec<Gap>,
    suite: Vec<SuiteQuestion>,
    talks: Talks,
    office: OfficeFacts,
    synonyms: Synonyms,
    thresholds: Thresholds,
) -> Knowledge {
    let (mut patterns, mut first_phrase, mut n_phrases) = (Vec::new(), Vec::new(), 0);
    let phrases: Vec<Vec<Arc<str>>> = entries.iter().map(|entry| phrases(entry, &suite)).collect();
    for (entry, phrases) in entries.iter().zip(&phrases) {
        first_phrase.push(n_phrases);
        n_phrases += phrases.len();
        // Each was compiled once when its file was read; what did not compile is an error there.
        patterns.push(entry.patterns.iter().filter_map(|pattern| Pattern::new(pattern).ok()).collect());
    }
    let by_id = entries.iter().enumerate().map(|(n, entry)| (entry.id.clone(), n)).collect();
    gaps.extend(gaps::of_suite(&suite));
    let beside: Vec<Vec<String>> = gaps.iter().map(|gap| gap.questions.clone()).collect();
    let engine = Engine::build(&entries.iter().zip(&phrases).map(doc).collect::<Vec<_>>(), &beside, synonyms);
    let normal = |texts: &Vec<Arc<str>>| texts.iter().map(|text| normalise(text)).collect::<Vec<_>>();
    let stances = phrases.iter().map(|own| Stance::of(normal(own).iter().map(String::as_str))).collect();
    let entries = entries.into_iter().map(Arc::new).collect();
    let (asked, told) = (Cache::new(MAX_CACHED), Cache::new(MAX_TOLD));
    Knowledge {
        asked,
        told,
        entries,
        by_id,
        phrases,
        gaps,
        suite,
        first_phrase,
        engine,
        patterns,
        stances,
        talks,
        office,
        thresholds,
    }
}

/// An entry's phrasings, and the wordings of the suite that may be learned from.
fn phrases(entry: &Entry, suite: &[SuiteQuestion]) -> Vec<Arc<str>> {
    let own = |q: &&SuiteQuestion| q.train && matches!(&q.purpose, Purpose::Right(ids) if ids[0] == entry.id);
    let of_suite = suite.iter().filter(own).map(|question| &question.text);
    entry.questions.iter().chain(of_suite).map(|text| text.as_str().into()).collect()
}

/// What of an entry is searched.
fn doc((entry, phrases): (&Entry, &Vec<Arc<str>>)) -> Doc {
    let lines = entry.sections.iter().flat_map(|(_, lines)| lines);
    Doc {
        title: entry.title.clone(),
        phrases: phrases.iter().map(ToString::to_string).collect(),
        keywords: entry.keywords.clone(),
        body: lines.map(String::as_str).collect::<Vec<_>>().join("\n"),
    }
}

fn entries(dir: &Path, errors: &mut Vec<FileError>) -> Vec<Entry> {
    let mut entries = Vec::new();
    for category in Category::ALL {
        for path in markdown_files(&dir.join(category.folder())) {
            let read = read_bounded(&path).and_then(|text| file::parse(&path, category, &text));
            match read {
                Ok(entry) => entries.push(entry),
                Err(list) => errors.extend(list),
            }
        }
    }
    if entries.is_empty() && errors.is_empty() {
        let what = "这里没有知识条目：应有 policy、labour 等目录和其中的 .md 文件".into();
        errors.push(FileError { file: dir.to_owned(), line: 1, what });
    }
    if entries.len() > MAX_ENTRIES {
        let what = format!("条目超过 {MAX_ENTRIES} 条");
        errors.push(FileError { file: dir.to_owned(), line: 1, what });
        entries.truncate(MAX_ENTRIES);
    }
    entries
}

fn markdown_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .map(|list| list.flatten().map(|item| item.path()).collect())
        .unwrap_or_default();
    let hidden =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    files.retain(|path| path.extension().is_some_and(|ext| ext == "md") && !hidden(path));
    files.sort();
    files
}

fn read_bounded(path: &Path) -> Result<String, Vec<FileError>> {
    let error = |what: String| vec![FileError { file: path.to_owned(), line: 1, what }];
    let size = std::fs::metadata(path).map_err(|e| error(format!("读不了：{e}")))?.len();
    if size > file::MAX_FILE {
        return Err(error(format!("文件有 {size} 字节，上限 {} 字节", file::MAX_FILE)));
    }
    std::fs::read_to_string(path).map_err(|e| error(format!("读不了（要 UTF-8 文本）：{e}")))
}

/// Errors that only show when all entries are seen together.
fn check_together(entries: &[Entry], gaps: &[Gap], dir: &Path, errors: &mut Vec<FileError>) {
    let mut phrases: FxHashMap<String, &Entry> = FxHashMap::default();
    let mut ids: FxHashMap<&str, &Entry> = FxHashMap::default();
    let mut error = |entry: &Entry, needle: &str, what: String| {
        let text = std::fs::read_to_string(&entry.file).unwrap_or_default();
        let line = text.lines().position(|line| line.contains(needle)).map_or(1, |n| n + 1);
        errors.push(FileError { file: entry.file.clone(), line, what });
    };
    for entry in entries {
        if let Some(other) = ids.insert(entry.id.as_str(), entry) {
            error(entry, "id", format!("编号与 {} 相同", other.file.display()));
        }
        for question in &entry.questions {
            if let Some(other) = phrases.insert(normalise(question), entry) {
                error(entry, question, format!("问法“{question}”在 {} 里已经有了", other.id));
            }
        }
    }
    for entry in entries {
        if let Some(successor) = entry.superseded_by.as_ref().filter(|id| !ids.contains_key(id.as_str())) {
            error(entry, "superseded_by", format!("没有编号为“{successor}”的条目"));
        }
    }
    gaps::check(gaps, &phrases, &dir.join("gaps"), errors);
}

fn synonyms(path: &Path) -> Result<Synonyms, FileError> {
    let error = |(line, what): (usize, String)| FileError { file: path.to_owned(), line, what };
    Synonyms::parse(&file::read_text(path)?).map_err(error)
}
