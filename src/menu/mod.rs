//! The office's own menu as an editor writes it (`menu.toml` in the knowledge folder), and how it differs from the one
//! WeChat has. Must not know how WeChat is reached; what a menu may be is `wechat::menu`'s.

mod compare;
mod file;

pub use compare::{difference, outline};
pub use file::{MenuFile, read};

use crate::conversation::is_known_key;
use crate::knowledge::Knowledge;

impl MenuFile {
    /// What an editor should look at: buttons that work but lead nowhere. Each with the file and its line.
    pub fn warnings(&self, knowledge: &Knowledge) -> Vec<String> {
        let mut warnings = Vec::new();
        for (first, below, button) in self.all() {
            let (field, what) = match (button.kind.as_str(), button.fields.get("key")) {
                ("click", Some(key)) if !is_known_key(knowledge, key) => (
                    "key",
                    format!(
                        "机器人不认识 key “{key}”，点了只会得到使用说明；可以写 policy、resumption、labour、legal、\
                         service、MY_TICKETS、HUMAN、MENU，或一条知识的编号"
                    ),
                ),
                ("scancode_waitmsg", _) => {
                    ("type", "机器人不回应扫码的结果，手机会一直等；请改用 scancode_push".to_owned())
                }
                _ => continue,
            };
            warnings.push(self.at(Some(first), below, field, what).to_string());
        }
        warnings
    }
}
