//! Any body: a message or a refusal; and what is written as a reply reads back as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use xinqi::clock::Timestamp;
use xinqi::config::Secret;
use xinqi::wechat::{Gate, Mode, OpenId, Query, Refusal, reply, signature};

const TOKEN: &str = "fuzztoken";
const NOW: Timestamp = Timestamp(1_600_000_000_000);

/// Proved: it is the body that is tried.
static QUERY: LazyLock<Query> = LazyLock::new(|| {
    let (timestamp, nonce) = ("1600000000", "1");
    Query {
        signature: Some(signature::sign(&[TOKEN, timestamp, nonce])),
        timestamp: Some(timestamp.into()),
        nonce: Some(nonce.into()),
        ..Query::default()
    }
});

fuzz_target!(|bytes: &[u8]| {
    // A new gate each time: one that remembers refuses another body under the same signature.
    let gate = Gate::new(Mode::Plain, Secret::new(TOKEN), None).expect("a good token");
    assert!(gate.knock(&QUERY, NOW).is_ok());
    match gate.open(&QUERY, bytes, NOW) {
        Ok(message) => assert!(!message.key().is_empty()),
        Err(refusal) => assert!(!matches!(refusal, Refusal::Signature), "{refusal:?}"),
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = reply::open_reply(text, None);
        // XML has no way to write control characters, and reads a carriage return as a line's end.
        let plain: String = text.chars().filter(|c| !c.is_control() && !('\u{fffe}'..='\u{ffff}').contains(c)).collect();
        if !plain.trim().is_empty() {
            let xml = reply::text_xml(&OpenId::new("o1"), "gh_1", Timestamp(0), &plain);
            assert_eq!(reply::read_reply(&xml, None).expect("our own reply").as_deref(), Some(plain.as_str()));
        }
    }
});
