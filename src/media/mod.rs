//! Files that come with tickets: pictures, voices, documents. They lie beside the database, one folder a ticket
//! ([`MediaStore`]); what is remembered of one is a [`Media`]. Knows what a file is, its limits, and how it is sent to a
//! browser; must not know who sent it or whether its ticket exists. All reading and writing blocks.

mod kind;
mod name;
mod picture;
mod shelf;

pub use kind::Kind;
pub use shelf::{MediaStore, Opened, Swept};

use crate::ticket::FileId;
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::Arc;

const MIB: u64 = 1024 * 1024;
/// A picture that is longer than this on one side, or has more pixels in all, is refused.
const MAX_SIDE_PX: u32 = 20_000;
const MAX_PIXELS: u64 = 100_000_000;

/// What is remembered of one file. The file itself is in the [`MediaStore`], under its ticket and this id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// Its name in the store.
    pub id: FileId,
    /// What it is, by its own bytes.
    pub kind: Kind,
    /// How many bytes it has.
    pub bytes: u64,
    /// Its name for people, made safe: at most 86 characters, no path, with an ending that fits.
    pub name: Arc<str>,
}

impl Media {
    /// Its media type.
    pub const fn mime(&self) -> &'static str {
        self.kind.mime()
    }

    /// The headers it must be sent with, so that a browser takes it for nothing else and runs nothing in it. Only
    /// pictures are shown in the page; all others are saved. Names and values are ASCII.
    pub fn headers(&self) -> [(&'static str, String); 4] {
        let how = if self.kind.is_picture() { "inline" } else { "attachment" };
        // Cleaned again: this one may have been read from anywhere.
        let name = name::clean(&self.name, self.kind);
        [
            ("content-type", self.mime().to_owned()),
            ("x-content-type-options", "nosniff".to_owned()),
            ("content-disposition", name::disposition(how, &name)),
            ("content-security-policy", "sandbox".to_owned()),
        ]
    }
}

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one file.
    pub per_file: u64,
    /// Files of one ticket.
    pub n_per_ticket: usize,
    /// Bytes of all files of one ticket.
    pub per_ticket: u64,
    /// Bytes of all files there are. Each counts in whole blocks of 4 KiB, as on the disk.
    pub whole: u64,
}

impl Default for Limits {
    /// 10 MiB a file, 50 files or 60 MiB a ticket, 2 GiB in all.
    fn default() -> Self {
        Self { per_file: 10 * MIB, n_per_ticket: 50, per_ticket: 60 * MIB, whole: 2048 * MIB }
    }
}

/// Why a file was not taken in, or cannot be had. The sentences are for people, staff and followers alike.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// It is larger than a file may be; that many bytes are allowed.
    #[error("文件太大：最多 {}", size_in_words(*.0))]
    TooLarge(u64),
    /// It is of a kind that is not taken, whatever its name says.
    #[error("不支持这种文件：只收图片（JPG、PNG、GIF、WebP）、PDF、语音（AMR、MP3）和视频（MP4）")]
    NotAccepted,
    /// A picture whose header does not say how large it is.
    #[error("图片已损坏，请重新发送")]
    Damaged,
    /// A picture of that width and height in pixels, more than anybody's screen or camera has.
    #[error("图片尺寸过大（{0}×{1} 像素），请缩小后再发")]
    Absurd(u32, u32),
    /// The ticket has so many files that it takes no more.
    #[error("这张咨询单的附件已有 {0} 个，不能再加")]
    TooMany(usize),
    /// The ticket's files have so many bytes together that this one has no room; that many are allowed.
    #[error("这张咨询单的附件合计不能超过 {}", size_in_words(*.0))]
    TicketFull(u64),
    /// All files together have no more room; that many bytes are allowed. An operator has to help.
    #[error("存放附件的空间已满（上限 {}），文件没有保存；请管理员清理旧附件或调大上限", size_in_words(*.0))]
    StoreFull(u64),
    /// There is no such file (any more).
    #[error("附件不存在或已删除")]
    Missing,
    /// The disk did not do as it was told. An operator has to help.
    #[error("读写附件时出错：{0}")]
    Io(#[from] io::Error),
}

/// `10 MB`, `2 GB`.
fn size_in_words(bytes: u64) -> String {
    match bytes {
        0..MIB => format!("{} KB", bytes / 1024),
        _ if bytes >= 1024 * MIB && bytes.is_multiple_of(1024 * MIB) => format!("{} GB", bytes / MIB / 1024),
        _ => format!("{} MB", bytes / MIB),
    }
}

/// What these bytes are, if they are taken at all: the kind by their beginning, and a picture's size by its header.
pub fn examine(bytes: &[u8]) -> Result<Kind, MediaError> {
    let kind = Kind::of(bytes).ok_or(MediaError::NotAccepted)?;
    if kind.is_picture() {
        let (width, height) = picture::size(kind, bytes).ok_or(MediaError::Damaged)?;
        if width.max(height) > MAX_SIDE_PX || u64::from(width) * u64::from(height) > MAX_PIXELS {
            return Err(MediaError::Absurd(width, height));
        }
    }
    Ok(kind)
}

#[cfg(test)]
mod tests {
    use super::{Kind, Media, MediaError, examine, size_in_words};
    use crate::ticket::FileId;

    /// A GIF's header of that size.
    fn gif(width: u16, height: u16) -> Vec<u8> {
        [b"GIF89a".as_slice(), &width.to_le_bytes(), &height.to_le_bytes()].concat()
    }

    #[test]
    fn a_picture_that_would_unfold_without_end_is_refused() {
        assert!(matches!(examine(&gif(10_000, 10_000)), Ok(Kind::Gif)));
        assert!(matches!(examine(&gif(20_000, 5_000)), Ok(Kind::Gif)));
        assert!(matches!(examine(&gif(20_001, 1)), Err(MediaError::Absurd(20_001, 1))));
        assert!(matches!(examine(&gif(10_001, 10_000)), Err(MediaError::Absurd(..))));
        assert!(matches!(examine(&gif(0, 5)), Err(MediaError::Damaged)));
        assert!(matches!(examine(b"<html>"), Err(MediaError::NotAccepted)));
        assert!(matches!(examine(b"%PDF-1.4"), Ok(Kind::Pdf)));
    }

    #[test]
    fn only_pictures_are_shown_and_nothing_is_guessed_or_run() {
        let mut media = Media { id: FileId(7), kind: Kind::Png, bytes: 9, name: "执照.png".into() };
        let value = |media: &Media, name: &str| {
            media.headers().into_iter().find(|(header, _)| *header == name).map(|(_, value)| value).unwrap()
        };
        assert_eq!(value(&media, "content-type"), "image/png");
        assert_eq!(value(&media, "x-content-type-options"), "nosniff");
        assert_eq!(value(&media, "content-security-policy"), "sandbox");
        assert!(value(&media, "content-disposition").starts_with("inline; filename=\"__.png\""));
        for kind in Kind::ALL.into_iter().filter(|kind| !kind.is_picture()) {
            media.kind = kind;
            assert!(value(&media, "content-disposition").starts_with("attachment; "), "{kind:?}");
        }
        media.name = "../x\r\nEvil: 1".into();
        assert!(media.headers().iter().all(|(_, value)| value.bytes().all(|b| (0x20..0x7f).contains(&b))));
    }

    #[test]
    fn sizes_read_as_people_say_them() {
        assert_eq!(size_in_words(10 << 20), "10 MB");
        assert_eq!(size_in_words(2 << 30), "2 GB");
        assert_eq!(size_in_words(1536 << 20), "1536 MB");
        assert_eq!(size_in_words(64 << 10), "64 KB");
        assert_eq!(MediaError::TooLarge(10 << 20).to_string(), "文件太大：最多 10 MB");
    }
}
