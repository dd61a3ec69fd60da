//! Where in a long text a question is spoken of: its words near one another say more than the same words strewn over pages.
//! Knows characters and grams; what nearness is worth is learned elsewhere.

use super::lexical::Documents;
use super::text::{Gram, Parts, each_gram, parts, run_gram};
use rustc_hash::FxHashMap;

/// A text falls into blocks of so many characters; a stretch is two blocks that follow one another.
const BLOCK: usize = 50;
/// Where nearly all of Chinese is: CJK Unified Ideographs, U+4E00 to U+9FFF.
const HAN: std::ops::Range<usize> = 0x4e00..0xa000;

/// A question, made ready to be looked for. Its distinct characters have codes from 1, so that a text is gone through without
/// hashing; most of what a text says is none of them.
pub struct Sought {
    codes: Vec<u16>,
    /// Of the characters that are no common Han.
    others: Vec<(char, u16)>,
    /// By code, where in the question the character stands.
    places: Vec<Vec<usize>>,
    /// The gram of a character, by its code, and of a pair, by both. Grams count from 1; 0 is none.
    singles: Vec<u32>,
    pairs: Vec<u32>,
    runs: FxHashMap<Gram, u32>,
    /// By gram.
    rarity: Vec<f32>,
    total: f32,
    n_chars: usize,
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
        let mut sought = Self {
            codes: vec![0; HAN.len()],
            others: Vec::new(),
            places: vec![Vec::new()],
            singles: Vec::new(),
            pairs: Vec::new(),
            runs: FxHashMap::default(),
            rarity: vec![0.0],
            total: 0.0,
            n_chars: normalised.chars().count(),
        };
        for (n, c) in normalised.chars().enumerate() {
            let code = match sought.code(c) {
                0 => sought.add_code(c),
                code => code,
            };
            sought.places[code].push(n);
        }
        let n_codes = sought.places.len();
        (sought.singles, sought.pairs) = (vec![0; n_codes], vec![0; n_codes * n_codes]);
        each_gram(normalised, |gram| sought.add_gram(documents, gram));
        sought
    }

    fn add_code(&mut self, c: char) -> usize {
        let code = self.places.len();
        match self.codes.get_mut((c as usize).wrapping_sub(HAN.start)) {
            Some(place) => *place = code as u16,
            None => self.others.push((c, code as u16)),
        }
        self.places.push(Vec::new());
        code
    }

    fn add_gram(&mut self, documents: &Documents, gram: Gram) {
        let place = match parts(gram) {
            Parts::Run => self.runs.entry(gram).or_default(),
            Parts::One(c) => {
                let code = self.code(c);
                &mut self.singles[code]
            }
            Parts::Pair(before, c) => {
                let at = self.code(before) * self.places.len() + self.code(c);
                &mut self.pairs[at]
            }
        };
        if *place == 0 {
            *place = self.rarity.len() as u32;
            let rarity = documents.rarity(gram);
            self.rarity.push(rarity);
            self.total += rarity;
        }
    }

    /// 0 for a character that the question has not.
    #[inline]
    fn code(&self, c: char) -> usize {
        match self.codes.get((c as usize).wrapping_sub(HAN.start)) {
            Some(code) => usize::from(*code),
            None => {
                self.others.iter().find(|(other, _)| *other == c).map_or(0, |(_, code)| usize::from(*code))
            }
        }
    }

    /// The question's grams in a text, with the places of each one's first and last character.
    #[inline]
    fn each_in(&self, text: &[char], mut take: impl FnMut(usize, usize, usize)) {
        let mut take = |gram: u32, from, to| {
            if gram != 0 {
                take(gram as usize, from, to);
            }
        };
        let (mut before, mut n) = (0, 0);
        while let Some(c) = text.get(n) {
            if c.is_ascii_alphanumeric() {
                let length = text[n..].iter().take_while(|c| c.is_ascii_alphanumeric()).count();
                let gram = run_gram(text[n..n + length].iter().copied());
                take(self.runs.get(&gram).copied().unwrap_or(0), n, n + length - 1);
                (before, n) = (0, n + length);
                continue;
            }
            let code = self.code(*c);
            if code != 0 {
                take(self.singles[code], n, n);
                if before != 0 {
                    take(self.pairs[before * self.places.len() + code], n - 1, n);
                }
            }
            (before, n) = (code, n + 1);
        }
    }

    /// Of the question's information, what is found within one stretch of a text at most: 0–1.
    pub fn densest(&self, text: &[char]) -> f32 {
        // Of each gram, the block it was last seen in, counted from 2, so that never is not the one before.
        let mut last = vec![0_usize; self.rarity.len()];
        let (mut best, mut at, mut blocks) = (0.0_f32, 2, Blocks::default());
        self.each_in(text, |n, from, to| {
            let rarity = self.rarity[n];
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
            let code = self.code(*c);
            if code == 0 {
                before.clear();
                continue;
            }
            now.clear();
            for place in &self.places[code] {
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

    fn documents() -> Documents {
        Documents::build(&[FxHashMap::default()])
    }

    fn sought(question: &str) -> Sought {
        Sought::new(&documents(), question)
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
        let telephone = self::sought("12333电话");
        assert_eq!(telephone.longest_run(&chars("打12333")), 5.0 / 7.0);
        assert!(telephone.densest(&chars("打12333")) > 0.0 && telephone.densest(&chars("打123334")) == 0.0);
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
            let (sought, documents) = (sought(&question), documents());
            let chars: Vec<char> = text.chars().collect();
            let blocks = chars.len().div_ceil(BLOCK).max(1);
            let each = (0..blocks).map(|n| {
                let end = ((n + 2) * BLOCK).min(chars.len());
                let stretch: String = chars[(n * BLOCK).min(end)..end].iter().collect();
                let mut found: FxHashMap<Gram, f32> = FxHashMap::default();
                each_gram(&stretch, |gram| {
                    each_gram(&question, |own| {
                        if own == gram {
                            found.insert(own, documents.rarity(own));
                        }
                    });
                });
                found.values().sum::<f32>()
            });
            let wanted = each.fold(0.0_f32, f32::max) / sought.total.max(1e-6);
            prop_assert!((sought.densest(&chars) - wanted).abs() < 1e-4);
        }
    }
}
