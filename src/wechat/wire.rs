//! HTTP to api.weixin.qq.com: one request, one JSON answer, both bounded. The only file that names reqwest's builder and
//! rustls. Knows no error codes. No sentence it makes holds an address, because addresses here carry tokens.

use crate::clock::{Clock, Timestamp};
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap};
use reqwest::{Url, redirect};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::error::Error;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long one call may take, all in all.
const TIMEOUT: Duration = Duration::from_secs(5);
/// WeChat looks up names and pings before it answers this one.
const SLOW: (&str, Duration) = (super::checks::CALLBACK_CHECK, Duration::from_secs(15));
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

    /// Posts `body` as JSON in raw UTF-8 (§6). The error is a sentence for the operator.
    pub(super) async fn post(
        &self,
        path: &str,
        token: Option<&str>,
        body: &impl Serialize,
    ) -> Result<Answer, String> {
        self.call(path, token, Some(body)).await
    }

    /// Posts `body`, or gets where there is none.
    pub(super) async fn call(
        &self,
        path: &str,
        token: Option<&str>,
        body: Option<&impl Serialize>,
    ) -> Result<Answer, String> {
        let mut url = self.base.clone();
        url.set_path(&[url.path().trim_end_matches('/'), path].concat());
        if let Some(token) = token {
            url.query_pairs_mut().append_pair("access_token", token);
        }
        let request = match body {
            None => self.http.get(url),
            Some(body) => {
                let body = serde_json::to_vec(body).map_err(|_| "请求无法写成 JSON".to_owned())?;
                self.http.post(url).header(CONTENT_TYPE, "application/json; charset=utf-8").body(body)
            }
        };
        let request = if path == SLOW.0 { request.timeout(SLOW.1) } else { request };
        let response = request.send().await.map_err(sentence)?;
        self.compare_clocks(response.headers());
        if !response.status().is_success() {
            return Err(format!("微信接口返回 HTTP {}", response.status().as_u16()));
        }
        let answer = read(response).await?;
        serde_json::from_slice(&answer).map_err(|_| "微信接口的回应不是约定的 JSON".to_owned())
    }
}

async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut answer = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(sentence)? {
        if answer.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err("微信接口的回应过大".to_owned());
        }
        answer.extend_from_slice(&chunk);
    }
    Ok(answer)
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

fn sentence(error: reqwest::Error) -> String {
    let error = error.without_url();
    let what = if error.is_timeout() {
        "微信接口没有按时回应"
    } else if error.is_connect() {
        "连不上微信接口服务器"
    } else {
        "与微信接口的通信中断"
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
    use super::{ClientError, Wire};
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

    #[tokio::test]
    async fn no_error_shows_the_token() {
        let wire = Wire::new("http://127.0.0.1:1", Clock::system()).unwrap();
        let error = wire.post("/cgi-bin/x", Some("geheim"), &()).await.err().unwrap();
        assert!(error.starts_with("连不上微信接口服务器"), "{error}");
        assert!(!error.contains("geheim") && !error.contains("127.0.0.1:1/"), "{error}");
    }
}
