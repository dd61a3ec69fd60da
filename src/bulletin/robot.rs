//! A group robot of WeCom (PROTOCOL.md §15): many tickets in one message, within its limits, and what its error codes ask
//! for. Its key is in the address: no address is ever written anywhere.

use super::post::post;
use super::{News, Trouble};
use crate::calendar::Calendar;
use crate::clock::Timestamp;
use crate::config::{NoticesConfig, Secret};
use crate::ticket::Ticket;
use crate::wechat::{ClientError, way_to};
use crate::words;
use reqwest::Url;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;

/// WeCom takes 20 (§15).
pub const MAX_PER_MINUTE: usize = 15;
const MAX_MARKDOWN_BYTES: usize = 4096;
const MAX_TEXT_BYTES: usize = 2048;
/// Kept free for the first line.
const HEAD_BYTES: usize = 128;
/// Too many messages in a minute.
const TOO_MANY: i64 = 45009;

/// The robot.
pub struct Robot {
    http: reqwest::Client,
    url: Url,
    key: Secret,
    mentions: Vec<String>,
    console: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    errcode: i64,
}

/// How a message is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Markdown,
    /// Only here somebody can be mentioned.
    Text,
}

impl Robot {
    /// A robot; nothing is called yet.
    pub fn new(config: &NoticesConfig, console: Option<String>) -> Result<Self, ClientError> {
        let (http, mut url) = way_to(config.wecom_base.trim_end_matches('/'))?;
        url.set_path(&[url.path().trim_end_matches('/'), "/cgi-bin/webhook/send"].concat());
        let (key, mentions) = (config.wecom_key.clone(), config.overdue_mentions.clone());
        Ok(Self { http, url, key, mentions, console })
    }

    /// One message with the first of these, as many as it holds; of how many.
    pub async fn tell(
        &self,
        news: News,
        tickets: &[&Ticket],
        now: Timestamp,
        calendar: &Calendar,
    ) -> Result<usize, Trouble> {
        let mentions = news == News::Overdue && !self.mentions.is_empty();
        let style = if mentions { Style::Text } else { Style::Markdown };
        let (content, n) = self.content(style, news, tickets, now, calendar);
        let body = match style {
            Style::Markdown => json!({"msgtype": "markdown", "markdown": {"content": content}}),
            Style::Text => json!({
                "msgtype": "text",
                "text": {"content": content, "mentioned_list": self.mentions},
            }),
        };
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair("key", self.key.expose());
        let answer = post(&self.http, url, HeaderMap::new(), body.to_string()).await;
        judge(answer).map(|()| n)
    }

    fn content(
        &self,
        style: Style,
        news: News,
        tickets: &[&Ticket],
        now: Timestamp,
        calendar: &Calendar,
    ) -> (String, usize) {
        let room = match style {
            Style::Markdown => MAX_MARKDOWN_BYTES - HEAD_BYTES,
            Style::Text => MAX_TEXT_BYTES - HEAD_BYTES,
        };
        let (mut lines, mut n) = (String::new(), 0);
        for ticket in tickets {
            let line = self.line(style, news, ticket, now, calendar);
            if n > 0 && lines.len() + line.len() > room {
                break;
            }
            lines.push_str(&line);
            n += 1;
        }
        let (colour, what) = match news {
            News::Opened => ("info", "新咨询单"),
            News::DueSoon => ("comment", "快到答复期限的咨询单"),
            News::Overdue => ("warning", "超过答复期限的咨询单"),
        };
        let head = match style {
            Style::Markdown => format!("**<font color=\"{colour}\">{what} {n} 张</font>**"),
            Style::Text => format!("{what} {n} 张"),
        };
        (head + &lines, n)
    }

    /// A line of a message, with the break before it.
    fn line(&self, style: Style, news: News, ticket: &Ticket, now: Timestamp, calendar: &Calendar) -> String {
        let Some(number) = ticket.number else { return String::new() };
        let link =
            self.console.as_ref().map(|url| format!("{url}/tickets/{}", words::number_in_path(number)));
        let mut said = vec![ticket.category.name().to_owned(), ticket.department.name().to_owned()];
        if news != News::Opened {
            said.push(words::waited(ticket, now));
        }
        said.push(words::deadline(ticket, now, calendar).text);
        let said = said.join("，");
        match (style, link) {
            (Style::Markdown, None) => format!("\n> {number} {}", plain(&said)),
            (Style::Markdown, Some(link)) => format!("\n> [{number}]({}) {}", in_link(&link), plain(&said)),
            (Style::Text, None) => format!("\n{number} {said}"),
            (Style::Text, Some(link)) => format!("\n{number} {said}\n{link}"),
        }
    }
}

/// Signs that mean something in WeCom's markdown, as signs that look alike and mean nothing: its documentation knows no
/// way to quote them.
fn plain(text: &str) -> String {
    let sign = |sign| match sign {
        '<' => '＜',
        '>' => '＞',
        '[' => '［',
        ']' => '］',
        '`' => '｀',
        '*' => '＊',
        '#' => '＃',
        '_' => '＿',
        '\\' => '＼',
        '\r' | '\n' => ' ',
        other => other,
    };
    text.chars().map(sign).collect()
}

/// An address that cannot end the brackets it stands in.
fn in_link(url: &str) -> String {
    let mut written = String::with_capacity(url.len());
    for sign in url.chars() {
        match sign {
            '(' | ')' | '<' | '>' | '[' | ']' | ' ' | '"' | '`' | '\\' => {
                written.push_str(&format!("%{:02X}", u32::from(sign)));
            }
            other => written.push(other),
        }
    }
    written
}

/// What an answer asks for. WeCom's own words are not passed on: who knows what they quote.
fn judge(answer: Result<(u16, Vec<u8>), String>) -> Result<(), Trouble> {
    let trouble = |sentence: String| Err(Trouble { sentence, wait: None });
    let (status, body) = match answer {
        Ok(answer) => answer,
        Err(sentence) => return trouble(sentence),
    };
    if status != 200 {
        return trouble(format!("服务器返回 HTTP {status}，请核对 notices.wecom_base 和网络代理"));
    }
    let Ok(Answer { errcode }) = serde_json::from_slice(&body) else {
        return trouble("回应不是约定的 JSON，请核对 notices.wecom_base".into());
    };
    match errcode {
        0 => Ok(()),
        TOO_MANY => Err(Trouble {
            sentence: "一分钟内的消息满了，等一分钟再发。若别的系统也用这个机器人，请给本系统单独建一个".into(),
            wait: Some(Duration::from_secs(60)),
        }),
        93000 => trouble(
            "密钥无效（93000），机器人可能已被移出群。请在群里查看机器人的 Webhook 地址，改配置 notices.wecom_key 后重启"
                .into(),
        ),
        code => trouble(format!("企业微信返回错误码 {code}，请在企业微信开发者文档“全局错误码”里查找原因")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_written_can_become_markdown_or_end_a_link() {
        assert_eq!(plain("<@all> [x](y) `*_#\\\n> z"), "＜@all＞ ［x］(y) ｀＊＿＃＼ ＞ z");
        assert_eq!(in_link("https://a.cn/(x) <b>\"c]"), "https://a.cn/%28x%29%20%3Cb%3E%22c%5D");
    }

    #[test]
    fn every_answer_but_success_says_what_to_do() {
        let why = |status, body: &str| judge(Ok((status, body.as_bytes().to_vec()))).err();
        assert!(why(200, r#"{"errcode":0,"errmsg":"ok"}"#).is_none());
        let full = why(200, r#"{"errcode":45009,"errmsg":"hush"}"#).unwrap();
        assert_eq!(full.wait, Some(Duration::from_secs(60)));
        for (status, body, said) in [
            (200, r#"{"errcode":93000,"errmsg":"hush"}"#, "wecom_key"),
            (200, r#"{"errcode":40058,"errmsg":"hush"}"#, "40058"),
            (200, "<html>hush", "JSON"),
            (502, "hush", "502"),
        ] {
            let trouble = why(status, body).unwrap();
            assert!(
                trouble.sentence.contains(said) && !trouble.sentence.contains("hush"),
                "{}",
                trouble.sentence
            );
            assert_eq!(trouble.wait, None);
        }
    }
}
