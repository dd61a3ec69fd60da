//! What goes wrong at the console's door, as a Chinese page each. Internal failures are logged here, once, with their
//! chain; the page says nothing of it.

use super::page::{Frame, render};
use super::session::{SECOND_FACTOR, login_url};
use crate::clock::Timestamp;
use crate::store::StoreError;
use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

/// Why a page is not shown.
#[derive(Debug)]
pub(super) enum WebError {
    /// There is no such page, ticket or entry.
    NotFound,
    /// Not for this person, or not in this way; a sentence says why.
    Forbidden(&'static str),
    /// Nobody is logged in; the path to come back to.
    NotLoggedIn(String),
    /// Whoever is logged in needs a second factor first.
    NoSecondFactor,
    /// Nobody is logged in, from the page's script, which cannot follow a redirect.
    SessionOver,
    /// The form's key does not belong to this session or this process.
    Expired,
    /// The form lacks something or cannot be read.
    BadForm,
    /// The form is too large.
    TooLarge,
    /// Too many wrong passwords; when to try again, and the time now.
    Throttled(Timestamp, Timestamp),
    /// Too much at once.
    Busy,
    /// The operator must look at the log.
    Internal(anyhow::Error),
}

impl From<StoreError> for WebError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

impl From<anyhow::Error> for WebError {
    fn from(error: anyhow::Error) -> Self {
        Self::Internal(error)
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: Frame,
    headline: &'static str,
    sentence: String,
    /// Where to go on; empty for nowhere.
    back: &'static str,
}

impl WebError {
    fn page(&self) -> (StatusCode, &'static str, String) {
        match self {
            Self::NotFound => {
                (StatusCode::NOT_FOUND, "没有这一页", "地址可能写错了，或者内容已经不在。".into())
            }
            Self::Forbidden(why) => (StatusCode::FORBIDDEN, "不能打开", (*why).into()),
            Self::NotLoggedIn(_) | Self::SessionOver => {
                (StatusCode::UNAUTHORIZED, "请重新登录", "登录已经过期。".into())
            }
            Self::NoSecondFactor => {
                (StatusCode::FORBIDDEN, "先设置第二验证", "设置好第二验证，才能打开工作台。".into())
            }
            Self::Expired => {
                let sentence =
                    "页面打开得太久，或者服务刚刚重启过，这次提交没有生效。请返回上一页，刷新后再提交一次。";
                (StatusCode::FORBIDDEN, "页面已过期", sentence.into())
            }
            Self::BadForm => {
                (StatusCode::BAD_REQUEST, "没有收完整", "提交的内容不完整，请返回上一页再试一次。".into())
            }
            Self::TooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "内容太长", "提交的内容太长，请删减后再试。".into())
            }
            Self::Throttled(until, now) => {
                let minutes = until.since(*now).as_secs().div_ceil(60).max(1);
                let at = until.after(std::time::Duration::from_secs(59)).local();
                let sentence = format!(
                    "密码连续输错次数太多（验证码也算），暂停登录。请在 {minutes} 分钟后（{:02}:{:02} 以后）再试；这段时间里密码正确也不能登录。已经登录的不受影响。",
                    at.hour(),
                    at.minute()
                );
                (StatusCode::TOO_MANY_REQUESTS, "稍后再试", sentence)
            }
            Self::Busy => {
                (StatusCode::SERVICE_UNAVAILABLE, "稍后再试", "现在登录的人太多，请过一会儿再试。".into())
            }
            Self::Internal(_) => {
                let sentence = "系统出了问题，这次操作可能没有完成。请稍后再试；一直不行，请告诉管理员。";
                (StatusCode::INTERNAL_SERVER_ERROR, "出错了", sentence.into())
            }
        }
    }
}

impl IntoResponse for WebError {
    fn into_response(self) -> Response {
        if let Self::NotLoggedIn(path) = &self {
            return Redirect::to(&login_url(path)).into_response();
        }
        if matches!(self, Self::NoSecondFactor) {
            return Redirect::to(SECOND_FACTOR).into_response();
        }
        if let Self::Internal(error) = &self {
            tracing::error!(error = format!("{error:#}"), "a console page failed");
        }
        let (status, headline, sentence) = self.page();
        let back = if matches!(self, Self::Forbidden(super::visitor::PLAIN_HTTP)) { "" } else { "/console" };
        let page = ErrorPage { frame: Frame::plain(headline), headline, sentence, back };
        let mut response = render(status, &page).unwrap_or_else(|_| status.into_response());
        if let Self::Throttled(until, now) = &self
            && let Ok(seconds) = HeaderValue::from_str(&until.since(*now).as_secs().max(1).to_string())
        {
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

/// Every path of the console that is none.
pub(super) async fn not_found() -> WebError {
    WebError::NotFound
}
