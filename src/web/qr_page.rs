//! QR codes with a scene, made at WeChat and drawn here; for administrators. Knows the form and the picture; what a scene
//! may be is `wechat::scene`'s, what it does for who scans it is somebody else's.

use super::Hall;
use super::error::WebError;
use super::form::{Fields, Posted};
use super::page::{Frame, render};
use super::session::StaffUser;
use crate::clock::Timestamp;
use crate::qr;
use crate::wechat::scene::{MAX_DAYS, Scene, Validity};
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

#[derive(Template)]
#[template(path = "qr.html")]
struct QrPage {
    frame: Frame,
    scene: String,
    days: String,
    permanent: bool,
    max_days: u16,
    sandbox: bool,
    /// What is wrong with each part of the form, and with the whole.
    bad_scene: String,
    bad_days: String,
    refused: String,
    code: Option<Code>,
}

/// A code as it is shown.
#[derive(Clone)]
struct Code {
    scene: String,
    validity: String,
    url: String,
    /// The picture, as an address that holds it.
    picture: String,
    file: String,
}

/// Codes made a moment ago, by the keys of their forms: the same form twice makes one code, and of permanent ones an
/// account has only 100,000. Locked while one is made.
#[derive(Default)]
pub(super) struct Codes(Mutex<VecDeque<(String, Code)>>);

/// A form is sent again within minutes, if at all.
const MAX_CODES: usize = 32;
const ADMINS_ONLY: WebError = WebError::Forbidden("二维码只有管理员能做。需要二维码，请找管理员。");

/// What is wrong with what was typed.
struct Refused {
    scene: String,
    days: String,
}

/// The empty form.
pub(super) async fn show(State(hall): State<Arc<Hall>>, user: StaffUser) -> Result<Response, WebError> {
    if !user.is_admin() {
        return Err(ADMINS_ONLY);
    }
    render(StatusCode::OK, &page(&hall, &user, None)?)
}

fn page(hall: &Hall, user: &StaffUser, fields: Option<&Fields>) -> Result<QrPage, WebError> {
    Ok(QrPage {
        frame: Frame::of("二维码", "qr", user, &hall.keys)?,
        scene: fields.map_or("", |fields| fields.get("scene")).to_owned(),
        days: fields.map_or_else(|| MAX_DAYS.to_string(), |fields| fields.get("days").to_owned()),
        permanent: fields.is_some_and(|fields| fields.get("permanent") == "yes"),
        max_days: MAX_DAYS,
        sandbox: hall.console.doctor.is_in_sandbox(),
        bad_scene: String::new(),
        bad_days: String::new(),
        refused: String::new(),
        code: None,
    })
}

/// The form comes back: the code, or the form with what is wrong beside it.
pub(super) async fn submit(State(hall): State<Arc<Hall>>, posted: Posted) -> Result<Response, WebError> {
    let form = posted.open()?;
    if !form.user.is_admin() {
        return Err(ADMINS_ONLY);
    }
    let mut page = page(&hall, &form.user, Some(&form.fields))?;
    let status = match asked(&form.fields) {
        Err(refused) => {
            (page.bad_scene, page.bad_days) = (refused.scene, refused.days);
            StatusCode::UNPROCESSABLE_ENTITY
        }
        Ok((scene, validity)) => match make(&hall, &form.key, &scene, validity).await {
            Ok(code) => {
                tracing::info!(by = form.user.staff.name, "a QR code was made");
                page.code = Some(code);
                StatusCode::OK
            }
            Err(refused) => {
                page.refused = refused;
                // Not 502: a proxy may put a page of its own in its place, and what was typed would be gone.
                StatusCode::UNPROCESSABLE_ENTITY
            }
        },
    };
    render(status, &page)
}

/// What the form asks for.
fn asked(fields: &Fields) -> Result<(Scene, Validity), Refused> {
    let scene = Scene::try_from(fields.get("scene").to_owned());
    let days = if fields.get("permanent") == "yes" {
        Validity::try_from(None)
    } else {
        // What is no number is no number of days.
        Validity::try_from(Some(fields.trimmed("days").parse().unwrap_or(0)))
    };
    let what = |error: Option<String>| error.map_or_else(String::new, |what| format!("{what}。"));
    match (scene, days) {
        (Ok(scene), Ok(days)) => Ok((scene, days)),
        (scene, days) => Err(Refused {
            scene: what(scene.err().map(|error| error.to_string())),
            days: what(days.err().map(|error| error.to_string())),
        }),
    }
}

/// Makes it, unless this form did before.
async fn make(hall: &Hall, key: &str, scene: &Scene, validity: Validity) -> Result<Code, String> {
    let mut codes = hall.codes.0.lock().await;
    // The same page sent again with another scene is another.
    let key = &format!("{key} {} {validity:?}", scene.as_str());
    if let Some((_, code)) = codes.iter().find(|(of, _)| of == key) {
        return Ok(code.clone());
    }
    let made = hall.console.doctor.client().scene_code(scene, validity).await;
    let made = made.map_err(|error| format!("{}。", error.why))?;
    let picture = qr::svg(&made.url).ok_or("微信给的链接太长，画不成二维码。")?;
    let code = Code {
        scene: scene.as_str().to_owned(),
        validity: valid_until(made.expires_in_s, hall.now()),
        url: made.url,
        picture: format!("data:image/svg+xml;base64,{}", STANDARD.encode(picture)),
        file: file_name(scene.as_str()),
    };
    if codes.len() >= MAX_CODES {
        codes.pop_front();
    }
    codes.push_back((key.to_owned(), code.clone()));
    Ok(code)
}

fn valid_until(expires_in_s: Option<u64>, now: Timestamp) -> String {
    match expires_in_s {
        None => "永久有效".to_owned(),
        Some(seconds) => format!("有效到 {}", now.after(Duration::from_secs(seconds))),
    }
}

/// A name every system takes.
fn file_name(scene: &str) -> String {
    let safe = |c: char| if c.is_alphanumeric() || c == '-' || c == '_' { c } else { '_' };
    format!("二维码-{}.svg", scene.chars().map(safe).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::{Timestamp, file_name, valid_until};

    #[test]
    fn a_picture_is_named_after_its_scene_and_no_path() {
        assert_eq!(file_name("莘松路窗口"), "二维码-莘松路窗口.svg");
        assert_eq!(file_name("../a b\"<x>"), "二维码-___a_b__x_.svg");
    }

    #[test]
    fn validity_is_a_moment_or_for_good() {
        let now = Timestamp::from_local("2026-11-24T10:00:00".parse().unwrap());
        assert_eq!(valid_until(None, now), "永久有效");
        assert_eq!(valid_until(Some(24 * 3600), now), "有效到 2026-11-25 10:00");
    }
}
