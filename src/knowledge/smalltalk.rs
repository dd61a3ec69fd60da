//! Fixed replies to what is no question of business: greetings, thanks, insults, and danger to life.
//! Knows phrases and patterns; which of them goes before the knowledge is `Knowledge::ask`'s business.

use super::file::{FileError, parse_toml, read_text};
use crate::matching::text::normalise;
use regex::{RegexSet, RegexSetBuilder};
use rustc_hash::FxHashMap;
use serde::Deserialize;
use std::path::Path;
use std::sync::Arc;

/// What sort of talk a reply belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TalkKind {
    /// Greetings and the like.
    Smalltalk,
    /// Danger to life: goes before everything else.
    Urgent,
    /// Insults.
    Abuse,
}

/// One fixed reply.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Talk {
    /// Its name.
    pub id: String,
    /// What sort it is.
    pub kind: TalkKind,
    /// Whole messages that get it, compared in normalised form.
    #[serde(default)]
    phrases: Vec<String>,
    /// Patterns over normalised text that get it.
    #[serde(default)]
    patterns: Vec<String>,
    /// The reply.
    pub reply: String,
}

/// Room for the patterns' automaton; with the library's default it falls back to a search ten times as slow.
const SET_BYTES: usize = 32 * 1024 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TalkFile {
    reply: Vec<Talk>,
}

/// All fixed replies, ready to be looked up.
#[derive(Debug)]
pub struct Talks {
    talks: Vec<Arc<Talk>>,
    phrases: FxHashMap<String, usize>,
    patterns: RegexSet,
    owner: Vec<usize>,
}

impl Talks {
    /// Reads `smalltalk.toml`.
    pub fn load(file: &Path) -> Result<Self, Vec<FileError>> {
        let error = |line: usize, what: String| FileError { file: file.to_owned(), line, what };
        let text = read_text(file).map_err(|error| vec![error])?;
        let parsed: TalkFile = parse_toml(file, &text).map_err(|error| vec![error])?;
        let line_of = |needle: &str| text.lines().position(|line| line.contains(needle)).map_or(1, |n| n + 1);
        let mut errors = Vec::new();
        let (mut phrases, mut sources, mut owner) = (FxHashMap::default(), Vec::new(), Vec::new());
        for (n, talk) in parsed.reply.iter().enumerate() {
            if talk.reply.trim().is_empty() || talk.reply.len() > super::MAX_REPLY {
                errors.push(error(line_of(&talk.id), format!("“{}”的答复是空的或太长", talk.id)));
            }
            for phrase in &talk.phrases {
                if let Some(other) = phrases.insert(comparable(phrase), n).filter(|other| *other != n) {
                    let other: &Talk = &parsed.reply[other];
                    errors.push(error(line_of(phrase), format!("“{phrase}”已在“{}”里", other.id)));
                }
            }
            for pattern in &talk.patterns {
                if let Err(e) = regex::Regex::new(pattern) {
                    errors.push(error(line_of(pattern), format!("正则“{pattern}”写得不对：{e}")));
                } else {
                    sources.push(pattern.clone());
                    owner.push(n);
                }
            }
        }
        let set = RegexSetBuilder::new(sources).size_limit(SET_BYTES).dfa_size_limit(SET_BYTES).build();
        let patterns = set.map_err(|e| vec![error(1, e.to_string())])?;
        if errors.is_empty() {
            Ok(Self { talks: parsed.reply.into_iter().map(Arc::new).collect(), phrases, patterns, owner })
        } else {
            Err(errors)
        }
    }

    /// The reply a message gets, if it is such talk. Danger to life wins over all.
    pub fn find(&self, message: &str, normalised: &str) -> Option<&Arc<Talk>> {
        let by_pattern: Option<usize> = {
            let found = self.patterns.matches(normalised).iter().map(|n| self.owner[n]).collect::<Vec<_>>();
            found.into_iter().min_by_key(|n| self.talks[*n].kind != TalkKind::Urgent)
        };
        let exact = if normalised.is_empty() {
            self.phrases.get(message.trim()).copied()
        } else {
            self.phrases.get(normalised).copied()
        };
        let urgent = |n: &usize| self.talks[*n].kind == TalkKind::Urgent;
        let found = by_pattern.filter(urgent).or(exact).or(by_pattern)?;
        self.talks.get(found)
    }
}

/// Signs and emoji alone have no normalised form; they are compared as they are.
fn comparable(phrase: &str) -> String {
    match normalise(phrase) {
        empty if empty.is_empty() => phrase.trim().to_owned(),
        normalised => normalised,
    }
}
