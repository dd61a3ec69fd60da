//! Names of files, made safe to show, to save and to send in a header. A name is whatever a stranger typed: it may hold
//! paths, control characters, marks that turn the reading direction, or another ending than the file deserves. Pure.

use super::Kind;

/// The most characters of a name before its ending.
const MAX_CHARS: usize = 80;

/// The last part of `name` without anything that misleads, with an ending that fits the file; `图片.jpg` where nothing is
/// left. Of a name that this made it makes the same again.
pub(super) fn clean(name: &str, kind: Kind) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String = last.chars().filter_map(fit).collect();
    let kept = trim(&kept);
    let (stem, ending) = match kept.rsplit_once('.') {
        Some((stem, ending)) if is_one_of(ending, kind) => (stem, ending),
        _ => (kept, kind.extension()),
    };
    let stem: String = trim(stem).chars().take(MAX_CHARS).collect();
    let stem = trim(&stem);
    format!("{}.{ending}", if stem.is_empty() { kind.what() } else { stem })
}

/// Dots and spaces at the ends hide a file or vanish on some systems.
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c == '.' || c.is_whitespace())
}

fn is_one_of(ending: &str, kind: Kind) -> bool {
    kind.extensions().iter().any(|one| ending.eq_ignore_ascii_case(one))
}

/// What stands for a character in a name; `None`: nothing.
fn fit(c: char) -> Option<char> {
    match c {
        '<' | '>' | ':' | '"' | '|' | '?' | '*' => Some('_'),
        // Line ends of Unicode's, zero widths, reading directions, private use (our texts' placeholders), tags.
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => None,
        '\u{e000}'..='\u{f8ff}' | '\u{feff}' | '\u{fff0}'..='\u{ffff}' | '\u{e0000}'..='\u{10ffff}' => None,
        _ if c.is_control() => None,
        _ if c.is_whitespace() => Some(' '),
        _ => Some(c),
    }
}

/// The value of a Content-Disposition (RFC 6266): the name in ASCII for old readers, and whole as RFC 5987 has it. `how`
/// is `inline` or `attachment`. All of it is printable ASCII, whatever the name.
pub(super) fn disposition(how: &str, name: &str) -> String {
    let plain = |c: char| if (c.is_ascii_graphic() || c == ' ') && !"\"\\%".contains(c) { c } else { '_' };
    let ascii: String = name.chars().map(plain).collect();
    let mut whole = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            whole.push(char::from(byte));
        } else {
            whole.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("{how}; filename=\"{ascii}\"; filename*=UTF-8''{whole}")
}

#[cfg(test)]
mod tests {
    use super::{MAX_CHARS, clean, disposition};
    use crate::media::Kind;
    use proptest::prelude::*;

    #[test]
    fn a_name_keeps_what_people_read_and_nothing_else() {
        for (name, kind, kept) in [
            ("营业执照.jpg", Kind::Jpeg, "营业执照.jpg"),
            ("照片.JPEG", Kind::Jpeg, "照片.JPEG"),
            ("../../etc/passwd", Kind::Png, "passwd.png"),
            ("C:\\Users\\me\\合同 (1).pdf", Kind::Pdf, "合同 (1).pdf"),
            ("发票.exe", Kind::Pdf, "发票.exe.pdf"),
            ("gpj.\u{202e}exe", Kind::Jpeg, "gpj.exe.jpg"),
            ("a\r\nSet-Cookie: x.png", Kind::Png, "aSet-Cookie_ x.png"),
            ("", Kind::Jpeg, "图片.jpg"),
            ("...", Kind::Amr, "语音.amr"),
            ("/", Kind::Mp4, "视频.mp4"),
            ("a\u{3000}b. .pdf", Kind::Pdf, "a b.pdf"),
        ] {
            assert_eq!(clean(name, kind), kept, "{name:?}");
        }
    }

    #[test]
    fn a_header_has_the_name_twice() {
        assert_eq!(
            disposition("inline", "执照 1%.jpg"),
            "inline; filename=\"__ 1_.jpg\"; filename*=UTF-8''%E6%89%A7%E7%85%A7%201%25.jpg"
        );
        assert_eq!(
            disposition("attachment", "a\"\\\r\n;.pdf"),
            "attachment; filename=\"a____;.pdf\"; filename*=UTF-8''a%22%5C%0D%0A%3B.pdf"
        );
    }

    proptest! {
        #[test]
        fn every_name_becomes_a_safe_one_once_and_for_all(
            name in "(\\PC|[\0-\u{1f}]|[./\\\\ ]|[\u{200b}-\u{206f}]|\\.jpg|\\.JPEG){0,120}",
            at in 0..Kind::ALL.len(),
        ) {
            let kind = Kind::ALL[at];
            let safe = clean(&name, kind);
            prop_assert_eq!(&clean(&safe, kind), &safe);
            prop_assert!(!safe.contains(['/', '\\', '"']) && !safe.chars().any(char::is_control));
            prop_assert!(!safe.starts_with(['.', ' ']));
            prop_assert!(safe.chars().count() <= MAX_CHARS + 6);
            let (stem, ending) = safe.rsplit_once('.').unwrap();
            prop_assert!(!stem.is_empty());
            prop_assert!(kind.extensions().contains(&ending.to_ascii_lowercase().as_str()));
        }

        #[test]
        fn a_header_is_printable_ascii_and_gives_the_name_back(name in "(\\PC|[\0-\u{1f}]){0,60}") {
            let header = disposition("attachment", &name);
            prop_assert!(header.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
            let (ascii, whole) = header.split_once("; filename*=UTF-8''").unwrap();
            let quoted = ascii.strip_prefix("attachment; filename=\"").unwrap().strip_suffix('"').unwrap();
            prop_assert!(!quoted.contains(['"', '\\']));
            let (mut read, mut bytes) = (Vec::new(), whole.bytes());
            while let Some(byte) = bytes.next() {
                let hex = |byte: Option<u8>| char::from(byte.unwrap()).to_digit(16).unwrap() as u8;
                read.push(if byte == b'%' { (hex(bytes.next()) << 4) | hex(bytes.next()) } else { byte });
            }
            prop_assert_eq!(String::from_utf8(read).unwrap(), name);
        }
    }
}
