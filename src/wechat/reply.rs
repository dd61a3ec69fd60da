//! The answer in the HTTP response: written for WeChat, and read again for those who stand at the other end of the wire
//! (PROTOCOL.md §2.2, §4). Must not know what the text says or whether it will be seen.

use super::crypto::Crypt;
use super::xml::{self, Wanted};
use super::{Malformed, OpenId};
use crate::clock::Timestamp;
use std::borrow::Cow;

/// The body that acknowledges a push and says nothing to the follower (§4).
pub const SUCCESS: &str = "success";

/// A passive text reply in plain XML. `from` is the account's original id, `Inbound::to`. Characters XML forbids are
/// dropped from the text; its length is the caller's business, see [`fit`](crate::bubble::fit).
pub fn text_xml(to: &OpenId, from: &str, now: Timestamp, text: &str) -> String {
    let mut xml = String::with_capacity(240 + text.len());
    xml.push_str("<xml>");
    xml::push_cdata(&mut xml, "ToUserName", to.as_str());
    xml::push_cdata(&mut xml, "FromUserName", from);
    xml.extend(["<CreateTime>", &now.as_s().to_string(), "</CreateTime>"]);
    xml::push_cdata(&mut xml, "MsgType", "text");
    xml::push_cdata(&mut xml, "Content", text);
    xml.push_str("</xml>");
    xml
}

/// The same reply sealed (§2.2). `nonce` is the request's, `random` fresh from the system's generator each time.
pub fn sealed_xml(crypt: &Crypt, now: Timestamp, nonce: &str, random: [u8; 16], xml: &str) -> String {
    let encrypt = crypt.encrypt(xml, random);
    let timestamp = now.as_s().to_string();
    let signature = crypt.sign(&timestamp, nonce, &encrypt);
    let mut sealed = String::with_capacity(200 + nonce.len() + encrypt.len());
    sealed.extend(["<xml><Encrypt><![CDATA[", &encrypt, "]]></Encrypt>"]);
    xml::push_cdata(&mut sealed, "MsgSignature", &signature);
    sealed.extend(["<TimeStamp>", &timestamp, "</TimeStamp>"]);
    xml::push_cdata(&mut sealed, "Nonce", nonce);
    sealed.push_str("</xml>");
    sealed
}

/// A passive reply as the follower's phone gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// To whom.
    pub to: OpenId,
    /// From which account, `gh_…`.
    pub from: String,
    /// When it was made, in seconds since 1970.
    pub created_s: i64,
    /// What it says.
    pub text: String,
}

/// A response WeChat would not understand: the follower would read "该公众号提供的服务出现故障" (§4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadReply {
    /// Not XML of the right shape.
    #[error("回复不是微信能读懂的 XML：{0}")]
    Malformed(#[from] Malformed),
    /// A strict parser dies on it.
    #[error("回复含有 XML 不允许的控制字符")]
    Character,
    /// Plain, where it has to be sealed.
    #[error("安全模式下回复必须加密")]
    NotSealed,
    /// Signature or envelope.
    #[error("回复的签名或密文不对")]
    Seal,
    /// A field is missing or not as §4 wants it.
    #[error("回复的 {0} 缺失或不合规定")]
    Field(&'static str),
}

/// The text a response body says to the follower: `None` for `success` or nothing. With a [`Crypt`] the body has to be
/// sealed (§2), without one it has to be plain.
pub fn read_reply(body: &str, crypt: Option<&Crypt>) -> Result<Option<String>, BadReply> {
    Ok(open_reply(body, crypt)?.map(|reply| reply.text))
}

/// As [`read_reply`], with the addresses.
pub fn open_reply(body: &str, crypt: Option<&Crypt>) -> Result<Option<Reply>, BadReply> {
    if body.is_empty() || body == SUCCESS {
        return Ok(None);
    }
    if xml::has_illegal(body) {
        return Err(BadReply::Character);
    }
    match crypt {
        None => read_plain(body).map(Some),
        Some(crypt) => read_plain(&unseal(body, crypt)?).map(Some),
    }
}

fn unseal(body: &str, crypt: &Crypt) -> Result<String, BadReply> {
    const ANY: usize = usize::MAX;
    let wanted: [Wanted; 4] = [("Encrypt", ANY), ("MsgSignature", ANY), ("TimeStamp", ANY), ("Nonce", ANY)];
    let [encrypt, signature, timestamp, nonce] = xml::fields(body.as_bytes(), &wanted)?;
    let encrypt = encrypt.ok_or(BadReply::NotSealed)?;
    let signature = signature.ok_or(BadReply::Field("MsgSignature"))?;
    let timestamp = timestamp.ok_or(BadReply::Field("TimeStamp"))?;
    let nonce = nonce.ok_or(BadReply::Field("Nonce"))?;
    if !crypt.verify(&signature, &timestamp, &nonce, &encrypt) {
        return Err(BadReply::Seal);
    }
    let plain = crypt.decrypt(&encrypt).map_err(|_| BadReply::Seal)?;
    if xml::has_illegal(&plain) { Err(BadReply::Character) } else { Ok(plain) }
}

fn read_plain(xml: &str) -> Result<Reply, BadReply> {
    const ANY: usize = usize::MAX;
    let names = ["ToUserName", "FromUserName", "CreateTime", "MsgType", "Content"];
    let found = xml::fields(xml.as_bytes(), &names.map(|name| (name, ANY)))?;
    let mut fields = names.into_iter().zip(found).map(|(name, text)| {
        let text = text.filter(|text| !text.is_empty()).map(Cow::into_owned);
        text.ok_or(BadReply::Field(name))
    });
    let mut next = || fields.next().unwrap_or(Err(BadReply::Field("Content")));
    let (to, from, created, kind, text) = (next()?, next()?, next()?, next()?, next()?);
    if kind != "text" {
        return Err(BadReply::Field("MsgType"));
    }
    // Twelve digits would be milliseconds, a mistake others made.
    let created_s = created.parse().ok().filter(|at| (0..100_000_000_000).contains(at));
    let created_s = created_s.ok_or(BadReply::Field("CreateTime"))?;
    Ok(Reply { to: OpenId::new(to), from, created_s, text })
}

#[cfg(test)]
mod tests {
    use super::{BadReply, open_reply, read_reply, sealed_xml, text_xml};
    use crate::clock::Timestamp;
    use crate::config::Secret;
    use crate::wechat::xml::illegal;
    use crate::wechat::{Crypt, OpenId};

    const NOW: Timestamp = Timestamp::from_s(1_795_480_000);

    fn crypt(token: &str) -> Crypt {
        let key = Secret::new("XinQiShenXianZhenQiYeZiXunBangZiXunBangGonh");
        Crypt::new(&Secret::new(token), &key, "wx0123456789abcdef").unwrap()
    }

    fn plain(text: &str) -> String {
        text_xml(&OpenId::new("o1"), "gh_1", NOW, text)
    }

    #[test]
    fn a_plain_reply_is_the_xml_wechat_documents() {
        let expected = "<xml><ToUserName><![CDATA[o1]]></ToUserName><FromUserName><![CDATA[gh_1]]></FromUserName>\
                        <CreateTime>1795480000</CreateTime><MsgType><![CDATA[text]]></MsgType>\
                        <Content><![CDATA[能免。]]></Content></xml>";
        assert_eq!(plain("能免。"), expected);
    }

    #[test]
    fn a_sealed_reply_carries_its_own_signature_over_its_own_time_and_nonce() {
        let sealed = sealed_xml(&crypt("token"), NOW, "n1", [5; 16], &plain("能免。"));
        let reply = open_reply(&sealed, Some(&crypt("token"))).unwrap().unwrap();
        assert_eq!((reply.to.as_str(), reply.from.as_str()), ("o1", "gh_1"));
        assert_eq!((reply.created_s, reply.text.as_str()), (1_795_480_000, "能免。"));
        let refused = |body: &str| read_reply(body, Some(&crypt("token"))).unwrap_err();
        assert_eq!(refused(&sealed.replace("n1", "n2")), BadReply::Seal);
        assert_eq!(refused(&sealed.replace("1795480000", "1795480001")), BadReply::Seal);
        assert_eq!(read_reply(&sealed, Some(&crypt("other"))), Err(BadReply::Seal));
        assert_eq!(refused(&plain("能免。")), BadReply::NotSealed);
    }

    #[test]
    fn saying_nothing_is_success_or_no_body_and_nothing_else() {
        for crypt in [None, Some(&crypt("token"))] {
            assert_eq!(read_reply("", crypt), Ok(None));
            assert_eq!(read_reply("success", crypt), Ok(None));
            for wrong in ["\"success\"", "{}", " ", "<xml></xml>", "<html><body>502</body></html>", "<xml>"] {
                assert!(read_reply(wrong, crypt).is_err(), "{wrong}");
            }
        }
        assert_eq!(read_reply(&plain(""), None), Err(BadReply::Field("Content")));
        let late = plain("a").replace("1795480000", "1795480000123");
        assert_eq!(read_reply(&late, None), Err(BadReply::Field("CreateTime")));
        assert_eq!(read_reply(&plain("a").replace('a', "\u{b}"), None), Err(BadReply::Character));
    }

    proptest::proptest! {
        #[test]
        fn every_text_arrives_without_what_xml_forbids(text in "(]|>|<|&|\\PC|[\0-\u{1f}]|\u{fffe}){1,200}") {
            let kept: String = text.chars().filter(|c| !illegal(*c)).collect();
            proptest::prop_assume!(!kept.is_empty());
            let crypt = crypt("token");
            let sealed = sealed_xml(&crypt, NOW, "n", [1; 16], &plain(&text));
            proptest::prop_assert_eq!(read_reply(&plain(&text), None), Ok(Some(kept.clone())));
            proptest::prop_assert_eq!(read_reply(&sealed, Some(&crypt)), Ok(Some(kept)));
        }

        #[test]
        fn no_body_brings_the_reader_down(body in "(<xml>|</xml>|<Encrypt>|</Encrypt>|\\PC){0,40}") {
            let _ = read_reply(&body, None);
            let _ = read_reply(&body, Some(&crypt("token")));
        }
    }
}
