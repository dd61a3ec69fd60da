//! Figures of the console, all in one run on loopback: a store with 100,000 tickets over a year, of which 2,000 wait for the
//! office; then each page and search a few hundred times, one after the other, beside a bare axum handler that returns the
//! inbox's bytes, and search beside a look through every ticket's text in RAM.
//!
//! `cargo bench --bench console` (about two minutes); `-- quick` fills 5,000 and prints the same.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench measures real time and may stop at a surprise"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use xinqi::app::App;
use xinqi::calendar::Deadline;
use xinqi::clock::{Clock, Timestamp};
use xinqi::config::Config;
use xinqi::conversation::{Cause, Memory, Step};
use xinqi::knowledge::{Category, Department};
use xinqi::staff::{Role, Staff};
use xinqi::store::{Store, Turn};
use xinqi::ticket::{Author, Began, Change, FollowerId, Line, Rating, Stage, Ticket, TicketId};

const QUESTIONS: &str = include_str!("questions.txt");
const PASSWORD: &str = "correct horse battery";
const DAY: i64 = 24 * 3600 * 1000;

fn main() {
    xinqi::app::with_few_arenas(&Config::environment());
    let quick = std::env::args().any(|argument| argument == "quick");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(run(if quick { 5_000 } else { 100_000 }, if quick { 50 } else { 300 }));
}

async fn run(n_tickets: u64, n_requests: usize) {
    let dir = tempfile::tempdir().unwrap();
    let now = Timestamp::from_local("2026-11-24T10:00:00".parse().unwrap());
    let clock = Clock::standing_at(now);
    let environment = [
        ("XINQI_DATA_DIR", dir.path().to_str().unwrap()),
        ("XINQI_MODEL_FILE", ""),
        ("XINQI_CONSOLE__SECOND_FACTOR", "optional"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = Config::load(None, environment.to_vec()).unwrap();
    let app = App::build(config.clone(), clock.clone()).await.unwrap();
    let (store, desk) = (app.store(), app.desk());
    let begun = Instant::now();
    let texts = fill(&store, n_tickets, now).await;
    let filled = begun.elapsed().as_secs_f64();
    println!("{n_tickets} tickets filled in {filled:.1} s ({:.0}/s)", n_tickets as f64 / filled);
    let staff = Staff::new("王敏", Role::Admin, None, PASSWORD, [7; 16]).unwrap();
    store.put_staff(&staff, false).await.unwrap();
    drop((store, desk));
    drop(app);

    // Opened anew, as after a restart: the board is read from disk, the index is as it was left.
    let begun = Instant::now();
    let app = App::build(config, clock).await.unwrap();
    println!("start with {n_tickets} tickets: {:.2} s", begun.elapsed().as_secs_f64());
    let desk = app.desk();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let served = tokio::spawn(app.run(listener, stopped));
    let begun = Instant::now();
    for id in 0..n_tickets {
        desk.finding().unwrap().note(TicketId(id + 1));
    }
    desk.finding().unwrap().flush().await.unwrap();
    println!("all tickets indexed anew in {:.1} s", begun.elapsed().as_secs_f64());

    pages(address, n_requests, &texts).await;
    println!("resident memory: {} MiB", resident_mib());
    stop.send(true).unwrap();
    served.await.unwrap().unwrap();
}

/// Tickets over a year: most are done, 500 answered, 2,000 (at most a tenth) open. Their texts, for the rival.
async fn fill(store: &Arc<dyn Store>, n: u64, now: Timestamp) -> Vec<String> {
    let questions: Vec<&str> = QUESTIONS.lines().collect();
    let mut texts = Vec::with_capacity(n as usize);
    let mut together = JoinSet::new();
    for k in 0..n {
        let age = (n - k) as i64 * 365 * DAY / n as i64;
        let at = Timestamp(now.0 - age);
        let from_end = n - k;
        let turn = opening(k, at, from_end, n, questions[k as usize % questions.len()], &mut texts);
        while together.len() >= 128 {
            together.join_next().await.unwrap().unwrap();
        }
        let store = store.clone();
        together.spawn(async move { drop(store.commit(turn).await.unwrap()) });
    }
    together.join_all().await;
    texts
}

fn opening(k: u64, at: Timestamp, from_end: u64, n: u64, question: &str, texts: &mut Vec<String>) -> Turn {
    let follower = FollowerId(u128::from(k) + 1);
    let category = Category::ALL[k as usize % Category::ALL.len()];
    let department = Department::ALL[(k / 3) as usize % Department::ALL.len()];
    let deadline = Deadline { at: at.after(Duration::from_secs(8 * 3600)), tentative: false };
    let mut ticket = Ticket::new(TicketId(k + 1), follower, at, (category, department), deadline);
    let words =
        format!("{question}，我们是莘庄第{k}家企业，联系电话1380{:07}，房租和社保都有疑问", k % 10_000_000);
    ticket.subject = question.into();
    ticket.began = if k.is_multiple_of(3) { Began::Unknown } else { Began::Wanted };
    ticket.assignee = (!k.is_multiple_of(5)).then(|| format!("同事{}", k % 30));
    ticket.contact = Some(format!("1380{:07}，莘庄第{k}家企业", k % 10_000_000).into());
    if k.is_multiple_of(7) {
        ticket.labels = vec![format!("标签{}", k % 20).into()];
    }
    let open = 2_000.min(n / 10);
    ticket.stage = match from_end {
        _ if from_end <= open => [Stage::Waiting, Stage::Working, Stage::NeedsInfo][k as usize % 3],
        _ if from_end <= open + 500 => Stage::Answered,
        _ => [Stage::Closed, Stage::Rated][k as usize % 2],
    };
    if !ticket.stage.is_open() {
        let answered = at.after(Duration::from_secs(3600 * (1 + k % 20)));
        (ticket.answered_at, ticket.first_answered_at) = (Some(answered), Some(answered));
        ticket.closed_at = ticket.stage.is_over().then_some(answered);
        ticket.rating = Rating::new((k % 6) as u8);
    }
    let mut change = Change { ticket, lines: Vec::new() };
    let line = |author, text: &str| Line { at, author, text: text.into(), delivery: None, enclosure: None };
    change.write(line(Author::Follower, &words));
    change.write(line(Author::Bot, "这个问题我没有核实过的答案，不乱说，已转给工作人员。"));
    change.write(line(Author::Staff("同事1".into()), "您好，请带营业执照到窗口办理，具体材料见附件。"));
    texts.push(words);
    let memory = Memory { tickets: vec![change.ticket.clone()], ..Memory::default() };
    let step = Step { memory, changes: vec![change], ..Step::default() };
    Turn { cause: Cause(u128::from(k) + 1), follower, made_from: 0, at, step, deed: None }
}

async fn pages(address: SocketAddr, n: usize, texts: &[String]) {
    let mut browser = Browser::login(address).await;
    let inbox = browser.get("/console").await;
    let number =
        inbox.split("/console/tickets/").nth(1).unwrap().split(['?', '"']).next().unwrap().to_owned();
    let bare = bare(inbox.clone()).await;
    let mut plain = Browser { stream: TcpStream::connect(bare).await.unwrap(), cookie: String::new() };
    let floor = timed(&mut plain, "/", n).await;
    println!(
        "bare handler with the inbox's {} KiB: p50 {:.2} ms, p99 {:.2} ms",
        inbox.len() / 1024,
        floor.0,
        floor.1
    );
    let ticket = format!("/console/tickets/{number}");
    let list = [
        ("inbox, most urgent", "/console"),
        ("inbox, longest waiting", "/console?sort=waiting"),
        ("inbox, mine", "/console?view=mine"),
        ("inbox, overdue with a label", "/console?late=1&label=%E6%A0%87%E7%AD%BE7"),
        ("done, by last change", "/console?shelf=done"),
        (
            "done, one category, newest",
            "/console?shelf=done&sort=newest&cat=%E5%8A%B3%E8%B5%84%E7%BA%A0%E7%BA%B7",
        ),
        ("ticket", ticket.as_str()),
        ("ticket, its fragment", &format!("{ticket}?fragment=1")),
        ("figures, this month", "/console/numbers"),
        ("figures, a year", "/console/numbers?from=2025-11-25&to=2026-11-24"),
        ("audit", "/console/audit"),
        ("account", "/console/account"),
    ];
    for (name, path) in list {
        let few = if path.contains("numbers") { n / 5 } else { n };
        let (p50, p99) = timed(&mut browser, path, few).await;
        println!("{name}: p50 {p50:.1} ms, p99 {p99:.1} ms ({:.0} times bare)", p50 / floor.0);
    }
    for (name, words) in [
        ("a common word (房租)", "房租"),
        ("a rare number (第77家)", "第77家"),
        ("part of a telephone (13800000", "13800000"),
        ("two words (社保 执照)", "社保 执照"),
        ("a ticket's number", number.strip_prefix("2026-").unwrap_or(&number)),
        ("nothing of the kind", "外星人护照翻译"),
    ] {
        let encoded: String = words.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let (p50, p99) = timed(&mut browser, &format!("/console/search?q={encoded}"), n / 2).await;
        let begun = Instant::now();
        let found = texts.iter().filter(|text| words.split(' ').all(|word| text.contains(word))).count();
        let scan = begun.elapsed().as_secs_f64() * 1_000.0;
        println!(
            "search {name}: p50 {p50:.1} ms, p99 {p99:.1} ms; a look through all texts {scan:.1} ms ({found} found)"
        );
    }
}

/// Milliseconds of the middle one and of the slowest in a hundred.
async fn timed(browser: &mut Browser, path: &str, n: usize) -> (f64, f64) {
    let mut times = Vec::with_capacity(n);
    for _ in 0..n.max(20) {
        let begun = Instant::now();
        browser.get(path).await;
        times.push(begun.elapsed().as_secs_f64() * 1_000.0);
    }
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

/// A connection that is kept.
struct Browser {
    stream: TcpStream,
    cookie: String,
}

impl Browser {
    async fn login(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut browser = Self { stream, cookie: String::new() };
        let name: String = "王敏".bytes().map(|byte| format!("%{byte:02X}")).collect();
        let body = format!("name={name}&password={}", PASSWORD.replace(' ', "+"));
        let head = format!(
            "POST /console/login HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = browser.ask(&head).await;
        let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
        browser.cookie = cookie.split(';').next().unwrap().to_owned();
        browser
    }

    async fn get(&mut self, path: &str) -> String {
        let answer =
            self.ask(&format!("GET {path} HTTP/1.1\r\nHost: x\r\nCookie: {}\r\n\r\n", self.cookie)).await;
        let status = answer.split(' ').nth(1).unwrap();
        assert!(["200", "303"].contains(&status), "{path}: {answer}");
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    async fn ask(&mut self, request: &str) -> String {
        self.stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        loop {
            let mut piece = [0; 65_536];
            let n = self.stream.read(&mut piece).await.unwrap();
            assert!(n > 0, "hung up");
            bytes.extend_from_slice(&piece[..n]);
            let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
            if bytes.len() >= end + 4 + length.unwrap_or(0) {
                return String::from_utf8_lossy(&bytes).into_owned();
            }
        }
    }
}

/// A handler that only returns these bytes.
async fn bare(body: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router =
        axum::Router::new().route("/", axum::routing::get(move || async move { axum::response::Html(body) }));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0) / 1024
}
