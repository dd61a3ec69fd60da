//! Text made searchable: runs of comparable characters, and the grams of them that stand in the index. Knows characters
//! and positions; nothing of tickets.

use crate::matching::text::simplified;
use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

/// Stands between runs: no gram and no phrase reaches over it.
const BREAK: char = ' ';
/// Between Latin letters or figures these belong to the word: n+1, qq.com, a&b.
const JOINING: &str = ".@_&+/";

/// Appends the text's comparable characters: simplified, narrow, lower case, runs of them parted by one space. Between
/// letters or figures a dash is left out (138-1234-5678), so that a number is found however it was written.
pub(super) fn add_runs(text: &str, out: &mut String) {
    let chars: Vec<char> = simplified(text).chars().collect();
    let is_narrow =
        |at: Option<usize>| at.and_then(|at| chars.get(at)).is_some_and(char::is_ascii_alphanumeric);
    for (at, c) in chars.iter().enumerate() {
        if c.is_alphanumeric() {
            out.extend(c.to_lowercase().filter(|lower| lower.is_alphanumeric()));
            continue;
        }
        let inside = is_narrow(at.checked_sub(1)) && is_narrow(Some(at + 1));
        if inside && JOINING.contains(*c) {
            out.push(*c);
        } else if !(out.is_empty() || out.ends_with(BREAK) || inside && is_dash(*c)) {
            out.push(BREAK);
        }
    }
}

/// The runs of a text.
pub(super) fn runs(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    add_runs(text, &mut out);
    out
}

fn is_dash(c: char) -> bool {
    matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

/// Whether a gram of this width stands at a position: pairs anywhere in a run; single characters at its end only (all others
/// begin a pair, so one character is looked for as what terms begin with); of Latin letters and figures also threes.
fn stands(chars: &[char], at: usize, width: usize) -> bool {
    let inside = |at: usize| chars.get(at).is_some_and(|c| *c != BREAK);
    match width {
        1 => inside(at) && !inside(at + 1),
        2 => inside(at) && inside(at + 1),
        _ => (at..at + width).all(|at| inside(at) && chars[at].is_ascii()),
    }
}

/// What one word is looked for by.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sought {
    /// Terms that begin with this character.
    Begins(char),
    /// These terms, at these distances.
    Phrase(Vec<(usize, String)>),
}

/// How one run of a question is looked for; `None` for an empty one.
pub(super) fn sought(run: &str) -> Option<Sought> {
    let chars: Vec<char> = run.chars().filter(|c| *c != BREAK).collect();
    if let [only] = chars[..] {
        return Some(Sought::Begins(only));
    }
    let (mut terms, mut covered) = (Vec::new(), 0);
    for at in 0..chars.len() {
        let Some(width) = [3, 2].into_iter().find(|width| stands(&chars, at, *width)) else { continue };
        // What lies within the gram before says nothing more.
        if at + width > covered {
            terms.push((at, chars[at..at + width].iter().collect()));
            covered = at + width;
        }
    }
    (!terms.is_empty()).then_some(Sought::Phrase(terms))
}

/// Cuts runs into grams. A gram's position is that of its first character.
#[derive(Clone, Default)]
pub(super) struct Grams {
    chars: Vec<char>,
    token: Token,
}

impl Tokenizer for Grams {
    type TokenStream<'a> = Cut<'a>;

    fn token_stream<'a>(&'a mut self, runs: &'a str) -> Cut<'a> {
        self.chars.clear();
        self.chars.extend(runs.chars());
        Cut { grams: self, at: 0, width: 0 }
    }
}

/// The grams of one text, as they come.
pub(super) struct Cut<'a> {
    grams: &'a mut Grams,
    at: usize,
    width: usize,
}

impl TokenStream for Cut<'_> {
    fn advance(&mut self) -> bool {
        let Grams { chars, token } = &mut *self.grams;
        while self.at < chars.len() {
            self.width += 1;
            if self.width > 3 {
                (self.at, self.width) = (self.at + 1, 0);
            } else if stands(chars, self.at, self.width) {
                token.reset();
                token.position = self.at;
                token.text.extend(&chars[self.at..self.at + self.width]);
                return true;
            }
        }
        false
    }

    fn token(&self) -> &Token {
        &self.grams.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.grams.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(text: &str) -> Vec<(usize, String)> {
        let runs = runs(text);
        let (mut grams, mut out) = (Grams::default(), Vec::new());
        let mut stream = grams.token_stream(&runs);
        while let Some(token) = stream.next() {
            out.push((token.position, token.text.clone()));
        }
        out
    }

    fn phrase(word: &str) -> Vec<(usize, String)> {
        match sought(&runs(word)) {
            Some(Sought::Phrase(terms)) => terms,
            other => panic!("{word}: {other:?}"),
        }
    }

    #[test]
    fn runs_are_simplified_narrow_lower_case_and_end_at_punctuation() {
        assert_eq!(runs("  廠房，租金！ "), "厂房 租金 ");
        assert_eq!(runs("ＡＢＣ公司"), "abc公司");
        assert_eq!(runs("138-1234-5678"), "13812345678");
        assert_eq!(runs("1124－007"), "1124007");
        assert_eq!(runs("N＋1 和 a.b@qq.com。"), "n+1 和 a.b@qq.com ");
        assert_eq!(runs("房-租"), "房 租", "between Chinese characters a dash parts");
    }

    #[test]
    fn every_character_begins_a_gram_and_none_reaches_over_a_break() {
        let of = |grams: &[(usize, &str)]| {
            grams.iter().map(|(at, gram)| (*at, (*gram).to_owned())).collect::<Vec<_>>()
        };
        assert_eq!(cut("房租，减"), of(&[(0, "房租"), (1, "租"), (3, "减")]));
        assert_eq!(cut("A座123"), of(&[(0, "a座"), (1, "座1"), (2, "12"), (2, "123"), (3, "23"), (4, "3")]));
    }

    #[test]
    fn a_word_is_looked_for_by_grams_that_cover_it() {
        let at = |terms: Vec<(usize, String)>| {
            terms.into_iter().map(|(at, term)| format!("{at}{term}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(at(phrase("房租减免")), "0房租 1租减 2减免");
        assert_eq!(at(phrase("12345")), "0123 1234 2345");
        assert_eq!(at(phrase("hr部")), "0hr 1r部");
        assert_eq!(sought("房"), Some(Sought::Begins('房')));
        assert_eq!(sought(""), None);
    }

    proptest! {
        #[test]
        fn what_is_looked_for_by_a_texts_own_words_stands_in_it(text in "[房租减免a-c0-3 ，.-]{0,20}") {
            let stood = cut(&text);
            for word in runs(&text).split_whitespace() {
                let Some(Sought::Phrase(terms)) = sought(word) else { continue };
                let stands_at = |start: usize| {
                    terms.iter().all(|(at, term)| stood.contains(&(start + at, term.clone())))
                };
                prop_assert!((0..20).any(stands_at), "{word} in {text}");
            }
        }
    }
}
