//! The little XML that WeChat speaks: one root with named texts in it. The only file that names quick-xml.
//! Knows nothing of messages. Keeps only direct children of the root, expands nothing, refuses a DOCTYPE.

use super::Malformed;
use quick_xml::events::Event;
use quick_xml::reader::Reader;
use std::borrow::Cow;

/// Deeper than any push of WeChat's; more is an attack on the parser.
const MAX_DEPTH: usize = 16;

/// So many elements of one name are read from a list; WeChat's own lists have a handful.
pub(super) const MAX_RECORDS: usize = 32;

/// A field to look for: its name (case-sensitive, §3) and the most bytes its text may have.
pub(super) type Wanted = (&'static str, usize);

/// The texts of the `wanted` direct children of the root, each without characters that XML forbids. A field that
/// comes twice counts as it came first. CDATA and bare text may be mixed; references are resolved in bare text.
pub(super) fn fields<'x, const N: usize>(
    xml: &'x [u8],
    wanted: &[Wanted; N],
) -> Result<[Option<Cow<'x, str>>; N], Malformed> {
    let found = records(xml, &[], wanted)?.into_iter().next();
    found.ok_or(Malformed("XML 不完整"))
}

/// The same of every element that is found by going down this path from the root: [`MAX_RECORDS`] at most.
pub(super) fn records<'x, const N: usize>(
    xml: &'x [u8],
    path: &[&str],
    wanted: &[Wanted; N],
) -> Result<Vec<[Option<Cow<'x, str>>; N]>, Malformed> {
    let xml = std::str::from_utf8(xml).map_err(|_| Malformed("正文不是 UTF-8"))?;
    let mut reader = Reader::from_str(xml);
    let config = reader.config_mut();
    config.expand_empty_elements = true;
    config.allow_dangling_amp = true;
    let mut walk = Walk { path, wanted, depth: 0, matched: 0, rooted: false, field: None, found: Vec::new() };
    let mut value = Value::default();
    loop {
        match reader.read_event().map_err(|_| Malformed("不是合法的 XML"))? {
            Event::Start(start) if walk.enter(start.name().as_ref())? => value = Value::default(),
            Event::Start(_) => {}
            Event::End(_) => walk.leave(&mut value)?,
            Event::Text(text) if walk.is_inside() => value.bare(text.into_inner()),
            Event::CData(text) if walk.is_inside() => value.cdata(text.into_inner()),
            Event::GeneralRef(name) if walk.is_inside() => value.reference(&name),
            Event::Text(text)
                if walk.depth == 0 && !text.chars().all(|c| c.is_whitespace() || illegal(c)) =>
            {
                return Err(Malformed("XML 根元素之外还有文字"));
            }
            Event::CData(_) | Event::GeneralRef(_) if walk.depth == 0 => {
                return Err(Malformed("XML 根元素之外还有文字"));
            }
            Event::DocType(_) => return Err(Malformed("XML 含有 DOCTYPE")),
            Event::Eof => break,
            _ => {}
        }
    }
    if walk.depth != 0 || !walk.rooted {
        return Err(Malformed("XML 不完整"));
    }
    Ok(walk.found)
}

/// Where the reader is, and what it has found.
struct Walk<'w, 'x, const N: usize> {
    path: &'w [&'w str],
    wanted: &'w [Wanted; N],
    depth: usize,
    /// So many names of the path the open elements agree with.
    matched: usize,
    rooted: bool,
    field: Option<usize>,
    found: Vec<[Option<Cow<'x, str>>; N]>,
}

impl<'x, const N: usize> Walk<'_, 'x, N> {
    /// An element begins; whether it is, or might be, a field.
    fn enter(&mut self, name: &str) -> Result<bool, Malformed> {
        if self.depth == 0 && std::mem::replace(&mut self.rooted, true) {
            return Err(Malformed("XML 有不止一个根元素"));
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Malformed("XML 嵌套过深"));
        }
        let record = self.path.len() + 1;
        if self.depth > 1 && self.matched + 2 == self.depth && self.path.get(self.matched) == Some(&name) {
            self.matched += 1;
        }
        let in_path = self.matched == self.path.len();
        if in_path && self.depth == record && self.found.len() < MAX_RECORDS {
            self.found.push([const { None }; N]);
        }
        let is_field = in_path && self.depth == record + 1;
        if is_field {
            self.field = self.wanted.iter().position(|(wanted, _)| *wanted == name);
        }
        Ok(is_field)
    }

    /// An element ends; its text is kept if it is a field.
    fn leave(&mut self, value: &mut Value<'x>) -> Result<(), Malformed> {
        if self.is_inside()
            && let (Some(at), Some(record)) = (self.field.take(), self.found.last_mut())
        {
            keep(&mut record[at], std::mem::take(value), self.wanted[at].1)?;
        }
        if self.depth > 1 && self.matched + 1 == self.depth {
            self.matched -= 1;
        }
        self.depth = self.depth.checked_sub(1).ok_or(Malformed("不是合法的 XML"))?;
        Ok(())
    }

    /// What is read now is the text of a direct child of a record.
    fn is_inside(&self) -> bool {
        self.matched == self.path.len() && self.depth == self.path.len() + 2
    }
}

fn keep<'x>(place: &mut Option<Cow<'x, str>>, value: Value<'x>, most: usize) -> Result<(), Malformed> {
    if value.text.len() > most {
        return Err(Malformed("XML 字段过长"));
    }
    if place.is_none() {
        *place = Some(cleaned(value.text));
    }
    Ok(())
}

/// The text of one element while its pieces come in.
#[derive(Default)]
struct Value<'x> {
    text: Cow<'x, str>,
    in_cdata: bool,
}

impl<'x> Value<'x> {
    fn bare(&mut self, piece: Cow<'x, str>) {
        // Line breaks around a CDATA section are layout, not text.
        if !(self.in_cdata && piece.trim().is_empty()) {
            self.add(piece);
        }
    }

    fn cdata(&mut self, piece: Cow<'x, str>) {
        if !std::mem::replace(&mut self.in_cdata, true) && self.text.trim().is_empty() {
            self.text = piece;
        } else {
            self.add(piece);
        }
    }

    fn reference(&mut self, name: &str) {
        let number = name.strip_prefix('#').map(|digits| match digits.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => digits.parse(),
        });
        let resolved = match number {
            Some(number) => number.ok().and_then(char::from_u32),
            None => match name {
                "lt" => Some('<'),
                "gt" => Some('>'),
                "amp" => Some('&'),
                "quot" => Some('"'),
                "apos" => Some('\''),
                _ => None,
            },
        };
        let text = self.text.to_mut();
        match resolved {
            Some(c) => text.push(c),
            // Not a reference we know: what was written is what was meant, as in a bare URL.
            None => text.extend(["&", name, ";"]),
        }
    }

    fn add(&mut self, piece: Cow<'x, str>) {
        if self.text.is_empty() {
            self.text = piece;
        } else {
            self.text.to_mut().push_str(&piece);
        }
    }
}

/// Whether XML 1.0 forbids this character (§3).
pub(super) const fn illegal(c: char) -> bool {
    matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

/// Whether `text` holds a character that XML 1.0 forbids.
pub(super) fn has_illegal(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().enumerate().any(|(at, byte)| match byte {
        b'\t' | b'\n' | b'\r' => false,
        0..=0x1f => true,
        // U+FFFE and U+FFFF are EF BF BE and EF BF BF; the lead byte alone also begins the full-width marks.
        0xef => matches!(bytes.get(at + 1..at + 3), Some([0xbf, 0xbe | 0xbf])),
        _ => false,
    })
}

/// Drops what XML forbids. It happens after the parse and not before: a character that vanishes out of `]]x>`
/// beforehand would close the CDATA section, and the follower's next words would be markup.
fn cleaned(text: Cow<'_, str>) -> Cow<'_, str> {
    if has_illegal(&text) { text.chars().filter(|c| !illegal(*c)).collect::<String>().into() } else { text }
}

/// Appends `<name><![CDATA[text]]></name>`: forbidden characters dropped, `]]>` split over two sections (§4).
pub(super) fn push_cdata(out: &mut String, name: &str, text: &str) {
    if !has_illegal(text) && !text.contains("]]>") {
        out.extend(["<", name, "><![CDATA[", text, "]]></", name, ">"]);
        return;
    }
    out.extend(["<", name, "><![CDATA["]);
    let mut brackets = 0;
    for c in text.chars().filter(|c| !illegal(*c)) {
        if c == '>' && brackets >= 2 {
            out.push_str("]]><![CDATA[");
        }
        brackets = if c == ']' { brackets + 1 } else { 0 };
        out.push(c);
    }
    out.extend(["]]></", name, ">"]);
}

#[cfg(test)]
mod tests {
    use super::{Cow, fields, has_illegal, illegal, push_cdata};

    fn read(xml: &str) -> Result<Option<String>, &'static str> {
        let [text] = fields(xml.as_bytes(), &[("T", 40)]).map_err(|bad| bad.0)?;
        Ok(text.map(Cow::into_owned))
    }

    #[test]
    fn texts_come_bare_in_cdata_and_mixed() {
        for (xml, text) in [
            ("<xml><T>a &lt;&amp;&#x4E2D;&#65; b</T></xml>", "a <&中A b"),
            ("<xml><T><![CDATA[a &lt; b]]></T></xml>", "a &lt; b"),
            ("<xml>\n <T>\n <![CDATA[a]]]]><![CDATA[>b]]>\n </T></xml>", "a]]>b"),
            ("<xml><T>a<![CDATA[b]]>c</T></xml>", "abc"),
            ("<xml><T></T></xml>", ""),
            ("<xml><T/></xml>", ""),
            ("<xml><T><![CDATA[]]></T></xml>", ""),
            ("<xml><T>http://a/?b=1&c=2&d;</T></xml>", "http://a/?b=1&c=2&d;"),
            ("\u{feff}<?xml version='1.0'?><!-- c --><xml><T a='b'>t</T></xml>\n", "t"),
            ("<xml><A><T>deep</T></A><T>mine</T><T>again</T></xml>", "mine"),
            ("<xml><T><B>x</B>mine</T></xml>", "mine"),
            ("<xml><t>lower</t><T>mine</T></xml>", "mine"),
            ("<xml><T><![CDATA[a\u{8}\u{fffe}b，\u{ffee}]]></T></xml>", "ab，\u{ffee}"),
            ("<xml><T>a&#8;b</T></xml>", "ab"),
        ] {
            assert_eq!(read(xml), Ok(Some(text.into())), "{xml}");
        }
        assert_eq!(read("<xml><A><T>deep</T></A></xml>"), Ok(None));
    }

    #[test]
    fn a_forbidden_character_cannot_hide_the_end_of_a_section() {
        let xml = "<xml><T><![CDATA[a]]\u{8}></T><T>forged]]></T></xml>";
        assert_eq!(read(xml), Ok(Some("a]]></T><T>forged".into())));
    }

    #[test]
    fn what_is_not_one_small_tree_is_refused() {
        for xml in [
            "",
            "  ",
            "text",
            "<xml>",
            "<xml><T>a</T>",
            "<xml><T>a</xml></T>",
            "</xml>",
            "<xml/><xml/>",
            "<xml/>trailing",
            "leading<xml/>",
            "<xml/><![CDATA[x]]>",
            "<!DOCTYPE xml [<!ENTITY a 'b'>]><xml><T>&a;</T></xml>",
            "<xml><T><![CDATA[a</T></xml>",
            "<xml><T>0123456789012345678901234567890123456789+</T></xml>",
        ] {
            assert!(read(xml).is_err(), "{xml}");
        }
        let nested = |n: usize| format!("{}{}", "<a>".repeat(n), "</a>".repeat(n));
        assert!(read(&nested(16)).is_ok());
        assert!(read(&nested(17)).is_err());
        assert!(fields(b"<xml><T>\xff</T></xml>", &[("T", 9)]).is_err());
    }

    #[test]
    fn both_ways_of_looking_for_forbidden_characters_agree() {
        for c in ('\0'..=char::MAX).take(0x2_0000) {
            assert_eq!(has_illegal(&format!("a{c}b")), illegal(c), "{c:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_text_survives_being_written_and_read(text in "(]|>|\\PC|[\0-\u{1f}]|\u{ffff}){0,200}") {
            let mut xml = String::from("<xml>");
            push_cdata(&mut xml, "T", &text);
            xml.push_str("</xml>");
            let [read] = fields(xml.as_bytes(), &[("T", 4000)]).unwrap();
            let kept: String = text.chars().filter(|c| !illegal(*c)).collect();
            proptest::prop_assert_eq!(read.as_deref(), Some(kept.as_str()));
        }
    }
}
