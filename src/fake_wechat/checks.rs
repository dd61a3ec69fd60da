//! How the account stands at the fake WeChat, for who only looks: the one template of each kind it has, and interfaces that
//! it may not use. Knows no tokens and no HTTP.

use super::{FakeWechat, Template, TemplateKind, api};

impl FakeWechat {
    /// From now on `path` answers this errcode; 0: as ever.
    pub fn deny(&self, path: &str, errcode: i64) {
        let Some(path) = api::known_path(path) else { return };
        let failing = &mut self.state().failing_paths;
        if errcode == 0 {
            failing.remove(path);
        } else {
            failing.insert(path, (u32::MAX, errcode));
        }
    }

    /// The templates the account has: one for subscribe notifications, each consent good for one, and one for template
    /// messages. Both have the fields `thing1`, `character_string2` and `time3`.
    pub fn has_templates(&self, subscribe: &str, message: &str) {
        let content = "事项:{{thing1.DATA}}\n编号:{{character_string2.DATA}}\n时间:{{time3.DATA}}";
        let template = |id: &str, kind| Template {
            id: id.to_owned(),
            title: "咨询答复通知".to_owned(),
            content: content.to_owned(),
            kind,
        };
        let both = [(subscribe, TemplateKind::Once), (message, TemplateKind::Message)];
        let given = both.into_iter().filter(|(id, _)| !id.is_empty());
        self.state().templates = given.map(|(id, kind)| template(id, kind)).collect();
    }
}
