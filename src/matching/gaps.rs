//! What is known to have no answer, in its askers' words: a question nearer to one of these than to any document is
//! beside the point of them all. Knows phrasings; what nearness is worth is learned elsewhere.

use super::lexical::{Nearest, Phrases};
use super::synonyms::Synonyms;
use super::text::{Gram, normalise};

/// The phrasings of the gaps, indexed.
#[derive(Debug, Default)]
pub struct Gaps {
    phrases: Phrases,
}

/// The gap that comes nearest to a question.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Beside {
    /// Which, where any comes near: by meaning if that is known, else by words.
    pub gap: Option<usize>,
    /// Dice over rarity to the nearest phrasing of any gap.
    pub likeness: f32,
    /// Cosine through the lens to the nearest phrasing of any gap; 0 where meaning is not known.
    pub tuned: f32,
}

impl Gaps {
    /// Of the phrasings of each gap.
    pub fn build(gaps: &[Vec<String>], synonyms: &Synonyms) -> Self {
        let (mut grams, mut owner) = (Vec::new(), Vec::new());
        for (n, phrases) in gaps.iter().enumerate() {
            for phrase in phrases {
                grams.push(super::terms(synonyms, &normalise(phrase)));
                owner.push(n as u32);
            }
        }
        Self { phrases: Phrases::build(&grams, owner, gaps.len()) }
    }

    /// The gap of a phrasing.
    pub fn owner(&self, phrase: usize) -> usize {
        self.phrases.owner(phrase as u32) as usize
    }

    /// How near each gap comes in words; `without` leaves one phrasing out of account, for measuring.
    pub fn nearest(&self, terms: &[Gram], without: Option<usize>) -> Vec<Nearest> {
        self.phrases.nearest(terms, without.map(|n| n as u32))
    }

    /// The nearest of all, from words and, where it is known, from the cosine to each phrasing.
    pub fn beside(&self, by_words: &[Nearest], tuned: Option<&[f32]>) -> Beside {
        let words =
            best(by_words.iter().map(|nearest| nearest.likeness)).filter(|(_, likeness)| *likeness > 0.0);
        let meant = tuned.and_then(|tuned| best(tuned.iter().copied()));
        Beside {
            gap: meant.map(|(phrase, _)| self.owner(phrase)).or(words.map(|(gap, _)| gap)),
            likeness: words.map_or(0.0, |(_, likeness)| likeness),
            tuned: meant.map_or(0.0, |(_, cosine)| cosine),
        }
    }
}

fn best(values: impl Iterator<Item = f32>) -> Option<(usize, f32)> {
    values.enumerate().max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_gap_is_found_by_words_and_by_meaning() {
        let gaps = [vec!["婚假几天".to_owned(), "结婚放几天".to_owned()], vec!["产权证怎么办".to_owned()]];
        let gaps = Gaps::build(&gaps, &Synonyms::default());
        let words = gaps.nearest(&super::super::terms(&Synonyms::default(), "产权证丢了"), None);
        let beside = gaps.beside(&words, None);
        assert!(beside.gap == Some(1) && beside.likeness > 0.3 && beside.tuned == 0.0);
        let beside = gaps.beside(&words, Some(&[0.2, 0.9, 0.1]));
        assert!(beside.gap == Some(0) && (beside.tuned - 0.9).abs() < 1e-6);
        let nothing = Gaps::build(&[], &Synonyms::default());
        assert_eq!(nothing.beside(&nothing.nearest(&[1], None), Some(&[])), Beside::default());
    }
}
