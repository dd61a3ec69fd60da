//! Something that may answer, and which of its texts get a vector. Knows texts and their lengths; neither grams nor vectors.

/// Bodies are cut into passages of about so many characters, and so many pieces of each are looked at.
const PASSAGE_CHARS: usize = 100;
const PASSAGE_PIECES: usize = 80;
/// The body of a document with phrasings is short and says one thing a line.
const ENTRY_PASSAGE_CHARS: usize = 50;
const WHOLE_PIECES: usize = 256;
const PHRASE_PIECES: usize = 64;
/// A text without title and no longer than this is a line: a question, not a document.
const MAX_LINE_CHARS: usize = 60;

/// A text that gets a vector, and how many pieces of it are looked at.
pub type Passage = (String, usize);

/// Something that may answer.
#[derive(Clone, Debug, Default)]
pub struct Doc {
    /// Its name.
    pub title: String,
    /// How people ask for it.
    pub phrases: Vec<String>,
    /// Words that belong to it.
    pub keywords: Vec<String>,
    /// What it says.
    pub body: String,
}

/// What sort of document it is; each has weights of its own, because the signals tell different things of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// It has phrasings.
    Entry,
    /// A single short text.
    Line,
    /// A long text.
    Text,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Entry, Self::Line, Self::Text];

    /// Of this document.
    pub fn of(doc: &Doc) -> Self {
        if !doc.phrases.is_empty() {
            Self::Entry
        } else if doc.title.is_empty() && doc.body.chars().count() <= MAX_LINE_CHARS {
            Self::Line
        } else {
            Self::Text
        }
    }
}

/// A short text.
pub fn phrase(text: &str) -> Passage {
    (text.to_owned(), PHRASE_PIECES)
}

/// What of a document gets a vector: its phrasings and its title, or its title and its passages.
pub fn parts(doc: &Doc) -> Vec<Passage> {
    let mut parts: Vec<Passage> = doc.phrases.iter().map(|text| phrase(text)).collect();
    parts.extend(Some(&doc.title).filter(|title| !title.is_empty()).map(|text| phrase(text)));
    if doc.phrases.is_empty() {
        parts.extend(cut(&doc.body, PASSAGE_CHARS));
    }
    if parts.is_empty() {
        parts.push((doc.body.clone(), PASSAGE_PIECES));
    }
    parts
}

/// The passages of a document that has phrasings.
pub fn passages(doc: &Doc) -> Vec<Passage> {
    if doc.phrases.is_empty() { Vec::new() } else { cut(&doc.body, ENTRY_PASSAGE_CHARS) }
}

/// A document as a whole.
pub fn whole(doc: &Doc) -> Passage {
    (format!("{} {}", doc.title, doc.body).trim().to_owned(), WHOLE_PIECES)
}

/// A text in pieces of about so many characters, ending where sentences end. Joined they are the text.
fn cut(text: &str, about: usize) -> Vec<Passage> {
    let mut passages: Vec<String> = Vec::new();
    let (mut now, mut n_now) = (String::new(), 0);
    for sentence in text.split_inclusive(['。', '；', '！', '？', '\n']) {
        let n = sentence.chars().count();
        if n_now + n > about && n_now > 0 {
            passages.push(std::mem::take(&mut now));
            n_now = 0;
        }
        if n <= 2 * about {
            now.push_str(sentence);
            n_now += n;
            continue;
        }
        let chars: Vec<char> = sentence.chars().collect();
        passages.extend(chars.chunks(about).map(|chunk| chunk.iter().collect::<String>()));
    }
    if !now.is_empty() {
        passages.push(now);
    }
    passages.into_iter().map(|passage| (passage, PASSAGE_PIECES)).collect()
}

#[cfg(test)]
mod tests {
    use super::{Doc, Kind, cut};

    proptest::proptest! {
        #[test]
        fn passages_join_to_the_text(text in "[。；\\n房租社保a]{0,600}") {
            let joined: String = cut(&text, 50).into_iter().map(|(passage, _)| passage).collect();
            proptest::prop_assert_eq!(joined, text);
        }
    }

    #[test]
    fn a_document_is_of_its_kind() {
        let doc = |phrases: &[&str], body: &str| Doc {
            phrases: phrases.iter().map(|phrase| (*phrase).to_owned()).collect(),
            body: body.to_owned(),
            ..Doc::default()
        };
        assert_eq!(Kind::of(&doc(&["a", "b"], "")), Kind::Entry);
        assert_eq!(Kind::of(&doc(&[], "剧烈运动后咯血怎么办")), Kind::Line);
        assert_eq!(Kind::of(&doc(&[], &"很长".repeat(60))), Kind::Text);
    }
}
