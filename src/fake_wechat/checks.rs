//! How the account stands at the fake WeChat, for who only looks (PROTOCOL.md §7–§9): its templates and its
//! customer-service accounts, and which interfaces it may not use. Knows no tokens and no HTTP.

use super::FakeWechat;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const ACCOUNTS: &str = "/cgi-bin/customservice/getkflist";
const SUBSCRIBE_TEMPLATES: &str = "/wxaapi/newtmpl/gettemplate";
const TEMPLATES: &str = "/cgi-bin/template/get_all_private_template";
/// What is answered here; all of it by GET.
pub(super) const PATHS: [&str; 3] = [ACCOUNTS, SUBSCRIBE_TEMPLATES, TEMPLATES];
/// Nobody denies more interfaces than there are.
const MAX_DENIED: usize = 100;

/// The account's standing.
#[derive(Default)]
pub(super) struct Checks {
    subscribe_template: String,
    template: String,
    denied: BTreeMap<String, i64>,
}

impl Checks {
    /// The errcode an interface answers whatever is asked of it.
    pub(super) fn denied(&self, path: &str) -> Option<i64> {
        self.denied.get(path).copied()
    }

    pub(super) fn answer(&self, path: &str) -> Option<Value> {
        let given = |id: &String| (!id.is_empty()).then(|| id.clone());
        Some(match path {
            ACCOUNTS => json!({ "kf_list": [] }),
            SUBSCRIBE_TEMPLATES => {
                let all = given(&self.subscribe_template).map(|id| json!({ "priTmplId": id, "type": 2 }));
                json!({ "errcode": 0, "errmsg": "ok", "data": Vec::from_iter(all) })
            }
            TEMPLATES => {
                let all = given(&self.template).map(|id| json!({ "template_id": id }));
                json!({ "template_list": Vec::from_iter(all) })
            }
            _ => return None,
        })
    }
}

impl FakeWechat {
    /// From now on `path` answers this errcode; 0: as ever.
    pub fn deny(&self, path: &str, errcode: i64) {
        let denied = &mut self.state().checks.denied;
        if errcode == 0 {
            denied.remove(path);
        } else if denied.len() < MAX_DENIED {
            denied.insert(path.to_owned(), errcode);
        }
    }

    /// The one template the account has for subscribe notifications, and the one for template messages; empty: none.
    pub fn has_templates(&self, subscribe: &str, message: &str) {
        let checks = &mut self.state().checks;
        (checks.subscribe_template, checks.template) = (subscribe.to_owned(), message.to_owned());
    }
}
