//! Something that may answer, and which of its texts get a vector. Knows texts and their lengths; neither grams nor vectors.

/// Bodies are cut into passages of about so many characters, and so many pieces of each are looked at.
const PASSAGE_CHARS: usize = 100;
const PASSAGE_PIECES: usize = 80;
/// The body of a document with phrasings is short and says one thing a line.
const ENTRY_PASSAGE_CHARS: usize = 50;
const WHOLE_PIECES: usize = 256;
const PHRASE_PIECES: usize = 64;
/// Half of a collection's texts no longer than this: lines. And, where they have titles: articles.
const LINE_CHARS: usize = 60;
const ARTICLE_CHARS: usize = 300;

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
    /// One of many single short texts.
    Line,
    /// One of many longer texts without titles.
    Answer,
    /// One of many short texts with titles.
    Article,
    /// One of many long texts with titles.
    Document,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Entry, Self::Line, Self::Answer, Self::Article, Self::Document];

    /// Of each of these; those without phrasings are what the most of them are.
    pub fn of_all(docs: &[Doc]) -> Vec<Self> {
        let mut lengths: Vec<usize> = docs
            .iter()
            .filter(|doc| doc.phrases.is_empty())
            .map(|doc| doc.body.chars().take(ARTICLE_CHARS + 1).count())
            .collect();
        lengths.sort_unstable();
        let usual = lengths.get(lengths.len() / 2).copied().unwrap_or(0);
        let n_titled = docs.iter().filter(|doc| doc.phrases.is_empty() && !doc.title.is_empty()).count();
        let rest = match (2 * n_titled > lengths.len(), usual) {
            (false, n) if n <= LINE_CHARS => Self::Line,
            (false, _) => Self::Answer,
            (true, n) if n <= ARTICLE_CHARS => Self::Article,
            (true, _) => Self::Document,
        };
        docs.iter().map(|doc| if doc.phrases.is_empty() { rest } else { Self::Entry }).collect()
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
    fn a_document_is_of_its_collections_kind() {
        let doc = |title: &str, phrases: &[&str], n_chars: usize| Doc {
            title: title.to_owned(),
            phrases: phrases.iter().map(|phrase| (*phrase).to_owned()).collect(),
            body: "长".repeat(n_chars),
            ..Doc::default()
        };
        let kind = |title: &str, n_chars: usize| {
            let docs = [doc(title, &[], n_chars), doc(title, &[], n_chars + 1), doc("a", &["b"], 9)];
            let kinds = Kind::of_all(&docs);
            assert!(kinds[0] == kinds[1] && kinds[2] == Kind::Entry);
            kinds[0]
        };
        assert_eq!(kind("", 20), Kind::Line);
        assert_eq!(kind("", 200), Kind::Answer);
        assert_eq!(kind("第七条", 20), Kind::Article);
        assert_eq!(kind("通知", 2_000), Kind::Document);
        assert!(Kind::of_all(&[]).is_empty());
    }
}
