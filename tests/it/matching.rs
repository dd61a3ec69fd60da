//! The figures ARCHITECTURE.md quotes of matching, measured anew: they may get better, not worse.

use std::path::Path;
use xinqi::knowledge::{Knowledge, Thresholds, Verdict};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn knowledge() -> Knowledge {
    Knowledge::load(&Path::new(ROOT).join("knowledge"), Thresholds::default()).unwrap()
}

#[test]
fn a_phrasing_left_out_is_found_by_the_others() {
    let knowledge = knowledge();
    let (mut n, mut first, mut among_three) = (0.0, 0.0, 0.0);
    for (entry, _, found) in knowledge.leave_one_out() {
        n += 1.0;
        let at = found.iter().position(|candidate| candidate.entry.id == entry.id);
        first += f64::from(u8::from(at == Some(0)));
        among_three += f64::from(u8::from(at.is_some_and(|at| at < 3)));
    }
    println!("{n} phrasings: first {:.3}, among three {:.3}", first / n, among_three / n);
    assert!(first / n >= 0.955 && among_three / n >= 0.995);
}

/// How many of the open questions of that set are answered, offered something, and asked in all.
fn asked(set: &str) -> Option<[usize; 3]> {
    let file = Path::new(ROOT).join("../shared/eval").join(set).join("queries.jsonl");
    let Ok(text) = std::fs::read_to_string(&file) else {
        eprintln!("not measured: there is no {}", file.display());
        return None;
    };
    let knowledge = knowledge();
    let on = "2026-11-24".parse().unwrap();
    let mut counts = [0; 3];
    for line in text.lines() {
        let question: serde_json::Value = serde_json::from_str(line).unwrap();
        let verdict = &knowledge.ask(question["text"].as_str().unwrap(), on).verdict;
        counts[0] += usize::from(matches!(verdict, Verdict::Answer(_)));
        counts[1] += usize::from(matches!(verdict, Verdict::Offer(_)));
        counts[2] += 1;
    }
    println!("{set}: answered {}, offered {}, of {}", counts[0], counts[1], counts[2]);
    Some(counts)
}

#[test]
fn questions_of_another_world_are_hardly_ever_answered() {
    if let Some([answered, offered, n]) = asked("out-of-scope") {
        assert!(answered * 100 <= n && offered * 25 <= n);
    }
}

#[test]
fn most_legal_questions_outside_the_topics_go_to_a_person() {
    if let Some([answered, offered, n]) = asked("law-answers") {
        assert!(answered * 100 <= n && offered * 20 <= n);
    }
}

#[test]
fn paraphrases_are_as_well_understood_as_before() {
    if let Some([answered, offered, _]) = asked("paraphrase") {
        assert!(answered + offered >= 19);
    }
}
