//! The program killed in the middle of its work, again and again: what was acknowledged is there afterwards, once. And
//! why that holds: the disk is told to keep a ticket before WeChat is told of it.
#![expect(clippy::disallowed_methods, reason = "crashes happen in real time")]

use crate::ears::{Ears, KEY};
use crate::process::{Process, program, program_behind};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use xinqi::clock::Clock;
use xinqi::config::Secret;
use xinqi::fake_wechat::{FakeSettings, FakeWechat};
use xinqi::store::{Query, SledStore, Store};
use xinqi::wechat::{Mode, OpenId};

const N_ROUNDS: usize = 30;
/// New ones every round; a fake WeChat knows 1,000 people.
const N_FOLLOWERS: usize = 24;
/// Fewer than are kept at hand for each follower.
const MAX_TICKETS: usize = 5;
const AES_KEY: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ";
const APP_ID: &str = "wx00000000crash000";
const TOKEN: &str = "crashtoken";

fn account(command: &mut Command) {
    command
        .env("XINQI_WECHAT__APP_ID", APP_ID)
        .env("XINQI_WECHAT__APP_SECRET", "secret")
        .env("XINQI_WECHAT__TOKEN", TOKEN)
        .env("XINQI_WECHAT__ENCODING_AES_KEY", AES_KEY)
        .env("XINQI_WECHAT__API_BASE", "http://127.0.0.1:9")
        .env("XINQI_TICKETS__MAX_OPEN", "100");
}

fn start(data_dir: &Path, phones: &FakeWechat) -> Process {
    let mut command = program(data_dir);
    account(&mut command);
    let service = Process::start(command);
    phones.set_webhook_url(format!("{}/wechat", service.base));
    service
}

fn phones() -> FakeWechat {
    let settings = FakeSettings {
        app_id: APP_ID.into(),
        app_secret: Secret::new("secret"),
        token: Secret::new(TOKEN),
        encoding_aes_key: Secret::new(AES_KEY),
        mode: Mode::Safe,
        webhook_url: String::new(),
    };
    FakeWechat::new(Clock::system(), settings).unwrap()
}

/// The number a reply promises.
fn number_in(reply: &str) -> Option<String> {
    let (_, rest) = reply.split_once("编号：")?;
    Some(rest.lines().next()?.trim().to_owned())
}

/// What followers know: the numbers they were told, and whether their last message was left without an answer.
#[derive(Default)]
struct Told {
    numbers: BTreeMap<OpenId, Vec<String>>,
    unanswered: BTreeSet<OpenId>,
}

/// One follower after the other asks for as many tickets as one may have, until nobody answers any more.
async fn asks_on(phones: FakeWechat, name: String, told: Arc<Mutex<Told>>) {
    for generation in 0.. {
        let who = phones.follow(&format!("{name}{generation}"));
        if !asks(&phones, who, &told).await {
            return;
        }
    }
}

/// Whether every message was answered.
async fn asks(phones: &FakeWechat, who: OpenId, told: &Mutex<Told>) -> bool {
    for n in 0..MAX_TICKETS {
        let question = if n % 2 == 0 { "人工" } else { "外星人开公司要护照吗" };
        for text in [question, "退出"] {
            let Ok(delivered) = phones.says(&who, text).await else {
                told.lock().unwrap().unanswered.insert(who);
                return false;
            };
            assert_eq!(delivered.status, 200);
            if text == question {
                let reply = delivered.reply.unwrap();
                let number = number_in(&reply).unwrap_or_else(|| panic!("no ticket: {reply}"));
                told.lock().unwrap().numbers.entry(who.clone()).or_default().push(number);
            }
        }
    }
    true
}

/// WeChat asks again what was not answered, twice: one reply, and it counts as told.
async fn asked_again(phones: &FakeWechat, told: &Arc<Mutex<Told>>) -> usize {
    let unanswered = std::mem::take(&mut told.lock().unwrap().unanswered);
    let n = unanswered.len();
    let mut asking = JoinSet::new();
    for who in unanswered {
        let (phones, told) = (phones.clone(), told.clone());
        asking.spawn(async move {
            let first = phones.resend(&who).await.unwrap();
            let second = phones.resend(&who).await.unwrap();
            assert_eq!(first.status, 200);
            assert_eq!(first, second, "the same message had two replies");
            if let Some(number) = first.reply.as_deref().and_then(number_in) {
                let mut told = told.lock().unwrap();
                told.numbers.entry(who).or_default().push(number);
            }
        });
    }
    asking.join_all().await;
    n
}

/// Every ticket on disk, by follower.
async fn on_disk(data_dir: &Path) -> BTreeMap<OpenId, Vec<String>> {
    let store = SledStore::open(data_dir).unwrap();
    let mut found = BTreeMap::<OpenId, Vec<String>>::new();
    let mut query = Query { limit: 100, ..Query::default() };
    loop {
        let page = store.tickets(&query).await.unwrap();
        for ticket in page.tickets {
            let number = ticket.number.unwrap();
            assert_eq!(store.numbered(number).await.unwrap().unwrap().id, ticket.id);
            assert!(!store.lines(ticket.id).await.unwrap().is_empty(), "{number} has no lines");
            let who = OpenId::new(store.openid(ticket.follower).await.unwrap().unwrap());
            found.entry(who).or_default().push(number.to_string());
        }
        query.after = page.next;
        if query.after.is_none() {
            return found;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_thirty_times_it_keeps_every_ticket_it_told_of_and_makes_none_twice() {
    let begun = Instant::now();
    let dir = tempfile::tempdir().unwrap();
    let (phones, told) = (phones(), Arc::new(Mutex::new(Told::default())));
    let (mut n_unanswered, mut loaded) = (0, Vec::new());
    for round in 0..N_ROUNDS {
        let service = start(dir.path(), &phones);
        n_unanswered += asked_again(&phones, &told).await;
        let mut asking = JoinSet::new();
        for n in 0..N_FOLLOWERS {
            asking.spawn(asks_on(phones.clone(), format!("第{round}轮{n}号的"), told.clone()));
        }
        let mut chance = [0; 1];
        getrandom::fill(&mut chance).unwrap();
        let load = Duration::from_millis(20 + u64::from(chance[0]) * 130 / 255);
        loaded.push(load.as_millis());
        tokio::time::sleep(load).await;
        service.kill();
        asking.join_all().await;
    }
    let last = start(dir.path(), &phones);
    n_unanswered += asked_again(&phones, &told).await;
    last.kill();

    let mut promised = std::mem::take(&mut told.lock().unwrap().numbers);
    let mut kept = on_disk(dir.path()).await;
    promised.values_mut().chain(kept.values_mut()).for_each(|numbers| numbers.sort());
    assert_eq!(promised, kept, "killed after {loaded:?} ms");
    let all: Vec<&String> = kept.values().flatten().collect();
    let different: BTreeSet<&&String> = all.iter().collect();
    assert_eq!(different.len(), all.len(), "two tickets share a number");
    assert!(n_unanswered >= N_ROUNDS, "killed too late to prove anything: {n_unanswered} unanswered");
    assert!(all.len() >= N_ROUNDS * 2, "killed too early to prove anything: {} tickets", all.len());
    println!("{} tickets, {n_unanswered} messages cut off, {:.1?}", all.len(), begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_and_after_it_told_of_a_ticket_it_tells_of_each_once_and_never_writes_the_key_down() {
    let dir = tempfile::tempdir().unwrap();
    let (ears, phones) = (Ears::open(Clock::system()).await, phones());
    let log = dir.path().join("log");
    let start = || {
        let mut command = program(&dir.path().join("data"));
        account(&mut command);
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        command
            .env("XINQI_LOG", "trace")
            .env("XINQI_NOTICES__WECOM_KEY", KEY)
            .env("XINQI_NOTICES__WECOM_BASE", &ears.base)
            .stderr(file);
        let service = Process::start(command);
        phones.set_webhook_url(format!("{}/wechat", service.base));
        service
    };
    let opens = async |name: &str| {
        let said = phones.says(&phones.follow(name), "人工").await.unwrap().reply.unwrap();
        number_in(&said).unwrap()
    };
    let service = start();
    let first = opens("小明").await;
    service.kill();
    assert!(ears.group().is_empty(), "killed too late to prove anything");
    ears.robot_answers(502, 0);
    let service = start();
    ears.until_in_time("refused", |ears| ears.n_refused() > 0).await;
    // It hears of it a moment after the group has said it.
    let is_told = || std::fs::read_to_string(&log).is_ok_and(|log| log.contains("HTTP 502"));
    ears.until_in_time("told", |_| is_told()).await;
    service.kill();
    ears.robot_answers(200, 0);
    let service = start();
    ears.until_in_time(&first, |ears| ears.n_read(&first) > 0).await;
    let second = opens("小李").await;
    ears.until_in_time(&second, |ears| ears.n_read(&second) > 0).await;
    service.kill();
    assert_eq!((ears.n_read(&first), ears.n_read(&second)), (1, 1), "{:#?}", ears.group());
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("HTTP 502") && log.lines().count() > 20, "{log}");
    assert!(!log.contains(KEY));
}

/// One finished system call of a trace.
#[derive(Debug)]
struct Call {
    began_s: f64,
    ended_s: f64,
    text: String,
}

/// The calls of a `strace -f -ttt -T -o` file; `<unfinished …>` and `resumed` are put together.
fn calls(trace: &str) -> Vec<Call> {
    let mut open = BTreeMap::<&str, (f64, String)>::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let Some((pid, rest)) = line.split_once(' ') else { continue };
        let Some((time, text)) = rest.trim_start().split_once(' ') else { continue };
        let Ok(time) = time.parse::<f64>() else { continue };
        if let Some(head) = text.strip_suffix("<unfinished ...>") {
            open.insert(pid, (time, head.to_owned()));
            continue;
        }
        let (began_s, text) = match text.split_once(" resumed>") {
            Some((_, tail)) => {
                let Some((began_s, head)) = open.remove(pid) else { continue };
                (began_s, head + tail)
            }
            None => (time, text.to_owned()),
        };
        let took = text.rsplit_once('<').and_then(|(_, took)| took.strip_suffix('>')?.parse::<f64>().ok());
        let Some(took) = took else { continue };
        calls.push(Call { began_s, ended_s: began_s + took, text });
    }
    calls
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_on_disk_before_its_number_leaves_the_house() {
    let found = Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success());
    assert!(found, "strace is missing: apt-get install strace (tests/run does it)");
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-ttt", "-T", "-y", "-s", "1000000", "-o"]).arg(&trace);
    strace.args(["-e", "trace=fsync,fdatasync,write,writev,pwrite64,sendto,sendmsg"]);
    let data = dir.path().join("data");
    let mut command = program_behind(strace, &data);
    account(&mut command);
    let service = Process::start(command);
    let phones = phones();
    phones.set_webhook_url(format!("{}/wechat", service.base));
    let ming = phones.follow("小明");
    phones.says(&ming, "你好").await.unwrap();
    // The word can be found in what is written, so that no other write is taken for the ticket's.
    let reply = phones.says(&ming, "zqxkjv 外星人开公司要护照吗").await.unwrap().reply.unwrap();
    assert!(number_in(&reply).is_some(), "{reply}");
    assert_eq!(service.stop().code(), Some(0));

    let text = String::from_utf8_lossy(&std::fs::read(&trace).unwrap()).into_owned();
    let calls = calls(&text);
    let is = |call: &Call, names: &[&str]| {
        names.iter().any(|name| call.text.starts_with(name) && call.text[name.len()..].starts_with('('))
    };
    // Nothing was asked afterwards: the last response is the ticket's.
    let response = calls
        .iter()
        .rfind(|call| {
            is(call, &["write", "writev", "sendto", "sendmsg"]) && call.text.contains("HTTP/1.1 200")
        })
        .expect("the response is in the trace");
    let in_data = |call: &&Call| call.text.contains(data.to_str().unwrap());
    let mut before = calls.iter().filter(in_data).filter(|call| call.began_s <= response.began_s);
    let written = before
        .rfind(|call| is(call, &["write", "writev", "pwrite64"]) && call.text.contains("zqxkjv"))
        .unwrap_or_else(|| panic!("the ticket was not written before {response:?}"));
    let kept = calls.iter().filter(in_data).find(|call| {
        is(call, &["fsync", "fdatasync"])
            && call.text.contains("= 0")
            && call.began_s >= written.ended_s
            && call.ended_s <= response.began_s
    });
    assert!(kept.is_some(), "{written:?}, then without an fsync in between {response:?}");
}
