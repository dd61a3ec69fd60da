//! What can be seen from here without asking WeChat: settings, knowledge, calendar, store. Judges what it is handed.

use super::{Check, Finding, Subject};
use crate::library;
use crate::wechat::crypto::check_token;
use crate::wechat::{Crypt, KeyError, Mode};

/// The settings that WeChat's side depends on.
pub(super) fn settings(subject: &Subject<'_>) -> Vec<Finding> {
    let wechat = &subject.config.wechat;
    let address = if wechat.is_sandbox() {
        Finding::skipped(Check::Address, "沙箱模式没有接公众号，不需要公网地址", "")
    } else {
        address(subject.config.webhook_url().as_deref())
    };
    let keys = if wechat.is_sandbox() {
        Finding::skipped(Check::Keys, "沙箱模式的密钥由服务自己生成", "")
    } else {
        let sealed = || Crypt::new(&wechat.token, &wechat.encoding_aes_key, &wechat.app_id).map(drop);
        keys(if wechat.mode == Mode::Plain { check_token(&wechat.token) } else { sealed() })
    };
    vec![address, mode(wechat.mode), keys]
}

/// WeChat pushes to port 80 or 443 only (§1), and what is typed in the console must not travel in the open.
fn address(url: Option<&str>) -> Finding {
    let Some(url) = url else {
        return Finding::fail(
            Check::Address,
            "没有填 public_url，别人和微信都不知道服务在哪里",
            "在配置里写 public_url = \"https://你的域名\"，重启服务，再到公众平台把服务器地址填成它后面加 /wechat",
        );
    };
    let Some(rest) = url.strip_prefix("https://") else {
        return Finding::fail(
            Check::Address,
            format!("public_url 不是 https，消息和密码会以明文经过网络；现在的回调地址是 {url}"),
            "给域名配好证书，把 public_url 改成 https:// 开头，重启服务，并在公众平台改服务器地址",
        );
    };
    let host = rest.split('/').next().unwrap_or_default();
    // In an IPv6 address the last colon may stand inside brackets.
    let port = host.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'));
    match port {
        None | Some("443") => Finding::pass(Check::Address, format!("微信应推送到 {url}")),
        Some(_) => Finding::fail(
            Check::Address,
            format!("public_url 带了端口，微信只往 443（https）推送；现在的回调地址是 {url}"),
            "让反向代理在 443 端口接收，把 public_url 里的端口去掉，重启服务",
        ),
    }
}

fn mode(mode: Mode) -> Finding {
    match mode {
        Mode::Safe => Finding::pass(Check::Mode, "安全模式，消息加密并有签名"),
        Mode::Compat => Finding::pass(Check::Mode, "兼容模式，只用其中加密的部分"),
        Mode::Plain => Finding::warn(
            Check::Mode,
            "明文模式，签名不保护消息内容，知道地址的人可能伪造消息",
            "在公众平台改为安全模式，把配置 wechat.mode 改成 \"safe\" 并填 encoding_aes_key，重启服务",
        ),
    }
}

fn keys(looked: Result<(), KeyError>) -> Finding {
    match looked {
        Ok(()) => Finding::pass(Check::Keys, "密钥填全了，格式对"),
        Err(error) => Finding::fail(Check::Keys, error.to_string(), "改好配置后重启服务，再检查一次"),
    }
}

/// Knowledge, calendar and store.
pub(super) fn house(subject: &Subject<'_>) -> Vec<Finding> {
    let store = match &subject.service {
        None => Finding::skipped(Check::Store, "服务没有运行，没有打开数据", "启动服务后再检查一次"),
        Some(service) if service.store_is_well => room(service.files),
        Some(_) => Finding::fail(
            Check::Store,
            "数据写不进磁盘，现在的来信都得不到答复",
            "看磁盘是否已满、data_dir 是否可写，处理后重启服务",
        ),
    };
    let [knowledge, calendar] = handbook(subject);
    vec![knowledge, calendar, store]
}

/// The store can write; how much room is left for files of tickets.
fn room((used, whole): (u64, u64)) -> Finding {
    const MIB: u64 = 1024 * 1024;
    let said = format!("数据能写入，附件占 {} MB，上限 {} MB", used.div_ceil(MIB), whole / MIB);
    // A tenth is left.
    if used > whole / 10 * 9 {
        let what = "调大 media.store_mib，或调小 media.keep_days 让旧附件在夜里清掉";
        return Finding::warn(Check::Store, said, what);
    }
    Finding::pass(Check::Store, said)
}

fn handbook(subject: &Subject<'_>) -> [Finding; 2] {
    const SEE: &str = "运行 xinqi check，按列出的文件和行号改";
    let today = subject.clock.now().date();
    let handbook = match &subject.handbook {
        Ok(handbook) => handbook,
        Err(what) => {
            return [
                Finding::fail(Check::Knowledge, what, SEE),
                Finding::skipped(Check::Calendar, "知识库读不了，没有看放假安排", "先改好知识库"),
            ];
        }
    };
    let trouble = subject.service.as_ref().and_then(|service| service.knowledge_trouble.as_deref());
    let warnings = handbook.knowledge.warnings(&subject.config.knowledge_dir, today);
    let n_entries = handbook.knowledge.entries().len();
    let knowledge = match (trouble, warnings.first()) {
        (Some(trouble), _) => Finding::fail(Check::Knowledge, trouble, SEE),
        (None, None) => Finding::pass(Check::Knowledge, format!("{n_entries} 条知识，没有错误也没有提醒")),
        (None, Some(first)) => Finding::warn(
            Check::Knowledge,
            format!("{n_entries} 条知识没有错误，有 {} 处提醒，第一处是：{first}", warnings.len()),
            "运行 xinqi check 看全部提醒，逐条处理",
        ),
    };
    let calendar = match library::calendar_warning(&handbook.calendar, today) {
        None => {
            let until = handbook.calendar.known_until().map_or_else(String::new, |day| day.to_string());
            Finding::pass(Check::Calendar, format!("放假安排到 {until}"))
        }
        Some(warning) => Finding::warn(
            Check::Calendar,
            warning,
            "照国务院办公厅当年的放假通知，在知识库的 calendar 文件夹里补上这一年",
        ),
    };
    [knowledge, calendar]
}

#[cfg(test)]
mod tests {
    use super::{address, keys, mode, room};
    use crate::doctor::Level;
    use crate::wechat::{KeyError, Mode};

    #[test]
    fn a_folder_of_files_that_is_nearly_full_is_a_warning() {
        let gib = 1 << 30;
        assert_eq!(room((0, 2 * gib)).level, Level::Pass);
        assert_eq!(room((gib, 2 * gib)).level, Level::Pass);
        let full = room((2 * gib - 1, 2 * gib));
        assert!(full.level == Level::Warn && full.found.contains("附件占 2048 MB，上限 2048 MB"), "{full:?}");
    }

    #[test]
    fn an_address_is_https_on_its_usual_port() {
        let level = |url| address(url).level;
        for good in ["https://a.cn/wechat", "https://a.cn:443/wechat", "https://[2001:db8::1]/wechat"] {
            assert_eq!(level(Some(good)), Level::Pass, "{good}");
        }
        for bad in ["http://a.cn/wechat", "https://a.cn:8443/wechat", "https://[2001:db8::1]:8080/wechat"] {
            assert_eq!(level(Some(bad)), Level::Fail, "{bad}");
        }
        assert!(address(None).found.contains("没有填 public_url"));
    }

    #[test]
    fn what_is_wrong_with_a_key_is_said_and_plain_mode_is_a_warning() {
        let finding = keys(Err(KeyError::Length(42)));
        assert!(finding.level == Level::Fail && finding.found.contains("42 个"), "{finding:?}");
        assert_eq!(mode(Mode::Plain).level, Level::Warn);
        assert_eq!(mode(Mode::Safe).level, Level::Pass);
    }
}
