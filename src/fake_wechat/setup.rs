//! What an operator sets up at WeChat: the menu and the QR codes with a scene (PROTOCOL.md §10–11), refused with the
//! errcodes of the real ones. Judges by itself, so that a fault of the service's own check shows. Knows no HTTP.

use crate::clock::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const MAX_CODES: usize = 1_000;
const DEFAULT_EXPIRY_S: u64 = 60;
const MAX_EXPIRY_S: u64 = 2_592_000;

/// An answer, or the errcode of one.
type Answer = Result<Value, i64>;

#[derive(Default)]
pub(super) struct Setup {
    menu: Option<Value>,
    /// By what the code says.
    codes: BTreeMap<String, Code>,
    n_codes: u64,
}

struct Code {
    scene: String,
    ends: Option<Timestamp>,
}

/// The errcodes of a button in the row, or of one above it.
struct Codes {
    kind: i64,
    name: i64,
    key: i64,
    url: i64,
    most_name_bytes: usize,
}

const FIRST: Codes = Codes { kind: 40017, name: 40018, key: 40019, url: 40020, most_name_bytes: 16 };
const BELOW: Codes = Codes { kind: 40024, name: 40025, key: 40026, url: 40027, most_name_bytes: 60 };

impl Setup {
    pub(super) fn create_menu(&mut self, body: &[u8]) -> Result<(), i64> {
        // Chinese written in \u escapes is refused by the real one.
        if body.windows(2).any(|pair| pair == b"\\u") {
            return Err(40033);
        }
        let mut menu: Value = serde_json::from_slice(body).map_err(|_| 47001)?;
        let buttons = menu["button"].as_array_mut().ok_or(47001)?;
        if !(1..=3).contains(&buttons.len()) {
            return Err(40016);
        }
        for button in buttons {
            let above = match &mut button["sub_button"] {
                Value::Array(above) if !above.is_empty() => above,
                _ => {
                    check(button, &FIRST)?;
                    button["sub_button"] = json!([]);
                    continue;
                }
            };
            if above.len() > 5 {
                return Err(40023);
            }
            for button in above {
                if button["sub_button"].as_array().is_some_and(|list| !list.is_empty()) {
                    return Err(40022);
                }
                check(button, &BELOW)?;
                button["sub_button"] = json!([]);
            }
            check_name(button, &FIRST)?;
        }
        self.menu = Some(json!({ "button": menu["button"] }));
        Ok(())
    }

    pub(super) fn menu(&self) -> Answer {
        self.menu.as_ref().map(|menu| json!({ "menu": menu })).ok_or(46003)
    }

    pub(super) fn delete_menu(&mut self) {
        self.menu = None;
    }

    pub(super) fn create_code(&mut self, now: Timestamp, asked: &Value) -> Answer {
        let (scene, limited) = match asked["action_name"].as_str().ok_or(40052)? {
            "QR_STR_SCENE" => (asked["action_info"]["scene"]["scene_str"].as_str(), true),
            "QR_LIMIT_STR_SCENE" => (asked["action_info"]["scene"]["scene_str"].as_str(), false),
            _ => return Err(40052),
        };
        let scene = scene.filter(|scene| (1..=64).contains(&scene.chars().count())).ok_or(40053)?.to_owned();
        let lasts = asked["expire_seconds"].as_u64().unwrap_or(DEFAULT_EXPIRY_S);
        if limited && !(1..=MAX_EXPIRY_S).contains(&lasts) {
            return Err(40053);
        }
        if self.codes.len() >= MAX_CODES {
            return Err(45029);
        }
        self.n_codes += 1;
        let (url, ticket) = (
            format!("http://weixin.qq.com/q/02fake{:012x}{:x}", self.n_codes, now.0),
            format!("gQH47joAAAAAAAAAASxodHRwOi8vd2VpeGlu{:012x}==", self.n_codes),
        );
        let ends = limited.then(|| now.after(Duration::from_secs(lasts)));
        self.codes.insert(url.clone(), Code { scene, ends });
        let mut answer = json!({ "ticket": ticket, "url": url });
        if limited {
            answer["expire_seconds"] = json!(lasts);
        }
        Ok(answer)
    }

    /// The scene of a code that still works.
    pub(super) fn scene(&self, url: &str, now: Timestamp) -> Option<&str> {
        let code = self.codes.get(url).filter(|code| code.ends.is_none_or(|ends| now < ends))?;
        Some(&code.scene)
    }
}

fn check_name(button: &Value, codes: &Codes) -> Result<(), i64> {
    let name = button["name"].as_str().unwrap_or_default();
    if (1..=codes.most_name_bytes).contains(&name.len()) { Ok(()) } else { Err(codes.name) }
}

fn check(button: &Value, codes: &Codes) -> Result<(), i64> {
    check_name(button, codes)?;
    let text = |field: &str| button[field].as_str().unwrap_or_default();
    let fits = |field: &str, most: usize| (1..=most).contains(&text(field).len());
    match text("type") {
        "click" | "scancode_push" | "scancode_waitmsg" | "pic_sysphoto" | "pic_photo_or_album"
        | "pic_weixin" | "location_select" => fits("key", 128).then_some(()).ok_or(codes.key),
        "view" => fits("url", 1024).then_some(()).ok_or(codes.url),
        "miniprogram" if !fits("url", 1024) => Err(codes.url),
        "miniprogram" => (fits("appid", 64) && fits("pagepath", 1024)).then_some(()).ok_or(47001),
        "media_id" => fits("media_id", 128).then_some(()).ok_or(40007),
        "article_id" | "article_view_limited" => fits("article_id", 128).then_some(()).ok_or(53600),
        _ => Err(codes.kind),
    }
}

#[cfg(test)]
mod tests {
    use super::Setup;
    use crate::clock::Timestamp;
    use crate::fake_wechat::tests::with_client;
    use crate::wechat::menu::{Button, Menu};
    use crate::wechat::scene::Scene;
    use serde_json::json;
    use std::time::Duration;

    fn menu() -> Menu {
        let click = |name: &str, key: &str| Button {
            name: name.into(),
            kind: "click".into(),
            fields: [("key".to_owned(), key.to_owned())].into(),
            below: Vec::new(),
        };
        let above = Button { below: vec![click("帮扶政策", "policy")], ..Button::default() };
        Menu { buttons: vec![Button { name: "政策查询".into(), ..above }, click("找人工", "HUMAN")] }
    }

    #[test]
    fn a_wrong_menu_is_refused_with_the_code_of_what_is_wrong_and_the_former_stays() {
        let mut setup = Setup::default();
        assert_eq!(setup.menu(), Err(46003));
        assert_eq!(setup.create_menu(&serde_json::to_vec(&menu()).unwrap()), Ok(()));
        let before = setup.menu();
        let click = |name: &str, key: &str| json!({ "type": "click", "name": name, "key": key });
        let (good, long) = (click("一", "K"), "k".repeat(129));
        let view = |url: &str| json!({ "type": "view", "name": "一", "url": url });
        for (buttons, code) in [
            (json!([]), 40016),
            (json!([good, good, good, good]), 40016),
            (json!([click("", "K")]), 40018),
            (json!([click("一二三四五六", "K")]), 40018),
            (json!([click("一", &long)]), 40019),
            (json!([view("")]), 40020),
            (json!([{ "name": "一", "type": "tap" }]), 40017),
            (json!([{ "name": "一", "sub_button": [good, good, good, good, good, good] }]), 40023),
            (json!([{ "name": "一", "sub_button": [click("一", "")] }]), 40026),
            (json!([{ "name": "一", "sub_button": [view(&"u".repeat(1025))] }]), 40027),
            (json!([{ "name": "一", "sub_button": [{ "name": "二" }] }]), 40024),
            (json!([{ "name": "一", "sub_button": [{ "name": "二", "sub_button": [good] }] }]), 40022),
            (json!([{ "name": "一", "type": "media_id" }]), 40007),
        ] {
            let body = json!({ "button": buttons }).to_string();
            assert_eq!(setup.create_menu(body.as_bytes()), Err(code), "{body}");
        }
        assert_eq!(setup.create_menu(b"{"), Err(47001));
        assert_eq!(setup.create_menu(br#"{"button":[{"name":"\u4e00"}]}"#), Err(40033));
        assert_eq!(setup.menu(), before);
    }

    #[tokio::test]
    async fn the_published_menu_comes_back_as_it_was_sent_until_it_is_taken_away() {
        let (fake, client, _) = with_client("appsecret").await;
        assert_eq!(client.menu().await, Ok(None));
        assert_eq!(client.publish_menu(&menu()).await, Ok(()));
        assert_eq!(client.menu().await, Ok(Some(menu())));
        assert_eq!(client.delete_menu().await, Ok(()));
        assert_eq!(client.menu().await, Ok(None));
        assert_eq!(fake.calls("/cgi-bin/stable_token"), 1);
    }

    #[tokio::test]
    async fn a_menu_with_faults_is_not_sent() {
        let (fake, client, _) = with_client("appsecret").await;
        let error = client.publish_menu(&Menu::default()).await.unwrap_err();
        assert_eq!((error.code, error.why.as_str()), (None, "一级菜单有 0 个，要有 1 到 3 个"));
        assert_eq!(fake.calls("/cgi-bin/menu/create"), 0);
    }

    #[tokio::test]
    async fn these_calls_treat_the_token_and_the_account_as_sending_does() {
        let (fake, client, clock) = with_client("appsecret").await;
        fake.fail_next(1, 40001);
        assert_eq!(client.menu().await, Ok(None));
        assert_eq!((fake.calls("/cgi-bin/menu/get"), fake.calls("/cgi-bin/stable_token")), (2, 2));
        fake.fail_next(1, 48001);
        let error = client.publish_menu(&menu()).await.unwrap_err();
        assert_eq!(error.code, Some(48001));
        assert!(error.why.contains("没有自定义菜单接口的权限"), "{error}");
        fake.fail_next(1, -1);
        assert!(client.menu().await.unwrap_err().why.contains("微信系统繁忙"));
        fake.fail_next(1, 45009);
        assert!(client.menu().await.unwrap_err().why.contains("次数已用完"));
        let n = fake.calls("/cgi-bin/menu/get");
        assert!(client.menu().await.is_err());
        assert_eq!(fake.calls("/cgi-bin/menu/get"), n, "nothing is called while the quota is used up");
        clock.advance(Duration::from_secs(1800));
        assert_eq!(client.menu().await, Ok(None));
    }

    #[tokio::test]
    async fn a_code_leads_to_its_scene_as_long_as_it_works() {
        let (fake, client, clock) = with_client("appsecret").await;
        let scene = Scene::try_from("莘松路窗口".to_owned()).unwrap();
        let month = client.scene_code(&scene, Some(30).try_into().unwrap()).await.unwrap();
        let always = client.scene_code(&scene, None.try_into().unwrap()).await.unwrap();
        assert_eq!((month.expires_in_s, always.expires_in_s), (Some(2_592_000), None));
        assert_ne!((&month.url, &month.ticket), (&always.url, &always.ticket));
        let leads = |url: &str| fake.scene_of(url);
        assert_eq!(leads(&month.url).as_deref(), Some("莘松路窗口"));
        clock.advance(Duration::from_secs(2_592_000));
        assert_eq!((leads(&month.url), leads(&always.url).as_deref()), (None, Some("莘松路窗口")));
        fake.fail_next(1, 45029);
        let error = client.scene_code(&scene, None.try_into().unwrap()).await.unwrap_err();
        assert!(error.why.contains("100,000"), "{error}");
    }

    #[test]
    fn a_wrong_code_is_refused_with_the_code_of_what_is_wrong() {
        let mut setup = Setup::default();
        let asked = |name: &str, scene: &str, lasts: u64| {
            json!({
                "action_name": name, "expire_seconds": lasts, "action_info": { "scene": { "scene_str": scene } }
            })
        };
        let mut make = |asked| setup.create_code(Timestamp::default(), &asked).map(|_| ());
        assert_eq!(make(asked("QR_STR_SCENE", &"场".repeat(64), 1)), Ok(()));
        assert_eq!(make(asked("QR_STR_SCENE", &"场".repeat(65), 1)), Err(40053));
        assert_eq!(make(asked("QR_LIMIT_STR_SCENE", "", 1)), Err(40053));
        assert_eq!(make(asked("QR_STR_SCENE", "a", 2_592_001)), Err(40053));
        assert_eq!(make(asked("QR_OTHER", "a", 1)), Err(40052));
    }
}
