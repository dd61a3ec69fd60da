//! Another system's webhook: each event a POST of JSON, signed with HMAC-SHA256 over the moment and the body. Knows what an
//! event says; the store is its queue.

use super::post::post;
use super::{News, Trouble};
use crate::clock::Timestamp;
use crate::config::NoticesConfig;
use crate::ticket::Ticket;
use crate::wechat::{ClientError, way_to};
use crate::words;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue};
use serde::Serialize;
use sha2::Sha256;
use std::fmt::Write;

/// How many events go out before it is noted that they did.
const AT_ONCE: usize = 10;

/// The webhook.
pub struct Hook {
    http: reqwest::Client,
    url: Url,
    mac: Hmac<Sha256>,
    console: Option<String>,
}

#[derive(Serialize)]
struct Event<'t> {
    event: &'static str,
    number: String,
    year: i16,
    category: &'static str,
    department: &'static str,
    deadline: String,
    tentative: bool,
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'t str>,
}

/// What came of one event.
enum Fate {
    Taken,
    /// The receiver does not want this one, now or later.
    Unwanted(u16),
}

impl Hook {
    /// A webhook; nothing is called yet.
    pub fn new(config: &NoticesConfig, console: Option<String>) -> Result<Self, ClientError> {
        let (http, url) = way_to(config.webhook_url.expose())?;
        let secret = config.webhook_secret.expose().as_bytes();
        let mac = Hmac::new_from_slice(secret).expect("a key of any length will do");
        Ok(Self { http, url, mac, console })
    }

    /// Tells of the first few of these, one by one; of how many.
    pub async fn tell(&self, news: News, tickets: &[&Ticket], now: Timestamp) -> Result<usize, Trouble> {
        for (n, ticket) in tickets.iter().take(AT_ONCE).enumerate() {
            match self.post(news, ticket, now).await {
                Ok(Fate::Taken) => {}
                Ok(Fate::Unwanted(status)) => {
                    tracing::warn!(
                        status,
                        ticket = ticket.id.0,
                        "the webhook does not want an event; passed over"
                    );
                }
                // Those before it were taken, and that is to be noted first.
                Err(_) if n > 0 => return Ok(n),
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(tickets.len().min(AT_ONCE))
    }

    async fn post(&self, news: News, ticket: &Ticket, now: Timestamp) -> Result<Fate, Trouble> {
        let trouble = |sentence: String| Trouble { sentence, wait: None };
        let Some(body) = self.body(news, ticket, now) else { return Ok(Fate::Taken) };
        let headers = self.headers(now, &body).ok_or_else(|| trouble("请求写不成".into()))?;
        let (status, _) = post(&self.http, self.url.clone(), headers, body).await.map_err(trouble)?;
        match status {
            200..=299 => Ok(Fate::Taken),
            400 | 409 | 413 | 422 => Ok(Fate::Unwanted(status)),
            401 | 403 => Err(trouble(format!(
                "对方不认签名（HTTP {status}），请核对两边的 notices.webhook_secret 和时钟"
            ))),
            _ => {
                Err(trouble(format!("对方返回 HTTP {status}，请核对 notices.webhook_url，或请对方查看日志")))
            }
        }
    }

    fn body(&self, news: News, ticket: &Ticket, now: Timestamp) -> Option<String> {
        let number = ticket.number?;
        let url = self.console.as_ref().map(|url| format!("{url}/tickets/{}", words::number_in_path(number)));
        let event = Event {
            event: match news {
                News::Opened => "ticket.opened",
                News::DueSoon => "ticket.due_soon",
                News::Overdue => "ticket.overdue",
            },
            number: number.to_string(),
            year: number.year,
            category: ticket.category.name(),
            department: ticket.department.name(),
            deadline: written(ticket.deadline.at),
            tentative: ticket.deadline.tentative,
            at: written(if news == News::Opened { ticket.opened_at } else { now }),
            url: url.as_deref(),
        };
        serde_json::to_string(&event).ok()
    }

    fn headers(&self, now: Timestamp, body: &str) -> Option<HeaderMap> {
        let timestamp = now.as_s().to_string();
        let mut mac = self.mac.clone();
        for part in [timestamp.as_str(), ".", body] {
            mac.update(part.as_bytes());
        }
        let mut signature = String::from("sha256=");
        for byte in mac.finalize().into_bytes() {
            let _ = write!(signature, "{byte:02x}");
        }
        let mut headers = HeaderMap::new();
        headers.insert("x-xinqi-timestamp", HeaderValue::from_str(&timestamp).ok()?);
        headers.insert("x-xinqi-signature", HeaderValue::from_str(&signature).ok()?);
        Some(headers)
    }
}

/// A moment as machines read it.
fn written(at: Timestamp) -> String {
    let t = at.local();
    let (date, time) = (t.date(), t.time());
    format!("{date}T{:02}:{:02}:{:02}+08:00", time.hour(), time.minute(), time.second())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_signature_is_what_other_programs_compute() {
        let environment = [
            ("XINQI_NOTICES__WEBHOOK_URL", "https://example.cn/xinqi"),
            ("XINQI_NOTICES__WEBHOOK_SECRET", "密钥 secret"),
        ];
        let config =
            Config::load(None, environment.map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap();
        let hook = Hook::new(&config.notices, None).unwrap();
        let headers = hook.headers(Timestamp::from_s(1_795_485_600), r#"{"event":"ticket.opened"}"#).unwrap();
        assert_eq!(headers["x-xinqi-timestamp"], "1795485600");
        // As Python's hmac has it.
        let expected = "sha256=13616c747ecb667c15ef6695de75505e6467de6c16c8fae0e969a1418aaf6687";
        assert_eq!(headers["x-xinqi-signature"], expected);
        assert_eq!(written(Timestamp::from_s(1_795_485_600)), "2026-11-24T10:00:00+08:00");
    }
}
