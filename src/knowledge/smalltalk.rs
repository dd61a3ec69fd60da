//! Fixed replies to what is no question of business: greetings, thanks, insults, and danger to life.
//! Knows phrases and patterns; which of them goes before the knowledge is `Knowledge::ask`'s business.

use super::file::{FileError, parse_toml, read_text};
use super::pattern::Pattern;
use crate::matching::text::normalise;
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
    /// Of urgent replies, with the reply each belongs to.
    urgent: Vec<(Pattern, usize)>,
    /// Of the others.
    patterns: Vec<(Pattern, usize)>,
}

impl Talks {
    /// Reads `smalltalk.toml`.
    pub fn load(file: &Path) -> Result<Self, Vec<FileError>> {
        let error = |line: usize, what: String| FileError { file: file.to_owned(), line, what };
        let text = read_text(file).map_err(|error| vec![error])?;
        let parsed: TalkFile = parse_toml(file, &text).map_err(|error| vec![error])?;
        let line_of = |needle: &str| text.lines().position(|line| line.contains(needle)).map_or(1, |n| n + 1);
        let mut errors = Vec::new();
        let (mut phrases, mut patterns) = (FxHashMap::default(), Vec::new());
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
                match Pattern::new(pattern) {
                    Ok(compiled) => patterns.push((compiled, n)),
                    Err(e) => errors.push(error(line_of(pattern), format!("正则“{pattern}”写得不对：{e}"))),
                }
            }
        }
        let is_urgent = |(_, n): &(Pattern, usize)| parsed.reply[*n].kind == TalkKind::Urgent;
        let (urgent, patterns) = patterns.into_iter().partition(is_urgent);
        if errors.is_empty() {
            let talks = parsed.reply.into_iter().map(Arc::new).collect();
            Ok(Self { talks, phrases, urgent, patterns })
        } else {
            Err(errors)
        }
    }

    /// The reply a message gets, if it is such talk. Danger to life wins over all.
    pub fn find(&self, message: &str, normalised: &str) -> Option<&Arc<Talk>> {
        self.urgent(message, normalised)
            .or_else(|| self.by_phrase(message, normalised))
            .or_else(|| self.by_pattern(&self.patterns, normalised))
    }

    /// The reply to danger to life.
    pub fn urgent(&self, message: &str, normalised: &str) -> Option<&Arc<Talk>> {
        let by_phrase = || self.by_phrase(message, normalised).filter(|talk| talk.kind == TalkKind::Urgent);
        self.by_pattern(&self.urgent, normalised).or_else(by_phrase)
    }

    fn by_pattern(&self, patterns: &[(Pattern, usize)], normalised: &str) -> Option<&Arc<Talk>> {
        patterns.iter().find(|(pattern, _)| pattern.is_match(normalised)).map(|(_, n)| &self.talks[*n])
    }

    fn by_phrase(&self, message: &str, normalised: &str) -> Option<&Arc<Talk>> {
        let whole = if normalised.is_empty() { message.trim() } else { normalised };
        self.phrases.get(whole).map(|n| &self.talks[*n])
    }
}

/// Signs and emoji alone have no normalised form; they are compared as they are.
fn comparable(phrase: &str) -> String {
    match normalise(phrase) {
        empty if empty.is_empty() => phrase.trim().to_owned(),
        normalised => normalised,
    }
}
