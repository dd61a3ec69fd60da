use std::path::Path;
use xinqi::knowledge::*;
fn main() {
    let k = match Knowledge::load(Path::new("knowledge"), Thresholds::default()) {
        Ok(k) => k,
        Err(e) => {
            for x in e {
                println!("{x}");
            }
            std::process::exit(1)
        }
    };
    let (mut n, mut r1, mut r3) = (0, 0, 0);
    let mut rows: Vec<(f32, f32, bool)> = vec![];
    let show = std::env::args().nth(1).is_some();
    for (e, q, c) in k.leave_one_out() {
        // skip pattern advantage? patterns may match the question itself
        n += 1;
        let top = c.first();
        let right = top.is_some_and(|t| t.entry.id == e.id);
        if right {
            r1 += 1
        }
        if c.iter().take(3).any(|t| t.entry.id == e.id) {
            r3 += 1
        }
        if let Some(t) = top {
            rows.push((t.score, t.score - c.get(1).map_or(0.0, |s| s.score), right));
            if !right && show {
                println!("{:.2} {} -> {} [{}]", t.score, q, t.entry.id, e.id);
            }
        }
    }
    println!("n {n} R@1 {:.3} R@3 {:.3}", r1 as f32 / n as f32, r3 as f32 / n as f32);
    let mut far: Vec<f32> = vec![];
    for f in ["out-of-scope/queries.jsonl", "faq/queries.jsonl"] {
        far.clear();
        let s = std::fs::read_to_string(format!("../shared/eval/{f}")).unwrap();
        for l in s.lines() {
            let v: serde_json::Value = serde_json::from_str(l).unwrap();
            let c = k.explain(v["text"].as_str().unwrap());
            far.push(c.first().map_or(0.0, |c| c.score));
        }
        far.sort_by(f32::total_cmp);
        println!(
            "{f}: p50 {:.2} p90 {:.2} p95 {:.2} p99 {:.2} max {:.2}",
            far[far.len() / 2],
            far[far.len() * 9 / 10],
            far[far.len() * 95 / 100],
            far[far.len() * 99 / 100],
            far[far.len() - 1]
        );
    }
    for t in [0.3, 0.34, 0.38, 0.42, 0.46, 0.5, 0.54, 0.58, 0.62] {
        for m in [0.0, 0.04, 0.06, 0.1] {
            let a: Vec<_> = rows.iter().filter(|r| r.0 >= t && r.1 >= m).collect();
            let ok = a.iter().filter(|r| r.2).count();
            if m == 0.0 || m == 0.06 {
                println!(
                    "t {t} m {m}: answered {:.3} right {:.3}",
                    a.len() as f32 / n as f32,
                    ok as f32 / a.len() as f32
                );
            }
        }
    }
}
