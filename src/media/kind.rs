//! What a file is, told by its own first bytes: never by its name, and never by what its sender says it is. Pure.

use serde::{Deserialize, Serialize};

/// The kinds of files that are taken; everything else is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// A picture.
    Jpeg,
    /// A picture.
    Png,
    /// A picture.
    Gif,
    /// A picture.
    Webp,
    /// A document.
    Pdf,
    /// A voice, narrow band.
    Amr,
    /// A voice as WeChat itself codes it; it comes under the name of AMR (PROTOCOL.md §3).
    Silk,
    /// A voice or other sound.
    Mp3,
    /// A video.
    Mp4,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Jpeg,
        Self::Png,
        Self::Gif,
        Self::Webp,
        Self::Pdf,
        Self::Amr,
        Self::Silk,
        Self::Mp3,
        Self::Mp4,
    ];

    /// What these bytes are; `None`: nothing that is taken.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let begins = |magic: &[u8]| bytes.starts_with(magic);
        let silk = b"#!SILK_V3";
        Some(match bytes {
            _ if begins(b"\xff\xd8\xff") => Self::Jpeg,
            _ if begins(b"\x89PNG\r\n\x1a\n") => Self::Png,
            _ if begins(b"GIF87a") || begins(b"GIF89a") => Self::Gif,
            _ if begins(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") => Self::Webp,
            [b'%', b'P', b'D', b'F', b'-', major, b'.', ..] if major.is_ascii_digit() => Self::Pdf,
            _ if begins(b"#!AMR\n") => Self::Amr,
            _ if begins(silk) || bytes.get(1..).is_some_and(|rest| rest.starts_with(silk)) => Self::Silk,
            _ if is_mp4(bytes) => Self::Mp4,
            _ if is_mp3(bytes) => Self::Mp3,
            _ => return None,
        })
    }

    /// Its media type. SILK has none that is registered.
    pub const fn mime(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
            Self::Pdf => "application/pdf",
            Self::Amr => "audio/amr",
            Self::Silk => "audio/silk",
            Self::Mp3 => "audio/mpeg",
            Self::Mp4 => "video/mp4",
        }
    }

    /// How the names of such files end; the first is the one given to files that have another.
    pub const fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Jpeg => &["jpg", "jpeg"],
            Self::Png => &["png"],
            Self::Gif => &["gif"],
            Self::Webp => &["webp"],
            Self::Pdf => &["pdf"],
            Self::Amr => &["amr"],
            Self::Silk => &["silk"],
            Self::Mp3 => &["mp3"],
            Self::Mp4 => &["mp4"],
        }
    }

    /// The first of [`Kind::extensions`].
    pub const fn extension(self) -> &'static str {
        self.extensions()[0]
    }

    /// Whether a browser may show it in the page.
    pub const fn is_picture(self) -> bool {
        matches!(self, Self::Jpeg | Self::Png | Self::Gif | Self::Webp)
    }

    /// Its name for people.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Jpeg | Self::Png | Self::Gif | Self::Webp => "图片",
            Self::Pdf => "文件",
            Self::Amr | Self::Silk | Self::Mp3 => "语音",
            Self::Mp4 => "视频",
        }
    }
}

/// ISO media begin with a box `ftyp` whose brand says which; HEIC, AVIF, QuickTime and 3GPP are other brands.
fn is_mp4(bytes: &[u8]) -> bool {
    let brand = bytes.get(8..12).filter(|_| bytes.get(4..8) == Some(b"ftyp"));
    brand.is_some_and(|brand| {
        matches!(brand, b"isom" | b"avc1" | b"mp41" | b"mp42" | b"mmp4" | b"MSNV" | b"M4V " | b"M4VH")
            || matches!(brand, [b'i', b's', b'o', b'2'..=b'9'])
    })
}

/// A frame of layer III at the beginning or behind an ID3 tag, and another where it ends.
fn is_mp3(bytes: &[u8]) -> bool {
    let start = match bytes {
        [b'I', b'D', b'3', _, _, flags, size @ ..] => {
            let Some(size) = size.first_chunk::<4>().filter(|size| size.iter().all(|byte| *byte < 0x80))
            else {
                return false;
            };
            let size = size.iter().fold(0, |size, byte| (size << 7) | usize::from(*byte));
            let footer = if flags & 0x10 == 0 { 0 } else { 10 };
            let behind = bytes.get(10 + size + footer..).unwrap_or_default();
            // Some writers leave zeros behind the tag.
            let zeros = behind.iter().take(4096).take_while(|byte| **byte == 0).count();
            10 + size + footer + zeros
        }
        _ => 0,
    };
    let frame = |at: usize| bytes.get(at..).and_then(mp3_frame_bytes);
    frame(start).is_some_and(|n| start + n >= bytes.len() || frame(start + n).is_some())
}

/// How many bytes the frame has that begins here; `None` where none does.
fn mp3_frame_bytes(bytes: &[u8]) -> Option<usize> {
    const KBIT: [[usize; 15]; 2] = [
        [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
        [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    ];
    const HERTZ: [usize; 3] = [44_100, 48_000, 32_000];
    let [0xff, second, third, _, ..] = *bytes else { return None };
    // The version's two bits: 3 is MPEG-1, 2 is MPEG-2, 0 is 2.5, 1 is none. Layer III is 1.
    let version = (second >> 3) & 3;
    if second & 0xe0 != 0xe0 || version == 1 || (second >> 1) & 3 != 1 {
        return None;
    }
    let (table, divide, times) = match version {
        3 => (0, 1, 144),
        2 => (1, 2, 72),
        _ => (1, 4, 72),
    };
    let kbit = *KBIT[table].get(usize::from(third >> 4))?;
    let hertz = HERTZ.get(usize::from((third >> 2) & 3))? / divide;
    let padding = usize::from((third >> 1) & 1);
    (kbit > 0).then_some(times * kbit * 1000 / hertz + padding)
}

#[cfg(test)]
mod tests {
    use super::Kind;
    use proptest::prelude::*;

    fn mp3(n_frames: usize) -> Vec<u8> {
        // MPEG-1 layer III, 128 kbit/s, 44.1 kHz: 417 bytes a frame.
        let mut frame = vec![0_u8; 417];
        frame[..4].copy_from_slice(&[0xff, 0xfb, 0x90, 0x00]);
        frame.repeat(n_frames)
    }

    #[test]
    fn files_are_known_by_what_is_in_them() {
        let tagged = [b"ID3\x04\0\0\0\0\x01\x00".as_slice(), &[0; 128 + 50], &mp3(2)].concat();
        for (bytes, kind) in [
            (b"\xff\xd8\xff\xe0\0\x10JFIF".as_slice(), Kind::Jpeg),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", Kind::Png),
            (b"GIF87a", Kind::Gif),
            (b"GIF89a\x01\0\x01\0", Kind::Gif),
            (b"RIFF\x24\0\0\0WEBPVP8 ", Kind::Webp),
            (b"%PDF-1.7\n", Kind::Pdf),
            (b"#!AMR\n\x3c", Kind::Amr),
            (b"#!SILK_V3\x0c", Kind::Silk),
            (b"\x02#!SILK_V3\x0c", Kind::Silk),
            (b"\0\0\0\x18ftypmp42\0\0\0\0", Kind::Mp4),
            (b"\0\0\0\x20ftypisom\0\0\x02\0", Kind::Mp4),
            (&mp3(1), Kind::Mp3),
            (&mp3(3), Kind::Mp3),
            (&tagged, Kind::Mp3),
        ] {
            assert_eq!(Kind::of(bytes), Some(kind), "{:?}", &bytes[..bytes.len().min(16)]);
        }
    }

    #[test]
    fn what_is_not_on_the_list_is_nothing() {
        let torn = &mp3(2)[..417 + 2];
        for bytes in [
            b"".as_slice(),
            b"MZ\x90\0",
            b"PK\x03\x04",
            b"<!DOCTYPE html><script>",
            b"<svg xmlns='http://www.w3.org/2000/svg'>",
            b"RIFF\x24\0\0\0WAVEfmt ",
            b"%PDF-",
            b"#!AMR-WB\n",
            b"\0\0\0\x18ftypheic\0\0\0\0",
            b"\0\0\0\x14ftypqt  \0\0\0\0",
            b"\0\0\0\x14ftypM4A \0\0\0\0",
            b"\xff\xfe<\0h\0t\0m\0l\0",
            b"ID3\x04\0\0\0\0\0\0<html>",
            b"\x01\x02#!SILK_V3",
            torn,
        ] {
            assert_eq!(Kind::of(bytes), None, "{:?}", &bytes[..bytes.len().min(16)]);
        }
    }

    #[test]
    fn every_kind_has_a_type_and_an_ending_of_its_own() {
        for (at, kind) in Kind::ALL.iter().enumerate() {
            assert_eq!(kind.is_picture(), kind.mime().starts_with("image/"));
            assert!(Kind::ALL[..at].iter().all(|other| other.extension() != kind.extension()));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            head in prop::sample::select(vec![
                b"".as_slice(), b"ID3\x04\0", b"ID3\x04\0\x10\x7f\x7f\x7f\x7f", b"\xff\xfb", b"\xff\xe3", b"RIFF", b"\0\0\0\x18ftyp",
                b"%PDF-", b"\x02#!SILK", b"GIF8",
            ]),
            rest in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let bytes = [head, &rest].concat();
            for end in 0..=bytes.len() {
                let _ = Kind::of(&bytes[..end]);
            }
        }
    }
}
