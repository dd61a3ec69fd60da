//! With what somebody reads the console, in two words for the list of their sessions: “Chrome · Windows”. Knows what
//! browsers call themselves; believes every word of it, so nothing may depend on it.

/// No browser's own line is longer.
const MAX_LINE: usize = 512;

/// Those that name others besides themselves stand before the others.
const BROWSERS: [(&str, &str); 16] = [
    ("wxwork/", "企业微信"),
    ("MicroMessenger/", "微信"),
    ("DingTalk/", "钉钉"),
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("QQBrowser/", "QQ 浏览器"),
    ("UCBrowser/", "UC 浏览器"),
    ("Quark/", "夸克"),
    ("HuaweiBrowser/", "华为浏览器"),
    ("MiuiBrowser/", "小米浏览器"),
    ("SamsungBrowser/", "三星浏览器"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];

const SYSTEMS: [(&str, &str); 9] = [
    ("OpenHarmony", "鸿蒙"),
    ("HarmonyOS", "鸿蒙"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
];

/// What a browser's `User-Agent` line says, in words.
pub(super) fn words(user_agent: &str) -> String {
    let line: String = user_agent.chars().take(MAX_LINE).collect();
    let first = |names: &[(&str, &'static str)]| {
        names.iter().find(|(mark, _)| line.contains(mark)).map(|(_, name)| *name)
    };
    match (first(&BROWSERS), first(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} · {system}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => "未知浏览器".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn browsers_are_known_by_what_they_call_themselves() {
        let webkit = "AppleWebKit/537.36 (KHTML, like Gecko)";
        for (line, said) in [
            (
                format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {webkit} Chrome/140.0.0.0 Safari/537.36"),
                "Chrome · Windows",
            ),
            (
                format!(
                    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) {webkit} Chrome/140.0.0.0 Safari/537.36 Edg/140.0"
                ),
                "Edge · Windows",
            ),
            (
                format!(
                    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) {webkit} Mobile/15E148 MicroMessenger/8.0.60"
                ),
                "微信 · iPhone",
            ),
            (
                format!(
                    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {webkit} Version/18.0 Safari/605.1.15"
                ),
                "Safari · macOS",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".into(),
                "Firefox · Linux",
            ),
            (
                format!(
                    "Mozilla/5.0 (Phone; OpenHarmony 5.0) {webkit} Chrome/114.0 Safari/537.36 HuaweiBrowser/5.0"
                ),
                "华为浏览器 · 鸿蒙",
            ),
            (String::new(), "未知浏览器"),
            ("curl/8".into(), "未知浏览器"),
        ] {
            assert_eq!(words(&line), said, "{line}");
        }
    }
}
