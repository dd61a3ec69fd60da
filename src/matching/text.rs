//! Chinese text made comparable. Knows characters, not what they mean: width, case, traditional forms, digits, sound,
//! punctuation, grams.

use pinyin::ToPinyin;

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || ('\u{3007}'..='\u{3007}').contains(&c)
}

/// The comparable form: full-width letters and digits made half-width, lower case, traditional characters simplified,
/// digits of a year or number written out (二〇二六) made figures, nothing but word characters.
pub fn normalise(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in simplified(text).chars() {
        if c.is_ascii() {
            if c.is_ascii_alphanumeric() {
                out.push(c.to_ascii_lowercase());
            }
        } else if is_han(c) {
            out.push(c);
        } else if is_word(c) {
            out.extend(c.to_lowercase());
        }
    }
    out
}

/// The text in simplified characters, full-width ones narrow, written-out figures as figures; all else as it is.
pub fn simplified(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = None;
    let converted = fast2s::convert(text);
    let mut chars = converted.chars().map(narrow).peekable();
    while let Some(c) = chars.next() {
        // A digit is a figure where it stands beside another.
        let digit = figure(c);
        let beside = |_: &char| before.is_some() || chars.peek().copied().and_then(figure).is_some();
        out.push(digit.filter(beside).unwrap_or(c));
        before = digit;
    }
    out
}

/// The figure a digit stands for. 两 and 十 are no digits: they say how many.
fn figure(c: char) -> Option<char> {
    const DIGITS: [char; 10] = ['零', '一', '二', '三', '四', '五', '六', '七', '八', '九'];
    let at = if c == '〇' { Some(0) } else { DIGITS.iter().position(|digit| *digit == c) };
    char::from_digit(at? as u32, 10)
}

/// Full-width ASCII (U+FF01–FF5E) lies at a fixed distance from the narrow one.
fn narrow(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        '\u{3000}' => ' ',
        other => other,
    }
}

/// Whether the character is a Han ideograph of the common planes.
pub fn is_han(c: char) -> bool {
    matches!(c, '\u{4e00}'..='\u{9fff}' | '\u{3400}'..='\u{4dbf}' | '\u{3007}')
}

/// A character, a pair, or a whole ASCII word of normalised text, as one number.
pub type Gram = u64;

/// The distinct grams of normalised text: each Han character, each pair of neighbours, each ASCII run. Sorted.
pub fn grams(normalised: &str, out: &mut Vec<Gram>) {
    each_gram(normalised, |gram| out.push(gram));
    out.sort_unstable();
    out.dedup();
}

/// The grams of normalised text as they come.
pub fn each_gram(normalised: &str, mut take: impl FnMut(Gram)) {
    let (mut before, mut rest) = (None::<char>, normalised);
    while let Some(c) = rest.chars().next() {
        let length = if c.is_ascii_alphanumeric() {
            let length = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
            take(run_gram(rest[..length].chars()));
            before = None;
            length
        } else {
            take(c as u64);
            if let Some(before) = before {
                take((before as u64) << CHAR_BITS | c as u64 | PAIR);
            }
            before = Some(c);
            c.len_utf8()
        };
        rest = &rest[length..];
    }
}

/// What kind of gram one is; the rest of a character's bits is 0.
const RUN: u64 = 1 << 63;
const PAIR: u64 = 1 << 62;
const CHAR_BITS: u32 = 21;

/// The gram of a whole ASCII word: "n+1", "12333", "lpr" are one unit each.
pub fn run_gram(word: impl Iterator<Item = char>) -> Gram {
    fnv(word.map(u64::from)) | RUN
}

/// The hash of Fowler, Noll and Vo (FNV-1a).
fn fnv(units: impl Iterator<Item = u64>) -> u64 {
    units.fold(0xcbf2_9ce4_8422_2325, |hash, unit| (hash ^ unit).wrapping_mul(0x0100_0000_01b3))
}

/// What a gram was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// An ASCII word.
    Run,
    /// A character.
    One(char),
    /// Two neighbours.
    Pair(char, char),
}

/// What a gram was made of.
pub fn parts(gram: Gram) -> Parts {
    let char_of = |bits: u64| {
        u32::try_from(bits & ((1 << CHAR_BITS) - 1)).ok().and_then(char::from_u32).unwrap_or('\0')
    };
    if gram & RUN != 0 {
        Parts::Run
    } else if gram & PAIR != 0 {
        Parts::Pair(char_of(gram >> CHAR_BITS), char_of(gram))
    } else {
        Parts::One(char_of(gram))
    }
}

/// The distinct pairs of neighbouring syllables of normalised text: what is left of it when the characters were picked
/// wrongly from the keyboard's list (捡免 for 减免). Tones are left out, as on the keyboard. Sorted.
pub fn sounds(normalised: &str, out: &mut Vec<Gram>) {
    let mut previous: Option<u64> = None;
    for c in normalised.chars() {
        let syllable = c.to_pinyin().map(|pinyin| fnv(pinyin.plain().bytes().map(u64::from)));
        if let (Some(before), Some(syllable)) = (previous, syllable) {
            out.push(before.rotate_left(21) ^ syllable);
        }
        previous = syllable;
    }
    out.sort_unstable();
    out.dedup();
}

/// The first `n` characters, with an ellipsis where something was cut.
pub fn shorten(text: &str, n: usize) -> String {
    match text.char_indices().nth(n) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn width_case_space_and_punctuation_do_not_matter() {
        assert_eq!(normalise("  Ｎ＋１ 怎么算？！"), "n1怎么算");
        assert_eq!(normalise("社保\n基数　2026"), "社保基数2026");
    }

    #[test]
    fn a_number_is_one_gram_and_han_are_singles_and_pairs() {
        let mut out = Vec::new();
        grams("房租12333", &mut out);
        assert_eq!(out.len(), 4, "房, 租, 房租, 12333");
    }

    #[test]
    fn shortening_cuts_between_characters() {
        assert_eq!(shorten("房租能免吗", 3), "房租能…");
        assert_eq!(shorten("房租", 3), "房租");
    }

    #[test]
    fn traditional_forms_and_written_out_figures_do_not_matter() {
        assert_eq!(normalise("裁員要提前幾天通知"), "裁员要提前几天通知");
        assert_eq!(normalise("二〇二六年的最低工資"), "2026年的最低工资");
        assert_eq!(normalise("一个月"), "一个月", "a single digit stays a word");
    }

    #[test]
    fn what_sounds_alike_has_the_same_sounds() {
        let of = |text: &str| {
            let mut out = Vec::new();
            sounds(text, &mut out);
            out
        };
        assert_eq!(of("房租捡免"), of("房租减免"));
        assert_ne!(of("房租减免"), of("房租涨价"));
        assert!(of("a").is_empty());
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in any::<String>()) {
            let once = normalise(&text);
            prop_assert_eq!(normalise(&once), once);
        }
    }
}
