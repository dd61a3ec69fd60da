//! What the pushes that came say about Token, EncodingAESKey and AppID. Pure. Anybody on the internet can send a request,
//! so a wrong signature is only a likely reason; what is signed with our token is nearly a proof.

use super::{Check, Finding};
use crate::clock::Timestamp;
use crate::wechat::{Count, Mode, Seen};
use crate::words::dated;

/// After a message got in, so many wrong signatures are taken for strangers'. WeChat sends each message three times.
const STRANGERS: u64 = 5;
const TRY: &str = "用手机给公众号发一句话，再检查一次";

/// Judges what came; `None`: no service runs that could have seen it.
pub(super) fn judge(seen: Option<&Seen>, mode: Mode, now: Timestamp) -> Finding {
    let check = Check::Pushes;
    let Some(seen) = seen else {
        return Finding::skipped(check, "服务没有运行，看不到公众平台推来了什么", "启动服务后再检查一次");
    };
    let times = |count: Count| format!("{} 次（最近一次 {}）", count.n, dated(count.last, now));
    if let Some((count, what, todo)) = proven(seen, mode) {
        return Finding::fail(check, format!("公众平台的推送有 {}{what}", times(count)), todo);
    }
    let signature = seen.signature;
    let wrong = format!("签名对不上 {}", times(signature));
    match (seen.good.n, signature.n) {
        (0, 0) if seen.echo.n > 0 => Finding::skipped(
            check,
            format!(
                "服务器地址验证通过 {}，Token 一致；还没有收到过消息，EncodingAESKey 和 AppID 没有得到验证",
                times(seen.echo)
            ),
            TRY,
        ),
        (0, 0) => Finding::skipped(check, "服务启动以来还没有收到公众平台的推送", TRY),
        (0, _) => Finding::fail(
            check,
            format!("公众平台推来的消息{wrong}，很可能是 Token 与公众平台填的不一致；外人乱发的请求也会这样"),
            "到公众平台“基本配置”核对 Token，与配置里的 wechat.token 改成一样，重启服务后用手机发一句话再检查",
        ),
        (_, STRANGERS..) => Finding::warn(
            check,
            format!(
                "收到过能验签的消息 {}，那以后{wrong}；要么公众平台上的 Token 刚改过，要么有外人在乱发请求",
                times(seen.good)
            ),
            "用手机给公众号发一句话：有答复就是外人乱发，不用管；没有答复就核对 Token",
        ),
        (_, n) => {
            let proof = match mode {
                Mode::Plain => "能验签，Token 与公众平台一致",
                _ => "能验签、能解开，Token、EncodingAESKey 和 AppID 都与公众平台一致",
            };
            let strange = if n == 0 {
                String::new()
            } else {
                format!("；那以后另有{wrong}，多半是外人乱发，已拒绝")
            };
            Finding::pass(check, format!("收到消息 {}，{proof}{strange}", times(seen.good)))
        }
    }
}

/// What is wrong although the token is right: only who knows the token can send that.
fn proven(seen: &Seen, mode: Mode) -> Option<(Count, String, &'static str)> {
    let name = match mode {
        Mode::Plain => "明文模式",
        Mode::Compat => "兼容模式",
        Mode::Safe => "安全模式",
    };
    let list = [
        (
            seen.app_id,
            "能验签、能解开，里面写的却不是本机配置的 AppID，很可能 wechat.app_id 填的是另一个公众号"
                .to_owned(),
            "到公众平台“基本配置”核对 AppID，改好 wechat.app_id 后重启服务",
        ),
        (
            seen.key,
            "能验签但解不开，很可能是 EncodingAESKey 与公众平台填的不一致".to_owned(),
            "到公众平台“基本配置”完整复制 EncodingAESKey 到配置，重启服务后用手机发一句话再检查",
        ),
        (
            seen.mode,
            format!("能验签，但消息加解密方式与本机配置的{name}不一致"),
            "到公众平台“基本配置”把消息加解密方式改成一致（建议安全模式），或改配置 wechat.mode 后重启",
        ),
        (
            seen.stale,
            "能验签，但时间与本机相差超过 5 分钟而被拒绝，很可能本机时钟不准".to_owned(),
            "校准本机时间，打开自动对时（chrony 或 systemd-timesyncd），再检查一次",
        ),
    ];
    list.into_iter().find(|(count, ..)| count.n > 0)
}

#[cfg(test)]
mod tests {
    use super::{Count, Mode, Seen, Timestamp, judge};
    use crate::doctor::Level;

    const NOW: Timestamp = Timestamp::from_s(1_795_480_000);

    fn said(seen: Seen) -> (Level, String) {
        let finding = judge(Some(&seen), Mode::Safe, NOW);
        (finding.level, finding.found)
    }

    fn n(n: u64) -> Count {
        Count { n, last: NOW }
    }

    #[test]
    fn each_mistake_has_its_name() {
        let none = Seen::default();
        for (seen, level, words) in [
            (none, Level::Skipped, "还没有收到"),
            (Seen { echo: n(1), ..none }, Level::Skipped, "Token 一致"),
            (Seen { signature: n(3), ..none }, Level::Fail, "很可能是 Token 与公众平台填的不一致"),
            (Seen { key: n(3), signature: n(9), ..none }, Level::Fail, "能验签但解不开"),
            (Seen { app_id: n(1), key: n(1), ..none }, Level::Fail, "AppID"),
            (Seen { mode: n(1), ..none }, Level::Fail, "与本机配置的安全模式不一致"),
            (Seen { stale: n(1), good: n(1), ..none }, Level::Fail, "时钟不准"),
            (Seen { good: n(2), ..none }, Level::Pass, "都与公众平台一致"),
            (Seen { good: n(2), signature: n(4), ..none }, Level::Pass, "多半是外人乱发"),
            (Seen { good: n(2), signature: n(5), ..none }, Level::Warn, "刚改过"),
        ] {
            let (got, found) = said(seen);
            assert!(got == level && found.contains(words), "{seen:?}: {got:?} {found}");
        }
        assert!(said(Seen { signature: n(3), ..none }).1.contains("3 次（最近一次 今天 "));
        assert_eq!(judge(None, Mode::Safe, NOW).level, Level::Skipped);
    }

    #[test]
    fn in_plain_mode_a_message_proves_the_token_only() {
        let finding = judge(Some(&Seen { good: n(1), ..Seen::default() }), Mode::Plain, NOW);
        assert!(!finding.found.contains("EncodingAESKey"), "{}", finding.found);
    }
}
