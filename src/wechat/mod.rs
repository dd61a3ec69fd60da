//! How WeChat signs, wraps, delivers and accepts messages: everything that is true of the wire and of nothing else.
//!
//! Knows the protocol (PROTOCOL.md §§1–7): [`signature`] and [`crypto`] prove and seal, [`gate`] lets a request in and
//! counts what came (`tally`), [`message`] reads it, [`reply`] writes the answer, [`client`] calls api.weixin.qq.com;
//! [`menu`] and [`scene`] are what an operator sets up there (§§10–11), `checks` how it stands there.
//! Must not know what is said, to whom it matters, or where anything is stored.

mod checks;
pub mod client;
pub mod crypto;
pub mod gate;
pub mod menu;
pub mod message;
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
pub use message::{Event, Inbound, Kind, Malformed};
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
    use super::OpenId;
    use std::path::{Path, PathBuf};

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
