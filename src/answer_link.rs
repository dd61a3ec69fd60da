//! The address of a ticket's answer page: nobody can guess it, and it ends by itself. Knows keys and time; not what the
//! page shows, nor whether the ticket still is.

use crate::clock::Timestamp;
use crate::ticket::TicketId;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use std::time::Duration;

/// Where answer pages are, before the token.
pub const PATH: &str = "/t/";

const TICKET: usize = 8;
const HOURS: usize = 4;
/// Half of SHA-256's output; 128 bits cannot be guessed.
const SEAL: usize = 16;
const HOUR_S: i64 = 3600;

/// Makes and reads the addresses of one office.
#[derive(Clone, PartialEq, Eq)]
pub struct AnswerLinks {
    base: String,
    key: [u8; 32],
    lasts: Duration,
}

/// The key is a secret.
impl fmt::Debug for AnswerLinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerLinks")
            .field("base", &self.base)
            .field("lasts", &self.lasts)
            .finish_non_exhaustive()
    }
}

impl AnswerLinks {
    /// Links under `base` (`https://…`, without a slash at the end) that are good for `lasts`.
    pub fn new(base: &str, key: [u8; 32], lasts: Duration) -> Self {
        Self { base: base.trim_end_matches('/').to_owned(), key, lasts }
    }

    /// The address of a ticket's page, made at this moment. Within one hour it is the same.
    pub fn url(&self, ticket: TicketId, now: Timestamp) -> String {
        let ends = now.after(self.lasts).as_s().div_euclid(HOUR_S) + 1;
        let mut bytes = Vec::with_capacity(TICKET + HOURS + SEAL);
        bytes.extend(ticket.0.to_be_bytes());
        bytes.extend(u32::try_from(ends).unwrap_or(u32::MAX).to_be_bytes());
        let seal = self.mac(&bytes).finalize().into_bytes();
        bytes.extend(&seal[..SEAL]);
        format!("{}{PATH}{}", self.base, URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The ticket of a token that was made here and has not ended. Compared in constant time.
    pub fn open(&self, token: &str, now: Timestamp) -> Option<TicketId> {
        // The only length there is, before anything is decoded.
        let bytes = URL_SAFE_NO_PAD.decode(Some(token).filter(|token| token.len() < 64)?).ok()?;
        let (named, seal) = bytes.split_at_checked(TICKET + HOURS).filter(|(_, seal)| seal.len() == SEAL)?;
        self.mac(named).verify_truncated_left(seal).ok()?;
        let (ticket, ends) = named.split_at_checked(TICKET)?;
        let ends = i64::from(u32::from_be_bytes(ends.try_into().ok()?)) * HOUR_S;
        (now.as_s() < ends).then_some(TicketId(u64::from_be_bytes(ticket.try_into().ok()?)))
    }

    fn mac(&self, named: &[u8]) -> Hmac<Sha256> {
        // A key of any length is taken.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        mac.update(b"answer page");
        mac.update(named);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_s(1_795_480_000);

    #[test]
    fn a_link_opens_its_ticket_for_its_time_and_nobody_makes_another() {
        let links = AnswerLinks::new("https://a.cn/", [7; 32], Duration::from_secs(30 * 24 * 3600));
        let url = links.url(TicketId(0xfeed), NOW);
        let token = url.strip_prefix("https://a.cn/t/").unwrap();
        assert_eq!(links.open(token, NOW), Some(TicketId(0xfeed)));
        assert_eq!(links.open(token, NOW.after(Duration::from_secs(30 * 24 * 3600))), Some(TicketId(0xfeed)));
        assert_eq!(links.open(token, NOW.after(Duration::from_secs(30 * 24 * 3600 + 3600))), None);
        let other = AnswerLinks::new("https://a.cn", [8; 32], Duration::from_secs(1));
        assert_eq!(other.open(token, NOW), None);
        for at in 0..token.len() {
            let mut forged = token.to_owned().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(links.open(std::str::from_utf8(&forged).unwrap(), NOW), None, "{at}");
        }
        for bad in ["", "A", &token[1..], &"A".repeat(5000)] {
            assert_eq!(links.open(bad, NOW), None);
        }
        assert!(!format!("{links:?}").contains("7, 7"));
    }
}
