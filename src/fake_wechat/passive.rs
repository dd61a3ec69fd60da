//! Passive replies that are more than a text: pictures, voices, articles (PROTOCOL.md §4). Reads the XML of an answer whose
//! seal has been proven; knows no phones.

use super::card::Card;
use crate::clock::Timestamp;
use crate::wechat::{BadReply, MAX_TEXT_BYTES};

const MAX_DEPTH: usize = 16;
const MAX_LEAVES: usize = 200;
const MAX_URL_BYTES: usize = 1024;

/// A reply, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) to: String,
    pub(super) from: String,
    pub(super) says: Says,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// What a phone shows, one after the other.
    Cards(Vec<Card>),
    /// A kind that is shown by its name only.
    Named(&'static str),
    /// Nothing: the conversation goes to WeChat's own customer service.
    Handed,
}

/// Reads a reply that is no text. `most` articles are shown: one to who wrote, eight after an event.
pub(super) fn read(xml: &str, most: usize, now: Timestamp) -> Result<Heard, BadReply> {
    let leaves = leaves(xml).ok_or(BadReply::Field("XML"))?;
    let all =
        |path: &'static str| leaves.iter().filter(move |(at, _)| at == path).map(|(_, text)| text.as_str());
    let one = |path: &'static str, name: &'static str| {
        all(path).find(|text| !text.is_empty()).map(str::to_owned).ok_or(BadReply::Field(name))
    };
    let created = one("xml/CreateTime", "CreateTime")?.parse::<i64>().ok();
    // Milliseconds, a mistake others made, lie far in the future.
    if !created.is_some_and(|at| (0..=now.as_s().saturating_mul(2)).contains(&at)) {
        return Err(BadReply::Field("CreateTime"));
    }
    let says = match one("xml/MsgType", "MsgType")?.as_str() {
        "image" => Says::Cards(vec![Card::Image { media_id: one("xml/Image/MediaId", "MediaId")? }]),
        "voice" => Says::Cards(vec![Card::Voice { media_id: one("xml/Voice/MediaId", "MediaId")? }]),
        "news" => Says::Cards(articles(&leaves, most)?),
        "video" => Says::Named("[视频]"),
        "music" => Says::Named("[音乐]"),
        "transfer_customer_service" => Says::Handed,
        "text" => return Err(BadReply::Field("Content")),
        _ => return Err(BadReply::Field("MsgType")),
    };
    Ok(Heard {
        to: one("xml/ToUserName", "ToUserName")?,
        from: one("xml/FromUserName", "FromUserName")?,
        says,
    })
}

fn articles(leaves: &[(String, String)], most: usize) -> Result<Vec<Card>, BadReply> {
    const ITEM: &str = "xml/Articles/item/";
    // Each article begins with its title.
    let mut articles: Vec<[&str; 4]> = Vec::new();
    for (path, text) in leaves {
        let field = match path.strip_prefix(ITEM) {
            Some("Title") => {
                articles.push([""; 4]);
                0
            }
            Some("Description") => 1,
            Some("Url") => 2,
            Some("PicUrl") => 3,
            _ => continue,
        };
        articles.last_mut().ok_or(BadReply::Field("Title"))?[field] = text;
    }
    let count = leaves.iter().find(|(path, _)| path == "xml/ArticleCount").map(|(_, text)| text.as_str());
    if articles.is_empty() || count.and_then(|count| count.trim().parse().ok()) != Some(articles.len()) {
        return Err(BadReply::Field("ArticleCount"));
    }
    let fits = |[title, description, url, pic_url]: &[&str; 4]| {
        title.len() + description.len() <= MAX_TEXT_BYTES && url.len().max(pic_url.len()) <= MAX_URL_BYTES
    };
    if !articles.iter().all(fits) {
        return Err(BadReply::Field("Articles"));
    }
    let card = |[title, description, url, pic_url]: [&str; 4]| Card::Article {
        title: title.to_owned(),
        description: description.to_owned(),
        url: url.to_owned(),
        pic_url: pic_url.to_owned(),
    };
    Ok(articles.into_iter().take(most).map(card).collect())
}

/// Every text with the names above it, `xml/Image/MediaId`; `None` for what is no such XML.
fn leaves(xml: &str) -> Option<Vec<(String, String)>> {
    let (mut path, mut leaves, mut text) = (Vec::<&str>::new(), Vec::new(), String::new());
    let mut rest = xml.trim();
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix("<![CDATA[") {
            let (said, after) = inside.split_once("]]>")?;
            text.push_str(said);
            rest = after;
        } else if let Some(inside) = rest.strip_prefix("</") {
            let (name, after) = inside.split_once('>')?;
            if path.last() != Some(&name.trim()) || leaves.len() >= MAX_LEAVES {
                return None;
            }
            leaves.push((path.join("/"), std::mem::take(&mut text)));
            path.pop();
            rest = after;
        } else if let Some(inside) = rest.strip_prefix('<') {
            let (name, after) = inside.split_once('>')?;
            if path.len() >= MAX_DEPTH || name.starts_with(['!', '?']) || name.contains(['<', '&']) {
                return None;
            }
            path.push(name.trim());
            text.clear();
            rest = after;
        } else {
            let (bare, after) = rest.split_at(rest.find('<').unwrap_or(rest.len()));
            text.push_str(&resolved(bare));
            rest = after;
        }
    }
    path.is_empty().then_some(leaves)
}

fn resolved(bare: &str) -> String {
    let pairs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    pairs.iter().fold(bare.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::{Says, read};
    use crate::fake_wechat::Card;
    use crate::fake_wechat::tests::NOW;
    use crate::wechat::BadReply;

    fn says(inner: &str) -> Result<Says, BadReply> {
        let head = format!(
            "<xml><ToUserName>o1</ToUserName><FromUserName>gh_1</FromUserName><CreateTime>{}</CreateTime>",
            NOW.as_s()
        );
        read(&format!("{head}{inner}</xml>"), 1, NOW).map(|heard| heard.says)
    }

    #[test]
    fn a_picture_and_the_first_article_are_shown() {
        let image = "<MsgType><![CDATA[image]]></MsgType><Image><MediaId><![CDATA[m]]></MediaId></Image>";
        assert_eq!(says(image), Ok(Says::Cards(vec![Card::Image { media_id: "m".into() }])));
        let item =
            "<item><Title><![CDATA[</Title>]]]]><![CDATA[>&]]></Title><Url>http://a/?b&amp;c</Url></item>";
        let news = |n: usize| {
            let (items, n) = (item.repeat(2), n.to_string());
            says(&format!(
                "<MsgType>news</MsgType><ArticleCount>{n}</ArticleCount><Articles>{items}</Articles>"
            ))
        };
        let Ok(Says::Cards(cards)) = news(2) else { panic!("no cards") };
        let [Card::Article { title, url, .. }] = &cards[..] else { panic!("{cards:?}") };
        assert_eq!((title.as_str(), url.as_str()), ("</Title>]]>&", "http://a/?b&c"));
        assert_eq!(news(3), Err(BadReply::Field("ArticleCount")));
        assert_eq!(says("<MsgType>transfer_customer_service</MsgType>"), Ok(Says::Handed));
    }

    #[test]
    fn what_wechat_would_not_show_is_refused() {
        assert_eq!(says("<MsgType>image</MsgType>"), Err(BadReply::Field("MediaId")));
        assert_eq!(says("<MsgType>text</MsgType>"), Err(BadReply::Field("Content")));
        assert_eq!(says("<MsgType>hologram</MsgType>"), Err(BadReply::Field("MsgType")));
        for broken in ["<a></b>", "<a>", "</a>", "<!DOCTYPE x>", "<![CDATA[", &"<a>".repeat(99)] {
            assert_eq!(says(broken), Err(BadReply::Field("XML")), "{broken}");
        }
    }
}
