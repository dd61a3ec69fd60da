//! What WeChat says about the account. Knows which calls are made and what their answers mean for the operator; what an
//! errcode means is `wechat`'s.

use super::{Check, Finding, Subject};
use crate::knowledge::FileError;
use crate::menu::{self, MenuFile};
use crate::wechat::menu::Menu;
use crate::wechat::{CallError, CallbackCheck, Client};
use std::time::Duration;

/// So long one thing is asked for. With the token's call before, this ends within what a control command may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// A clock so far off deserves a look; at five minutes every push is refused.
const OFF_S: u64 = 30;
const FAR_OFF_S: u64 = 120;
const NO_MENU_FILE: &str = "知识库文件夹里没有 menu.toml，菜单不由本服务管";

type Called<T> = Result<T, CallError>;

/// All that is asked there.
pub(super) async fn examine(subject: &Subject<'_>) -> Vec<Finding> {
    const ALL: [Check; 8] = [
        Check::Token,
        Check::Ip,
        Check::Clock,
        Check::Callback,
        Check::Menu,
        Check::CustomerService,
        Check::SubscribeTemplate,
        Check::Template,
    ];
    let Some(client) = subject.client else {
        let (why, todo) = ("沙箱里的微信只在服务运行时才有", "用 xinqi serve 启动服务后再检查一次");
        return ALL.map(|check| Finding::skipped(check, why, todo)).to_vec();
    };
    let begun = subject.clock.now();
    let token = client.check_anew().await;
    let mut findings = Vec::from(credentials(&token));
    findings.extend(match token {
        Ok(()) => interfaces(subject, client).await,
        Err(_) => {
            let skipped = |check: &Check| {
                Finding::skipped(*check, "没有 access_token，问不了微信", "先解决 access_token 的问题")
            };
            ALL[3..].iter().map(skipped).collect()
        }
    });
    let ahead = client.ahead().filter(|ahead| ahead.at >= begun);
    findings.push(clock(ahead.map(|ahead| ahead.seconds)));
    findings
}

async fn interfaces(subject: &Subject<'_>, client: &Client) -> Vec<Finding> {
    let dir = subject.config.knowledge_dir.clone();
    let file = tokio::task::spawn_blocking(move || menu::read(&dir)).await;
    // A panic in there has been reported by the runtime.
    let file = file.unwrap_or(Ok(None));
    let (subscribe, message) = (&subject.config.ladder.subscribe_template, &subject.config.ladder.template);
    let (callback, menu, customer_service, subscribes, messages) = tokio::join!(
        within(client.callback_check()),
        within(client.menu()),
        within(client.customer_service_check()),
        templates(subscribe, client.subscribe_templates()),
        templates(message, client.message_templates()),
    );
    vec![
        callback_network(callback),
        published_menu(file, menu),
        service_interface(customer_service, subject.config.wechat.customer_service),
        template(Check::SubscribeTemplate, subscribe, subscribes),
        template(Check::Template, message, messages),
    ]
}

async fn within<T>(call: impl Future<Output = Called<T>>) -> Called<T> {
    let done = tokio::time::timeout(PATIENCE, call).await;
    done.unwrap_or_else(|_| Err(CallError::lasting("微信没有按时回应")))
}

/// Nothing is asked where none is set.
async fn templates(id: &str, call: impl Future<Output = Called<Vec<String>>>) -> Called<Vec<String>> {
    if id.is_empty() { Ok(Vec::new()) } else { within(call).await }
}

/// The token, and whether this machine may fetch it.
fn credentials(token: &Called<()>) -> [Finding; 2] {
    const AGAIN: &str = "按这句话改好后再检查一次；改了配置要先重启服务";
    let no_ip =
        || Finding::skipped(Check::Ip, "没有取到 access_token，还不知道", "先解决 access_token 的问题");
    let Err(CallError { code, why, .. }) = token else {
        return [
            Finding::pass(Check::Token, "微信给了 access_token，AppID 和 AppSecret 对"),
            Finding::pass(Check::Ip, "微信接受从本机发出的调用"),
        ];
    };
    match code {
        Some(40164 | 89500..=89599) => [
            Finding::fail(
                Check::Token,
                "没有取到 access_token，因为微信不接受本机的地址",
                "先处理 IP 白名单",
            ),
            Finding::fail(
                Check::Ip,
                why,
                "登录公众平台“设置与开发”→“基本配置”→“IP 白名单”处理，几分钟后再检查一次",
            ),
        ],
        Some(-1 | 45009 | 45011) => [Finding::warn(Check::Token, why, "过一会儿再检查一次"), no_ip()],
        Some(_) => [Finding::fail(Check::Token, why, AGAIN), no_ip()],
        None => [
            Finding::fail(
                Check::Token,
                format!("没有取到 access_token：{why}"),
                "检查本机能不能访问 api.weixin.qq.com（防火墙、代理、DNS），再检查一次",
            ),
            no_ip(),
        ],
    }
}

fn clock(ahead: Option<i64>) -> Finding {
    let check = Check::Clock;
    let Some(seconds) = ahead else {
        return Finding::skipped(check, "没有得到微信的回应，比不了时间", "先解决 access_token 的问题");
    };
    let off = seconds.unsigned_abs();
    let which = if seconds > 0 { "快" } else { "慢" };
    let todo =
        "校准本机时间，打开自动对时（chrony 或 systemd-timesyncd）；相差 5 分钟，微信的推送会全部被拒绝";
    match off {
        ..OFF_S => Finding::pass(check, format!("本机时钟与微信相差 {off} 秒")),
        OFF_S..FAR_OFF_S => Finding::warn(check, format!("本机时钟比微信{which} {off} 秒"), todo),
        _ => Finding::fail(check, format!("本机时钟比微信{which} {off} 秒"), todo),
    }
}

/// A call that did not say what it was asked.
fn unanswered(check: Check, error: &CallError) -> Finding {
    match error.code {
        Some(48001) => Finding::warn(
            check,
            &error.why,
            "不影响别的功能，服务没有因此打开或关上什么；要用它，先在公众平台完成认证并开通",
        ),
        Some(_) => Finding::warn(check, &error.why, "按这句话处理后再检查一次"),
        None => Finding::skipped(check, format!("没有查成：{}", error.why), "过一会儿再检查一次"),
    }
}

fn callback_network(answer: Called<CallbackCheck>) -> Finding {
    let check = Check::Callback;
    let seen = match answer {
        Ok(seen) => seen,
        Err(error) if error.code == Some(40201) => {
            return Finding::fail(
                check,
                error.why,
                "到公众平台“基本配置”→“服务器配置”把 URL 填成 public_url 后面加 /wechat，提交并启用",
            );
        }
        Err(error) => return unanswered(check, &error),
    };
    let Some(first) = seen.resolved.first() else {
        return Finding::fail(
            check,
            "微信解析不到回调地址的域名",
            "检查公众平台上的 URL 有没有写错，域名的 DNS 记录有没有生效",
        );
    };
    let n = seen.resolved.len();
    let at = if n > 1 { format!("{first} 等 {n} 个地址") } else { first.to_string() };
    if !seen.pings.is_empty() && seen.pings.iter().all(|ping| ping.lost_percent >= 100) {
        return Finding::warn(
            check,
            format!("微信能解析回调域名（{at}），但 ping 不通"),
            "很多防火墙不回应 ping：“收到的推送”通过就不用管，否则检查防火墙有没有放行 443 端口",
        );
    }
    Finding::pass(check, format!("微信能解析回调域名（{at}），网络能通"))
}

fn published_menu(file: Result<Option<MenuFile>, Vec<FileError>>, there: Called<Option<Menu>>) -> Finding {
    let check = Check::Menu;
    let file = match file {
        Ok(Some(file)) => file,
        Ok(None) => return Finding::skipped(check, NO_MENU_FILE, ""),
        Err(errors) => {
            let first = errors.first().map_or_else(String::new, ToString::to_string);
            let found = format!("menu.toml 有 {} 处错误，第一处是：{first}", errors.len());
            return Finding::fail(check, found, "运行 xinqi check，按列出的行号改");
        }
    };
    match there {
        Err(error) => unanswered(check, &error),
        Ok(None) => Finding::warn(
            check,
            "微信那里还没有用接口建的菜单，用户看不到 menu.toml 里写的",
            "运行 xinqi menu publish 发布",
        ),
        Ok(Some(there)) => match menu::difference(&there, &file.menu) {
            None => Finding::pass(check, "微信上的菜单和 menu.toml 一样"),
            Some(lines) => {
                let n = |sign: char| lines.iter().filter(|line| line.starts_with(sign)).count();
                Finding::warn(
                    check,
                    format!("微信上的菜单和 menu.toml 不一样：要去掉 {} 行、加上 {} 行", n('-'), n('+')),
                    "运行 xinqi menu diff 看哪里不同，再用 xinqi menu publish 发布",
                )
            }
        },
    }
}

fn service_interface(answer: Called<()>, wanted: bool) -> Finding {
    let check = Check::CustomerService;
    let code = answer.as_ref().err().map(|error| error.code);
    match (answer, wanted) {
        (Ok(()), true) => Finding::pass(check, "公众号可以用客服接口，办好的答复会主动送达"),
        (Ok(()), false) => Finding::warn(
            check,
            "公众号可以用客服接口，但配置 wechat.customer_service 写的是 false，答复要等用户下次来信",
            "要主动送达，把 wechat.customer_service 改成 true 后重启服务",
        ),
        (Err(error), true) if code == Some(Some(48001)) => Finding::warn(
            check,
            error.why,
            "把配置 wechat.customer_service 改成 false 并重启，答复就在用户下次来信时送达；或先完成微信认证",
        ),
        (Err(_), false) if code == Some(Some(48001)) => Finding::pass(
            check,
            "公众号没有客服接口的权限，配置 wechat.customer_service 也是 false，答复在用户下次来信时送达",
        ),
        (Err(error), _) => unanswered(check, &error),
    }
}

fn template(check: Check, id: &str, there: Called<Vec<String>>) -> Finding {
    match there {
        _ if id.is_empty() => Finding::skipped(check, "没有配置模板", ""),
        Ok(ids) if ids.iter().any(|one| one == id) => Finding::pass(check, "配置的模板在公众号里"),
        Ok(ids) => Finding::fail(
            check,
            format!("公众号的 {} 个模板里没有配置的“{id}”", ids.len()),
            "到公众平台复制模板 ID，改好配置后重启服务",
        ),
        Err(error) => unanswered(check, &error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    fn error<T>(code: i64) -> Called<T> {
        Err(CallError { code: Some(code), ..CallError::lasting(format!("错误码 {code}")) })
    }

    #[test]
    fn a_clock_is_warned_of_at_half_a_minute_and_fails_at_two() {
        let level = |seconds| clock(Some(seconds)).level;
        assert_eq!([0, 29, -29].map(level), [Level::Pass; 3]);
        assert_eq!([30, -30, 119, -119].map(level), [Level::Warn; 4]);
        assert_eq!([120, -120, i64::MIN, i64::MAX].map(level), [Level::Fail; 4]);
        assert!(clock(Some(-40)).found.contains("慢 40 秒") && clock(Some(40)).found.contains("快 40 秒"));
        assert_eq!(clock(None).level, Level::Skipped);
    }

    #[test]
    fn what_the_network_check_says_is_judged_with_care() {
        let level = |resolved: &[&str], lost: &[u8]| {
            let ip = |text: &&str| text.parse().unwrap();
            let ping = |lost: &u8| crate::wechat::Ping { ip: ip(&"203.0.113.7"), lost_percent: *lost };
            let pings = lost.iter().map(ping).collect();
            callback_network(Ok(CallbackCheck { resolved: resolved.iter().map(ip).collect(), pings })).level
        };
        assert_eq!(level(&["203.0.113.7"], &[0, 100]), Level::Pass);
        assert_eq!(level(&["203.0.113.7"], &[]), Level::Pass);
        assert_eq!(level(&["203.0.113.7"], &[100, 100]), Level::Warn);
        assert_eq!(level(&[], &[]), Level::Fail);
        assert_eq!(callback_network(error(40201)).level, Level::Fail);
        assert_eq!(callback_network(error(48001)).level, Level::Warn);
    }

    #[test]
    fn what_the_account_may_not_do_is_a_warning_and_a_template_that_is_not_there_fails() {
        assert_eq!(service_interface(error(48001), true).level, Level::Warn);
        assert_eq!(service_interface(error(48001), false).level, Level::Pass);
        assert_eq!(service_interface(Ok(()), false).level, Level::Warn);
        assert_eq!(service_interface(Ok(()), true).level, Level::Pass);
        let of = |id: &str, there| template(Check::Template, id, there).level;
        assert_eq!(of("", Ok(Vec::new())), Level::Skipped);
        assert_eq!(of("a", Ok(vec!["a".into()])), Level::Pass);
        assert_eq!(of("a", Ok(vec!["b".into()])), Level::Fail);
        assert_eq!(of("a", error(48001)), Level::Warn);
    }

    #[test]
    fn an_address_wechat_does_not_know_is_its_own_line() {
        let [token, ip] = credentials(&error(40164));
        assert_eq!((token.level, ip.level), (Level::Fail, Level::Fail));
        assert!(ip.found.contains("40164") && !token.found.contains("40164"));
        let [token, ip] = credentials(&error(40125));
        assert_eq!((token.level, ip.level), (Level::Fail, Level::Skipped));
        assert_eq!(credentials(&error(-1))[0].level, Level::Warn);
        assert_eq!(credentials(&Ok(())).map(|finding| finding.level), [Level::Pass; 2]);
    }
}
