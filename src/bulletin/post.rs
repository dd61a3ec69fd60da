//! One POST of JSON and the beginning of what comes back. No sentence it makes holds an address: addresses hold keys.

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Url};

/// Answers have well under one KiB; no more is read.
const MAX_ANSWER_BYTES: usize = 16 * 1024;

/// Posts; status and body, or a sentence about why nothing came back.
pub async fn post(
    http: &Client,
    url: Url,
    mut headers: HeaderMap,
    body: String,
) -> Result<(u16, Vec<u8>), String> {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    let mut response = http.post(url).headers(headers).body(body).send().await.map_err(sentence)?;
    let (status, mut answer) = (response.status().as_u16(), Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(sentence)? {
        if answer.len() + chunk.len() > MAX_ANSWER_BYTES {
            break;
        }
        answer.extend_from_slice(&chunk);
    }
    Ok((status, answer))
}

fn sentence(error: reqwest::Error) -> String {
    let what = if error.is_timeout() {
        "5 秒内没有回应"
    } else if error.is_connect() {
        "连不上服务器"
    } else {
        "通信中断"
    };
    format!("{what}，请检查本机能否访问对方地址")
}
