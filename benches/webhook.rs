//! Figures of the webhook, all in one run on loopback, printed with what they are compared to:
//! - an encrypted text → the answer, state committed, beside a bare axum handler that returns a constant;
//! - latency at half of that load, and with questions no two of which are alike, so that meaning is computed;
//! - turns that open a ticket, beside raw fsync; resident memory at 100,000 tickets.
//!
//! `cargo bench --bench webhook` (about two minutes); `-- quick` is a smaller run that checks and prints the same, `-- memory`
//! measures resident memory only.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench measures real time and may stop at a surprise"
)]

use std::hint::black_box;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use xinqi::app::App;
use xinqi::clock::Clock;
use xinqi::config::{Config, Secret};
use xinqi::desk::Desk;
use xinqi::fake_wechat::{Act, FakeSettings, FakeWechat};
use xinqi::wechat::{Crypt, Mode, OpenId, reply};

const QUESTIONS: &str = include_str!("questions.txt");
const AES_KEY: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ";
const APP_ID: &str = "wx00000000bench000";
const IN_FLIGHT: usize = 64;

struct Size {
    n_requests: usize,
    n_followers: usize,
    n_tickets: usize,
    n_stored: usize,
}

fn main() {
    // As the service does: the figures are those of its heaps.
    xinqi::app::with_few_arenas(&Config::environment());
    let quick = std::env::args().any(|argument| argument == "quick");
    let size = if quick {
        Size { n_requests: 6_000, n_followers: 200, n_tickets: 2_000, n_stored: 3_000 }
    } else {
        Size { n_requests: 100_000, n_followers: 2_000, n_tickets: 20_000, n_stored: 100_000 }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if std::env::args().any(|argument| argument == "memory") {
        return runtime.block_on(memory(&size, &phones()));
    }
    runtime.block_on(run(&size));
}

async fn run(size: &Size) {
    let phones = phones();
    let followers: Vec<OpenId> = (0..size.n_followers).map(|n| OpenId::new(format!("o{n:027}"))).collect();
    let questions: Vec<&str> = QUESTIONS.lines().collect();
    assert_eq!(questions.len(), 200);

    let dir = tempfile::tempdir().unwrap();
    let ours = serve(dir.path()).await;
    let bare = serve_bare().await;
    let ask = |n: usize| Act::Text(questions[n % 200].to_owned());
    let warm = requests(&phones, &followers, size.n_followers, ask);
    load(ours.address, &warm, None).await;
    let pushes = requests(&phones, &followers, size.n_requests, ask);
    check_replies(&phones, ours.address, &pushes).await;

    // Alternating halves, so that a noisy neighbour meets both.
    let (first, second) = pushes.split_at(pushes.len() / 2);
    let mut rates = [Vec::new(), Vec::new()];
    for half in [first, second] {
        rates[0].push(load(bare, half, None).await.per_second);
        rates[1].push(load(ours.address, half, None).await.per_second);
    }
    let mean = |rates: &[f64]| rates.iter().sum::<f64>() / rates.len() as f64;
    let (bare_rate, our_rate) = (mean(&rates[0]), mean(&rates[1]));
    println!(
        "webhook: {our_rate:.0}/s answered, bare handler {bare_rate:.0}/s, ratio {:.2}",
        our_rate / bare_rate
    );

    let n = size.n_requests / 4;
    let fresh = requests(&phones, &followers, n, ask);
    let half = load(ours.address, &fresh, Some(our_rate / 2.0)).await;
    println!("half load ({:.0}/s): p50 {:.2} ms, p99 {:.2} ms", half.per_second, half.p(0.50), half.p(0.99));

    all_different(size, &phones, &followers, &questions, &ours).await;
    tickets(size, &phones, ours.address, dir.path()).await;
    ours.stop().await;
    memory(size, &phones).await;
}

/// No two alike: each question's meaning has to be computed, or is shed where too many wait.
async fn all_different(
    size: &Size,
    phones: &FakeWechat,
    followers: &[OpenId],
    questions: &[&str],
    ours: &Service,
) {
    let (address, thinker) = (ours.address, ours.desk.thinker());
    let before = thinker.counts();
    let distinct = |n: usize| Act::Text(format!("{}，我是第{n}个来问的", questions[n % 200]));
    let fresh = requests(phones, followers, size.n_requests / 10, distinct);
    let light = load(address, &fresh[..fresh.len() / 5], Some(100.0)).await;
    let so_far = thinker.counts();
    println!(
        "distinct, 100/s: p50 {:.2} ms, p99 {:.2} ms; meaning computed for {}, shed for {}",
        light.p(0.50),
        light.p(0.99),
        so_far.0 - before.0,
        so_far.1 - before.1
    );
    let over = load(address, &fresh[fresh.len() / 5..], Some(3_000.0)).await;
    let now = thinker.counts();
    println!(
        "distinct, 3000/s offered: {:.0}/s answered, p50 {:.2} ms, p99 {:.2} ms; meaning computed for {}, shed for {}",
        over.per_second,
        over.p(0.50),
        over.p(0.99),
        now.0 - so_far.0,
        now.1 - so_far.1
    );
}

async fn tickets(size: &Size, phones: &FakeWechat, address: SocketAddr, dir: &Path) {
    let askers: Vec<OpenId> = (0..size.n_tickets).map(|n| OpenId::new(format!("ot{n:026}"))).collect();
    load(address, &requests(phones, &askers, askers.len(), |_| Act::Text("你好".into())), None).await;
    let opening = requests(phones, &askers, askers.len(), |_| Act::Text("人工".into()));
    let fsync = raw_fsync(dir);
    let opened = load(address, &opening, None).await;
    println!(
        "tickets: {:.0}/s opened, {IN_FLIGHT} in flight, p99 {:.1} ms; raw fsync {:.0} µs, half of {IN_FLIGHT} per fsync is {:.0}/s",
        opened.per_second,
        opened.p(0.99),
        fsync.as_secs_f64() * 1e6,
        IN_FLIGHT as f64 / 2.0 / fsync.as_secs_f64()
    );
}

/// The service as it is started for real, on a store with many tickets, after some traffic.
async fn memory(size: &Size, phones: &FakeWechat) {
    let dir = tempfile::tempdir().unwrap();
    let filling = serve(dir.path()).await;
    let askers: Vec<OpenId> = (0..size.n_stored).map(|n| OpenId::new(format!("om{n:026}"))).collect();
    for part in askers.chunks(20_000) {
        load(filling.address, &requests(phones, part, part.len(), |_| Act::Text("人工".into())), None).await;
    }
    // What the index has not taken in yet would be taken in beside what is measured.
    filling.desk.finding().unwrap().flush().await.unwrap();
    filling.stop().await;
    let (mut service, start) = start_alone(dir.path()).await;
    let address = ALONE.parse().unwrap();
    let n = askers.len().min(5_000);
    load(address, &requests(phones, &askers, n, |_| Act::Text("进度".into())), None).await;
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    let on_disk = disk_bytes(dir.path()) as f64 / 1e6;
    println!(
        "memory: {:.0} MiB resident at {} tickets after {n} messages; start {:.0} ms, {on_disk:.0} MB on disk",
        kib / 1024.0,
        size.n_stored,
        start.as_secs_f64() * 1e3
    );
    service.kill().unwrap();
    service.wait().unwrap();
}

const ALONE: &str = "127.0.0.1:18099";

/// The service as a process of its own, and how long it took to listen. It is started again where the store of the one
/// before has not let go of its files yet.
async fn start_alone(dir: &Path) -> (std::process::Child, Duration) {
    let began = Instant::now();
    loop {
        let started = Instant::now();
        let mut service = std::process::Command::new(env!("CARGO_BIN_EXE_xinqi"))
            .envs(settings(dir))
            .env("XINQI_LISTEN", ALONE)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        while service.try_wait().unwrap().is_none() {
            if TcpStream::connect(ALONE).await.is_ok() {
                return (service, started.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "the service does not start");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn disk_bytes(dir: &Path) -> u64 {
    let Ok(items) = std::fs::read_dir(dir) else { return 0 };
    items
        .flatten()
        .map(|item| {
            if item.path().is_dir() {
                disk_bytes(&item.path())
            } else {
                item.metadata().map_or(0, |meta| meta.len())
            }
        })
        .sum()
}

/// What one write and fsync of a small file costs here.
fn raw_fsync(dir: &Path) -> Duration {
    let mut file = std::fs::File::create(dir.join("fsync")).unwrap();
    let started = Instant::now();
    for _ in 0..200 {
        file.write_all(&[7; 4096]).unwrap();
        file.sync_data().unwrap();
    }
    started.elapsed() / 200
}

struct Service {
    address: SocketAddr,
    desk: Desk,
    stop: watch::Sender<bool>,
    done: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Service {
    async fn stop(self) {
        self.stop.send(true).unwrap();
        self.done.await.unwrap().unwrap();
    }
}

fn settings(dir: &Path) -> Vec<(String, String)> {
    let knowledge = concat!(env!("CARGO_MANIFEST_DIR"), "/knowledge");
    [
        ("XINQI_DATA_DIR", dir.to_str().unwrap()),
        ("XINQI_KNOWLEDGE_DIR", knowledge),
        ("XINQI_WECHAT__APP_ID", APP_ID),
        ("XINQI_WECHAT__APP_SECRET", "secret"),
        ("XINQI_WECHAT__TOKEN", "benchtoken"),
        ("XINQI_WECHAT__ENCODING_AES_KEY", AES_KEY),
        ("XINQI_WECHAT__API_BASE", "http://127.0.0.1:9"),
        // One follower asks far more than a person would.
        ("XINQI_TICKETS__MAX_MESSAGES_PER_MIN", "65535"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// What the entries mean is kept from run to run: it is not what is measured here.
const KEPT_VECTORS: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/webhook-vectors.bin");

async fn serve(dir: &Path) -> Service {
    let vectors = xinqi::thinker::cache_file(dir);
    // The first run has none to take over.
    let _ = std::fs::copy(KEPT_VECTORS, &vectors);
    let config = Config::load(None, settings(dir)).unwrap();
    let app = App::build(config, Clock::system()).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let desk = app.desk();
    let done = tokio::spawn(app.run(listener, stopped));
    // The first start computes what the entries mean, for some seconds, beside the answering; that is not measured here.
    let began = Instant::now();
    while !desk.handbook().knowledge.engine().has_vectors() {
        assert!(began.elapsed() < Duration::from_secs(120), "the sentence model is not there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    std::fs::copy(&vectors, KEPT_VECTORS).unwrap();
    println!("entries' meaning ready after {:.1} s", began.elapsed().as_secs_f64());
    Service { address, desk, stop, done }
}

/// The rival: axum alone, reading the body and answering a constant of the size of a short sealed reply.
async fn serve_bare() -> SocketAddr {
    let constant: &'static str = Box::leak("x".repeat(400).into_boxed_str());
    let handler = move |body: axum::body::Bytes| async move {
        black_box(body.len());
        constant
    };
    let router = axum::Router::new().route("/wechat", axum::routing::post(handler));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

fn phones() -> FakeWechat {
    let settings = FakeSettings {
        app_id: APP_ID.into(),
        app_secret: Secret::new("secret"),
        token: Secret::new("benchtoken"),
        encoding_aes_key: Secret::new(AES_KEY),
        mode: Mode::Safe,
        webhook_url: String::new(),
    };
    FakeWechat::new(Clock::system(), settings).unwrap()
}

/// Whole HTTP requests, ready to be written.
fn requests(
    phones: &FakeWechat,
    followers: &[OpenId],
    n: usize,
    act: impl Fn(usize) -> Act,
) -> Arc<Vec<Vec<u8>>> {
    let request = |n: usize| {
        let push = phones.push(&followers[n % followers.len()], &act(n));
        let (query, body) = (push.query_string(), push.body);
        format!(
            "POST /wechat?{query} HTTP/1.1\r\nHost: bench\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    };
    Arc::new((0..n).map(request).collect())
}

struct Load {
    per_second: f64,
    /// Sorted.
    latencies: Vec<Duration>,
}

impl Load {
    fn p(&self, share: f64) -> f64 {
        self.latencies[((self.latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3
    }
}

/// Sends everything over [`IN_FLIGHT`] connections: as fast as answers come, or evenly at `rate` per second; then
/// latency counts from the moment a request was due.
async fn load(address: SocketAddr, requests: &[Vec<u8>], rate: Option<f64>) -> Load {
    let requests: Arc<Vec<Vec<u8>>> = Arc::new(requests.to_vec());
    let next = Arc::new(AtomicUsize::new(0));
    let started = Instant::now();
    let mut connections = tokio::task::JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let (requests, next) = (requests.clone(), next.clone());
        connections.spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let (mut latencies, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let Some(request) = requests.get(n) else { return latencies };
                let due = rate.map(|rate| started + Duration::from_secs_f64(n as f64 / rate));
                if let Some(due) = due {
                    tokio::time::sleep_until(due.into()).await;
                }
                let begun = due.unwrap_or_else(Instant::now);
                stream.write_all(request).await.unwrap();
                let body = read_response(&mut stream, &mut buffer).await;
                assert!(body > 0);
                latencies.push(begun.elapsed());
            }
        });
    }
    let mut latencies: Vec<Duration> = connections.join_all().await.into_iter().flatten().collect();
    let per_second = latencies.len() as f64 / started.elapsed().as_secs_f64();
    latencies.sort_unstable();
    Load { per_second, latencies }
}

/// Reads one response and tells the length of its body, which is at the end of the buffer's filled part.
async fn read_response(stream: &mut TcpStream, buffer: &mut [u8]) -> usize {
    let mut filled = 0;
    loop {
        let n = stream.read(&mut buffer[filled..]).await.unwrap();
        assert!(n > 0, "the service hung up");
        filled += n;
        let text = &buffer[..filled];
        let Some(head) = text.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        assert!(text.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&text[..head]));
        let headers = std::str::from_utf8(&text[..head]).unwrap();
        let length = headers.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let length: usize = length.parse().unwrap();
        if filled >= head + 4 + length {
            return length;
        }
    }
}

/// One in five hundred replies is opened: it is a sealed answer, not an error or `success`.
async fn check_replies(phones: &FakeWechat, address: SocketAddr, _pushes: &[Vec<u8>]) {
    let crypt = Crypt::new(&Secret::new("benchtoken"), &Secret::new(AES_KEY), APP_ID).unwrap();
    let follower = [OpenId::new("ocheck0000000000000000000000")];
    let asked =
        requests(phones, &follower, 1, |_| Act::Text("员工干了半年一直没签合同，现在要双倍工资".into()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&asked[0]).await.unwrap();
    let mut buffer = vec![0; 16 * 1024];
    let length = read_response(&mut stream, &mut buffer).await;
    let text = String::from_utf8_lossy(&buffer);
    let text = text.trim_end_matches('\0');
    let body = &text[text.len() - length..];
    let said = reply::read_reply(body, Some(&crypt)).unwrap().unwrap();
    assert!(said.contains("没签书面劳动合同"), "{said}");
}
