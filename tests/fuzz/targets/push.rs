//! Any query and any body at the gate: proved, or refused; and no ciphertext that is not ours is ever read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use xinqi::clock::Timestamp;
use xinqi::config::Secret;
use xinqi::wechat::{Crypt, Gate, Mode, Query};

const TOKEN: &str = "fuzztoken";
const KEY: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ";

fn crypt() -> Crypt {
    Crypt::new(&Secret::new(TOKEN), &Secret::new(KEY), "wx0000000000000001").expect("a good key")
}

static CRYPT: LazyLock<Crypt> = LazyLock::new(crypt);
static GATE: LazyLock<Gate> =
    LazyLock::new(|| Gate::new(Mode::Safe, Secret::new(TOKEN), Some(crypt())).expect("a good key"));

fuzz_target!(|input: (&str, [u8; 16], &[u8])| {
    let (text, random, body) = input;
    let now = Timestamp(1_600_000_000_000);
    if let Ok(query) = serde_json::from_str::<Query>(text) {
        let _ = GATE.knock(&query, now);
        let _ = GATE.verify_echo(&query, now);
        let _ = GATE.open(&query, body, now);
    }
    let _ = CRYPT.decrypt(text);
    let _ = CRYPT.decrypt(&String::from_utf8_lossy(body));
    let sealed = CRYPT.encrypt(text, random);
    assert!(CRYPT.decrypt(&sealed).is_ok_and(|back| back == text));
});
