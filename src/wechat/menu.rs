//! The account's custom menu (PROTOCOL.md §10): what it is made of, what WeChat allows, and the calls that read and
//! replace it. Must not know where a menu is written down, or what any of its buttons leads to.

use super::client::{Api, Client};
use super::outcome::CallError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// So many buttons stand side by side, and so many above one of them.
pub const MAX_FIRST: usize = 3;
/// See [`MAX_FIRST`].
pub const MAX_BELOW: usize = 5;
/// Of a name so many 汉字 are shown, and so many bytes are taken: of a button in the row, of one above it.
const NAME_FIRST: (usize, usize) = (4, 16);
const NAME_BELOW: (usize, usize) = (8, 60);
/// What WeChat has more of than this is not looked at.
const MAX_READ: usize = 100;

/// The whole menu.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Menu {
    /// Those in the row.
    #[serde(rename = "button")]
    pub buttons: Vec<Button>,
}

/// One button: it does something, or opens those above it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Button {
    /// What stands on it.
    pub name: String,
    /// WeChat's `type`; empty on one that opens others.
    #[serde(rename = "type", default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Those above it.
    #[serde(rename = "sub_button", default, skip_serializing_if = "Vec::is_empty")]
    pub below: Vec<Button>,
    /// What its kind needs: some of [`FIELDS`].
    #[serde(flatten)]
    pub fields: BTreeMap<String, String>,
}

/// What a button can do.
#[derive(Debug)]
pub struct Kind {
    /// WeChat's `type`.
    pub name: &'static str,
    /// For people.
    pub zh: &'static str,
    /// The fields without which WeChat refuses it; it takes no others.
    pub needs: &'static [&'static str],
}

/// All that a button can do.
pub const KINDS: [Kind; 12] = [
    Kind { name: "click", zh: "点击", needs: &["key"] },
    Kind { name: "view", zh: "打开网页", needs: &["url"] },
    Kind { name: "scancode_push", zh: "扫码", needs: &["key"] },
    Kind { name: "scancode_waitmsg", zh: "扫码并等待", needs: &["key"] },
    Kind { name: "pic_sysphoto", zh: "拍照", needs: &["key"] },
    Kind { name: "pic_photo_or_album", zh: "拍照或选照片", needs: &["key"] },
    Kind { name: "pic_weixin", zh: "选照片", needs: &["key"] },
    Kind { name: "location_select", zh: "选位置", needs: &["key"] },
    Kind { name: "media_id", zh: "发素材", needs: &["media_id"] },
    Kind { name: "article_id", zh: "发图文", needs: &["article_id"] },
    Kind { name: "article_view_limited", zh: "打开图文", needs: &["article_id"] },
    Kind { name: "miniprogram", zh: "打开小程序", needs: &["url", "appid", "pagepath"] },
];

/// Every field of a button beside name, type and those above it, with the most bytes §10 gives it.
pub const FIELDS: [(&str, Option<usize>); 6] = [
    ("key", Some(128)),
    ("url", Some(1024)),
    ("appid", None),
    ("pagepath", None),
    ("media_id", None),
    ("article_id", None),
];

/// What WeChat would not take, or would cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which button in the row, from 0; `None`: the menu as a whole.
    pub first: Option<usize>,
    /// Which of those above it.
    pub below: Option<usize>,
    /// `name`, `type` or one of [`FIELDS`]; empty: the button as a whole.
    pub field: &'static str,
    /// A sentence that says what to mend.
    pub what: String,
}

impl Kind {
    /// The one of that `type`.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name)
    }
}

impl Menu {
    /// Everything §10 has against it.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        if !(1..=MAX_FIRST).contains(&self.buttons.len()) {
            let what = format!("一级菜单有 {} 个，要有 1 到 {MAX_FIRST} 个", self.buttons.len());
            // Pointed at where there is one too many.
            let first = (!self.buttons.is_empty()).then_some(MAX_FIRST);
            faults.push(Fault { first, below: None, field: "", what });
        }
        for (first, button) in self.buttons.iter().enumerate() {
            let mut of_button = Faults { first, below: None, list: &mut faults };
            of_button.check(button, NAME_FIRST);
            if button.below.len() > MAX_BELOW {
                of_button.below = Some(MAX_BELOW);
                of_button.add("", format!("子菜单有 {} 个，最多 {MAX_BELOW} 个", button.below.len()));
            }
            for (n, button) in button.below.iter().enumerate() {
                let mut of_button = Faults { first, below: Some(n), list: &mut faults };
                of_button.check(button, NAME_BELOW);
                if !button.below.is_empty() {
                    of_button.add("", "子菜单里不能再有子菜单".to_owned());
                }
            }
        }
        faults
    }

    /// The menu in WeChat's JSON: what is known of it.
    fn read(menu: &Value) -> Self {
        let list = |of: &Value, name: &str| of[name].as_array().cloned().unwrap_or_default();
        let text = |of: &Value, name: &str| of[name].as_str().map(ToOwned::to_owned);
        let button = |of: &Value, below: Vec<Button>| Button {
            name: text(of, "name").unwrap_or_default(),
            kind: text(of, "type").unwrap_or_default(),
            fields: FIELDS
                .iter()
                .filter_map(|(field, _)| Some(((*field).to_owned(), text(of, field)?)))
                .filter(|(_, value)| !value.is_empty())
                .collect(),
            below,
        };
        let below = |of: &Value| {
            list(of, "sub_button").iter().take(MAX_READ).map(|of| button(of, Vec::new())).collect()
        };
        let buttons = list(menu, "button").iter().take(MAX_READ).map(|of| button(of, below(of))).collect();
        Self { buttons }
    }
}

/// The faults of one button.
struct Faults<'l> {
    first: usize,
    below: Option<usize>,
    list: &'l mut Vec<Fault>,
}

impl Faults<'_> {
    fn add(&mut self, field: &'static str, what: String) {
        self.list.push(Fault { first: Some(self.first), below: self.below, field, what });
    }

    fn check(&mut self, button: &Button, (shown, bytes): (usize, usize)) {
        let (name, width) = (&button.name, half_widths(&button.name));
        if name.trim().is_empty() {
            self.add("name", "菜单要有 name".to_owned());
        } else if width > 2 * shown {
            let what =
                format!("“{name}”太长：最多显示 {shown} 个汉字（字母、数字算半个），多出的在手机上看不到");
            self.add("name", what);
        } else if name.len() > bytes {
            self.add("name", format!("“{name}”有 {} 字节，最多 {bytes} 字节", name.len()));
        }
        if name.chars().any(char::is_control) {
            self.add("name", "name 里不能有换行等控制字符".to_owned());
        }
        match (Kind::by_name(&button.kind), button.below.is_empty()) {
            (Some(kind), true) => self.check_fields(button, kind),
            (None, true) if button.kind.is_empty() => {
                self.add("", format!("“{name}”要写 type，或者写子菜单"));
            }
            (_, false) if button.kind.is_empty() && button.fields.is_empty() => {}
            (_, false) => {
                self.add("type", format!("“{name}”有子菜单，点它只会展开，不能再写 type 和别的项"));
            }
            (None, true) => {
                let all: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
                let what = format!("没有“{}”这种 type；可以写 {}", button.kind, all.join("、"));
                self.add("type", what);
            }
        }
    }

    fn check_fields(&mut self, button: &Button, kind: &Kind) {
        for (field, most) in FIELDS {
            let value = button.fields.get(field).map(String::as_str);
            match (value.map(str::trim), kind.needs.contains(&field)) {
                (None | Some(""), true) => self.add("", format!("type 为 {} 时要写 {field}", kind.name)),
                (Some(_), false) => self.add(field, format!("type 为 {} 时不用写 {field}", kind.name)),
                _ => {}
            }
            let Some(value) = value else { continue };
            if let Some(most) = most.filter(|most| value.len() > *most) {
                self.add(field, format!("{field} 有 {} 字节，最多 {most} 字节", value.len()));
            }
            if field == "url" && !["http://", "https://"].iter().any(|scheme| value.starts_with(scheme)) {
                self.add(field, "url 要以 https:// 或 http:// 开头".to_owned());
            }
        }
    }
}

/// How wide a name is: two for a 汉字, one for a letter.
fn half_widths(name: &str) -> usize {
    name.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum()
}

impl Client {
    /// The menu WeChat has, made over the API; `None` when there is none.
    pub async fn menu(&self) -> Result<Option<Menu>, CallError> {
        match self.ask(&api("/cgi-bin/menu/get"), None::<&()>).await {
            Ok(answer) => Ok(answer.get("menu").map(Menu::read)),
            Err(CallError { code: Some(NO_MENU), .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the menu. One that has faults is not sent.
    pub async fn publish_menu(&self, menu: &Menu) -> Result<(), CallError> {
        if let Some(fault) = menu.faults().into_iter().next() {
            return Err(CallError::lasting(fault.what));
        }
        self.ask(&api("/cgi-bin/menu/create"), Some(menu)).await.map(|_| ())
    }

    /// Takes the menu away, with all that are shown to some followers only.
    pub async fn delete_menu(&self) -> Result<(), CallError> {
        self.ask(&api("/cgi-bin/menu/delete"), None::<&()>).await.map(|_| ())
    }
}

const NO_MENU: i64 = 46003;

fn api(path: &'static str) -> Api {
    Api { path, what: "自定义菜单", meaning }
}

fn meaning(code: i64) -> Option<&'static str> {
    Some(match code {
        40015 | 40017 | 40024 | 40119 | 40120 => "微信不认菜单里的某个 type，请检查各个菜单的 type",
        40016 => "一级菜单的个数不对，要有 1 到 3 个",
        40023 => "子菜单的个数不对，最多 5 个",
        40018 | 40025 => "菜单名为空或太长，请改短",
        40019 | 40026 => "菜单的 key 为空或超过 128 字节",
        40020 | 40027 => "菜单的 url 为空或超过 1024 字节",
        40022 => "子菜单里不能再有子菜单",
        40054 | 40055 => "菜单里的网址不被微信接受，请换成已备案、公众号可用的域名",
        40007 => "菜单里的素材不存在或已过期，请换一个 media_id",
        53600 => "菜单里的图文不存在，请换一个 article_id",
        40033 | 47001 => "微信读不懂发去的菜单，请把这句话告诉开发人员",
        NO_MENU => "微信那里还没有菜单",
        65301..=65317 => "个性化菜单有冲突，请登录公众平台查看",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{Button, Menu};

    fn button(name: &str, kind: &str, fields: &[(&str, &str)]) -> Button {
        let fields = fields.iter().map(|(field, value)| ((*field).into(), (*value).into())).collect();
        Button { name: name.into(), kind: kind.into(), fields, below: Vec::new() }
    }

    fn faults(buttons: Vec<Button>) -> Vec<String> {
        Menu { buttons }.faults().into_iter().map(|fault| format!("{}|{}", fault.field, fault.what)).collect()
    }

    #[test]
    fn names_are_measured_as_they_are_shown_and_as_they_travel() {
        let named = |name: &str| faults(vec![button(name, "click", &[("key", "K")])]);
        for good in ["政策查询", "abcdefgh", "我的VIP", "👍👍👍👍"] {
            assert_eq!(named(good), Vec::<String>::new(), "{good}");
        }
        assert!(named("政策查询吧")[0].contains("最多显示 4 个汉字"));
        assert!(named("abcdefghi")[0].contains("最多显示 4 个汉字"));
        assert!(named(" ")[0].contains("要有 name"));
        let below = |name: &str| {
            let mut first = button("政策", "", &[]);
            first.below = vec![button(name, "view", &[("url", "https://a.cn/")])];
            faults(vec![first])
        };
        assert_eq!(below("一二三四五六七八"), Vec::<String>::new());
        assert!(below("一二三四五六七八九")[0].contains("最多显示 8 个汉字"));
    }

    #[test]
    fn keys_and_addresses_have_their_bytes_and_kinds_their_fields() {
        let one = |kind: &str, fields: &[(&str, &str)]| faults(vec![button("一", kind, fields)]);
        let (key, url) = ("k".repeat(128), format!("https://{}", "u".repeat(1016)));
        assert_eq!(one("click", &[("key", &key)]), Vec::<String>::new());
        assert_eq!(one("click", &[("key", &format!("{key}k"))]), ["key|key 有 129 字节，最多 128 字节"]);
        assert_eq!(one("view", &[("url", &url)]), Vec::<String>::new());
        assert_eq!(one("view", &[("url", &format!("{url}u"))]), ["url|url 有 1025 字节，最多 1024 字节"]);
        assert_eq!(one("view", &[("url", "a.cn")]), ["url|url 要以 https:// 或 http:// 开头"]);
        assert_eq!(one("click", &[]), ["|type 为 click 时要写 key"]);
        let both = [("key", "K"), ("url", "https://a.cn")];
        assert_eq!(one("click", &both), ["url|type 为 click 时不用写 url"]);
        let mini = [("url", "https://a.cn"), ("appid", "wx1")];
        assert_eq!(one("miniprogram", &mini), ["|type 为 miniprogram 时要写 pagepath"]);
        assert_eq!(one("media_id", &[]), ["|type 为 media_id 时要写 media_id"]);
        assert!(one("tap", &[])[0].contains("没有“tap”这种 type"));
        assert!(one("", &[])[0].contains("要写 type"));
    }

    #[test]
    fn three_stand_side_by_side_and_five_above_one() {
        let click = || button("一", "click", &[("key", "K")]);
        let with_below = |n: usize| {
            let mut first = button("一", "", &[]);
            first.below = (0..n).map(|_| click()).collect();
            first
        };
        assert_eq!(faults(vec![with_below(5), click(), click()]), Vec::<String>::new());
        assert!(faults(vec![click(), click(), click(), click()])[0].contains("有 4 个"));
        assert!(faults(Vec::new())[0].contains("有 0 个"));
        assert!(faults(vec![with_below(6)])[0].contains("子菜单有 6 个"));
        let mut deep = with_below(1);
        deep.below[0] = with_below(1);
        assert!(faults(vec![deep]).iter().any(|fault| fault.contains("不能再有子菜单")));
        let mut both = with_below(1);
        both.kind = "click".into();
        assert!(faults(vec![both])[0].contains("只会展开"));
    }
}
