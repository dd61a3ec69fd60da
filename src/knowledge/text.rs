//! Chinese text made comparable. Knows characters, not what they mean: width, case, punctuation, grams.

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || ('\u{3007}'..='\u{3007}').contains(&c)
}

/// The comparable form: full-width letters and digits made half-width, lower case, nothing but word characters.
pub fn normalise(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let c = narrow(c);
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
    let mut previous: Option<char> = None;
    let mut run: Option<u64> = None;
    for c in normalised.chars() {
        if c.is_ascii_alphanumeric() {
            // FNV over the run: "n+1", "12333", "lpr" are one unit each.
            run = Some((run.unwrap_or(0xcbf2_9ce4_8422_2325) ^ c as u64).wrapping_mul(0x0100_0000_01b3));
            previous = None;
            continue;
        }
        if let Some(hash) = run.take() {
            out.push(hash | 1 << 63);
        }
        out.push(c as u64);
        if let Some(before) = previous {
            out.push((before as u64) << 21 | c as u64 | 1 << 62);
        }
        previous = Some(c);
    }
    if let Some(hash) = run {
        out.push(hash | 1 << 63);
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

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in any::<String>()) {
            let once = normalise(&text);
            prop_assert_eq!(normalise(&once), once);
        }
    }
}
