//! Questions in the very words of a document's phrasing: found at once, nothing is measured or estimated. Knows whose
//! wording is whose.

use super::features::{COVERAGE, LIKENESS, N, PRESENCE};
use super::text::normalise;
use super::{Doc, Found, Owner, Search};
use crate::matching::Beside;
use rustc_hash::FxHashMap;

/// Wordings that belong to one document and to no gap.
#[derive(Debug, Default)]
pub struct Known {
    /// The document of each, and the phrasing, counted over all documents' phrasings.
    wordings: FxHashMap<Box<str>, (u32, u32)>,
}

impl Known {
    /// The phrasings of these documents, but for those that two of them or a gap share.
    pub fn of(docs: &[Doc], gaps: &[Vec<String>]) -> Self {
        let phrases =
            docs.iter().enumerate().flat_map(|(n, doc)| doc.phrases.iter().map(move |text| (n, text)));
        let mut all: FxHashMap<Box<str>, Option<(u32, u32)>> = FxHashMap::default();
        for (phrase, (doc, text)) in phrases.enumerate() {
            let here = Some((doc as u32, phrase as u32));
            let owner = all.entry(normalise(text).into_boxed_str()).or_insert(here);
            *owner = owner.filter(|(other, _)| *other == doc as u32);
        }
        for text in gaps.iter().flatten() {
            all.remove(normalise(text).as_str());
        }
        Self { wordings: all.into_iter().filter_map(|(text, owner)| Some((text, owner?))).collect() }
    }

    /// The document whose wording a normalised question is.
    pub fn find(&self, normalised: &str) -> Option<Search> {
        let (doc, phrase) = *self.wordings.get(normalised)?;
        let mut features = [0.0; N];
        (features[COVERAGE], features[PRESENCE], features[LIKENESS]) = (1.0, 1.0, 1.0);
        let doc = doc as usize;
        let found = Found { doc, features, rank: 0.0, score: 1.0, phrase: Some(phrase as usize) };
        Some(Search { found: vec![found], beside: Beside::default(), about: vec![(Owner::Doc(doc), 1.0)] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_very_words_of_one_document_are_certain_and_those_of_two_are_not() {
        let doc = |phrases: &[&str]| Doc {
            phrases: phrases.iter().map(|phrase| (*phrase).to_owned()).collect(),
            ..Doc::default()
        };
        let docs = [doc(&["房租能减免吗", "补贴怎么领"]), doc(&["补贴怎么领", "社保基数"])];
        let known = Known::of(&docs, &[vec!["社保基数".to_owned()]]);
        let found = known.find(&normalise("房租能减免吗？")).unwrap();
        assert_eq!((found.found.len(), found.found[0].doc, found.found[0].phrase), (1, 0, Some(0)));
        assert!(known.find("补贴怎么领").is_none(), "two documents have it");
        assert!(known.find("社保基数").is_none(), "a gap has it");
    }
}
