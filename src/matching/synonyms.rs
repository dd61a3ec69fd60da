//! Owners' words → the office's. Knows lists of words, not grams or entries.

use super::text::normalise;
use aho_corasick::{AhoCorasick, MatchKind};
use rustc_hash::FxHashMap;

/// Words owners use → the standard term.
#[derive(Debug, Default)]
pub struct Synonyms {
    automaton: Option<AhoCorasick>,
    standard: Vec<String>,
}

impl Synonyms {
    /// From lines of words, the first of each the standard term; `#` starts a comment.
    pub fn parse(text: &str) -> Result<Self, (usize, String)> {
        let (mut variants, mut standard) = (Vec::new(), Vec::new());
        let mut lines: FxHashMap<String, usize> = FxHashMap::default();
        for (n, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<String> =
                line.split_whitespace().map(normalise).filter(|w| !w.is_empty()).collect();
            let Some(first) = words.first() else { continue };
            if words.len() < 2 {
                return Err((n + 1, format!("“{first}”这一行只有一个词，同义词至少写两个")));
            }
            for word in &words {
                if let Some(other) = lines.insert(word.clone(), n + 1) {
                    return Err((n + 1, format!("“{word}”在第 {other} 行已经有了")));
                }
                // The standard term stands for itself, so that a longer match of it is not cut by a shorter variant.
                variants.push(word.clone());
                standard.push(first.clone());
            }
        }
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&variants)
            .map_err(|error| (1, error.to_string()))?;
        Ok(Self { automaton: Some(automaton), standard })
    }

    /// The text with every variant replaced by its standard term; `None` when nothing was replaced.
    pub fn standardise(&self, text: &str) -> Option<String> {
        let automaton = self.automaton.as_ref()?;
        let mut out = String::new();
        let (mut at, mut changed) = (0, false);
        for found in automaton.find_iter(text) {
            let term = &self.standard[found.pattern().as_usize()];
            changed |= term != &text[found.range()];
            out.push_str(&text[at..found.start()]);
            out.push_str(term);
            at = found.end();
        }
        out.push_str(&text[at..]);
        changed.then_some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_words_become_the_standard_term() {
        let synonyms = Synonyms::parse("租金 房租 租赁费 # 房子\n辞退 炒掉 开除").unwrap();
        assert_eq!(synonyms.standardise("房租能免吗").unwrap(), "租金能免吗");
        assert_eq!(synonyms.standardise("租金能免吗"), None);
    }

    #[test]
    fn a_word_in_two_groups_is_an_error_with_its_line() {
        let error = Synonyms::parse("租金 房租\n房租 租赁费").unwrap_err();
        assert_eq!(error, (2, "“房租”在第 1 行已经有了".to_owned()));
    }
}
