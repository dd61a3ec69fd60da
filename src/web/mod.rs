//! The HTTP faces: WeChat's door, the console, the simulator, and signs of life. Knows HTTP; decides nothing.

mod console;
mod error;
mod form;
mod knowledge_page;
mod login;
mod page;
mod queue;
mod session;
mod setup;
mod simulator;
mod staff_page;
mod throttle;
mod ticket_page;
mod ticket_view;
mod visitor;
mod webhook;
mod words;

pub use console::{Console, ConsoleSettings, console_router};
pub use setup::SetupLink;

pub use webhook::Door;

use console::Hall;

use crate::fake_wechat::FakeWechat;
use crate::notices::Notices;
use crate::store::Store;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Redirect;
use axum::routing::get;
use std::sync::Arc;

/// What the signs of life look at.
#[derive(Clone)]
pub struct Vitals {
    /// Whether it can still write.
    pub store: Arc<dyn Store>,
    /// What the operator should know.
    pub notices: Notices,
}

/// All routes of the service. The simulator is there in the sandbox only.
pub fn router(door: Door, console: Console, vitals: Vitals, fake: Option<FakeWechat>) -> Router {
    let home = if fake.is_some() { "/simulator" } else { "/console" };
    let mut router = Router::new()
        .route("/", get(move || async move { Redirect::to(home) }))
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready).with_state(vitals))
        .merge(webhook::router(door))
        .merge(console_router(console));
    if let Some(fake) = fake {
        router = router.merge(simulator::router(fake));
    }
    router
}

/// 200 when the service can do its work, 503 when the store cannot write; the notices stand in the body.
async fn ready(State(vitals): State<Vitals>) -> (StatusCode, String) {
    let status = if vitals.store.is_well() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut lines = vec![if vitals.store.is_well() { "ready" } else { "store cannot write" }.to_owned()];
    lines.extend(vitals.notices.all());
    (status, lines.join("\n"))
}
