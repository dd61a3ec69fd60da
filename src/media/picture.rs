//! How large a picture says it is, read from its header without decoding it: a small file can unfold into gigabytes where
//! it is shown. Pure; whatever the bytes, it answers or says that it cannot tell.

use super::Kind;

/// Width and height in pixels; `None` where the header is damaged or the kind is no picture's.
pub(super) fn size(kind: Kind, bytes: &[u8]) -> Option<(u32, u32)> {
    let (width, height) = match kind {
        Kind::Png => png(bytes),
        Kind::Gif => Some((le16(bytes, 6)?, le16(bytes, 8)?)),
        Kind::Webp => webp(bytes),
        Kind::Jpeg => jpeg(bytes),
        Kind::Pdf | Kind::Amr | Kind::Silk | Kind::Mp3 | Kind::Mp4 => None,
    }?;
    (width > 0 && height > 0).then_some((width, height))
}

fn png(bytes: &[u8]) -> Option<(u32, u32)> {
    let first = bytes.get(8..16)?;
    (first == b"\0\0\0\rIHDR").then_some((be32(bytes, 16)?, be32(bytes, 20)?))
}

fn webp(bytes: &[u8]) -> Option<(u32, u32)> {
    match bytes.get(12..16)? {
        b"VP8 " => {
            let begins = bytes.get(23..26)? == [0x9d, 0x01, 0x2a];
            begins.then_some((le16(bytes, 26)? & 0x3fff, le16(bytes, 28)? & 0x3fff))
        }
        b"VP8L" => {
            let bits = le16(bytes, 21)? | (le16(bytes, 23)? << 16);
            (*bytes.get(20)? == 0x2f).then_some(((bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1))
        }
        b"VP8X" => {
            let three = |at: usize| Some(le16(bytes, at)? | (u32::from(*bytes.get(at + 2)?) << 16));
            Some((three(24)? + 1, three(27)? + 1))
        }
        _ => None,
    }
}

/// Walks from marker to marker until the one that begins a frame.
fn jpeg(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut at = 2;
    loop {
        // Any number of FF may stand before a marker.
        if *bytes.get(at)? != 0xff {
            return None;
        }
        let marker = *bytes.get(at + 1)?;
        match marker {
            0xff => at += 1,
            // These stand alone.
            0x01 | 0xd0..=0xd8 => at += 2,
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                return Some((be16(bytes, at + 7)?, be16(bytes, at + 5)?));
            }
            // The end, the image itself before any frame, or a zero that is no marker.
            0x00 | 0xd9 | 0xda => return None,
            _ => {
                let length = be16(bytes, at + 2)?;
                if length < 2 {
                    return None;
                }
                at += 2 + length as usize;
            }
        }
    }
}

fn be16(bytes: &[u8], at: usize) -> Option<u32> {
    let two = bytes.get(at..)?.first_chunk()?;
    Some(u32::from(u16::from_be_bytes(*two)))
}

fn le16(bytes: &[u8], at: usize) -> Option<u32> {
    let two = bytes.get(at..)?.first_chunk()?;
    Some(u32::from(u16::from_le_bytes(*two)))
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::size;
    use crate::media::Kind;
    use proptest::prelude::*;

    #[test]
    fn the_size_stands_in_the_header() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x01\x02\0\x01\0\0\x08\x06";
        assert_eq!(size(Kind::Png, png), Some((258, 65_536)));
        assert_eq!(size(Kind::Gif, b"GIF89a\x40\x01\xf0\0"), Some((320, 240)));
        let lossy = b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a\x20\x43\x10\x80";
        assert_eq!(size(Kind::Webp, lossy), Some((0x320, 0x10)));
        let lossless = b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f\xff\xff\xff\x0f";
        assert_eq!(size(Kind::Webp, lossless), Some((16_384, 16_384)));
        let extended = b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0\x0f\x27\0\xff\xff\xff";
        assert_eq!(size(Kind::Webp, extended), Some((10_000, 16_777_216)));
        let jpeg =
            b"\xff\xd8\xff\xe0\0\x04JF\xff\xff\xdb\0\x03x\xff\xc2\0\x0b\x08\x04\x38\x07\x80\x01\x01\x11\0";
        assert_eq!(size(Kind::Jpeg, jpeg), Some((1920, 1080)));
    }

    #[test]
    fn a_damaged_header_has_no_size() {
        for (kind, bytes) in [
            (Kind::Png, b"\x89PNG\r\n\x1a\n\0\0\0\rIDAT\0\0\0\x01\0\0\0\x01".as_slice()),
            (Kind::Png, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\0\0\0\0\x01"),
            (Kind::Gif, b"GIF89a\x01\0\x01"),
            (Kind::Jpeg, b"\xff\xd8\xff\xe0\0\x00"),
            (Kind::Jpeg, b"\xff\xd8\xff\xda\0\x04"),
            (Kind::Jpeg, b"\xff\xd8\xff"),
            (Kind::Webp, b"RIFF\0\0\0\0WEBPALPH"),
            (Kind::Pdf, b"%PDF-1.7"),
        ] {
            assert_eq!(size(kind, bytes), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            head in prop::sample::select(vec![
                b"".as_slice(), b"\xff\xd8", b"\xff\xd8\xff\xe0\xff\xff", b"RIFF\0\0\0\0WEBPVP8X", b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f",
            ]),
            rest in prop::collection::vec(prop_oneof![any::<u8>(), Just(0xff)], 0..64),
        ) {
            let bytes = [head, &rest].concat();
            for kind in Kind::ALL {
                let _ = size(kind, &bytes);
            }
        }
    }
}
