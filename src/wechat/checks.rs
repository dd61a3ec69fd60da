//! Calls that only look how an account stands at WeChat (PROTOCOL.md §1, §7–§9): whether its address can be reached, which
//! templates it has, whether it may use the customer-service interface. Knows the calls; what follows is somebody else's.

use super::client::{Api, Client};
use super::outcome::CallError;
use serde_json::{Map, Value, json};
use std::net::IpAddr;

pub(super) const CALLBACK_CHECK: &str = "/cgi-bin/callback/check";
/// Of a list so many are looked at.
const MAX_READ: usize = 200;

/// How the account's address looks from WeChat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallbackCheck {
    /// The addresses its name stands for there.
    pub resolved: Vec<IpAddr>,
    /// One a place WeChat pinged from.
    pub pings: Vec<Ping>,
}

/// One try to reach an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping {
    /// The address.
    pub ip: IpAddr,
    /// Of a hundred packets so many were lost.
    pub lost_percent: u8,
}

impl CallbackCheck {
    fn read(answer: &Map<String, Value>) -> Self {
        let ip = |of: &Value| of["ip"].as_str()?.parse::<IpAddr>().ok();
        let ping = |of: &Value| {
            let lost = of["package_loss"].as_str()?.trim_end_matches('%').parse::<f64>().ok()?;
            // Rounded; what is no percentage counts as nothing lost.
            let lost_percent = (0..=100_u8).rev().find(|whole| f64::from(*whole) <= lost).unwrap_or(0);
            Some(Ping { ip: ip(of)?, lost_percent })
        };
        Self {
            resolved: list(answer, "dns").filter_map(ip).collect(),
            pings: list(answer, "ping").filter_map(ping).collect(),
        }
    }
}

fn list<'a>(answer: &'a Map<String, Value>, name: &str) -> impl Iterator<Item = &'a Value> {
    answer.get(name).and_then(Value::as_array).into_iter().flatten().take(MAX_READ)
}

fn names(answer: &Map<String, Value>, under: &str, field: &str) -> Vec<String> {
    list(answer, under).filter_map(|of| of[field].as_str()).map(ToOwned::to_owned).collect()
}

impl Client {
    /// Has WeChat look up and ping the address it pushes to. A ping that is lost need not mean anything: many networks
    /// answer none.
    pub async fn callback_check(&self) -> Result<CallbackCheck, CallError> {
        let api = Api { path: CALLBACK_CHECK, what: "网络检测", meaning: of_callback };
        let body = json!({ "action": "all", "check_operator": "DEFAULT" });
        self.ask(&api, Some(&body)).await.map(|answer| CallbackCheck::read(&answer))
    }

    /// Asks for the customer-service accounts, which only who may use the interface is told.
    pub async fn customer_service_check(&self) -> Result<(), CallError> {
        let api =
            Api { path: "/cgi-bin/customservice/getkflist", what: "客服", meaning: of_customer_service };
        self.ask(&api, None::<&()>).await.map(drop)
    }

    /// The ids of the templates for subscribe notifications (订阅通知).
    pub async fn subscribe_templates(&self) -> Result<Vec<String>, CallError> {
        let api = Api { path: "/wxaapi/newtmpl/gettemplate", what: "订阅通知", meaning: of_nothing };
        self.ask(&api, None::<&()>).await.map(|answer| names(&answer, "data", "priTmplId"))
    }

    /// The ids of the templates for template messages (模板消息).
    pub async fn message_templates(&self) -> Result<Vec<String>, CallError> {
        let path = "/cgi-bin/template/get_all_private_template";
        let api = Api { path, what: "模板消息", meaning: of_nothing };
        self.ask(&api, None::<&()>).await.map(|answer| names(&answer, "template_list", "template_id"))
    }
}

fn of_callback(code: i64) -> Option<&'static str> {
    Some(match code {
        40201 => "公众平台上还没有填写服务器地址（URL）",
        40202 | 40203 => "微信不认网络检测的参数，请把这句话告诉开发人员",
        _ => return None,
    })
}

fn of_customer_service(code: i64) -> Option<&'static str> {
    Some(match code {
        65400 => "公众号还没有启用客服功能",
        _ => return None,
    })
}

fn of_nothing(_: i64) -> Option<&'static str> {
    None
}

#[cfg(test)]
mod tests {
    use super::{CallbackCheck, Ping, names};
    use serde_json::json;

    #[test]
    fn what_wechat_saw_of_the_address_is_read_and_oddities_are_left_out() {
        let answer = json!({
            "dns": [{ "ip": "203.0.113.7", "real_operator": "UNICOM" }, { "ip": "<b>" }, 7],
            "ping": [
                { "ip": "203.0.113.7", "from_operator": "CAP", "package_loss": "66.7%", "time": "20.5ms" },
                { "ip": "203.0.113.7", "package_loss": "100%" },
                { "ip": "203.0.113.7", "package_loss": "much" },
            ],
        });
        let ip = "203.0.113.7".parse().unwrap();
        let check = CallbackCheck::read(answer.as_object().unwrap());
        assert_eq!(check.resolved, [ip]);
        assert_eq!(check.pings, [66, 100].map(|lost_percent| Ping { ip, lost_percent }));
        assert_eq!(CallbackCheck::read(&serde_json::Map::new()), CallbackCheck::default());
    }

    #[test]
    fn templates_are_known_by_their_ids() {
        let answer = json!({ "data": [{ "priTmplId": "a", "title": "t" }, { "title": "none" }, { "priTmplId": "b" }] });
        assert_eq!(names(answer.as_object().unwrap(), "data", "priTmplId"), ["a", "b"]);
        assert!(names(answer.as_object().unwrap(), "template_list", "template_id").is_empty());
    }
}
