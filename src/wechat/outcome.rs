//! What WeChat's error codes mean for a message that was to be sent, and for any other call (PROTOCOL.md §6, §7, §13): by
//! what the caller should do, and in a sentence for the operator. Pure; knows no HTTP and keeps nothing.

use crate::clock::Timestamp;
use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

/// After a day's quota is used up: long enough to stop, short enough to notice that an operator had it cleared.
const AFTER_DAY_QUOTA: Duration = Duration::from_secs(30 * 60);
/// The errcode of a media_id that is none (any more).
pub(super) const NO_SUCH_MEDIA: i64 = 40007;
const AFTER_MINUTE_QUOTA: Duration = Duration::from_secs(60);
/// How long nothing is called after an error that only an operator can mend.
pub(super) const AFTER_CREDENTIALS: Duration = Duration::from_secs(120);

/// How sending ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// WeChat took it.
    Sent,
    /// Try again later. After a time-out it may have been sent all the same.
    Transient {
        /// What happened, for the operator.
        why: String,
        /// Not before this has passed; `None` leaves it to the caller's schedule.
        after: Option<Duration>,
    },
    /// Trying again would not help.
    Refused {
        /// WeChat's errcode.
        code: i64,
        /// What it means, for the operator.
        why: String,
        /// What to do about it.
        kind: RefusedKind,
    },
}

/// Why sending again would not help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedKind {
    /// 45015: the follower wrote too long ago, or left.
    WindowClosed,
    /// 45047: all messages of this window are used.
    CountSpent,
    /// This person cannot be reached at all.
    Unreachable,
    /// This account may not do it: the way is closed to everybody, and an operator should know.
    NotAllowed,
    /// This way does not lead to this person with this message (no consent, template or field not accepted): another may.
    NextRung,
    /// This message is wrong: it can never be sent.
    Invalid,
    /// A code nobody has told us of: it may pass.
    Unknown,
}

/// By which interface something is sent.
#[derive(Clone, Copy)]
pub(super) enum Way {
    /// Customer-service messages (§7).
    Service,
    /// Subscribe notifications (§8).
    Subscribe,
    /// Template messages (§9).
    Template,
}

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::Service => "客服消息",
            Self::Subscribe => "订阅通知",
            Self::Template => "模板消息",
        }
    }
}

/// Something only an operator can mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Since when, without a success between.
    pub since: Timestamp,
    /// What it is and what to do.
    pub sentence: String,
}

/// Why a call that sends nobody anything came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct CallError {
    /// WeChat's errcode, where it is about this call; `None` where the call did not get so far.
    pub code: Option<i64>,
    /// What it means and what to do, for the operator.
    pub why: String,
    /// Whether the same call may go better later.
    pub passing: bool,
    /// Not before this has passed; `None` leaves it to the caller's schedule.
    pub after: Option<Duration>,
}

impl CallError {
    /// One that lasts, and about which WeChat said no code: the call was not made, or not understood.
    pub(crate) fn lasting(why: impl Into<String>) -> Self {
        Self { code: None, why: why.into(), passing: false, after: None }
    }

    /// 40007: the file has expired, or never was (§13). Uploading it again may help, asking again does not.
    pub const fn is_no_such_media(&self) -> bool {
        matches!(self.code, Some(NO_SUCH_MEDIA))
    }
}

/// What the answer to an API call asks for.
pub(super) enum Verdict<T> {
    /// This is how it ended.
    Done(T),
    /// It may go better next time; the sentence says what happened.
    Passing(String),
    /// The token is not good (any more).
    Token,
    /// Nothing will work for a while; the sentence says what to do.
    Halt { sentence: String, after: Duration },
}

impl<T> Verdict<T> {
    /// The same with another ending.
    pub(super) fn map<U>(self, f: impl FnOnce(T) -> U) -> Verdict<U> {
        match self {
            Self::Done(done) => Verdict::Done(f(done)),
            Self::Passing(why) => Verdict::Passing(why),
            Self::Token => Verdict::Token,
            Self::Halt { sentence, after } => Verdict::Halt { sentence, after },
        }
    }
}

/// Judges the answer to a sent message.
pub(super) fn judge(way: Way, errcode: Option<i64>, errmsg: &str) -> Verdict<Outcome> {
    match errcode {
        None => Verdict::Passing("微信接口的回应里没有 errcode".to_owned()),
        Some(0) => Verdict::Done(Outcome::Sent),
        Some(code) => judge_account(code, errmsg).unwrap_or_else(|| {
            let (kind, meaning) = refusal(way, code, errmsg);
            Verdict::Done(Outcome::Refused { code, why: with_code(&meaning, code, errmsg), kind })
        }),
    }
}

/// Judges the answer to any other call, which came with `data`; no errcode is success there (§6). `what` names the
/// interface for people, and `meaning` knows the codes that only this interface has.
pub(super) fn judge_call<T>(
    data: T,
    errcode: Option<i64>,
    errmsg: &str,
    what: &str,
    meaning: fn(i64) -> Option<&'static str>,
) -> Verdict<Result<T, CallError>> {
    let Some(code) = errcode.filter(|code| *code != 0) else { return Verdict::Done(Ok(data)) };
    if code == -1 {
        return Verdict::Passing(format!("微信系统繁忙，{what}这次没有成，请过几分钟再试（错误码 -1）"));
    }
    judge_account(code, errmsg).unwrap_or_else(|| {
        let meaning = match (meaning(code), code) {
            (Some(meaning), _) => meaning.to_owned(),
            (_, 48001) => format!("公众号没有{what}接口的权限，请确认已完成微信认证、账号类型可以使用它"),
            (_, 48004) => format!("{what}接口被封禁，请登录公众平台查看通知"),
            (_, 48006 | 50001 | 50002) => "公众号的接口权限受限，请登录公众平台查看通知".to_owned(),
            (_, 40200) => format!("这类公众号不能使用{what}"),
            _ => format!("微信没有接受这次{what}操作，原话是“{}”", said(errmsg)),
        };
        let why = with_code(&meaning, code, errmsg);
        Verdict::Done(Err(CallError { code: Some(code), ..CallError::lasting(why) }))
    })
}

/// What an errcode asks for that is about the account as a whole, whatever was called.
fn judge_account<T>(code: i64, errmsg: &str) -> Option<Verdict<T>> {
    Some(match code {
        -1 => Verdict::Passing("微信系统繁忙（错误码 -1）".to_owned()),
        40001 | 40014 | 42001 | 41001 => Verdict::Token,
        45009 | 45011 => halt_for_quota(code, errmsg),
        _ if is_credentials(code) => {
            Verdict::Halt { sentence: trouble_sentence(code, errmsg), after: AFTER_CREDENTIALS }
        }
        _ => return None,
    })
}

/// Judges a refused token; `None` when it is worth asking again soon.
pub(super) fn judge_token(code: i64, errmsg: &str) -> Option<(String, Duration)> {
    match code {
        -1 => None,
        45009 => Some((with_code("今日调用微信接口的次数已用完", code, errmsg), AFTER_DAY_QUOTA)),
        45011 => Some((with_code("调用微信接口过于频繁", code, errmsg), AFTER_MINUTE_QUOTA)),
        _ => Some((trouble_sentence(code, errmsg), AFTER_CREDENTIALS)),
    }
}

fn halt_for_quota<T>(code: i64, errmsg: &str) -> Verdict<T> {
    let (meaning, after) = match code {
        45011 => ("调用微信接口过于频繁，一分钟后再试", AFTER_MINUTE_QUOTA),
        _ => ("今日调用微信接口的次数已用完，次日零时恢复；急用时可在公众平台清零", AFTER_DAY_QUOTA),
    };
    Verdict::Halt { sentence: with_code(meaning, code, errmsg), after }
}

const fn is_credentials(code: i64) -> bool {
    matches!(code, 40013 | 40125 | 40164 | 40243 | 41002 | 41004 | 50004 | 50007 | 89500..=89599)
}

fn refusal(way: Way, code: i64, errmsg: &str) -> (RefusedKind, Cow<'static, str>) {
    use RefusedKind::{CountSpent, Invalid, NextRung, NotAllowed, Unknown, Unreachable, WindowClosed};
    let (kind, meaning) = match code {
        45015 => (WindowClosed, "对方超过 48 小时没有来信或已取消关注，微信不允许主动发送"),
        45047 => (CountSpent, "对方来信后可主动发送的条数已用完"),
        40003 => (Unreachable, "微信不认得这个 OpenID，可能属于另一个公众号"),
        43004 | 50005 => (Unreachable, "对方没有关注公众号"),
        43019 => (Unreachable, "对方在公众号的黑名单中"),
        48002 => (Unreachable, "对方拒收公众号的消息"),
        70000 => (Unreachable, "对方处于未成年人保护模式，无法接收"),
        48006 | 50001 | 50002 => (NotAllowed, "公众号的接口权限受限，请登录公众平台查看通知"),
        48001 | 48004 | 40200 | 65400 => return (NotAllowed, not_allowed(way, code).into()),
        43101 => (NextRung, "对方没有订阅这个通知，或订阅的次数已用完"),
        40037 => (NextRung, "模板编号不对，或模板已被删除：请在公众平台核对后改配置"),
        41030 => (NextRung, "通知里的小程序页面不对"),
        47003 => return (NextRung, wrong_field(errmsg).into()),
        44004 => (Invalid, "消息内容为空"),
        45002 => (Invalid, "消息超过 2048 字节"),
        45003 => (Invalid, "图文的标题过长"),
        45004 => (Invalid, "图文的描述过长"),
        45005 => (Invalid, "图文的链接过长"),
        45008 => (Invalid, "图文多于一条"),
        NO_SUCH_MEDIA => (Invalid, "素材不存在或已过期"),
        _ => (Unknown, "微信拒绝了这条消息"),
    };
    (kind, meaning.into())
}

fn not_allowed(way: Way, code: i64) -> String {
    let name = way.name();
    match code {
        48001 => format!("公众号没有{name}接口的权限，请确认已完成微信认证、已开通{name}"),
        48004 => format!("{name}接口被封禁，请登录公众平台查看通知"),
        _ => format!("这类公众号不能使用{name}，或尚未开通"),
    }
}

/// The field in "argument invalid! data.thing1.value invalid": nothing else of it, because a value may stand there.
fn wrong_field(errmsg: &str) -> String {
    let field = errmsg.split_once("data.").map(|(_, field)| field).unwrap_or_default();
    let field: String =
        field.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect();
    match field.as_str() {
        "" => "通知里有一项不合模板的规定，微信没有说是哪一项".to_owned(),
        field => format!("通知里的 {field} 一项不合模板的规定：请核对模板里这一项的类型"),
    }
}

/// What an operator has to do about a refused credential (§6).
fn trouble_sentence(code: i64, errmsg: &str) -> String {
    let meaning = match code {
        40013 | 41002 => "AppID 无效：请核对配置中的 AppID 与公众平台上的开发者 ID",
        40001 | 40125 | 41004 => "AppSecret 不对：请在公众平台核对或重置，更新配置后重启",
        40243 => "AppSecret 已被冻结：请登录公众平台解冻",
        40164 => {
            let address = refused_ip(errmsg).map_or_else(String::new, |ip| format!(" {ip} "));
            let meaning = format!("本机公网地址{address}不在 IP 白名单中：请在公众平台的 IP 白名单中加入它");
            return with_code(&meaning, code, errmsg);
        }
        50004 | 50007 => "公众号被冻结或禁用：请登录公众平台查看通知",
        89500..=89599 => "本机 IP 的调用需要管理员确认：请公众号管理员在微信中确认，被拒绝后需等待",
        _ => "微信不给 access_token，请按错误码查阅公众平台文档",
    };
    with_code(meaning, code, errmsg)
}

/// The address in "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist".
fn refused_ip(errmsg: &str) -> Option<IpAddr> {
    let words = errmsg.split(|c: char| c.is_whitespace() || c == ',');
    words.filter_map(|word| word.parse().ok()).next()
}

/// WeChat's own words without the `rid`, short enough for a line.
fn said(errmsg: &str) -> String {
    let words = errmsg.split("rid: ").next().unwrap_or_default().trim();
    words.chars().filter(|c| !c.is_control()).take(80).collect()
}

/// Adds the code, and the `rid` by which WeChat's support finds the call (§6).
fn with_code(meaning: &str, code: i64, errmsg: &str) -> String {
    let rid = errmsg.split_once("rid: ").map(|(_, rid)| rid);
    let rid = rid.map(|rid| rid.chars().take_while(|c| c.is_ascii_hexdigit() || *c == '-').take(40));
    match rid.map(Iterator::collect::<String>).filter(|rid| !rid.is_empty()) {
        Some(rid) => format!("{meaning}（错误码 {code}，rid {rid}）"),
        None => format!("{meaning}（错误码 {code}）"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, RefusedKind, Verdict, Way, judge, judge_token};

    fn kind(code: i64) -> Option<RefusedKind> {
        match judge(Way::Service, Some(code), "") {
            Verdict::Done(Outcome::Refused { kind, why, .. }) => {
                assert!(why.contains(&code.to_string()));
                Some(kind)
            }
            _ => None,
        }
    }

    #[test]
    fn codes_are_sorted_by_what_to_do() {
        assert_eq!(kind(45015), Some(RefusedKind::WindowClosed));
        assert_eq!(kind(45047), Some(RefusedKind::CountSpent));
        for code in [40003, 43004, 43019, 48002, 50005, 70000] {
            assert_eq!(kind(code), Some(RefusedKind::Unreachable), "{code}");
        }
        for code in [48001, 48004, 48006, 50001, 50002, 40200, 65400] {
            assert_eq!(kind(code), Some(RefusedKind::NotAllowed), "{code}");
        }
        for code in [45002, 45003, 45004, 45005, 45008, 44004, 40007] {
            assert_eq!(kind(code), Some(RefusedKind::Invalid), "{code}");
        }
        for code in [43101, 40037, 47003, 41030] {
            assert_eq!(kind(code), Some(RefusedKind::NextRung), "{code}");
        }
        for code in [47001, 40008, 9_001_001, i64::MAX, i64::MIN] {
            assert_eq!(kind(code), Some(RefusedKind::Unknown), "{code}");
        }
        for code in [40001, 40014, 42001, 41001] {
            assert!(matches!(judge(Way::Service, Some(code), ""), Verdict::Token), "{code}");
        }
        for code in [45009, 45011, 40164, 40125, 89503] {
            assert!(matches!(judge(Way::Service, Some(code), ""), Verdict::Halt { .. }), "{code}");
        }
        assert!(matches!(judge(Way::Service, None, ""), Verdict::Passing(_)));
        assert!(matches!(judge(Way::Service, Some(-1), ""), Verdict::Passing(_)));
    }

    #[test]
    fn a_refused_credential_says_what_to_do() {
        let message = "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist rid: 6a-00ff rest";
        let (sentence, _) = judge_token(40164, message).unwrap();
        assert!(sentence.contains("203.0.113.7 不在 IP 白名单"), "{sentence}");
        assert!(sentence.ends_with("（错误码 40164，rid 6a-00ff）"), "{sentence}");
        let (sentence, _) = judge_token(40164, "not in whitelist").unwrap();
        assert!(sentence.starts_with("本机公网地址不在"), "{sentence}");
        assert!(judge_token(40125, "").unwrap().0.contains("AppSecret"));
        assert!(judge_token(40243, "").unwrap().0.contains("冻结"));
        assert!(judge_token(-1, "").is_none());
    }

    #[test]
    fn a_closed_way_is_called_by_its_name_and_a_wrong_field_by_its_own() {
        let why = |way: Way, code: i64, errmsg: &str| match judge(way, Some(code), errmsg) {
            Verdict::Done(Outcome::Refused { why, kind, .. }) => {
                assert!(matches!(kind, RefusedKind::NotAllowed | RefusedKind::NextRung), "{why}");
                why
            }
            _ => panic!("{code}"),
        };
        assert!(why(Way::Service, 48001, "").starts_with("公众号没有客服消息接口的权限"));
        assert!(why(Way::Subscribe, 48001, "").starts_with("公众号没有订阅通知接口的权限"));
        assert!(why(Way::Template, 40200, "").contains("模板消息"));
        let said = why(Way::Subscribe, 47003, "argument invalid! data.thing12.value 张三 rid: 6a-01");
        assert!(said.contains(" thing12 ") && said.ends_with("（错误码 47003，rid 6a-01）"), "{said}");
        assert!(!said.contains("张三"), "{said}");
        assert!(why(Way::Template, 47003, "argument invalid").contains("没有说是哪一项"));
    }
}
