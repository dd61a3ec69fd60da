//! The proof of a request: a push that does not come from WeChat, or not now, or not in the agreed form, gets no
//! further (PROTOCOL.md §1, §2 rules 1–4); what that says about the settings is counted. Knows the account's token and
//! key; must not know HTTP, routes or answers.

use super::crypto::{self, Crypt, KeyError};
use super::message::{self, Inbound, Malformed};
use super::replays::Replays;
use super::signature;
use super::tally::{Seen, Sort, Tally};
use crate::clock::Timestamp;
use crate::config::Secret;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// How far a request's timestamp may be from our clock, either way (§2 rule 2).
pub const WINDOW: Duration = Duration::from_secs(300);
/// The largest body that is read; real pushes have under 4 KiB (§2 rule 3).
pub const MAX_BODY_BYTES: usize = 1 << 20;
/// How many requests [`Gate`] remembers against replay: about 15 MB when full.
pub const MAX_REMEMBERED: usize = 200_000;

/// How WeChat was told to push, on the platform's settings page (§2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// 明文模式: the body is not covered by any signature.
    Plain,
    /// 兼容模式: plain and sealed in one body; only the sealed part is used.
    Compat,
    /// 安全模式: sealed only.
    #[default]
    Safe,
}

/// The query of a request, as far as it matters; unknown fields are ignored.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Query {
    /// Over token, timestamp and nonce; says nothing about the body.
    pub signature: Option<String>,
    /// Seconds since 1970.
    pub timestamp: Option<String>,
    /// A number used once.
    pub nonce: Option<String>,
    /// Who sent it, unproven: the message says it too.
    pub openid: Option<String>,
    /// `aes` with a sealed body, unproven.
    pub encrypt_type: Option<String>,
    /// Over the above and the sealed body.
    pub msg_signature: Option<String>,
    /// What to send back when the address is verified.
    pub echostr: Option<String>,
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Signatures stay valid for minutes and openids name people: neither belongs in a log.
        f.debug_struct("Query").field("timestamp", &self.timestamp).finish_non_exhaustive()
    }
}

/// Why a request gets no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `signature`, `timestamp`, `nonce`, `echostr` or `msg_signature` is absent, or no number where one has to be.
    Incomplete,
    /// More than [`WINDOW`] from our clock.
    Stale,
    /// `signature` is not by our token.
    Signature,
    /// A mode with encryption and a body without `<Encrypt>`.
    NotSealed,
    /// `msg_signature` is not by our token.
    MsgSignature,
    /// The envelope does not open, for whatever reason.
    Seal,
    /// Another body under a signature that was already used.
    Replayed,
    /// The proof holds, the body is no message.
    Malformed(Malformed),
    /// 明文 was configured here and 安全 on the platform.
    SealedInPlainMode,
    /// Over [`MAX_BODY_BYTES`].
    TooLarge,
}

impl Refusal {
    /// The HTTP status to answer with, and an empty body (§2 rule 4).
    pub const fn status(self) -> u16 {
        match self {
            Self::Malformed(_) | Self::SealedInPlainMode => 400,
            Self::TooLarge => 413,
            _ => 403,
        }
    }

    /// One line for the log; quotes nothing of the request.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Incomplete => "请求缺少签名、时间戳或随机数",
            Self::Stale => "请求的时间与本机时钟相差超过 5 分钟，请检查本机时间",
            Self::Signature => "signature 不符，请核对 Token",
            Self::NotSealed => "已启用加密，但请求没有密文，请核对消息加解密方式",
            Self::MsgSignature => "msg_signature 不符，请核对 Token",
            Self::Seal => "密文无法解开，请核对 EncodingAESKey 与 AppID",
            Self::Replayed => "同一签名被用于不同的正文",
            Self::Malformed(malformed) => malformed.0,
            Self::SealedInPlainMode => "收到密文，但本机配置为明文模式，请核对消息加解密方式",
            Self::TooLarge => "请求正文过大",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for Refusal {}

/// One account's gate. Cheap to share: it locks only for the moment of a look-up.
pub struct Gate {
    mode: Mode,
    token: Secret,
    crypt: Option<Crypt>,
    replays: Replays,
    tally: Tally,
}

impl Gate {
    /// A gate for one account. The two modes with encryption need a [`Crypt`]; in [`Mode::Plain`] it is not used.
    pub fn new(mode: Mode, token: Secret, crypt: Option<Crypt>) -> Result<Self, KeyError> {
        crypto::check_token(&token)?;
        let crypt = match mode {
            Mode::Plain => None,
            Mode::Compat | Mode::Safe => Some(crypt.ok_or(KeyError::Missing)?),
        };
        let replays = Replays::new(MAX_REMEMBERED);
        Ok(Self { mode, token, crypt, replays, tally: Tally::default() })
    }

    /// How pushes come.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The key to seal replies with; `None` when they go out plain.
    pub fn crypt(&self) -> Option<&Crypt> {
        self.crypt.as_ref()
    }

    /// What has come so far, by what it says about the account's settings here and at the platform.
    pub fn seen(&self) -> Seen {
        self.tally.seen()
    }

    /// The text to answer a verification of the address with, byte for byte (§1).
    pub fn verify_echo<'q>(&self, query: &'q Query, now: Timestamp) -> Result<&'q str, Refusal> {
        self.prove(query, now).inspect_err(|refusal| self.count(*refusal, query, now))?;
        let echo = query.echostr.as_deref().filter(|echo| !echo.is_empty() && echo.len() <= 1024);
        echo.inspect(|_| self.tally.note(Sort::Echo, now)).ok_or(Refusal::Incomplete)
    }

    /// Whether whoever sends this query knows the token, before a byte of the body is read: strangers are not listened
    /// to. Says nothing about the body.
    pub fn knock(&self, query: &Query, now: Timestamp) -> Result<(), Refusal> {
        self.prove(query, now).map(drop).inspect_err(|refusal| self.count(*refusal, query, now))
    }

    /// The message in a push, once everything about it holds.
    pub fn open(&self, query: &Query, body: &[u8], now: Timestamp) -> Result<Inbound, Refusal> {
        let opened = self.look_inside(query, body, now);
        match &opened {
            Ok(_) => self.tally.note(Sort::Good, now),
            Err(Refusal::Seal) if self.is_for_another(body) => self.tally.note(Sort::AppId, now),
            Err(refusal) => self.count(*refusal, query, now),
        }
        opened
    }

    /// Counts a refusal that says something about the settings. Anybody can send a wrong signature, so of those only what
    /// otherwise looks like WeChat's counts.
    fn count(&self, refusal: Refusal, query: &Query, now: Timestamp) {
        let sort = match refusal {
            Refusal::Signature if looks_real(query, now) => Sort::Signature,
            Refusal::Stale => Sort::Stale,
            Refusal::NotSealed | Refusal::SealedInPlainMode => Sort::Mode,
            Refusal::Seal => Sort::Key,
            _ => return,
        };
        self.tally.note(sort, now);
    }

    fn is_for_another(&self, body: &[u8]) -> bool {
        let sealed = message::encrypted_body(body).ok().flatten();
        self.crypt.as_ref().zip(sealed).is_some_and(|(crypt, sealed)| crypt.names_another(&sealed))
    }

    fn look_inside(&self, query: &Query, body: &[u8], now: Timestamp) -> Result<Inbound, Refusal> {
        if body.len() > MAX_BODY_BYTES {
            return Err(Refusal::TooLarge);
        }
        let proof = self.prove(query, now)?;
        // Only what proved to be a message is remembered: a broken body must not stand in for the real one. The message
        // counts and not its envelope, which is another one each time it is sealed.
        let (inbound, said) = match &self.crypt {
            Some(crypt) => Self::unseal(crypt, query, &proof, body)?,
            None => (Self::plain(body)?, Cow::Borrowed(body)),
        };
        self.replays.check(proof.signature, &said, now)?;
        Ok(inbound)
    }

    fn prove<'q>(&self, query: &'q Query, now: Timestamp) -> Result<Proof<'q>, Refusal> {
        let given =
            |field: &'q Option<String>| field.as_deref().filter(|text| (1..=256).contains(&text.len()));
        let proof = Proof {
            signature: given(&query.signature).ok_or(Refusal::Incomplete)?,
            timestamp: given(&query.timestamp).ok_or(Refusal::Incomplete)?,
            nonce: given(&query.nonce).ok_or(Refusal::Incomplete)?,
        };
        let digits = proof.timestamp.bytes().all(|b| b.is_ascii_digit());
        let sent: i64 = proof.timestamp.parse().ok().filter(|_| digits).ok_or(Refusal::Incomplete)?;
        if !signature::verify(proof.signature, &[self.token.expose(), proof.timestamp, proof.nonce]) {
            return Err(Refusal::Signature);
        }
        if now.as_s().abs_diff(sent) > WINDOW.as_secs() { Err(Refusal::Stale) } else { Ok(proof) }
    }

    fn unseal(
        crypt: &Crypt,
        query: &Query,
        proof: &Proof<'_>,
        body: &[u8],
    ) -> Result<(Inbound, Cow<'static, [u8]>), Refusal> {
        let signature = query.msg_signature.as_deref().ok_or(Refusal::Incomplete)?;
        let sealed = message::encrypted_body(body).map_err(Refusal::Malformed)?.ok_or(Refusal::NotSealed)?;
        if !crypt.verify(signature, proof.timestamp, proof.nonce, &sealed) {
            return Err(Refusal::MsgSignature);
        }
        let xml = crypt.decrypt(&sealed).map_err(|_| Refusal::Seal)?;
        let inbound = message::parse(xml.as_bytes()).map_err(Refusal::Malformed)?;
        Ok((inbound, Cow::Owned(xml.into_bytes())))
    }

    fn plain(body: &[u8]) -> Result<Inbound, Refusal> {
        message::parse(body).map_err(|malformed| match message::encrypted_body(body) {
            Ok(Some(_)) => Refusal::SealedInPlainMode,
            _ => Refusal::Malformed(malformed),
        })
    }
}

/// Whether a query with a wrong signature is as WeChat writes one: fresh, and everything in its place.
fn looks_real(query: &Query, now: Timestamp) -> bool {
    let sent = query.timestamp.as_deref().and_then(|sent| sent.parse::<i64>().ok());
    let signature = query.signature.as_deref().unwrap_or_default();
    sent.is_some_and(|sent| now.as_s().abs_diff(sent) <= WINDOW.as_secs())
        && signature.len() == 40
        && signature.bytes().all(|byte| byte.is_ascii_hexdigit())
        && (query.openid.is_some() || query.echostr.is_some())
}

/// The proven part of a query.
struct Proof<'q> {
    signature: &'q str,
    timestamp: &'q str,
    nonce: &'q str,
}

#[cfg(test)]
mod tests {
    use super::{Gate, KeyError, Mode, Query, Refusal};
    use crate::clock::Timestamp;
    use crate::config::Secret;
    use crate::wechat::signature::sign;
    use crate::wechat::{Crypt, Kind};
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::from_s(1_795_480_000);
    const KEY: &str = "XinQiShenXianZhenQiYeZiXunBangZiXunBangGonh";

    fn crypt(token: &str, key: &str, app_id: &str) -> Crypt {
        Crypt::new(&Secret::new(token), &Secret::new(key), app_id).unwrap()
    }

    fn gate(mode: Mode) -> Gate {
        Gate::new(mode, Secret::new("token"), Some(crypt("token", KEY, "wx1"))).unwrap()
    }

    fn message(text: &str) -> String {
        format!(
            "<xml><ToUserName>gh_1</ToUserName><FromUserName>o1</FromUserName><CreateTime>1</CreateTime>\
             <MsgType>text</MsgType><Content><![CDATA[{text}]]></Content><MsgId>7</MsgId></xml>"
        )
    }

    /// A request at `sent`, sealed by `crypt` and signed with its token, whatever that is.
    fn sealed(crypt: &Crypt, token: &str, sent: &str, xml: &str) -> (Query, String) {
        sealed_with([9; 16], crypt, token, sent, xml)
    }

    fn sealed_with(random: [u8; 16], crypt: &Crypt, token: &str, sent: &str, xml: &str) -> (Query, String) {
        let encrypt = crypt.encrypt(xml, random);
        let mut query = signed(token, sent);
        query.msg_signature = Some(crypt.sign(sent, "n1", &encrypt));
        (query, format!("<xml><ToUserName>gh_1</ToUserName><Encrypt><![CDATA[{encrypt}]]></Encrypt></xml>"))
    }

    fn signed(token: &str, sent: &str) -> Query {
        Query {
            signature: Some(sign(&[token, sent, "n1"])),
            timestamp: Some(sent.into()),
            nonce: Some("n1".into()),
            ..Query::default()
        }
    }

    fn real() -> (Query, String) {
        sealed(&crypt("token", KEY, "wx1"), "token", "1795480000", &message("你好"))
    }

    fn opens(mode: Mode, query: &Query, body: &str) -> Result<String, Refusal> {
        match gate(mode).open(query, body.as_bytes(), NOW)?.kind {
            Kind::Text { content, .. } => Ok(content),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_real_push_gets_in_in_every_mode() {
        let (query, body) = real();
        assert_eq!(opens(Mode::Safe, &query, &body).as_deref(), Ok("你好"));
        assert_eq!(opens(Mode::Compat, &query, &body).as_deref(), Ok("你好"));
        assert_eq!(
            opens(Mode::Plain, &signed("token", "1795480000"), &message("你好")).as_deref(),
            Ok("你好")
        );
    }

    #[test]
    fn of_a_body_in_both_forms_only_the_sealed_one_counts() {
        let (query, sealed) = real();
        let fields = message("伪造").replace("o1", "o2").replace("</xml>", "");
        let both = sealed.replace("<xml>", &fields);
        assert_eq!(opens(Mode::Compat, &query, &both).as_deref(), Ok("你好"));
        let inbound = gate(Mode::Compat).open(&query, both.as_bytes(), NOW).unwrap();
        assert_eq!(inbound.from.as_str(), "o1");
    }

    type Bend = fn(&mut Query, &mut String);

    #[test]
    fn every_forgery_is_refused() {
        let table: [(&str, Bend, Refusal); 16] = [
            ("no signature", |q, _| q.signature = None, Refusal::Incomplete),
            ("no timestamp", |q, _| q.timestamp = None, Refusal::Incomplete),
            ("no nonce", |q, _| q.nonce = Some(String::new()), Refusal::Incomplete),
            ("no msg_signature", |q, _| q.msg_signature = None, Refusal::Incomplete),
            ("a guessed signature", |q, _| q.signature = Some("0".repeat(40)), Refusal::Signature),
            ("the wrong signature twice", |q, _| q.signature = q.msg_signature.clone(), Refusal::Signature),
            (
                "the other signature twice",
                |q, _| q.msg_signature = q.signature.clone(),
                Refusal::MsgSignature,
            ),
            ("another nonce", |q, _| q.nonce = Some("n2".into()), Refusal::Signature),
            ("another time", |q, _| q.timestamp = Some("1795480001".into()), Refusal::Signature),
            ("a plain body", |_, body| *body = message("伪造"), Refusal::NotSealed),
            ("an empty envelope", |_, body| *body = "<xml><Encrypt/></xml>".into(), Refusal::NotSealed),
            ("another envelope", |q, body| (*body, q.signature) = other(q), Refusal::MsgSignature),
            ("not our AppID", |q, body| (*q, *body) = by("token", KEY, "wx2"), Refusal::Seal),
            ("not our key", |q, body| (*q, *body) = by("token", &"A".repeat(43), "wx1"), Refusal::Seal),
            ("not our token", |q, body| (*q, *body) = by("nekot", KEY, "wx1"), Refusal::Signature),
            ("too much", |_, body| body.push_str(&" ".repeat(1 << 20)), Refusal::TooLarge),
        ];
        for mode in [Mode::Safe, Mode::Compat] {
            for (what, bend, refusal) in &table {
                let (mut query, mut body) = real();
                bend(&mut query, &mut body);
                assert_eq!(opens(mode, &query, &body), Err(*refusal), "{mode:?}: {what}");
            }
        }
    }

    fn by(token: &str, key: &str, app_id: &str) -> (Query, String) {
        sealed(&crypt(token, key, app_id), token, "1795480000", &message("伪造"))
    }

    fn other(query: &Query) -> (String, Option<String>) {
        (by("token", KEY, "wx1").1, query.signature.clone())
    }

    #[test]
    fn a_plain_push_needs_its_signature() {
        for bend in [
            (|q: &mut Query| q.signature = None) as fn(&mut Query),
            |q| q.signature = Some(sign(&["nekot", "1795480000", "n1"])),
            |q| q.nonce = Some("n2".into()),
        ] {
            let mut query = signed("token", "1795480000");
            bend(&mut query);
            assert!(opens(Mode::Plain, &query, &message("伪造")).is_err());
        }
        let (query, body) = real();
        assert_eq!(opens(Mode::Plain, &query, &body), Err(Refusal::SealedInPlainMode));
    }

    #[test]
    fn a_push_is_good_for_five_minutes_either_way() {
        let at = |sent: &str| {
            let (query, body) = sealed(&crypt("token", KEY, "wx1"), "token", sent, &message("你好"));
            opens(Mode::Safe, &query, &body)
        };
        assert!(at("1795479700").is_ok() && at("1795480300").is_ok());
        assert_eq!(at("1795479699"), Err(Refusal::Stale));
        assert_eq!(at("1795480301"), Err(Refusal::Stale));
        for odd in ["+1795480000", "1795480000.0", "-1", "9999999999999999999999", "now"] {
            assert_eq!(at(odd), Err(Refusal::Incomplete), "{odd}");
        }
    }

    #[test]
    fn a_broken_message_is_a_bad_request_and_never_more() {
        for xml in ["", "<xml>", "<!DOCTYPE x><xml/>", "<xml/>", "\u{0}"] {
            let (query, body) = sealed(&crypt("token", KEY, "wx1"), "token", "1795480000", xml);
            assert_eq!(opens(Mode::Safe, &query, &body).unwrap_err().status(), 400, "inside: {xml}");
            assert_eq!(opens(Mode::Safe, &query, xml).unwrap_err().status() / 100, 4, "outside: {xml}");
            let plain = opens(Mode::Plain, &signed("token", "1795480000"), xml);
            assert_eq!(plain.unwrap_err().status(), 400, "plain: {xml}");
        }
    }

    #[test]
    fn a_signature_carries_one_body_only_as_often_as_it_comes() {
        let gate = gate(Mode::Plain);
        let query = signed("token", "1795480000");
        assert!(gate.open(&query, b"<broken", NOW).is_err());
        for _ in 0..3 {
            assert!(gate.open(&query, message("你好").as_bytes(), NOW).is_ok());
        }
        let late = NOW.after(Duration::from_secs(300));
        assert_eq!(gate.open(&query, message("伪造").as_bytes(), late), Err(Refusal::Replayed));
        assert!(gate.open(&query, message("你好").as_bytes(), late).is_ok());
    }

    #[test]
    fn the_same_message_in_another_envelope_is_the_same_message() {
        let gate = gate(Mode::Safe);
        let crypt = crypt("token", KEY, "wx1");
        let (first, body) = sealed(&crypt, "token", "1795480000", &message("你好"));
        let (again, resealed) = sealed_with([8; 16], &crypt, "token", "1795480000", &message("你好"));
        assert_ne!(body, resealed, "each envelope begins with other random bytes");
        assert_eq!(first.signature, again.signature);
        assert!(gate.open(&first, body.as_bytes(), NOW).is_ok());
        assert!(gate.open(&again, resealed.as_bytes(), NOW).is_ok());
        let (other, forged) = sealed(&crypt, "token", "1795480000", &message("再见"));
        assert_eq!(gate.open(&other, forged.as_bytes(), NOW), Err(Refusal::Replayed));
    }

    #[test]
    fn the_address_is_verified_with_the_exact_echo() {
        let gate = Gate::new(Mode::Plain, Secret::new("AAAAA"), None).unwrap();
        let mut query = Query {
            signature: Some("f464b24fc39322e44b38aa78f5edd27bd1441696".into()),
            timestamp: Some("1714036504".into()),
            nonce: Some("1514711492".into()),
            echostr: Some("4375120948345356249".into()),
            ..Query::default()
        };
        let then = Timestamp::from_s(1_714_036_504);
        assert_eq!(gate.verify_echo(&query, then), Ok("4375120948345356249"));
        assert_eq!(gate.verify_echo(&query, NOW), Err(Refusal::Stale));
        query.echostr = None;
        assert_eq!(gate.verify_echo(&query, then), Err(Refusal::Incomplete));
        query.signature = None;
        assert_eq!(gate.verify_echo(&query, then), Err(Refusal::Incomplete));
        assert_eq!(Refusal::Incomplete.status(), 403);
    }

    #[test]
    fn a_mode_with_encryption_needs_a_key_and_every_mode_a_token() {
        let new = |mode, token: &str| Gate::new(mode, Secret::new(token), None).err();
        assert_eq!(new(Mode::Safe, "token"), Some(KeyError::Missing));
        assert_eq!(new(Mode::Plain, ""), Some(KeyError::Token));
        assert_eq!(new(Mode::Plain, "token"), None);
    }

    #[test]
    fn a_query_prints_neither_signature_nor_person() {
        let mut query = signed("token", "1795480000");
        query.openid = Some("olPjZjsXuQPJoV0HlruZkNzKc91E".into());
        assert_eq!(format!("{query:?}"), "Query { timestamp: Some(\"1795480000\"), .. }");
    }
}
