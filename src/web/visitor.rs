//! Where a request comes from: the client's address behind trusted proxies, whether it travelled encrypted, and
//! whether a form was sent from a page of our own. Knows addresses and headers; not who somebody is.

use super::Hall;
use super::error::WebError;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN, REFERER};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Said to whoever comes over plain http.
pub(super) const PLAIN_HTTP: &str = "工作台只能用 https 打开：这条连接没有加密，密码和咨询内容会被人看到。请改用 https:// 开头的地址；前面有反向代理的，请在配置 trusted_proxies 里写上它的网段，并让它传来 X-Forwarded-Proto。";

/// Where a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Visitor {
    /// The client's address.
    pub address: IpAddr,
    /// The client's connection is encrypted, as a trusted proxy says.
    pub https: bool,
    /// From this machine, with no proxy in between.
    direct: bool,
    /// Names under which the client may have reached us.
    hosts: Vec<String>,
}

impl Visitor {
    /// From the peer's address and what trusted proxies added to the request.
    /// `only_https`: the office is reached through a proxy with https, so that nothing else counts as direct.
    pub fn of(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet], only_https: bool) -> Self {
        let peer = peer.to_canonical();
        let believes = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
        let forwarded = ["x-forwarded-for", "x-forwarded-proto", "forwarded"]
            .iter()
            .any(|name| headers.contains_key(*name));
        let mut visitor = Self {
            address: peer,
            https: false,
            direct: peer.is_loopback() && !forwarded && !only_https,
            hosts: list(headers, HOST.as_str()),
        };
        if believes(&peer) {
            visitor.address = client(peer, &list(headers, "x-forwarded-for"), believes);
            // The nearest proxy writes last: what stands before may be the client's own invention.
            visitor.https = list(headers, "x-forwarded-proto")
                .last()
                .is_some_and(|last| last.eq_ignore_ascii_case("https"));
            visitor.hosts.extend(list(headers, "x-forwarded-host").pop());
        }
        visitor
    }

    /// The console is closed to connections that anybody on the way can read.
    fn may_enter(&self) -> bool {
        self.https || self.direct
    }

    /// Whether a form comes from a page of our own, for forms that have no session to bind a key to. A browser says so
    /// in one of three headers; who sends none is no browser.
    pub fn sent_from_own_page(&self, headers: &HeaderMap) -> bool {
        if let Some(site) = text(headers, "sec-fetch-site") {
            return matches!(site, "same-origin" | "none");
        }
        let from = text(headers, ORIGIN.as_str()).or_else(|| text(headers, REFERER.as_str()));
        from.and_then(host_of).is_some_and(|host| self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host)))
    }
}

/// The right-most address that is not itself a trusted proxy; what stands left of it anybody may have written.
fn client(peer: IpAddr, forwarded: &[String], believes: impl Fn(&IpAddr) -> bool) -> IpAddr {
    let mut nearest = peer;
    for entry in forwarded.iter().rev() {
        let parsed = entry.parse().or_else(|_| entry.parse::<SocketAddr>().map(|address| address.ip()));
        let Ok(address) = parsed.map(|address: IpAddr| address.to_canonical()) else { break };
        nearest = address;
        if !believes(&address) {
            break;
        }
    }
    nearest
}

/// A header's values, which may come in one line or in several.
fn list(headers: &HeaderMap, name: &str) -> Vec<String> {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines
        .flat_map(|line| line.split(','))
        .map(|item| item.trim().to_owned())
        .filter(|item| !item.is_empty())
        .collect()
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn host_of(url: &str) -> Option<&str> {
    let rest = url.split_once("://")?.1;
    Some(rest.split('/').next().unwrap_or(rest))
}

/// Whether a request comes from this machine itself, with no proxy in between.
pub(super) fn is_from_here(peer: IpAddr, headers: &HeaderMap) -> bool {
    Visitor::of(peer, headers, &[], false).direct
}

/// Lets a request in with its [`Visitor`], or shows why not.
pub(super) async fn at_the_door(State(hall): State<Arc<Hall>>, mut request: Request, next: Next) -> Response {
    let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>().copied() else {
        return WebError::Internal(anyhow::anyhow!("the server did not tell the peer's address"))
            .into_response();
    };
    let settings = &hall.console.settings;
    let visitor = Visitor::of(peer.ip(), request.headers(), &settings.trusted_proxies, settings.only_https);
    if !visitor.may_enter() {
        return WebError::Forbidden(PLAIN_HTTP).into_response();
    }
    request.extensions_mut().insert(visitor);
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visitor(peer: &str, headers: &[(&'static str, &str)]) -> Visitor {
        let trusted = ["127.0.0.1/32", "10.0.0.0/8", "fd00::/8"].map(|net| net.parse().unwrap());
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Visitor::of(peer.parse().unwrap(), &map, &trusted, false)
    }

    fn address(peer: &str, forwarded: &[&str]) -> String {
        let headers: Vec<_> = forwarded.iter().map(|value| ("x-forwarded-for", *value)).collect();
        visitor(peer, &headers).address.to_string()
    }

    #[test]
    fn a_stranger_cannot_choose_their_address() {
        assert_eq!(address("203.0.113.9", &["1.1.1.1"]), "203.0.113.9");
        assert_eq!(address("10.0.0.1", &["1.1.1.1, 203.0.113.9"]), "203.0.113.9");
        assert_eq!(address("10.0.0.1", &["1.1.1.1", "203.0.113.9, 10.0.0.2"]), "203.0.113.9");
        assert_eq!(address("10.0.0.1", &["1.1.1.1, nonsense, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(address("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn addresses_come_mapped_and_with_ports() {
        assert_eq!(address("::ffff:10.0.0.1", &["::ffff:203.0.113.9"]), "203.0.113.9");
        assert_eq!(address("fd00::1", &["[2001:db8::7]:4711"]), "2001:db8::7");
        assert_eq!(address("127.0.0.1", &["203.0.113.9:4711"]), "203.0.113.9");
    }

    #[test]
    fn plain_http_enters_from_this_machine_only() {
        let enters = |peer, headers: &[(&'static str, &str)]| visitor(peer, headers).may_enter();
        assert!(enters("127.0.0.1", &[]) && enters("::1", &[]));
        assert!(!enters("203.0.113.9", &[]) && !enters("10.0.0.1", &[]));
        assert!(!enters("127.0.0.1", &[("x-forwarded-for", "203.0.113.9")]));
        assert!(!enters("203.0.113.9", &[("x-forwarded-proto", "https")]));
        assert!(enters("10.0.0.1", &[("x-forwarded-proto", "https")]));
        assert!(!enters("10.0.0.1", &[("x-forwarded-proto", "https, http")]));
    }

    #[test]
    fn a_form_from_another_site_is_known() {
        let own = |headers: &[(&'static str, &str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, value.parse().unwrap());
            }
            visitor("127.0.0.1", &[("host", "zixun.example.cn")]).sent_from_own_page(&map)
        };
        assert!(own(&[("sec-fetch-site", "same-origin")]));
        assert!(!own(&[("sec-fetch-site", "cross-site"), ("origin", "https://zixun.example.cn")]));
        assert!(own(&[("origin", "https://zixun.example.cn")]));
        assert!(own(&[("referer", "https://zixun.example.cn/console/login")]));
        assert!(!own(&[("origin", "https://zixun.example.cn.evil.example")]));
        assert!(!own(&[("origin", "null")]) && !own(&[]));
    }
}
