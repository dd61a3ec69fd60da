//! Where in a long text a question is spoken of: its words near one another say more than the same words strewn over pages.
//! Knows characters and grams; what nearness is worth is learned elsewhere.

use super::lexical::Documents;
use super::text::{Gram, each_gram};
use rustc_hash::FxHashMap;

/// A stretch is two steps long.
const STEP: usize = 50;

/// A question, made ready to be looked for.
pub struct Sought {
    grams: FxHashMap<Gram, (usize, f32)>,
    total: f32,
    chars: Vec<char>,
    places: FxHashMap<char, Vec<usize>>,
}

impl Sought {
    /// A normalised question, its grams weighed by their rarity among these documents.
    pub fn new(documents: &Documents, normalised: &str) -> Self {
        let (mut grams, mut total) = (FxHashMap::default(), 0.0);
        each_gram(normalised, |gram| {
            let n = grams.len();
            grams.entry(gram).or_insert_with(|| {
                let rarity = documents.rarity(gram);
                total += rarity;
                (n, rarity)
            });
        });
        let chars: Vec<char> = normalised.chars().collect();
        let mut places: FxHashMap<char, Vec<usize>> = FxHashMap::default();
        for (n, c) in chars.iter().enumerate() {
            places.entry(*c).or_default().push(n);
        }
        Self { grams, total, chars, places }
    }

    /// Of the question's information, what is found within one stretch of a text at most: 0–1.
    pub fn densest(&self, text: &str) -> f32 {
        let starts: Vec<usize> = text.char_indices().step_by(STEP).map(|(at, _)| at).collect();
        let mut best = 0.0_f32;
        let mut seen = vec![usize::MAX; self.grams.len()];
        for (n, from) in starts.iter().enumerate() {
            let to = starts.get(n + 2).copied().unwrap_or(text.len());
            let mut found = 0.0;
            each_gram(&text[*from..to], |gram| {
                if let Some((place, rarity)) = self.grams.get(&gram)
                    && std::mem::replace(&mut seen[*place], n) != n
                {
                    found += rarity;
                }
            });
            best = best.max(found);
        }
        best / self.total.max(1e-6)
    }

    /// The longest run of characters that stands in the text as in the question, as a share of the question: 0–1.
    pub fn longest_run(&self, text: &str) -> f32 {
        let mut longest = 0;
        // Of each place in the question, how long a run ends there; for the character before and for this one.
        let mut before: Vec<(usize, usize)> = Vec::new();
        let mut now: Vec<(usize, usize)> = Vec::new();
        for c in text.chars() {
            now.clear();
            for place in self.places.get(&c).into_iter().flatten() {
                let run = before.iter().find(|(at, _)| at + 1 == *place).map_or(1, |(_, run)| run + 1);
                longest = longest.max(run);
                now.push((*place, run));
            }
            std::mem::swap(&mut before, &mut now);
        }
        longest as f32 / self.chars.len().max(1) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_close_together_and_in_order_are_told_from_strewn_ones() {
        let documents = Documents::build(&[FxHashMap::default()]);
        let sought = Sought::new(&documents, "房租减免");
        let close = format!("{}房租减免{}", "一".repeat(120), "二".repeat(120));
        let strewn = ["房", "租", "减", "免"].map(|c| c.to_owned() + &"三".repeat(120)).concat();
        assert!((sought.densest(&close) - 1.0).abs() < 1e-6);
        assert!(sought.densest(&strewn) < 0.3 && sought.densest("") == 0.0);
        assert_eq!(sought.longest_run(&close), 1.0);
        assert_eq!(sought.longest_run("租房减免"), 0.5);
        assert_eq!(Sought::new(&documents, "").longest_run("房"), 0.0);
    }
}
