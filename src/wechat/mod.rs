//! How WeChat signs, wraps, delivers and accepts messages: everything that is true of the wire and of nothing else.
//!
//! Knows the protocol (PROTOCOL.md §§1–12): [`signature`] and [`crypto`] prove and seal, [`gate`] lets a request in and
//! counts what came (`tally`), [`message`] reads it, [`reply`] writes the answer, [`client`] calls api.weixin.qq.com:
//! [`outbound`] messages, [`notify`] the notifications of service accounts, [`media`] files; [`menu`] and [`scene`] are what
//! an operator sets up there, `checks` how it stands there.
//! Must not know what is said, to whom it matters, or where anything is stored.

mod checks;
pub mod client;
pub mod crypto;
pub mod gate;
pub mod media;
pub mod menu;
pub mod message;
pub mod notify;
pub mod outbound;
mod outcome;
mod parse;
mod replays;
pub mod reply;
pub mod scene;
pub mod signature;
mod tally;
mod token;
mod wire;
mod xml;

pub use checks::{CallbackCheck, Ping};
pub use client::Client;
pub use crypto::{Crypt, KeyError};
pub use gate::{Gate, Mode, Query, Refusal};
pub use media::{Downloaded, MediaId, UploadKind};
pub use message::{Event, Inbound, Kind, Malformed};
pub use outbound::{Outgoing, Unsendable};
pub use outcome::{CallError, Outcome, RefusedKind, Trouble};
pub use replays::Replays;
pub use reply::{BadReply, Reply};
pub use tally::{Count, Seen};
pub use wire::{Ahead, ClientError};
pub(crate) use wire::{http, way_to};

use serde::{Deserialize, Serialize};
use std::fmt;

/// The most bytes of UTF-8 a text to a follower may have (§4 and §7: more is refused with 45002).
pub const MAX_TEXT_BYTES: usize = 2048;

/// WeChat's name for one follower of one account. It prints masked, because it names a person; the whole of it comes
/// out only through [`OpenId::as_str`] and serialisation.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OpenId(String);

impl OpenId {
    /// Takes the text as WeChat sent it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// All of it: for the wire and for the record that maps a follower to it, never for a log.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OpenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("o***")?;
        // Of a text hardly longer than what would be shown, nothing is shown.
        match self.0.char_indices().rev().nth(3) {
            Some((at, _)) if at >= 4 => f.write_str(&self.0[at..]),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for OpenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Client, OpenId};
    use crate::clock::{Clock, Timestamp};
    use crate::config::Secret;
    use axum::body::{Body, Bytes};
    use axum::http::{HeaderMap, Uri};
    use axum::response::{IntoResponse, Response};
    use std::collections::VecDeque;
    use std::path::{Path, PathBuf};
    use std::sync::{Arc, Mutex};

    /// Stands at the other end of the wire for calls that the fake WeChat has not: says what it was told to, in turn, and
    /// remembers what it was asked. Tokens are `geheim-1`, `geheim-2` …
    #[derive(Clone, Default)]
    pub(crate) struct Tencent {
        pub(crate) base: String,
        told: Arc<Mutex<Told>>,
    }

    #[derive(Default)]
    struct Told {
        n_tokens: usize,
        says: VecDeque<Says>,
        seen: Vec<Seen>,
    }

    /// One request that was no token call.
    #[derive(Clone)]
    pub(crate) struct Seen {
        pub(crate) path: String,
        pub(crate) query: String,
        pub(crate) content_type: String,
        pub(crate) body: Vec<u8>,
    }

    impl Seen {
        pub(crate) fn json(&self) -> serde_json::Value {
            serde_json::from_slice(&self.body).unwrap()
        }
    }

    /// One answer.
    pub(crate) struct Says {
        content_type: String,
        disposition: String,
        body: Vec<u8>,
        in_pieces: bool,
    }

    impl Says {
        pub(crate) fn json(body: &str) -> Self {
            Self::file("application/json; encoding=utf-8", body.as_bytes())
        }

        pub(crate) fn file(content_type: &str, body: &[u8]) -> Self {
            let (content_type, body) = (content_type.to_owned(), body.to_vec());
            Self { content_type, disposition: String::new(), body, in_pieces: false }
        }

        pub(crate) fn named(self, disposition: &str) -> Self {
            Self { disposition: disposition.to_owned(), ..self }
        }

        /// Without a Content-Length.
        pub(crate) fn in_pieces(self) -> Self {
            Self { in_pieces: true, ..self }
        }

        fn response(self) -> Response {
            let body =
                if self.in_pieces { Body::new(Pieces(self.body.into())) } else { Body::from(self.body) };
            let mut response = Response::new(body);
            for (name, value) in
                [("content-type", self.content_type), ("content-disposition", self.disposition)]
            {
                if !value.is_empty() {
                    response.headers_mut().insert(name, value.parse().unwrap());
                }
            }
            response
        }
    }

    /// A body whose length nobody says beforehand.
    struct Pieces(Bytes);

    impl hyper::body::Body for Pieces {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
            let n = self.0.len().min(1 << 16);
            let piece = self.0.split_to(n);
            std::task::Poll::Ready((n > 0).then(|| Ok(hyper::body::Frame::data(piece))))
        }
    }

    impl Tencent {
        /// Opens it on loopback; with a client of the account.
        pub(crate) async fn open() -> (Self, Client) {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let base = format!("http://{}", listener.local_addr().unwrap());
            let tencent = Self { base, ..Self::default() };
            let own = tencent.clone();
            let answer = move |uri: Uri, headers: HeaderMap, body: Bytes| {
                let own = own.clone();
                async move { own.answer(&uri, &headers, &body) }
            };
            let limit = axum::extract::DefaultBodyLimit::disable();
            let router = axum::Router::new().fallback(answer).layer(limit);
            tokio::spawn(async move { axum::serve(listener, router).await });
            let clock = Clock::standing_at(Timestamp::from_s(1_700_000_000));
            let client = Client::new(&tencent.base, "wx1", Secret::new("appsecret"), clock).unwrap();
            (tencent, client)
        }

        /// What it says next, after what it was told before.
        pub(crate) fn will(&self, says: Says) {
            self.told.lock().unwrap().says.push_back(says);
        }

        /// All it was asked, without token calls.
        pub(crate) fn seen(&self) -> Vec<Seen> {
            self.told.lock().unwrap().seen.clone()
        }

        fn answer(&self, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Response {
            let mut told = self.told.lock().unwrap();
            if uri.path() == "/cgi-bin/stable_token" {
                told.n_tokens += 1;
                return format!(r#"{{"access_token":"geheim-{}","expires_in":7200}}"#, told.n_tokens)
                    .into_response();
            }
            let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
            told.seen.push(Seen {
                path: uri.path().to_owned(),
                query: uri.query().unwrap_or_default().to_owned(),
                content_type: header("content-type").unwrap_or_default(),
                body: body.to_vec(),
            });
            told.says.pop_front().expect("nobody said what to answer").response()
        }
    }

    /// Where the shared test data lies; `None`, said aloud, when this checkout has none beside it.
    pub(crate) fn fixtures() -> Option<PathBuf> {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/wechat/fixtures"));
        if !folder.is_dir() {
            eprintln!("skipped: there is no {}", folder.display());
            return None;
        }
        Some(folder.to_owned())
    }

    /// One JSON file of the shared test data.
    pub(crate) fn fixture(name: &str) -> Option<serde_json::Value> {
        let text = std::fs::read_to_string(fixtures()?.join(name)).unwrap();
        Some(serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn an_openid_prints_only_its_end() {
        let follower = OpenId::new("olPjZjsXuQPJoV0HlruZkNzKc91E");
        assert_eq!(format!("{follower} {follower:?}"), "o***c91E o***c91E");
        assert_eq!(OpenId::new("short").to_string(), "o***");
        assert_eq!(OpenId::new("企业企业企业").to_string(), "o***企业企业");
        assert_eq!(OpenId::new("").to_string(), "o***");
    }
}
