//! Files that lie at WeChat for three days: taken with their limits, given back with their type (PROTOCOL.md §12), and a
//! picture and a recording for phones that have none. Knows multipart bodies; no tokens.

use crate::clock::Timestamp;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// More than any upload may have, with its wrapping.
pub(super) const MAX_BODY_BYTES: usize = 11 * 1024 * 1024;
const LIFE: Duration = Duration::from_secs(3 * 24 * 3600);
const MAX_FILES: usize = 500;
const MAX_BYTES: usize = 64 * 1024 * 1024;
const MIB: usize = 1024 * 1024;
const MOST_VOICE: Duration = Duration::from_secs(60);

/// What a phone photographs.
pub(super) const PICTURE: &[u8] = include_bytes!("picture.png");

/// What a phone records: one second of silence.
pub(super) fn recording() -> Vec<u8> {
    // A frame of 20 ms without data is one byte.
    [b"#!AMR\n".as_slice(), &[0x7c; 50]].concat()
}

/// A file as it is given back.
#[derive(Clone)]
pub struct MediaFile {
    /// What a browser would save it as.
    pub name: String,
    /// Its Content-Type.
    pub mime: &'static str,
    /// It itself.
    pub bytes: Arc<[u8]>,
}

#[derive(Default)]
pub(super) struct Media {
    kept: VecDeque<Kept>,
    n_bytes: usize,
    n_taken: u64,
}

struct Kept {
    id: String,
    ends: Timestamp,
    file: MediaFile,
}

impl Media {
    /// Takes an upload: `kind` is the `type` of the query, `content_type` the header over `body`.
    pub(super) fn upload(
        &mut self,
        now: Timestamp,
        kind: &str,
        content_type: &str,
        body: &[u8],
    ) -> Result<Value, i64> {
        let bytes = part(content_type, body).ok_or(41005)?;
        let media_id = self.take(now, kind, bytes)?;
        let mut answer = json!({ "type": kind, "created_at": now.as_s() });
        // Of a preview picture the field has another name.
        answer[if kind == "thumb" { "thumb_media_id" } else { "media_id" }] = json!(media_id);
        Ok(answer)
    }

    /// Keeps a file and says under which media_id. The oldest go when there are too many.
    pub(super) fn take(&mut self, now: Timestamp, kind: &str, bytes: &[u8]) -> Result<String, i64> {
        let (mime, extension) = checked(kind, bytes)?;
        self.n_taken += 1;
        let id = format!("fake{:016x}{:08x}", now.0, self.n_taken);
        let file = MediaFile { name: format!("{id}.{extension}"), mime, bytes: bytes.into() };
        self.n_bytes += bytes.len();
        self.kept.push_back(Kept { id: id.clone(), ends: now.after(LIFE), file });
        while self.kept.len() > MAX_FILES || self.n_bytes > MAX_BYTES {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.n_bytes -= oldest.file.bytes.len();
        }
        Ok(id)
    }

    /// The file of that id, as long as it lives.
    pub(super) fn get(&self, now: Timestamp, id: &str) -> Option<MediaFile> {
        let own = |name: &str, mime, bytes: &[u8]| {
            Some(MediaFile { name: name.to_owned(), mime, bytes: bytes.into() })
        };
        match id {
            // What phones send that do not say what.
            "fake_image" => own("fake_image.png", "image/png", PICTURE),
            "fake_voice" => own("fake_voice.amr", "audio/amr", &recording()),
            _ => {
                let found = self.kept.iter().find(|kept| kept.id == id && now < kept.ends);
                found.map(|kept| kept.file.clone())
            }
        }
    }
}

/// The Content-Type and the ending of a file that is allowed as this kind.
fn checked(kind: &str, bytes: &[u8]) -> Result<(&'static str, &'static str), i64> {
    let found = match bytes {
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => ("image/png", "png"),
        [0xff, 0xd8, 0xff, ..] => ("image/jpeg", "jpg"),
        [b'G', b'I', b'F', b'8', ..] => ("image/gif", "gif"),
        [b'#', b'!', b'A', b'M', b'R', b'\n', ..] => ("audio/amr", "amr"),
        [b'I', b'D', b'3', ..] | [0xff, 0xfb | 0xf3 | 0xf2, ..] => ("audio/mpeg", "mp3"),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => ("video/mp4", "mp4"),
        _ => ("", ""),
    };
    let (fits, most, too_large) = match kind {
        "image" => (found.0.starts_with("image/"), 10 * MIB, 40009),
        "voice" => (found.0.starts_with("audio/"), 2 * MIB, 40010),
        "video" => (found.0.starts_with("video/"), 10 * MIB, 40011),
        "thumb" => (found.1 == "jpg", 64 * 1024, 40012),
        _ => return Err(40004),
    };
    match bytes.len() {
        0 => Err(44001),
        n if n > most => Err(too_large),
        _ if !fits => Err(40005),
        _ if found.1 == "amr" && amr_lasts(bytes) > MOST_VOICE => Err(40010),
        _ => Ok(found),
    }
}

/// How long a recording in AMR is: 20 ms a frame, whose first byte says how many follow.
fn amr_lasts(bytes: &[u8]) -> Duration {
    const FOLLOW: [usize; 16] = [12, 13, 15, 17, 19, 20, 26, 31, 5, 0, 0, 0, 0, 0, 0, 0];
    let (mut at, mut n) = (b"#!AMR\n".len(), 0);
    while let Some(head) = bytes.get(at) {
        at += 1 + FOLLOW[usize::from((head >> 3) & 15)];
        n += 1;
    }
    Duration::from_millis(20 * n)
}

/// The content of the field `media` in a multipart body; it has to have a file name.
fn part<'b>(content_type: &str, body: &'b [u8]) -> Option<&'b [u8]> {
    let boundary = content_type.strip_prefix("multipart/form-data")?.split_once("boundary=")?.1;
    let boundary = boundary.split(';').next()?.trim().trim_matches('"');
    if !(1..=70).contains(&boundary.len()) {
        return None;
    }
    let between = format!("\r\n--{boundary}");
    let mut rest = body.strip_prefix(&between.as_bytes()[2..])?;
    while let Some(headed) = rest.strip_prefix(b"\r\n") {
        let (head, content) = split(headed, b"\r\n\r\n")?;
        let (content, next) = split(content, between.as_bytes())?;
        let head = String::from_utf8_lossy(head);
        if head.contains("name=\"media\"") && head.contains("filename=") {
            return Some(content);
        }
        rest = next;
    }
    None
}

fn split<'b>(bytes: &'b [u8], at: &[u8]) -> Option<(&'b [u8], &'b [u8])> {
    let n = bytes.windows(at.len()).position(|window| window == at)?;
    Some((&bytes[..n], &bytes[n + at.len()..]))
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Media, PICTURE, checked, part, recording};
    use crate::clock::Timestamp;
    use std::time::Duration;

    /// The body of an upload.
    pub(crate) fn body(name: &str, bytes: &[u8]) -> Vec<u8> {
        let other = "--b0\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\n1\r\n";
        let head =
            format!("--b0\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a.png\"\r\n\r\n");
        [other.as_bytes(), head.as_bytes(), bytes, b"\r\n--b0--\r\n"].concat()
    }

    #[test]
    fn a_multipart_body_is_read_or_refused() {
        let whole = body("media", b"a\r\n--b\0");
        assert_eq!(part("multipart/form-data; boundary=b0", &whole), Some(b"a\r\n--b\0".as_slice()));
        assert_eq!(part("multipart/form-data; boundary=\"b0\"; x=1", &whole), Some(b"a\r\n--b\0".as_slice()));
        assert_eq!(part("multipart/form-data; boundary=b1", &whole), None);
        assert_eq!(part("multipart/form-data", &whole), None);
        assert_eq!(part("multipart/form-data; boundary=b0", &body("file", b"a")), None);
        for end in 0..whole.len() - 4 {
            let _ = part("multipart/form-data; boundary=b0", &whole[..end]);
        }
    }

    #[test]
    fn each_kind_has_its_types_and_its_size() {
        assert_eq!(checked("image", PICTURE), Ok(("image/png", "png")));
        assert_eq!(checked("voice", &recording()), Ok(("audio/amr", "amr")));
        assert_eq!(checked("image", b"<svg/>"), Err(40005));
        assert_eq!(checked("voice", PICTURE), Err(40005));
        assert_eq!(checked("thumb", PICTURE), Err(40005));
        assert_eq!(checked("song", PICTURE), Err(40004));
        assert_eq!(checked("image", b""), Err(44001));
        assert_eq!(checked("image", &[PICTURE, &vec![0; 10 << 20]].concat()), Err(40009));
        assert_eq!(checked("voice", &[b"ID3".as_slice(), &vec![0; 2 << 20]].concat()), Err(40010));
        let minute = [b"#!AMR\n".as_slice(), &vec![0x7c; 3001]].concat();
        assert_eq!(checked("voice", &minute), Err(40010), "longer than a minute");
    }

    #[test]
    fn a_file_lives_three_days_and_the_oldest_go_when_there_are_too_many() {
        let mut media = Media::default();
        let start = Timestamp::from_s(1_795_480_000);
        let id = media.take(start, "image", PICTURE).unwrap();
        let later = start.after(Duration::from_secs(3 * 24 * 3600 - 1));
        assert_eq!(&*media.get(later, &id).unwrap().bytes, PICTURE);
        assert!(media.get(later.after(Duration::from_secs(1)), &id).is_none());
        for _ in 0..500 {
            media.take(start, "image", PICTURE).unwrap();
        }
        assert!(media.get(start, &id).is_none());
        let large = [PICTURE, &vec![0; 9 << 20]].concat();
        for _ in 0..20 {
            media.take(start, "image", &large).unwrap();
        }
        assert!(media.kept.len() < 10 && media.n_bytes <= 64 << 20);
    }
}
