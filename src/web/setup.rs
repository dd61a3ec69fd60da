//! The first administrator: a link printed where only the operator sees it opens a form, once. Knows the link; the
//! store alone decides who was first.

use super::Hall;
use super::error::WebError;
use super::form::{Fields, OwnPageForm, random};
use super::page::{Frame, query, render};
use crate::staff::{MIN_PASSWORD, Role, Staff};
use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use subtle::ConstantTimeEq;

/// The link to the form for the first administrator. All clones are one link.
#[derive(Clone)]
pub struct SetupLink {
    key: Arc<str>,
    used: Arc<AtomicBool>,
}

impl fmt::Debug for SetupLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SetupLink(***)")
    }
}

impl SetupLink {
    /// A link with fresh randomness in it.
    pub fn new(random: [u8; 32]) -> Self {
        Self { key: URL_SAFE_NO_PAD.encode(random).into(), used: Arc::default() }
    }

    /// The link under the service's address.
    pub fn url(&self, base: &str) -> String {
        format!("{}/setup?key={}", base.trim_end_matches('/'), self.key)
    }

    /// Whether this is the key of a link that has not been used.
    fn opens(&self, key: &str) -> bool {
        let same = bool::from(self.key.as_bytes().ct_eq(key.as_bytes()));
        same && !self.used.load(Ordering::Acquire)
    }

    fn use_up(&self) {
        self.used.store(true, Ordering::Release);
    }
}

#[derive(Template)]
#[template(path = "setup.html")]
struct SetupPage {
    frame: Frame,
    key: String,
    name: String,
    refused: String,
    min: usize,
}

#[derive(Deserialize, Default)]
struct SetupQuery {
    key: Option<String>,
}

const DEAD: WebError = WebError::Forbidden(
    "这个链接无效，或者管理员已经建好了。还没有管理员的，请用服务启动时打印的完整链接；已有管理员的，请直接登录。",
);

/// Opens only until there is an administrator: the link is dead once somebody came in by whatever way.
async fn opened(hall: &Hall, key: &str) -> Result<(), WebError> {
    if !hall.console.setup.opens(key) {
        return Err(DEAD);
    }
    if hall.store().all_staff().await?.iter().any(Staff::is_admin) {
        hall.console.setup.use_up();
        return Err(DEAD);
    }
    Ok(())
}

fn page(key: &str, name: &str, refused: String) -> SetupPage {
    let frame = Frame::plain("建立管理员");
    SetupPage { frame, key: key.to_owned(), name: name.to_owned(), refused, min: MIN_PASSWORD }
}

/// The form.
pub(super) async fn show(State(hall): State<Arc<Hall>>, uri: Uri) -> Result<Response, WebError> {
    let key = query::<SetupQuery>(&uri).key.unwrap_or_default();
    opened(&hall, &key).await?;
    render(StatusCode::OK, &page(&key, "", String::new()))
}

/// The form comes back.
pub(super) async fn submit(
    State(hall): State<Arc<Hall>>,
    OwnPageForm(_, fields): OwnPageForm,
) -> Result<Response, WebError> {
    let key = fields.get("key");
    opened(&hall, key).await?;
    let staff = match first_administrator(&hall, &fields).await? {
        Ok(staff) => staff,
        Err(refused) => {
            return render(StatusCode::UNPROCESSABLE_ENTITY, &page(key, fields.trimmed("name"), refused));
        }
    };
    // Two may stand at the form at once; the store takes one.
    let was_first = hall.store().put_staff(&staff, true).await?;
    hall.console.setup.use_up();
    if !was_first {
        return Err(DEAD);
    }
    hall.audit(&staff.name, "建立第一位管理员", &staff.name).await?;
    Ok(Redirect::to("/console/login?from=setup").into_response())
}

async fn first_administrator(hall: &Hall, fields: &Fields) -> Result<Result<Staff, String>, WebError> {
    let (name, password) = (fields.get("name").to_owned(), fields.get("password").to_owned());
    if password != fields.get("again") {
        return Ok(Err("两次输入的密码不一样。".into()));
    }
    let salt = random()?;
    let made = hall.checker.run(move || Staff::new(&name, Role::Admin, None, &password, salt)).await?;
    Ok(made.map_err(|unfit| format!("{unfit}。")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_opens_with_its_own_key_until_it_is_used() {
        let link = SetupLink::new([7; 32]);
        let url = link.url("http://127.0.0.1:8080/");
        let key = url.strip_prefix("http://127.0.0.1:8080/setup?key=").unwrap();
        assert_eq!(key.len(), 43);
        assert!(link.opens(key));
        assert!(!link.opens("") && !link.opens(&key[1..]) && !SetupLink::new([8; 32]).opens(key));
        let clone = link.clone();
        link.use_up();
        assert!(!clone.opens(key));
        assert!(!format!("{link:?}").contains(key));
    }
}
