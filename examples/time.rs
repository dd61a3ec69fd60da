use std::path::Path;
use xinqi::knowledge::*;
fn main() {
    let k = Knowledge::load(Path::new("knowledge"), Thresholds::default()).unwrap();
    let on = "2026-11-24".parse().unwrap();
    let q = std::fs::read_to_string("benches/questions.txt").unwrap();
    let qs: Vec<&str> = q.lines().collect();
    for _ in 0..3 {
        let t = std::time::Instant::now();
        let mut n = 0;
        for _ in 0..50 {
            for q in &qs {
                n += k.ask(q, on).candidates.len();
            }
        }
        println!("ask {} ns ({n})", t.elapsed().as_nanos() / (50 * qs.len() as u128));
        let t = std::time::Instant::now();
        for _ in 0..50 {
            for q in &qs {
                n += k.explain(q).len();
            }
        }
        println!("explain {} ns ({n})", t.elapsed().as_nanos() / (50 * qs.len() as u128));
    }
}
