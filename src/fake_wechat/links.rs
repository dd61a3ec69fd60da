//! A text as a phone shows it: words, links to pages, and menu links that say something when tapped (PROTOCOL.md §7).
//! Knows no markup but `<a href>`; everything else stays words.

use regex::Regex;
use serde::Serialize;
use std::sync::LazyLock;

/// One stretch of a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Piece {
    /// Words as they stand.
    Words {
        /// They themselves.
        text: String,
    },
    /// A link to a page, `http://` or `https://` only.
    Page {
        /// What it reads.
        label: String,
        /// Where it leads.
        href: String,
    },
    /// A link that says something when tapped.
    Choice {
        /// What it reads.
        label: String,
        /// What the follower says.
        text: String,
        /// What arrives as `bizmsgmenuid`.
        id: String,
    },
}

static LINK: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let tag = r#"<a\s[^>]*?\bhref\s*=\s*(?:"([^"]*)"|'([^']*)')[^>]*>(.*?)</a>"#;
    let bare = r"https?://[A-Za-z0-9_\-.~:/?#@!$&*+,;=%]*[A-Za-z0-9_\-/#=&]";
    // It is written here, so it is right; were it not, everything would be words.
    Regex::new(&format!("(?is){tag}|{bare}")).ok()
});

/// The text in its pieces. A link that a phone would not follow is words.
pub fn pieces(text: &str) -> Vec<Piece> {
    let (mut pieces, mut from) = (Vec::new(), 0);
    let found = LINK.iter().flat_map(|link| link.captures_iter(text));
    for link in found {
        let Some(whole) = link.get(0) else { continue };
        words(&mut pieces, &text[from..whole.start()]);
        from = whole.end();
        match link.get(1).or(link.get(2)) {
            Some(href) => linked(&mut pieces, href.as_str(), link.get(3).map_or("", |label| label.as_str())),
            None => linked(&mut pieces, whole.as_str(), whole.as_str()),
        }
    }
    words(&mut pieces, &text[from..]);
    pieces
}

fn words(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(Piece::Words { text: before }) => before.push_str(text),
        _ => pieces.push(Piece::Words { text: text.to_owned() }),
    }
}

fn linked(pieces: &mut Vec<Piece>, href: &str, label: &str) {
    let href = href.replace("&amp;", "&");
    let href = href.trim();
    let parsed = reqwest::Url::parse(href).ok();
    let label = label.to_owned();
    match parsed.as_ref().map(|url| (url.scheme(), url.host_str())) {
        Some(("http" | "https", Some(_))) => pieces.push(Piece::Page { label, href: href.to_owned() }),
        Some(("weixin", Some("bizmsgmenu"))) => {
            let value = |name: &str| {
                let mut pairs = parsed.iter().flat_map(|url| url.query_pairs());
                pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
            };
            let (text, id) = (value("msgmenucontent"), value("msgmenuid"));
            if text.is_empty() {
                words(pieces, &label);
            } else {
                pieces.push(Piece::Choice { label, text, id });
            }
        }
        _ => words(pieces, &label),
    }
}

#[cfg(test)]
mod tests {
    use super::{Piece, pieces};

    fn plain(text: &str) -> Piece {
        Piece::Words { text: text.into() }
    }

    fn page(label: &str, href: &str) -> Piece {
        Piece::Page { label: label.into(), href: href.into() }
    }

    #[test]
    fn a_menu_link_says_its_content_and_a_page_is_a_page() {
        let text = "请选：<a href=\"weixin://bizmsgmenu?msgmenucontent=%E8%BD%AC%E4%BA%BA%E5%B7%A5&amp;msgmenuid=kb:37/a\">\
                    1. 转人工</a>\n详见 https://a.cn/x?y=1。或<A HREF='http://b.cn'>这里</A>";
        let choice =
            Piece::Choice { label: "1. 转人工".into(), text: "转人工".into(), id: "kb:37/a".into() };
        let expected = [
            plain("请选："),
            choice,
            plain("\n详见 "),
            page("https://a.cn/x?y=1", "https://a.cn/x?y=1"),
            plain("。或"),
            page("这里", "http://b.cn"),
        ];
        assert_eq!(pieces(text), expected);
    }

    #[test]
    fn what_is_hostile_or_broken_is_words() {
        for text in ["<script>alert(1)</script>", "<a href=\"x\">没有结尾", "<a>无</a>", "<b>粗</b> & <"]
        {
            assert_eq!(pieces(text), [plain(text)]);
        }
        for href in ["javascript:alert(1)", "data:text/html,x", "//b.cn", "weixin://bizmsgmenu?", "http://"] {
            assert_eq!(pieces(&format!("甲<a href=\"{href}\">点</a>乙")), [plain("甲点乙")], "{href}");
        }
        assert_eq!(pieces(""), []);
    }
}
