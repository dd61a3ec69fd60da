//! The HTTP faces: WeChat's door, the console, the simulator, and signs of life. Knows HTTP; decides nothing.

mod account_page;
mod answer_page;
mod audit_page;
mod bulk;
mod chart;
mod code_page;
mod composing;
mod console;
mod device;
mod doctor_page;
mod error;
mod factor_page;
mod files;
mod form;
mod inbox;
mod inbox_rows;
mod intake_page;
mod knowledge_page;
mod live_page;
mod login;
mod numbers_page;
mod numbers_view;
mod page;
mod qr_page;
mod reveal;
mod search_page;
mod serve;
mod session;
mod setup;
mod simulator;
mod spill;
mod staff_page;
mod throttle;
mod ticket_acts;
mod ticket_page;
mod ticket_side;
mod ticket_view;
mod try_page;
mod visitor;
mod webhook;

pub use console::{Console, ConsoleSettings, console_router};
pub use serve::{Limits, serve};
pub use setup::SetupLink;
pub use simulator::rehearsal_router;

pub use webhook::Door;

use console::Hall;

use crate::fake_wechat::FakeWechat;
use crate::notices::Notices;
use crate::store::Store;
use crate::words;
use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use std::net::SocketAddr;
use std::sync::Arc;

/// What the signs of life look at.
#[derive(Clone)]
pub struct Vitals {
    /// Whether it can still write.
    pub store: Arc<dyn Store>,
    /// What the operator should know.
    pub notices: Notices,
}

/// All routes of the service. Answer pages are there where followers can reach them; the simulator is there in the sandbox only.
pub fn router(door: Door, console: Console, vitals: Vitals, fake: Option<FakeWechat>) -> Router {
    let desk = console.desk.clone();
    let pages = desk.settings().pages.clone();
    let home = if fake.is_some() { "/simulator" } else { "/console" };
    let mut router = Router::new()
        .route("/", get(move || async move { Redirect::to(home) }))
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready).with_state(vitals))
        .merge(webhook::router(door))
        .merge(console_router(console));
    if let Some(links) = pages {
        router = router.merge(answer_page::router(desk, links));
    }
    if let Some(fake) = fake {
        router = router.merge(simulator::router(fake).layer(middleware::from_fn(from_here_only)));
    }
    router
}

/// Nobody is asked who they are in the simulator, so it is only for who sits at this machine.
async fn from_here_only(
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    if visitor::is_from_here(peer.ip(), request.headers()) {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, "模拟器只在运行本服务的这台机器上开放，请用 http://127.0.0.1 打开。")
        .into_response()
}

/// 200 when the service can do its work, 503 when the store cannot write. The notices stand in the body for who asks from
/// this machine; others, whom a proxy may let through, learn how many there are.
async fn ready(
    State(vitals): State<Vitals>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> (StatusCode, String) {
    let status = if vitals.store.is_well() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut lines = vec![if vitals.store.is_well() { "ready" } else { "store cannot write" }.to_owned()];
    let notices = vitals.notices.all();
    if visitor::is_from_here(peer.ip(), &headers) {
        lines.extend(notices);
    } else if !notices.is_empty() {
        lines.push(format!("notices: {}", notices.len()));
    }
    (status, lines.join("\n"))
}
