//! Any message: matching finds something or nothing, and says how likely it is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::Path;
use std::sync::LazyLock;
use xinqi::knowledge::{Knowledge, Thresholds};

static KNOWLEDGE: LazyLock<Knowledge> = LazyLock::new(|| {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../knowledge");
    Knowledge::load(&dir, Thresholds::default()).expect("the shipped knowledge has no errors")
});

fuzz_target!(|message: &str| {
    let on = jiff::civil::Date::constant(2026, 11, 24);
    let asked = KNOWLEDGE.ask(message, None, on);
    assert!(asked.candidates.iter().all(|candidate| (0.0..=1.0).contains(&candidate.score)));
    for candidate in &asked.candidates {
        assert!(KNOWLEDGE.answer(&candidate.entry, on, asked.place.as_ref()).0.len() <= 2_048);
    }
    let _ = KNOWLEDGE.urgent(message);
});
