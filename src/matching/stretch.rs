//! Where in a long text a question is spoken of: its words near one another say more than the same words strewn over pages.
//! Knows characters and grams; what nearness is worth is learned elsewhere.

use super::lexical::Documents;
use super::text::{Gram, each_gram, each_gram_of};
use rustc_hash::FxHashMap;

/// A text falls into blocks of so many characters; a stretch is two blocks that follow one another.
const BLOCK: usize = 50;
/// A bit for each character of Unicode's first plane, where nearly all of Chinese is.
const FIRST_PLANE: usize = 1 << 16;

/// A question, made ready to be looked for.
pub struct Sought {
    /// Of each gram its place and its rarity.
    grams: FxHashMap<Gram, (usize, f32)>,
    total: f32,
    n_chars: usize,
    /// Where in the question each character stands.
    places: FxHashMap<char, Vec<usize>>,
    /// Its characters: most of what a text says is none of them, and need not be looked up.
    has: Box<[u64; FIRST_PLANE / 64]>,
}

/// What has been found in the block at hand and the one before.
#[derive(Clone, Copy, Default)]
struct Blocks {
    /// The sum of each.
    sums: [f32; 2],
    /// What of both is the same.
    shared: f32,
    /// What lies across their border, and whether the block before had it as well.
    across: Option<(usize, f32, bool)>,
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
        let (mut places, mut has) =
            (FxHashMap::<char, Vec<usize>>::default(), Box::new([0; FIRST_PLANE / 64]));
        for (n, c) in normalised.chars().enumerate() {
            places.entry(c).or_default().push(n);
            if let Some(word) = has.get_mut(c as usize / 64) {
                *word |= 1 << (c as usize % 64);
            }
        }
        Self { grams, total, n_chars: normalised.chars().count(), places, has }
    }

    /// Whether the question may have this character; it surely has not where this says so.
    fn may_have(&self, c: char) -> bool {
        self.has.get(c as usize / 64).is_none_or(|word| word & 1 << (c as usize % 64) != 0)
    }

    /// Of the question's information, what is found within one stretch of a text at most: 0–1.
    pub fn densest(&self, text: &[char]) -> f32 {
        // Of each gram, the block it was last seen in, counted from 2, so that never is not the one before.
        let mut last = vec![0_usize; self.grams.len()];
        let (mut best, mut at, mut blocks) = (0.0_f32, 2, Blocks::default());
        let is_wanted = |c| self.may_have(c);
        each_gram_of(text.iter().copied(), is_wanted, |gram, from, to| {
            let Some((n, rarity)) = self.grams.get(&gram).copied() else { return };
            let (from, to) = (from / BLOCK + 2, to / BLOCK + 2);
            if to > at {
                best = best.max(blocks.sum(&last, at));
                blocks = if to == at + 1 { blocks.moved_on() } else { Blocks::default() };
                at = to;
            }
            if from < to {
                // What is longer than a block lies in no stretch.
                blocks.across = (from + 1 == to).then_some((n, rarity, last[n] + 1 == to));
            } else if last[n] != at {
                blocks.sums[1] += rarity;
                blocks.shared += if last[n] + 1 == at { rarity } else { 0.0 };
                last[n] = at;
            }
        });
        best.max(blocks.sum(&last, at)) / self.total.max(1e-6)
    }

    /// The longest run of characters that stands in the text as in the question, as a share of the question: 0–1.
    pub fn longest_run(&self, text: &[char]) -> f32 {
        let mut longest = 0;
        // Of each place in the question, how long a run ends there; for the character before and for this one.
        let mut before: Vec<(usize, usize)> = Vec::new();
        let mut now: Vec<(usize, usize)> = Vec::new();
        for c in text {
            if !self.may_have(*c) {
                before.clear();
                continue;
            }
            now.clear();
            for place in self.places.get(c).into_iter().flatten() {
                let run = before.iter().find(|(at, _)| at + 1 == *place).map_or(1, |(_, run)| run + 1);
                longest = longest.max(run);
                now.push((*place, run));
            }
            std::mem::swap(&mut before, &mut now);
        }
        longest as f32 / self.n_chars.max(1) as f32
    }
}

impl Blocks {
    /// The block at hand becomes the one before.
    fn moved_on(self) -> Self {
        Self { sums: [self.sums[1], 0.0], ..Self::default() }
    }

    /// What is found in both together; the one at hand is done.
    fn sum(&self, last: &[usize], at: usize) -> f32 {
        let across = self.across.filter(|(n, _, before)| !before && last[*n] != at);
        self.sums[0] + self.sums[1] - self.shared + across.map_or(0.0, |(_, rarity, _)| rarity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sought(question: &str) -> Sought {
        Sought::new(&Documents::build(&[FxHashMap::default()]), question)
    }

    #[test]
    fn words_close_together_and_in_order_are_told_from_strewn_ones() {
        let chars = |text: &str| text.chars().collect::<Vec<char>>();
        let sought = sought("房租减免");
        let close = chars(&format!("{}房租减免{}", "一".repeat(120), "二".repeat(120)));
        let strewn = ["房", "租", "减", "免"].map(|c| c.to_owned() + &"三".repeat(120)).concat();
        assert!((sought.densest(&close) - 1.0).abs() < 1e-6);
        assert!(sought.densest(&chars(&strewn)) < 0.3 && sought.densest(&[]) == 0.0);
        assert_eq!(sought.longest_run(&close), 1.0);
        assert_eq!(sought.longest_run(&chars("租房减免")), 0.5);
        assert_eq!(self::sought("").longest_run(&['房']), 0.0);
        assert_eq!(self::sought("12333电话").longest_run(&chars("打12333")), 5.0 / 7.0);
    }

    proptest! {
        #[test]
        fn the_longest_run_is_that_of_trying_each(question in "[房租减免a1]{1,12}", text in "[房租减免天地a]{0,60}") {
            let (question, text): (Vec<char>, Vec<char>) = (question.chars().collect(), text.chars().collect());
            let tails = |chars: &[char]| (0..chars.len()).map(|n| chars[n..].to_vec()).collect::<Vec<_>>();
            let common = |a: &[char], b: &[char]| a.iter().zip(b).take_while(|(a, b)| a == b).count();
            let each = tails(&question).iter().flat_map(|a| tails(&text).iter().map(|b| common(a, b)).collect::<Vec<_>>()).max();
            let wanted = each.unwrap_or(0) as f32 / question.len() as f32;
            let found = sought(&question.iter().collect::<String>()).longest_run(&text);
            prop_assert!((found - wanted).abs() < 1e-6);
        }

        #[test]
        fn the_densest_stretch_is_that_of_looking_at_each(
            question in "[房租减免a1]{1,12}",
            text in "[房租减免天地人]{0,260}",
        ) {
            let sought = sought(&question);
            let chars: Vec<char> = text.chars().collect();
            let blocks = chars.len().div_ceil(BLOCK).max(1);
            let each = (0..blocks).map(|n| {
                let end = ((n + 2) * BLOCK).min(chars.len());
                let stretch: String = chars[(n * BLOCK).min(end)..end].iter().collect();
                let mut found: FxHashMap<usize, f32> = FxHashMap::default();
                each_gram(&stretch, |gram| found.extend(sought.grams.get(&gram).copied()));
                found.values().sum::<f32>()
            });
            let wanted = each.fold(0.0_f32, f32::max) / sought.total.max(1e-6);
            prop_assert!((sought.densest(&chars) - wanted).abs() < 1e-4);
        }
    }
}
