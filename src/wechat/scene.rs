//! QR codes with a scene (PROTOCOL.md §11): who scans one arrives with its text. Knows the limits and the call; must not
//! know what a scene stands for, or how a code is drawn.

use super::client::{Api, Client};
use super::outcome::CallError;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;

const MAX_CHARS: usize = 64;
/// A code that ends does so after this many days at the latest (2,592,000 s).
pub const MAX_DAYS: u16 = 30;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The text a code carries: 1 to 64 characters, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Scene(String);

/// Why a text is no scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("场景要有 1 到 64 个字，不能有换行等控制字符")]
pub struct NoScene;

impl TryFrom<String> for Scene {
    type Error = NoScene;

    fn try_from(text: String) -> Result<Self, NoScene> {
        let text = text.trim().to_owned();
        let fits = (1..=MAX_CHARS).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if fits { Ok(Self(text)) } else { Err(NoScene) }
    }
}

impl Scene {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How long a code works: some days, or for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Option<u16>", into = "Option<u16>")]
pub struct Validity(Option<u16>);

/// Why a code cannot work so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("临时二维码的有效期要在 1 到 30 天之间；更久的请做永久的")]
pub struct NoValidity;

impl TryFrom<Option<u16>> for Validity {
    type Error = NoValidity;

    /// So many days; `None`: for good, of which an account has 100,000 in all.
    fn try_from(days: Option<u16>) -> Result<Self, NoValidity> {
        let fits = days.is_none_or(|days| (1..=MAX_DAYS).contains(&days));
        if fits { Ok(Self(days)) } else { Err(NoValidity) }
    }
}

impl From<Validity> for Option<u16> {
    fn from(validity: Validity) -> Self {
        validity.0
    }
}

/// A code as WeChat made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SceneCode {
    /// With it WeChat gives out its own picture, to anybody.
    pub ticket: String,
    /// What the code says; a picture is drawn from it.
    pub url: String,
    /// It ends after so many seconds; `None`: never.
    pub expires_in_s: Option<u64>,
}

impl Client {
    /// Has WeChat make a code. Each call makes another; they lead to the same scene.
    pub async fn scene_code(&self, scene: &Scene, validity: Validity) -> Result<SceneCode, CallError> {
        let action_info = json!({ "scene": { "scene_str": scene.as_str() } });
        let body = match validity.0 {
            None => json!({ "action_name": "QR_LIMIT_STR_SCENE", "action_info": action_info }),
            Some(days) => json!({
                "expire_seconds": u64::from(days) * DAY.as_secs(),
                "action_name": "QR_STR_SCENE",
                "action_info": action_info,
            }),
        };
        let api = Api { path: "/cgi-bin/qrcode/create", what: "带参数二维码", meaning };
        let answer = self.ask(&api, Some(&body)).await?;
        let text = |name: &str| answer.get(name).and_then(|value| value.as_str()).map(ToOwned::to_owned);
        let (Some(ticket), Some(url)) = (text("ticket"), text("url")) else {
            return Err(CallError::lasting("微信的回应里没有二维码"));
        };
        let expires_in_s = answer.get("expire_seconds").and_then(serde_json::Value::as_u64);
        Ok(SceneCode { ticket, url, expires_in_s: expires_in_s.filter(|_| validity.0.is_some()) })
    }
}

fn meaning(code: i64) -> Option<&'static str> {
    Some(match code {
        45029 => "永久二维码已有 100,000 个，不能再做；请改做临时的",
        40052 | 40053 | 47001 => "微信读不懂发去的二维码参数，请把这句话告诉开发人员",
        _ => return None,
    })
}
