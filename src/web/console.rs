//! The staff console: its routes and what it works with. Knows which page is where; each page knows the rest.

use super::code_page::Halves;
use super::error::WebError;
use super::factor_page::Shown;
use super::form::FormKeys;
use super::login::Checker;
use super::qr_page::Codes;
use super::reveal::Reveals;
use super::session::SECOND_FACTOR;
use super::session::StaffUser;
use super::throttle::Throttle;
use super::{
    SetupLink, account_page, audit_page, bulk, code_page, composing, doctor_page, error, factor_page, files,
    inbox, intake_page, knowledge_page, live_page, login, numbers_page, page, qr_page, search_page, setup,
    staff_page, ticket_page, try_page, visitor,
};
use crate::access::{self, Sight};
use crate::audit::Deed;
use crate::clock::{Clock, Timestamp};
use crate::desk::Desk;
use crate::doctor::Doctor;
use crate::notices::Notices;
use crate::staff::FactorRule;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{any, get, post};
use ipnet::IpNet;
use std::sync::Arc;
use std::time::Duration;

/// What the console is set to.
#[derive(Clone, Debug)]
pub struct ConsoleSettings {
    /// Whose X-Forwarded-For and X-Forwarded-Proto are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// A session ends after this time without use.
    pub idle: Duration,
    /// And after this time in any case.
    pub session: Duration,
    /// Wrong passwords or codes before further tries are refused for a time.
    pub max_login_failures: u32,
    /// Who has to have a second factor.
    pub second_factor: FactorRule,
    /// The office is reached with https through a proxy: plain http from this machine is that proxy's mistake.
    pub only_https: bool,
}

/// What the console works with.
#[derive(Clone)]
pub struct Console {
    /// The desk.
    pub desk: Desk,
    /// The time.
    pub clock: Clock,
    /// What the operator should know.
    pub notices: Notices,
    /// How it is set.
    pub settings: ConsoleSettings,
    /// How the first administrator comes in.
    pub setup: SetupLink,
    /// Who looks how service and account stand; knows the way to WeChat.
    pub doctor: Arc<Doctor>,
}

impl Console {
    /// A console over a desk.
    pub fn new(
        desk: Desk,
        clock: Clock,
        notices: Notices,
        settings: ConsoleSettings,
        setup: SetupLink,
        doctor: Arc<Doctor>,
    ) -> Self {
        Self { desk, clock, notices, settings, setup, doctor }
    }
}

/// The console at work: what it was given, and what it keeps for as long as the process lives.
pub(super) struct Hall {
    /// What it was given.
    pub console: Console,
    /// Failed logins.
    pub throttle: Throttle,
    /// Where passwords are checked.
    pub checker: Checker,
    /// Who has given the password and not the code.
    pub halves: Halves,
    /// Recovery codes shown a moment ago.
    pub shown: Shown,
    /// Keys of forms.
    pub keys: FormKeys,
    /// QR codes made a moment ago.
    pub codes: Codes,
    /// Who has asked for the numbers of which ticket.
    pub reveals: Reveals,
}

impl Hall {
    /// What time it is.
    pub fn now(&self) -> Timestamp {
        self.console.clock.now()
    }

    /// What somebody sees, now.
    pub async fn sight(&self, user: &StaffUser) -> Result<Sight, WebError> {
        Ok(Sight::of(&user.staff, &self.store().all_staff().await?, self.now()))
    }

    /// Notes something in the audit trail.
    pub async fn audit(&self, by: &str, what: &str, about: &str) -> Result<(), WebError> {
        Ok(self.store().audit(Deed::new(self.now(), by, what, about)).await?)
    }

    /// Who can be given work, by name.
    pub async fn colleagues(&self) -> Result<Vec<String>, WebError> {
        let staff = self.store().all_staff().await?;
        Ok(staff.into_iter().filter(access::may_work).map(|one| one.name).collect())
    }

    /// The store.
    pub fn store(&self) -> &dyn crate::store::Store {
        self.console.desk.store()
    }
}

/// No form is larger.
const MAX_FORM: usize = 64 * 1024;

/// The staff console under `/console` and `/setup`, with its style sheets under `/static`. The server puts the peer's
/// address into each request as `ConnectInfo<SocketAddr>`.
pub fn console_router(state: Console) -> Router {
    let hall = Arc::new(Hall {
        throttle: Throttle::new(state.settings.max_login_failures),
        checker: Checker::default(),
        halves: Halves::default(),
        shown: Shown::default(),
        keys: FormKeys::new(),
        codes: Codes::default(),
        reveals: Reveals::default(),
        console: state,
    });
    Router::new()
        .route("/console", get(inbox::show))
        .route("/console/views", post(inbox::keep))
        .route("/console/bulk", post(bulk::submit))
        .route("/console/live", get(live_page::listen))
        .route("/console/insert", get(composing::insert))
        .route("/console/new", get(intake_page::show).post(intake_page::submit))
        .route("/console/search", get(search_page::show))
        .route("/console/audit", get(audit_page::show))
        .route("/console/login", get(login::show).post(login::submit))
        .route("/console/login/code", get(code_page::show).post(code_page::submit))
        .route("/console/logout", post(login::leave))
        .route("/console/account", get(account_page::show))
        .route("/console/account/password", post(account_page::change_password))
        .route("/console/account/sessions", post(account_page::end_sessions))
        .route("/console/account/away", post(account_page::go_away))
        .route(SECOND_FACTOR, get(factor_page::show).post(factor_page::submit))
        .route("/console/account/second-factor/off", post(factor_page::end))
        .route("/console/tickets/{number}", get(ticket_page::show).post(ticket_page::submit))
        .route("/console/tickets/{number}/next", post(ticket_page::submit_and_go_on))
        .route("/console/tickets/{number}/draft", post(composing::draft))
        .route("/console/tickets/{number}/files/{file}", get(files::show))
        .route("/console/knowledge/{id}", get(knowledge_page::show))
        .route("/console/try", get(try_page::show))
        .route("/console/numbers", get(numbers_page::show))
        .route("/console/numbers/export.xlsx", get(numbers_page::xlsx))
        .route("/console/numbers/export.csv", get(numbers_page::csv))
        .route("/console/staff", get(staff_page::show).post(staff_page::submit))
        .route("/console/staff/change", post(staff_page::change))
        .route("/console/staff/reset-factor", post(staff_page::reset_factor))
        .route("/console/staff/remove", post(staff_page::remove))
        .route("/console/doctor", get(doctor_page::show).post(doctor_page::again))
        .route("/console/qr", get(qr_page::show).post(qr_page::submit))
        .route("/setup", get(setup::show).post(setup::submit))
        .route("/console/", any(error::not_found))
        .route("/console/{*rest}", any(error::not_found))
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .route(
            "/console/tickets/{number}/files",
            post(files::submit).layer(DefaultBodyLimit::max(files::MAX_UPLOAD)),
        )
        .layer(from_fn_with_state(hall.clone(), visitor::at_the_door))
        .with_state(hall)
        .merge(page::static_router())
        .layer(from_fn(page::security_headers))
}
