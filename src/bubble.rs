//! What fits into one WeChat message: bytes, not characters; links are kept whole or left out (PROTOCOL §4, §7). Knows the
//! two kinds of link a text may hold; not what any text says.

/// The end of a link.
const CLOSE: &str = "</a>";

/// `text` cut to at most `max_bytes` with "…" at the end, if it is longer: after a sentence where one ends in the last
/// third, and never inside a link `<a …>…</a>`. Where a link alone is too long, its words stand without it.
pub fn fit(text: &str, max_bytes: usize) -> String {
    const MORE: &str = "…";
    if text.len() <= max_bytes {
        return text.to_owned();
    }
    let Some(room) = max_bytes.checked_sub(MORE.len()) else { return String::new() };
    let cut = cut(text, room);
    if text[..cut].trim().is_empty() && !links(text).is_empty() {
        return fit(&plain(text), max_bytes);
    }
    [text[..cut].trim_end(), MORE].concat()
}

/// `text` in at most `most` pieces of at most `max_bytes`, cut where [`fit`] cuts; `None` if it does not fit into so many.
pub fn parts(text: &str, max_bytes: usize, most: usize) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let at = if rest.len() <= max_bytes { rest.len() } else { cut(rest, max_bytes) };
        let part = rest[..at].trim_end();
        // A link longer than a piece has nowhere to go.
        if part.is_empty() || parts.len() == most {
            return None;
        }
        parts.push(part.to_owned());
        rest = rest[at..].trim_start();
    }
    Some(parts)
}

/// Where to cut a text that is longer than `room`: after a sentence in the last third, else between two characters.
fn cut(text: &str, room: usize) -> usize {
    let links = links(text);
    let inside = |at: usize| links.iter().find(|(start, end)| *start < at && at < *end);
    let mut cut = (0..=room).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    if let Some((start, _)) = inside(cut) {
        cut = *start;
    }
    let ends = text[..cut].char_indices().rev().take_while(|(at, _)| *at >= room / 3 * 2);
    let sentence = ends
        .filter(|(_, c)| matches!(c, '。' | '！' | '？' | '；' | '\n'))
        .map(|(at, c)| at + c.len_utf8())
        .find(|after| inside(*after).is_none());
    sentence.unwrap_or(cut)
}

/// Where the links begin and end. A tag that is never closed is not one.
fn links(text: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = text[from..].find("<a ").map(|at| from + at) {
        let Some(end) = text[start..].find(CLOSE).map(|at| start + at + CLOSE.len()) else { break };
        found.push((start, end));
        from = end;
    }
    found
}

/// The text as people read it: of links their words.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut from = 0;
    for (start, end) in links(text) {
        plain.push_str(&text[from..start]);
        let words = text[start..end].split_once('>').map_or("", |(_, words)| words);
        plain.push_str(words.strip_suffix(CLOSE).unwrap_or_default());
        from = end;
    }
    plain.push_str(&text[from..]);
    plain
}

/// Words that say `says` in the follower's name when they are tapped, with `id` beside it (`weixin://bizmsgmenu`,
/// PROTOCOL §7: reported by many, not in WeChat's own pages, hence a setting). It costs no message of the quota.
pub fn tappable(words: &str, says: &str, id: &str) -> String {
    let (says, id) = (percent_encoded(says), percent_encoded(id));
    format!("<a href=\"weixin://bizmsgmenu?msgmenucontent={says}&msgmenuid={id}\">{words}{CLOSE}")
}

/// The text with each of `words` that stands in quotes made tappable, all or none of them: `None` where it would then have
/// more than `max_bytes`, or there is nothing to tap.
pub fn with_taps(text: &str, words: &[&str], id: &str, max_bytes: usize) -> Option<String> {
    let mut tapped = String::with_capacity(text.len() + 256);
    let mut rest = text;
    let mut n = 0;
    while let Some((before, after)) = rest.split_once('“') {
        tapped.push_str(before);
        tapped.push('“');
        let word =
            words.iter().find(|word| after.strip_prefix(**word).is_some_and(|end| end.starts_with('”')));
        rest = match word {
            Some(word) => {
                n += 1;
                tapped.push_str(&tappable(word, word, id));
                &after[word.len()..]
            }
            None => after,
        };
    }
    tapped.push_str(rest);
    (n > 0 && tapped.len() <= max_bytes).then_some(tapped)
}

/// Words that open a page.
pub fn link(words: &str, url: &str) -> String {
    format!("<a href=\"{url}\">{words}{CLOSE}")
}

fn percent_encoded(text: &str) -> String {
    use std::fmt::Write;
    let mut encoded = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::{fit, link, parts, plain, tappable};

    #[test]
    fn a_text_that_is_too_long_ends_after_a_sentence() {
        assert_eq!(fit("房租能免。", 2048), "房租能免。");
        assert_eq!(fit("一二三四五六。七八九十", 27), "一二三四五六。…");
        // The only sentence ends too early to stop there.
        assert_eq!(fit("一。二三四五六七八九十", 27), "一。二三四五六七…");
        assert_eq!(fit("一二三四五", 10), "一二…");
        assert_eq!((fit("一二", 3), fit("一二", 2)), ("…".into(), String::new()));
    }

    #[test]
    fn a_link_is_kept_whole_or_left_out() {
        let link = "<a href=\"https://a.cn/x。y\">办事指南。点这里</a>";
        let text = format!("{}{link}后面还有很多很多很多话", "前".repeat(40));
        for max in 0..text.len() {
            let cut = fit(&text, max);
            assert!(cut.len() <= max);
            assert!(!cut.contains("<a ") || cut.contains("</a>"), "{max}: {cut}");
        }
        assert_eq!(fit(&format!("{link}完"), 20), "办事指南。…");
        assert_eq!(fit("<a href=没有写完的链接，一直到最后", 20), "<a href=没有写…");
    }

    #[test]
    fn a_long_text_comes_in_pieces_that_end_with_sentences() {
        let text = "一二三四五六。七八九十甲乙。丙丁";
        assert_eq!(parts(text, 24, 3).unwrap(), ["一二三四五六。", "七八九十甲乙。", "丙丁"]);
        assert_eq!(parts(text, 24, 2), None);
        assert_eq!(parts("  ", 24, 2), Some(Vec::new()));
        let long = link("点这里", "https://a.cn/0123456789");
        assert_eq!(parts(&format!("先。{long}"), 30, 5), None, "a link is not cut");
        assert_eq!(parts(&format!("先。{long}"), 50, 5).unwrap(), ["先。", &long]);
    }

    #[test]
    fn what_is_tapped_and_what_is_read() {
        let tapped = tappable("1. 房租", "房租 能免&吗", "kb:rent");
        assert_eq!(
            tapped,
            "<a href=\"weixin://bizmsgmenu?msgmenucontent=%E6%88%BF%E7%A7%9F%20%E8%83%BD%E5%85%8D%26%E5%90%97&msgmenuid=kb%3Arent\">1. 房租</a>"
        );
        assert_eq!(plain(&format!("看：{tapped}。<a 没有完")), "看：1. 房租。<a 没有完");
    }

    #[test]
    fn words_in_quotes_can_be_tapped_where_there_is_room() {
        let text = "回复“人工”或“满意”，不是“人工费”。";
        let tapped = super::with_taps(text, &["人工", "满意"], "cmd", 2_048).unwrap();
        assert_eq!(tapped.matches("<a ").count(), 2);
        assert!(tapped.contains("“人工费”") && plain(&tapped) == text, "{tapped}");
        assert_eq!(super::with_taps(text, &["人工"], "cmd", 60), None);
        assert_eq!(super::with_taps("没有", &["人工"], "cmd", 60), None);
    }

    proptest::proptest! {
        #[test]
        fn a_fitted_text_fits(text in "(<a href=\"x\">|</a>|。|\\PC){0,80}", max in 0_usize..200) {
            let cut = fit(&text, max);
            proptest::prop_assert!(cut.len() <= max);
            proptest::prop_assert!(text.len() > max || cut == text);
        }

        #[test]
        fn pieces_hold_the_whole_text(text in "(<a href=\"x\">|</a>|。|\n|[ 一-十a-z]){0,80}", max in 4_usize..60) {
            if let Some(parts) = parts(&text, max, 80) {
                let squeezed = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
                proptest::prop_assert!(parts.iter().all(|part| part.len() <= max));
                proptest::prop_assert_eq!(squeezed(&parts.concat()), squeezed(&text));
            }
        }
    }
}
