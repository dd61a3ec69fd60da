use std::path::Path;
use xinqi::knowledge::*;
fn main() {
    let k = Knowledge::load(Path::new("knowledge"), Thresholds { answer: 0.44, offer: 0.30, margin: 0.06 })
        .unwrap();
    let on = "2026-11-24".parse().unwrap();
    let f = std::env::args().nth(1).unwrap();
    let s = std::fs::read_to_string(format!("../shared/eval/{f}")).unwrap();
    let (mut a, mut o, mut u, mut t) = (0, 0, 0, 0);
    for (i, l) in s.lines().enumerate() {
        let v: serde_json::Value = serde_json::from_str(l).unwrap();
        let q = v["text"].as_str().unwrap();
        let r = k.ask(q, on);
        match &r.verdict {
            Verdict::Answer(c) => {
                a += 1;
                if i % 3 == 0 || s.lines().count() < 100 {
                    println!("A {:.2} {} -> {}", c.score, q, c.entry.title)
                }
            }
            Verdict::Offer(c) => {
                o += 1;
                if s.lines().count() < 100 {
                    println!("O {:.2} {} -> {}", c[0].score, q, c[0].entry.title)
                }
            }
            Verdict::SmallTalk(x) | Verdict::Urgent(x) => {
                t += 1;
                println!("T {q} -> {}", x.id)
            }
            _ => {
                u += 1;
                if s.lines().count() < 100 {
                    println!(
                        "U {q} {:.2} {}",
                        r.candidates.first().map_or(0., |c| c.score),
                        r.candidates.first().map_or("", |c| &c.entry.title)
                    )
                }
            }
        }
    }
    println!("answered {a} offered {o} unknown {u} talk {t}");
}
