//! HTTP to api.weixin.qq.com: one request, one answer, both bounded. The only file that names reqwest's builder and
//! rustls. Knows no error codes. No sentence it makes holds an address, because addresses here carry tokens.

use super::checks::CALLBACK_CHECK;
use crate::clock::{Clock, Timestamp};
use bytes::Bytes;
use reqwest::header::{CONTENT_DISPOSITION, CONTENT_TYPE, DATE, HeaderMap};
use reqwest::{RequestBuilder, Url, redirect};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::error::Error;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long one ordinary call may take, all in all.
const TIMEOUT: Duration = Duration::from_secs(5);
/// WeChat looks up names and pings before it answers this one.
const SLOW: Duration = Duration::from_secs(15);
/// Answers of the calls made here have well under one KiB, a menu some.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Why no client can be made, said to whoever fills in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// Not an address.
    #[error("微信接口地址无法识别：应形如 https://api.weixin.qq.com")]
    Address,
    /// Tokens would travel in the open.
    #[error("微信接口地址必须以 https:// 开头（本机回环地址除外），否则密钥会以明文经过网络")]
    Insecure,
    /// No certificate authorities, most likely.
    #[error("无法准备 HTTPS：请安装系统根证书（ca-certificates）后重试")]
    Tls,
}

/// What WeChat answers; absence of `errcode` is success for calls that return data (§6). Holds a token: no `Debug`.
#[derive(Deserialize)]
pub(super) struct Answer {
    pub(super) errcode: Option<i64>,
    #[serde(default)]
    pub(super) errmsg: String,
    pub(super) access_token: Option<String>,
    pub(super) expires_in: Option<u64>,
    /// Everything else.
    #[serde(flatten)]
    pub(super) rest: Map<String, Value>,
}

/// How far our clock is from WeChat's, as the `Date` of an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// So many seconds ours is ahead; below zero: behind.
    pub seconds: i64,
    /// When that was seen, by our clock.
    pub at: Timestamp,
}

/// A way to one API server.
pub(super) struct Wire {
    http: reqwest::Client,
    base: Url,
    clock: Clock,
    ahead: Mutex<Option<Ahead>>,
}

/// One request, apart from its token.
pub(super) struct Request<'a> {
    path: &'a str,
    query: &'a [(&'a str, &'a str)],
    body: Body,
    limits: Limits,
}

/// What a request carries. Cheap to send again.
enum Body {
    /// It is a GET.
    Nothing,
    Typed {
        content_type: String,
        bytes: Bytes,
    },
}

/// What one exchange may take.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// All in all.
    pub(super) within: Duration,
    /// The most bytes of an answer that is neither JSON nor text; of those it is always [`MAX_ANSWER_BYTES`].
    pub(super) bytes: usize,
}

impl Limits {
    fn of(path: &str) -> Self {
        let within = if path == CALLBACK_CHECK { SLOW } else { TIMEOUT };
        Self { within, bytes: MAX_ANSWER_BYTES }
    }
}

impl<'a> Request<'a> {
    /// A GET with this query.
    pub(super) fn get(path: &'a str, query: &'a [(&'a str, &'a str)]) -> Self {
        Self { path, query, body: Body::Nothing, limits: Limits::of(path) }
    }

    /// A POST of JSON in raw UTF-8 (§6), or a GET where there is no body. The error is a sentence for the operator.
    pub(super) fn json(path: &'a str, body: Option<&impl Serialize>) -> Result<Self, String> {
        let Some(body) = body else { return Ok(Self::get(path, &[])) };
        let bytes = serde_json::to_vec(body).map_err(|_| "请求无法写成 JSON".to_owned())?;
        Ok(Self::post(path, &[], "application/json; charset=utf-8".to_owned(), bytes))
    }

    /// A POST of anything.
    pub(super) fn post(
        path: &'a str,
        query: &'a [(&'a str, &'a str)],
        content_type: String,
        bytes: Vec<u8>,
    ) -> Self {
        let body = Body::Typed { content_type, bytes: bytes.into() };
        Self { path, query, body, limits: Limits::of(path) }
    }

    /// The same under other limits.
    pub(super) fn under(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }
}

/// An answer as it came.
pub(super) struct Raw {
    /// In lower case, without parameters; empty: none was given.
    pub(super) content_type: String,
    /// Content-Disposition, as far as it is text.
    pub(super) disposition: String,
    pub(super) bytes: Vec<u8>,
    /// There was more than the limit, which is not here.
    pub(super) cut: bool,
}

impl Raw {
    /// Whether WeChat says something here, rather than giving a file.
    pub(super) fn is_said(&self) -> bool {
        match self.content_type.as_str() {
            "" => self.bytes.trim_ascii_start().starts_with(b"{"),
            kind => kind.starts_with("text/") || kind.ends_with("json"),
        }
    }

    /// What it says. The error is a sentence for the operator.
    pub(super) fn answer(&self) -> Result<Answer, String> {
        if self.cut {
            return Err("微信接口的回应过大".to_owned());
        }
        serde_json::from_slice(&self.bytes).map_err(|_| "微信接口的回应不是约定的 JSON".to_owned())
    }
}

impl Wire {
    pub(super) fn new(api_base: &str, clock: Clock) -> Result<Self, ClientError> {
        let (http, base) = way_to(api_base.trim_end_matches('/'))?;
        Ok(Self { http, base, clock, ahead: Mutex::default() })
    }

    /// What the last answer that had a date says of our clock.
    pub(super) fn ahead(&self) -> Option<Ahead> {
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn compare_clocks(&self, headers: &HeaderMap) {
        let date = headers.get(DATE).and_then(|date| Timestamp::from_http_date(date.to_str().ok()?));
        if let Some(date) = date {
            let at = self.clock.now();
            let ahead = Ahead { seconds: at.as_s().saturating_sub(date.as_s()), at };
            *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) = Some(ahead);
        }
    }

    /// Posts `body` as JSON, without a token. The error is a sentence for the operator.
    pub(super) async fn post(&self, path: &str, body: &impl Serialize) -> Result<Answer, String> {
        self.call(&Request::json(path, Some(body))?, None).await?.answer()
    }

    /// Makes a request of WeChat. The error is a sentence for the operator.
    pub(super) async fn call(&self, request: &Request<'_>, token: Option<&str>) -> Result<Raw, String> {
        let mut url = self.base.clone();
        url.set_path(&[url.path().trim_end_matches('/'), request.path].concat());
        for (name, value) in token.map(|token| ("access_token", token)).iter().chain(request.query) {
            url.query_pairs_mut().append_pair(name, value);
        }
        let built = match &request.body {
            Body::Nothing => self.http.get(url),
            Body::Typed { content_type, bytes } => {
                self.http.post(url).header(CONTENT_TYPE, content_type).body(bytes.clone())
            }
        };
        self.exchange(built, request.limits).await
    }

    /// Where a file of WeChat's lies that it gave the address of (§12): https on a host of Tencent's, or, in a rehearsal
    /// on loopback, this machine. `None`: it is somewhere else, and is not gone to.
    pub(super) fn elsewhere(&self, address: &str) -> Option<Url> {
        let url = Url::parse(address).ok()?;
        let bare = url.username().is_empty() && url.password().is_none();
        let tencent = url.scheme() == "https"
            && url.port().is_none()
            && url.host_str().is_some_and(|host| host.ends_with(".qq.com"));
        let rehearsal = url.scheme() == "http" && is_loopback(&self.base) && is_loopback(&url);
        (bare && (tencent || rehearsal)).then_some(url)
    }

    /// Gets what [`Wire::elsewhere`] allowed. No token goes there.
    pub(super) async fn get_elsewhere(&self, url: Url, limits: Limits) -> Result<Raw, String> {
        exchange(self.http.get(url), limits, |_| ()).await
    }

    async fn exchange(&self, request: RequestBuilder, limits: Limits) -> Result<Raw, String> {
        exchange(request, limits, |headers| self.compare_clocks(headers)).await
    }
}

/// One exchange; `look` sees the answer's headers, whatever it is.
async fn exchange(request: RequestBuilder, limits: Limits, look: impl Fn(&HeaderMap)) -> Result<Raw, String> {
    let said = |error| sentence(error, limits.within);
    let mut response = request.timeout(limits.within).send().await.map_err(said)?;
    look(response.headers());
    if !response.status().is_success() {
        return Err(format!("微信接口返回 HTTP {}", response.status().as_u16()));
    }
    let text = |name| {
        let value = response.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        value.unwrap_or_default().into_owned()
    };
    let kind = text(CONTENT_TYPE).split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let disposition = text(CONTENT_DISPOSITION);
    let mut raw = Raw { content_type: kind, disposition, bytes: Vec::new(), cut: false };
    let most = if raw.is_said() { MAX_ANSWER_BYTES } else { limits.bytes };
    if response.content_length().is_some_and(|n| n > most as u64) {
        raw.cut = true;
        return Ok(raw);
    }
    while let Some(chunk) = response.chunk().await.map_err(said)? {
        if raw.bytes.len() + chunk.len() > most {
            raw.cut = true;
            break;
        }
        raw.bytes.extend_from_slice(&chunk);
    }
    Ok(raw)
}

/// A client for an address that secrets may travel to: `https://`, or `http://` on loopback.
pub(crate) fn way_to(address: &str) -> Result<(reqwest::Client, Url), ClientError> {
    let url = Url::parse(address).map_err(|_| ClientError::Address)?;
    let loopback = is_loopback(&url);
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        "http" => return Err(ClientError::Insecure),
        _ => return Err(ClientError::Address),
    }
    Ok((http(loopback)?, url))
}

/// A client for one use. On loopback it takes no proxy and needs no certificates.
pub(crate) fn http(loopback: bool) -> Result<reqwest::Client, ClientError> {
    // An error only says that somebody has installed one before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // A redirect would carry the token elsewhere, so none is followed.
    let builder =
        reqwest::Client::builder().timeout(TIMEOUT).redirect(redirect::Policy::none()).referer(false);
    let builder = if loopback { builder.no_proxy().tls_certs_only([]) } else { builder };
    builder.build().map_err(|_| ClientError::Tls)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

fn sentence(error: reqwest::Error, within: Duration) -> String {
    let error = error.without_url();
    let what = if error.is_timeout() {
        format!("微信接口 {} 秒内没有完成回应", within.as_secs())
    } else if error.is_connect() {
        "连不上微信接口服务器".to_owned()
    } else {
        "与微信接口的通信中断".to_owned()
    };
    let mut cause: &dyn Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let cause: String = cause.to_string().chars().take(120).collect();
    format!("{what}（{cause}）")
}

#[cfg(test)]
mod tests {
    use super::{ClientError, Request, Wire};
    use crate::clock::Clock;

    #[test]
    fn an_address_in_the_open_is_refused_unless_it_is_this_machine() {
        let new = |base: &str| Wire::new(base, Clock::system()).map(|_| ());
        for good in ["http://127.0.0.1:8091", "http://localhost:1/", "http://[::1]:80/x/"] {
            assert_eq!(new(good), Ok(()), "{good}");
        }
        assert_eq!(new("http://api.weixin.qq.com"), Err(ClientError::Insecure));
        assert_eq!(new("http://127.0.0.1.evil.cn"), Err(ClientError::Insecure));
        assert_eq!(new("ftp://127.0.0.1"), Err(ClientError::Address));
        assert_eq!(new("api.weixin.qq.com"), Err(ClientError::Address));
        assert_eq!(new(""), Err(ClientError::Address));
    }

    #[test]
    fn a_file_is_fetched_from_tencent_or_in_a_rehearsal_from_this_machine() {
        let real = Wire::new("https://api.weixin.qq.com", Clock::system()).unwrap();
        let goes = |wire: &Wire, address: &str| wire.elsewhere(address).is_some();
        assert!(goes(&real, "https://mp.video.qq.com/a.mp4?k=1"));
        assert!(goes(&real, "https://MP.QQ.COM:443/a"));
        for bad in [
            "http://mp.video.qq.com/a.mp4",
            "https://qq.com/a",
            "https://evilqq.com/a",
            "https://mp.qq.com.evil.cn/a",
            "https://mp.qq.com@evil.cn/a",
            "https://user:pass@mp.qq.com/a",
            "https://mp.qq.com:8443/a",
            "https://127.0.0.1/a",
            "http://127.0.0.1:1/a",
            "http://[::1]/a",
            "file:///etc/passwd",
            "//mp.qq.com/a",
            "",
        ] {
            assert!(!goes(&real, bad), "{bad}");
        }
        let rehearsal = Wire::new("http://127.0.0.1:8091", Clock::system()).unwrap();
        assert!(goes(&rehearsal, "http://127.0.0.1:9/a"));
        assert!(!goes(&rehearsal, "http://10.0.0.1/a"));
    }

    #[tokio::test]
    async fn no_error_shows_the_token() {
        let wire = Wire::new("http://127.0.0.1:1", Clock::system()).unwrap();
        let request = Request::get("/cgi-bin/x", &[("media_id", "m")]);
        let error = wire.call(&request, Some("geheim")).await.err().unwrap();
        assert!(error.starts_with("连不上微信接口服务器"), "{error}");
        assert!(!error.contains("geheim") && !error.contains("127.0.0.1:1/"), "{error}");
    }
}
