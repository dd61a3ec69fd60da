//! What listens where the service tells of tickets: WeCom's group robot with its limits, and another system's webhook, on
//! one server on loopback. It writes down what comes. Knows the wire; nothing of tickets.

use crate::harness::{BETWEEN_LOOKS, N_LOOKS};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use xinqi::clock::{Clock, Timestamp};

/// The robot's key.
pub const KEY: &str = "693a91f6-7xxx-4bc4-97a0-0ec2sifa5aaa";
const ROBOT: &str = "/cgi-bin/webhook/send";
/// WeCom takes so many messages a minute (PROTOCOL.md §15).
const PER_MINUTE: usize = 20;

/// One thing heard.
#[derive(Clone, Debug)]
pub struct Heard {
    pub at: Timestamp,
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
    /// It was answered with success.
    pub taken: bool,
}

impl Heard {
    /// As JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// What the group reads.
    pub fn content(&self) -> String {
        let json = self.json();
        let kind = json["msgtype"].as_str().unwrap();
        json[kind]["content"].as_str().unwrap().to_owned()
    }
}

#[derive(Default)]
struct Inner {
    heard: Vec<Heard>,
    /// What is answered next, per path: a status, and for the robot an errcode.
    moods: Vec<(String, u16, i64)>,
}

/// The listener. Clones share everything.
#[derive(Clone)]
pub struct Ears {
    clock: Clock,
    inner: Arc<Mutex<Inner>>,
    /// Where it listens.
    pub base: String,
}

impl Ears {
    /// Listens on a port of its own.
    pub async fn open(clock: Clock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let ears = Self { clock, inner: Arc::default(), base };
        let routes = axum::Router::new().fallback(hear).with_state(ears.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        ears
    }

    /// From now on this path answers so; status 200 and errcode 0 is all well.
    pub fn answers(&self, path: &str, status: u16, errcode: i64) {
        self.inner.lock().unwrap().moods.insert(0, (path.to_owned(), status, errcode));
    }

    /// The robot's side of [`Ears::answers`].
    pub fn robot_answers(&self, status: u16, errcode: i64) {
        self.answers(ROBOT, status, errcode);
    }

    /// All that came to a path, taken or not.
    pub fn all(&self, path: &str) -> Vec<Heard> {
        let heard = self.inner.lock().unwrap().heard.clone();
        heard.into_iter().filter(|heard| heard.path == path).collect()
    }

    /// What the group has read.
    pub fn group(&self) -> Vec<Heard> {
        self.all(ROBOT).into_iter().filter(|heard| heard.taken).collect()
    }

    /// How often the robot was called in vain.
    pub fn n_refused(&self) -> usize {
        self.all(ROBOT).iter().filter(|heard| !heard.taken).count()
    }

    /// Waits, bounded, until something is as it should be.
    pub async fn until(&self, what: &str, is: impl Fn(&Self) -> bool) {
        self.look(N_LOOKS, what, is).await;
    }

    /// The same for what takes real time: a process that starts, a ticket that waits for others.
    pub async fn until_in_time(&self, what: &str, is: impl Fn(&Self) -> bool) {
        self.look(4 * N_LOOKS, what, is).await;
    }

    async fn look(&self, n_looks: usize, what: &str, is: impl Fn(&Self) -> bool) {
        for _ in 0..n_looks {
            if is(self) {
                return;
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        panic!("{what}: {:#?}", self.inner.lock().unwrap().heard);
    }

    /// Waits, bounded, until the group has read this in a message; the message.
    pub async fn group_reads(&self, text: &str) -> Heard {
        let find = |ears: &Self| ears.group().into_iter().rfind(|heard| heard.content().contains(text));
        self.until(text, |ears| find(ears).is_some()).await;
        find(self).unwrap()
    }

    /// In how many messages the group has read this.
    pub fn n_read(&self, text: &str) -> usize {
        self.group().iter().filter(|heard| heard.content().contains(text)).count()
    }

    fn robot(&self, query: &str, body: &str, inner: &Inner) -> i64 {
        let now = self.clock.now();
        let recent = inner.heard.iter().filter(|heard| {
            heard.path == ROBOT && heard.taken && now.since(heard.at).as_secs() < 60 && heard.at <= now
        });
        let json: Value = serde_json::from_str(body).unwrap_or_default();
        let fits = |kind: &str, most: usize| {
            json["msgtype"] == kind
                && json[kind]["content"].as_str().is_some_and(|text| !text.is_empty() && text.len() <= most)
        };
        match () {
            () if query != format!("key={KEY}") => 93000,
            () if recent.count() >= PER_MINUTE => 45009,
            () if !fits("markdown", 4096) && !fits("text", 2048) => 40058,
            () => 0,
        }
    }
}

async fn hear(State(ears): State<Ears>, uri: Uri, headers: HeaderMap, body: String) -> impl IntoResponse {
    let mut inner = ears.inner.lock().unwrap();
    let path = uri.path().to_owned();
    let mood = inner.moods.iter().find(|(of, ..)| *of == path);
    let (status, mut errcode) = mood.map_or((200, 0), |(_, status, errcode)| (*status, *errcode));
    if path == ROBOT && errcode == 0 {
        errcode = ears.robot(uri.query().unwrap_or_default(), &body, &inner);
    }
    let (at, taken) = (ears.clock.now(), status == 200 && errcode == 0);
    inner.heard.push(Heard { at, path, headers, body, taken });
    let said = json!({"errcode": errcode, "errmsg": "hint: [x], from ip: 1.2.3.4"});
    (StatusCode::from_u16(status).unwrap(), said.to_string())
}
