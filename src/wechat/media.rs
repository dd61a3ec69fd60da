//! Files lent to WeChat and fetched from it (PROTOCOL.md §12): what it takes, the two calls, and where its videos lie. Must
//! not know what a file is for or where it is kept.

use super::client::{Api, Client, understood};
use super::outcome::{CallError, NO_SUCH_MEDIA, Verdict};
use super::wire::{Limits, Raw, Request};
use crate::media::Kind;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
/// How long WeChat keeps what was uploaded, and what a follower sent.
pub const KEPT_FOR: Duration = Duration::from_secs(3 * 24 * 3600);
/// The most bytes that are downloaded.
pub const MAX_DOWNLOAD_BYTES: usize = 10 * MIB;
const LIMITS: Limits = Limits { within: Duration::from_secs(30), bytes: MAX_DOWNLOAD_BYTES };
/// WeChat's are 64 long; §6 reserves more for tokens.
const MAX_ID_BYTES: usize = 512;
const MAX_NAME_CHARS: usize = 60;

/// WeChat's name for a file it keeps for three days: one that a follower sent, or that was uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MediaId(String);

impl MediaId {
    /// Takes the text as WeChat sent it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// As what a file is uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadKind {
    /// PNG, JPEG or GIF of at most 10 MiB.
    Image,
    /// AMR or MP3 of at most 2 MiB; of at most 60 seconds, which is not looked at here.
    Voice,
    /// MP4 of at most 10 MiB.
    Video,
    /// The picture before a video or music: JPEG of at most 64 KiB.
    Thumb,
}

impl UploadKind {
    const fn word(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Voice => "voice",
            Self::Video => "video",
            Self::Thumb => "thumb",
        }
    }

    const fn takes(self) -> (&'static [Kind], usize) {
        match self {
            Self::Image => (&[Kind::Png, Kind::Jpeg, Kind::Gif], 10 * MIB),
            Self::Voice => (&[Kind::Amr, Kind::Mp3], 2 * MIB),
            Self::Video => (&[Kind::Mp4], 10 * MIB),
            Self::Thumb => (&[Kind::Jpeg], 64 * KIB),
        }
    }

    /// Whether WeChat takes files of this kind as this.
    pub fn takes_kind(self, kind: Kind) -> bool {
        self.takes().0.contains(&kind)
    }

    /// What these bytes are, if WeChat takes them as this (§12). The error is a sentence for whoever chose the file.
    pub fn check(self, mime: &str, bytes: &[u8]) -> Result<Kind, String> {
        let (kinds, most) = self.takes();
        let Some(kind) = Kind::of(bytes).filter(|kind| kinds.contains(kind)) else {
            let names: Vec<&str> = kinds.iter().map(|kind| kind.extension()).collect();
            return Err(format!("微信不收这种文件，只收 {}", names.join("、")));
        };
        if !kind.mime().eq_ignore_ascii_case(mime) {
            return Err(format!("文件的内容是 {}，与声明的类型不符", kind.mime()));
        }
        if bytes.len() > most {
            let most = if most < MIB { format!("{} KB", most / KIB) } else { format!("{} MB", most / MIB) };
            return Err(format!("文件太大，微信最多收 {most}"));
        }
        Ok(kind)
    }
}

/// A file as WeChat gave it. What it is said to be is not what it is: look at its bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Downloaded {
    /// All of it, at most [`MAX_DOWNLOAD_BYTES`].
    pub bytes: Vec<u8>,
    /// The Content-Type, in lower case and without parameters; empty: none was given.
    pub claimed_type: String,
    /// The name in Content-Disposition, as it came; at most 200 characters.
    pub filename: Option<String>,
}

impl std::fmt::Debug for Downloaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Downloaded({} bytes, {})", self.bytes.len(), self.claimed_type)
    }
}

/// What a download brings.
enum Got {
    File(Downloaded),
    /// A video lies at this address.
    At(String),
}

const UPLOAD: Api = Api { path: "/cgi-bin/media/upload", what: "上传素材", meaning };
const DOWNLOAD: Api = Api { path: "/cgi-bin/media/get", what: "下载素材", meaning };

impl Client {
    /// Lends WeChat a file, so that it can be sent (§12); what it does not take is not sent there. `mime` must be what the
    /// bytes are. Of `name` only plain letters and digits go along. Takes 30 s at most for each attempt.
    pub async fn upload(
        &self,
        kind: UploadKind,
        name: &str,
        mime: &str,
        bytes: &[u8],
    ) -> Result<MediaId, CallError> {
        let is = kind.check(mime, bytes).map_err(CallError::lasting)?;
        let boundary = boundary().ok_or_else(|| CallError::lasting("系统不给随机数"))?;
        let body = form(&boundary, &plain_name(name, is), is, bytes);
        let content_type = format!("multipart/form-data; boundary={boundary}");
        let query = [("type", kind.word())];
        let request = Request::post(UPLOAD.path, &query, content_type, body).under(LIMITS);
        let answer = self.call(&request, |raw| understood(&raw, |answer| UPLOAD.judge(answer))).await??;
        let id = ["media_id", "thumb_media_id"].iter().find_map(|field| answer.get(*field)?.as_str());
        match id.filter(|id| is_id(id)) {
            Some(id) => Ok(MediaId::new(id)),
            None => Err(CallError::lasting("微信的回应里没有素材编号")),
        }
    }

    /// Fetches a file that a follower sent or that was uploaded (§12). It takes 30 s at most, a video twice that, for each
    /// attempt. An error that [`CallError::is_no_such_media`] will not get better.
    pub async fn download(&self, media_id: &MediaId) -> Result<Downloaded, CallError> {
        if !is_id(media_id.as_str()) {
            let why = "素材编号不是微信给的".to_owned();
            return Err(CallError { code: Some(NO_SUCH_MEDIA), ..CallError::lasting(why) });
        }
        let query = [("media_id", media_id.as_str())];
        let request = Request::get(DOWNLOAD.path, &query).under(LIMITS);
        match self.call(&request, judge_download).await?? {
            Got::File(file) => Ok(file),
            Got::At(address) => self.video(&address).await,
        }
    }

    async fn video(&self, address: &str) -> Result<Downloaded, CallError> {
        let Some(url) = self.wire.elsewhere(address) else {
            return Err(CallError::lasting("微信给的视频地址不是 qq.com 的 https 地址，没有去取"));
        };
        let passing = |why: String| CallError { passing: true, ..CallError::lasting(why) };
        let raw = self.wire.get_elsewhere(url, LIMITS).await.map_err(passing)?;
        if raw.is_said() {
            return Err(passing("微信的视频地址给出的不是文件".to_owned()));
        }
        file(raw)
    }
}

/// Sorts what media/get answers: a file, where a video lies, or an error (§12).
fn judge_download(raw: Raw) -> Verdict<Result<Got, CallError>> {
    if !raw.is_said() {
        return Verdict::Done(file(raw).map(Got::File));
    }
    understood(&raw, |answer| DOWNLOAD.judge(answer).map(|data| data.and_then(|data| video_address(&data))))
}

fn video_address(data: &Map<String, Value>) -> Result<Got, CallError> {
    match data.get("video_url").and_then(Value::as_str) {
        Some(address) => Ok(Got::At(address.to_owned())),
        None => Err(CallError::lasting("微信的回应里没有文件")),
    }
}

fn file(raw: Raw) -> Result<Downloaded, CallError> {
    if raw.cut {
        return Err(CallError::lasting(format!("文件超过 {} MB，没有下载", MAX_DOWNLOAD_BYTES / MIB)));
    }
    if raw.bytes.is_empty() {
        return Err(CallError { passing: true, ..CallError::lasting("微信给出的文件是空的") });
    }
    let filename = name_in(&raw.disposition);
    Ok(Downloaded { bytes: raw.bytes, claimed_type: raw.content_type, filename })
}

/// The `filename="…"` of a Content-Disposition.
fn name_in(disposition: &str) -> Option<String> {
    let (_, name) = disposition.split_once("filename=")?;
    let name = match name.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => name.split(';').next(),
    };
    let name: String = name?.trim().chars().take(200).collect();
    (!name.is_empty()).then_some(name)
}

fn is_id(text: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A name that cannot break the form, with the ending WeChat goes by. Nobody sees it.
fn plain_name(name: &str, kind: Kind) -> String {
    let stem = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = stem.rsplit_once('.').map_or(stem, |(stem, _)| stem);
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let stem: String = stem.chars().take(MAX_NAME_CHARS).map(plain).collect();
    format!("{}.{}", if stem.is_empty() { "file" } else { &stem }, kind.extension())
}

/// What stands between the parts of a form: random, so that it stands nowhere in a file.
fn boundary() -> Option<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(format!("xinqi-{:032x}", u128::from_le_bytes(bytes)))
}

/// A form with one file in the field `media` (RFC 7578). `name` and `boundary` are plain ASCII.
fn form(boundary: &str, name: &str, kind: Kind, bytes: &[u8]) -> Vec<u8> {
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"media\"; filename=\"{name}\"\r\nContent-Type: {}\r\n\r\n",
        kind.mime()
    );
    let tail = format!("\r\n--{boundary}--\r\n");
    [head.as_bytes(), bytes, tail.as_bytes()].concat()
}

/// What an errcode means that only these two calls have, for the operator.
fn meaning(code: i64) -> Option<&'static str> {
    Some(match code {
        40004 => "微信不认这种素材类型，请把这句话告诉开发人员",
        40005 | 40008 => "微信不收这种格式的文件",
        40006 | 45001 => "文件超过微信的大小限制",
        NO_SUCH_MEDIA => "素材不存在或已过期（微信只保留三天）",
        40009 => "图片超过微信的大小限制",
        40010 => "语音超过微信的大小限制",
        40011 => "视频超过微信的大小限制",
        40012 => "缩略图超过微信的大小限制",
        41005 | 44001 => "微信说收到的文件是空的",
        41006 => "请求里缺素材编号，请把这句话告诉开发人员",
        45007 => "语音超过 60 秒",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{MAX_DOWNLOAD_BYTES, MediaId, UploadKind, meaning, name_in, plain_name};
    use crate::media::Kind;
    use crate::wechat::tests::{Says, Tencent};
    use proptest::prelude::*;

    const JPEG: &[u8] = b"\xff\xd8\xff\xe0\r\n--xinqi\r\n";

    #[tokio::test]
    async fn a_file_is_lent_in_a_form_and_known_by_what_wechat_calls_it() {
        let (tencent, client) = Tencent::open().await;
        tencent.will(Says::json(r#"{"type":"image","media_id":"MEDIA-1_x","created_at":1}"#));
        tencent.will(Says::json(r#"{"type":"thumb","thumb_media_id":"T","created_at":1}"#));
        let id = client.upload(UploadKind::Image, "营业 执照\r\n\".png", "image/jpeg", JPEG).await.unwrap();
        assert_eq!(id.as_str(), "MEDIA-1_x");
        let seen = tencent.seen();
        assert_eq!(seen[0].path, "/cgi-bin/media/upload");
        assert!(seen[0].query.contains("type=image") && seen[0].query.contains("access_token=geheim-1"));
        let boundary = seen[0].content_type.strip_prefix("multipart/form-data; boundary=").unwrap();
        let head = "Content-Disposition: form-data; name=\"media\"; filename=\"________.jpg\"\r\nContent-Type: image/jpeg";
        let (head, tail) = (format!("--{boundary}\r\n{head}\r\n\r\n"), format!("\r\n--{boundary}--\r\n"));
        let whole = [head.as_bytes(), JPEG, tail.as_bytes()];
        assert_eq!(seen[0].body, whole.concat());
        let thumb = client.upload(UploadKind::Thumb, "", "image/jpeg", JPEG).await.unwrap();
        assert_eq!(thumb.as_str(), "T");
    }

    #[tokio::test]
    async fn what_wechat_would_not_take_is_not_sent_there() {
        let (tencent, client) = Tencent::open().await;
        let mut large = b"#!AMR\n".to_vec();
        large.resize(2 * 1024 * 1024 + 1, 0);
        let thumb = [JPEG, &[0; 64 * 1024]].concat();
        for (kind, mime, bytes, said) in [
            (UploadKind::Voice, "audio/amr", large.as_slice(), "最多收 2 MB"),
            (UploadKind::Thumb, "image/jpeg", &thumb, "最多收 64 KB"),
            (UploadKind::Image, "image/webp", b"RIFF\0\0\0\0WEBP", "只收 png、jpg、gif"),
            (UploadKind::Image, "image/png", JPEG, "与声明的类型不符"),
            (UploadKind::Video, "video/mp4", b"<html>", "只收 mp4"),
        ] {
            let error = client.upload(kind, "a", mime, bytes).await.unwrap_err();
            assert!(error.why.contains(said) && !error.passing, "{error}");
        }
        assert!(tencent.seen().is_empty());
    }

    #[tokio::test]
    async fn a_disowned_token_is_replaced_and_the_whole_file_sent_again() {
        let (tencent, client) = Tencent::open().await;
        tencent.will(Says::json(r#"{"errcode":40001,"errmsg":"invalid credential"}"#));
        tencent.will(Says::json(r#"{"media_id":"M"}"#));
        client.upload(UploadKind::Image, "a", "image/jpeg", JPEG).await.unwrap();
        let seen = tencent.seen();
        assert!(seen[0].query.contains("geheim-1") && seen[1].query.contains("geheim-2"));
        assert_eq!(seen[0].body, seen[1].body);
        tencent.will(Says::json(r#"{"errcode":42001,"errmsg":"access_token expired"}"#));
        tencent.will(Says::file("image/jpeg", JPEG));
        assert_eq!(client.download(&MediaId::new("M")).await.unwrap().bytes, JPEG);
    }

    #[tokio::test]
    async fn a_file_comes_with_what_is_claimed_of_it() {
        let (tencent, client) = Tencent::open().await;
        tencent.will(Says::file("Image/JPEG; x=y", JPEG).named("attachment; filename=\"a b.jpg\""));
        let file = client.download(&MediaId::new("M+/=&x")).await.unwrap();
        assert_eq!((file.bytes.as_slice(), file.claimed_type.as_str()), (JPEG, "image/jpeg"));
        assert_eq!(file.filename.as_deref(), Some("a b.jpg"));
        let seen = tencent.seen();
        assert_eq!(seen[0].path, "/cgi-bin/media/get");
        assert!(seen[0].query.ends_with("&media_id=M%2B%2F%3D%26x"), "{}", seen[0].query);
        assert!(seen[0].body.is_empty());
    }

    #[tokio::test]
    async fn an_error_is_not_taken_for_a_file_whatever_its_type() {
        let (tencent, client) = Tencent::open().await;
        let gone = r#"{"errcode":40007,"errmsg":"invalid media_id rid: 6a-1"}"#;
        for kind in ["application/json", "text/plain; charset=utf-8", ""] {
            tencent.will(Says::file(kind, gone.as_bytes()));
            let error = client.download(&MediaId::new("M")).await.unwrap_err();
            assert!(error.is_no_such_media() && !error.passing, "{error:?}");
            assert_eq!(error.why, "素材不存在或已过期（微信只保留三天）（错误码 40007，rid 6a-1）");
        }
        assert!(client.download(&MediaId::new("")).await.unwrap_err().is_no_such_media());
        for (says, passing) in [
            (Says::json("{}"), false),
            (Says::file("text/html", b"<html>"), true),
            (Says::file("image/jpeg", b""), true),
            (Says::json(r#"{"errcode":-1,"errmsg":"system error"}"#), true),
            (Says::json(r#"{"errcode":48001,"errmsg":"api unauthorized"}"#), false),
        ] {
            tencent.will(says);
            let error = client.download(&MediaId::new("M")).await.unwrap_err();
            assert_eq!(error.passing, passing, "{error:?}");
            assert!(!error.is_no_such_media() && !format!("{error:?}").contains("geheim"), "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_file_without_end_is_let_go_of() {
        let (tencent, client) = Tencent::open().await;
        let large = vec![b'x'; MAX_DOWNLOAD_BYTES + 1];
        for says in [Says::file("image/jpeg", &large), Says::file("image/jpeg", &large).in_pieces()] {
            tencent.will(says);
            let error = client.download(&MediaId::new("M")).await.unwrap_err();
            assert!(error.why.contains("超过 10 MB") && !error.passing, "{error:?}");
        }
        tencent.will(Says::file("image/jpeg", &large[1..]).in_pieces());
        assert_eq!(client.download(&MediaId::new("M")).await.unwrap().bytes.len(), MAX_DOWNLOAD_BYTES);
        tencent.will(Says::file("application/json", &large));
        assert!(client.download(&MediaId::new("M")).await.unwrap_err().why.contains("过大"));
    }

    #[tokio::test]
    async fn a_video_is_fetched_where_it_lies_without_the_token() {
        let (tencent, client) = Tencent::open().await;
        let video = b"\0\0\0\x18ftypmp42";
        tencent.will(Says::json(&format!(r#"{{"video_url":"{}/elsewhere/v.mp4?k=1"}}"#, tencent.base)));
        tencent.will(Says::file("video/mp4", video));
        assert_eq!(client.download(&MediaId::new("M")).await.unwrap().bytes, video);
        let seen = tencent.seen();
        assert_eq!((seen[1].path.as_str(), seen[1].query.as_str()), ("/elsewhere/v.mp4", "k=1"));
        for address in ["http://evil.cn/v.mp4", "https://evil.cn/v.mp4", "http://10.0.0.1/", "x"] {
            tencent.will(Says::json(&format!(r#"{{"video_url":"{address}"}}"#)));
            let error = client.download(&MediaId::new("M")).await.unwrap_err();
            assert!(error.why.contains("没有去取") && !error.why.contains("evil"), "{error}");
        }
        tencent.will(Says::json(&format!(r#"{{"video_url":"{}/v"}}"#, tencent.base)));
        tencent.will(Says::json(r#"{"video_url":"https://a.qq.com/v"}"#));
        assert!(client.download(&MediaId::new("M")).await.unwrap_err().why.contains("不是文件"));
    }

    #[test]
    fn claimed_names_are_read_as_they_come() {
        for (disposition, name) in [
            ("attachment; filename=\"a.jpg\"", Some("a.jpg")),
            ("attachment; filename=a.jpg; x=y", Some("a.jpg")),
            ("attachment; filename=\"图.jpg", Some("图.jpg")),
            ("attachment; filename=\"\"", None),
            ("attachment", None),
        ] {
            assert_eq!(name_in(disposition).as_deref(), name, "{disposition}");
        }
    }

    #[test]
    fn failures_are_told_in_words() {
        for code in
            [40004, 40005, 40006, 40007, 40008, 40009, 40010, 40011, 40012, 41005, 41006, 44001, 45001, 45007]
        {
            assert!(meaning(code).is_some(), "{code}");
        }
        assert_eq!(meaning(1), None);
    }

    proptest! {
        #[test]
        fn no_name_breaks_the_form(name in "(\\PC|[\0-\u{1f}\"]|[./\\\\]){0,100}") {
            let plain = plain_name(&name, Kind::Amr);
            prop_assert!(plain.len() <= 64 && plain.ends_with(".amr") && plain.len() > 4);
            prop_assert!(plain.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)));
        }

        #[test]
        fn no_header_makes_it_panic(text in "(\\PC|filename=|\"|;){0,40}") {
            let _ = name_in(&text);
        }
    }
}
