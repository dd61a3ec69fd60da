//! What a ticket becomes in the index, and how a question is put to it: the fields, their terms, the limits. The only
//! place where both sides meet, so that what is written is what is looked for.

use super::grams::{Sought, add_runs, runs, sought};
use super::{ALL, Doc, MAX_QUERY_CHARS, MAX_WORDS, Reader};
use std::ops::Bound;
use tantivy::query::{BooleanQuery, PhraseQuery, Query, RangeQuery, TermQuery};
use tantivy::schema::{FAST, Field, INDEXED, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::{IndexSettings, IndexSortByField, Order, TantivyDocument, Term};

/// The tokenizer's name within the index.
pub(super) const GRAMS: &str = "grams";
/// Of one ticket's words, and of its names, so many characters are indexed.
const MAX_TEXT_CHARS: usize = 200_000;
const MAX_FIELD_CHARS: usize = 10_000;
/// So many people and telephone numbers of one ticket; so many names of one reader.
const MAX_EACH: usize = 64;
/// Fewer figures are not looked for in telephone numbers, and fewer still not in tickets' numbers: they stand in every second.
const MIN_PHONE: usize = 4;
const MIN_NUMBER: usize = 3;
/// A longer number is cut: nobody's is.
const MAX_NUMBER: usize = 16;

/// The index's fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields {
    pub id: Field,
    pub stamp: Field,
    pub opened_at: Field,
    /// Who may see it.
    pub seen: Field,
    number: Field,
    phone: Field,
    label: Field,
    pub text: Field,
}

/// The names under which values are read back.
pub(super) const ID: &str = "id";
pub(super) const STAMP: &str = "stamp";
pub(super) const OPENED_AT: &str = "opened_at";

impl Fields {
    /// The schema. A change in what is indexed, too, must give a field another name: then older indexes are begun anew.
    pub fn schema() -> (Schema, Self) {
        let mut schema = Schema::builder();
        let indexed = |tokenizer: &str, option| {
            let indexing = TextFieldIndexing::default()
                .set_tokenizer(tokenizer)
                .set_index_option(option)
                .set_fieldnorms(false);
            TextOptions::default().set_indexing_options(indexing)
        };
        let terms = indexed("raw", IndexRecordOption::Basic);
        let grams = indexed(GRAMS, IndexRecordOption::WithFreqsAndPositions);
        let fields = Self {
            id: schema.add_u64_field(ID, INDEXED | FAST),
            stamp: schema.add_i64_field(STAMP, FAST),
            opened_at: schema.add_i64_field(OPENED_AT, FAST),
            seen: schema.add_text_field("seen", terms.clone()),
            number: schema.add_text_field("number", terms),
            phone: schema.add_text_field("phone", grams.clone()),
            label: schema.add_text_field("label", grams.clone()),
            text: schema.add_text_field("text_1", grams),
        };
        (schema.build(), fields)
    }

    /// The newest ticket comes first in every part of the index, so that a search may stop when it has enough.
    pub fn settings() -> IndexSettings {
        IndexSettings {
            sort_by_field: Some(IndexSortByField { field: OPENED_AT.to_owned(), order: Order::Desc }),
            docstore_compress_dedicated_thread: false,
            ..IndexSettings::default()
        }
    }

    pub fn id_term(&self, id: u64) -> Term {
        Term::from_field_u64(self.id, id)
    }

    pub fn document(&self, doc: &Doc) -> TantivyDocument {
        let mut document = TantivyDocument::default();
        document.add_u64(self.id, doc.id);
        document.add_i64(self.stamp, doc.stamp);
        document.add_i64(self.opened_at, doc.opened_at);
        for term in seen_by(doc) {
            document.add_text(self.seen, term);
        }
        for term in number_terms(&doc.number, doc.year) {
            document.add_text(self.number, term);
        }
        for phone in doc.phones.iter().take(MAX_EACH) {
            let digits: String =
                runs(phone).chars().filter(char::is_ascii_digit).take(MAX_QUERY_CHARS).collect();
            document.add_text(self.phone, digits);
        }
        for (field, texts, limit) in
            [(self.label, &doc.fields, MAX_FIELD_CHARS), (self.text, &doc.text, MAX_TEXT_CHARS)]
        {
            let mut left = limit;
            for text in texts {
                let text: String = text.chars().take(left).collect();
                left -= text.chars().count();
                let mut runs = String::with_capacity(text.len());
                add_runs(&text, &mut runs);
                document.add_text(field, runs);
            }
        }
        document
    }

    /// The terms of which a ticket must have one for this reader to see it.
    pub fn sees(&self, reader: &Reader) -> Vec<Term> {
        let mut terms = bits('o', reader.departments);
        terms.extend(bits('c', reader.confidential_departments));
        if reader.departments == ALL {
            terms.push("o".to_owned());
        }
        if reader.confidential_departments == ALL {
            terms.push("c".to_owned());
        }
        terms.extend(reader.names.iter().take(MAX_EACH).map(|name| format!("@{name}")));
        terms.into_iter().map(|term| Term::from_field_text(self.seen, &term)).collect()
    }

    /// The ticket of exactly this number, of any year or of the one that is said.
    pub fn by_number(&self, words: &[String]) -> Option<Box<dyn Query>> {
        match words {
            [word] if is_figures(word) => Some(term(self.number, &format!("={word}"))),
            _ => None,
        }
    }

    /// All words in names, telephone numbers or the number.
    pub fn by_names(&self, words: &[String]) -> Box<dyn Query> {
        all(words.iter().map(|word| any(self.in_names(word))).collect())
    }

    /// All words there or in what was said, for what [`Fields::by_names`] does not find: so of a single word only the latter.
    pub fn by_text(&self, words: &[String]) -> Box<dyn Query> {
        let somewhere = |word: &String| {
            let mut somewhere = if words.len() == 1 { Vec::new() } else { self.in_names(word) };
            somewhere.extend(contains(self.text, word));
            any(somewhere)
        };
        all(words.iter().map(somewhere).collect())
    }

    fn in_names(&self, word: &str) -> Vec<Box<dyn Query>> {
        let mut places = Vec::new();
        if is_figures(word) && word.len() >= MIN_NUMBER {
            places.push(term(self.number, word));
        }
        if is_figures(word) && word.len() >= MIN_PHONE {
            places.extend(contains(self.phone, word));
        }
        places.extend(contains(self.label, word));
        places
    }
}

/// The words of a question: what is parted by spaces or punctuation. Figures alone, parted as telephone numbers are, are one.
pub(super) fn words(query: &str) -> Vec<String> {
    let query: String = query.chars().take(MAX_QUERY_CHARS).collect();
    let mut words: Vec<String> = Vec::new();
    for word in runs(&query).split_whitespace().take(MAX_WORDS) {
        if !words.iter().any(|known| known == word) {
            words.push(word.to_owned());
        }
    }
    let joined: String = runs(&query).split_whitespace().collect();
    if words.len() > 1 && is_figures(&joined) && (7..=15).contains(&joined.len()) {
        // The country's number, where somebody copied it along.
        let national = joined.strip_prefix("86").filter(|rest| rest.len() == 11);
        return vec![national.map_or_else(|| joined.clone(), str::to_owned)];
    }
    words
}

fn is_figures(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

fn term(field: Field, text: &str) -> Box<dyn Query> {
    Box::new(TermQuery::new(Term::from_field_text(field, text), IndexRecordOption::Basic))
}

fn all(mut queries: Vec<Box<dyn Query>>) -> Box<dyn Query> {
    match queries.len() {
        1 => queries.remove(0),
        _ => Box::new(BooleanQuery::intersection(queries)),
    }
}

fn any(mut queries: Vec<Box<dyn Query>>) -> Box<dyn Query> {
    match queries.len() {
        1 => queries.remove(0),
        _ => Box::new(BooleanQuery::union(queries)),
    }
}

/// A word anywhere in a field, its characters one after the other.
fn contains(field: Field, word: &str) -> Option<Box<dyn Query>> {
    let term_of = |text: &str| Term::from_field_text(field, text);
    match sought(word)? {
        Sought::Begins(c) => {
            let after = (c as u32 + 1..=char::MAX as u32).find_map(char::from_u32);
            let end = after.map_or(Bound::Unbounded, |after| Bound::Excluded(term_of(&after.to_string())));
            Some(Box::new(RangeQuery::new(Bound::Included(term_of(&c.to_string())), end)))
        }
        Sought::Phrase(mut terms) if terms.len() == 1 => terms.pop().map(|(_, only)| term(field, &only)),
        Sought::Phrase(terms) => {
            let terms = terms.into_iter().map(|(at, text)| (at, term_of(&text))).collect();
            Some(Box::new(PhraseQuery::new_with_offset(terms)))
        }
    }
}

/// `o0` … `o7`: open to a department's people; `c0` … `c7`: confidential, for that department's lead.
fn bits(kind: char, mask: u8) -> Vec<String> {
    (0..8).filter(|bit| mask >> bit & 1 == 1).map(|bit| format!("{kind}{bit}")).collect()
}

fn seen_by(doc: &Doc) -> Vec<String> {
    let (kind, mask) = if doc.is_confidential { ('c', doc.lead_department) } else { ('o', doc.departments) };
    let mut terms = bits(kind, mask);
    terms.push(kind.to_string());
    terms.extend(doc.people.iter().take(MAX_EACH).map(|name| format!("@{name}")));
    terms
}

/// The number whole, with and without its year (marked `=`), and every part of it that may be asked for.
fn number_terms(number: &str, year: i16) -> Vec<String> {
    let figures: String = number.chars().filter(char::is_ascii_digit).take(MAX_NUMBER).collect();
    if figures.is_empty() {
        return Vec::new();
    }
    let with_year = format!("{year:04}{figures}");
    let mut terms = vec![format!("={figures}"), format!("={with_year}")];
    for begin in 0..figures.len() {
        for end in begin + MIN_NUMBER..=figures.len() {
            terms.push(figures[begin..end].to_owned());
        }
    }
    // The year alone is no part of a number: it would find them all.
    terms.extend((4 + MIN_NUMBER..with_year.len()).map(|end| with_year[..end].to_owned()));
    terms
}
