//! Reads a push in XML (PROTOCOL.md §3). Knows every field this service uses and ignores the rest; refuses what lacks
//! sender or kind. Never panics, whatever comes.

use super::OpenId;
use super::message::{Event, Inbound, Kind, Malformed};
use super::xml::{self, Wanted};
use std::borrow::Cow;

const NAME: usize = 128;
const TEXT: usize = 64 * 1024;
const LONG: usize = 16 * 1024;
/// An envelope is limited by whoever limits the body.
const ANY: usize = usize::MAX;

/// The fields that are read, each once, with the most bytes each may have.
const WANTED: [Wanted; 24] = [
    ("ToUserName", NAME),
    ("FromUserName", NAME),
    ("CreateTime", NAME),
    ("MsgType", NAME),
    ("MsgId", NAME),
    ("Event", NAME),
    ("EventKey", LONG),
    ("MsgID", NAME),
    ("Ticket", LONG),
    ("OpenID", NAME),
    ("Content", TEXT),
    ("bizmsgmenuid", LONG),
    ("PicUrl", LONG),
    ("MediaId", LONG),
    ("ThumbMediaId", LONG),
    ("Format", NAME),
    ("Recognition", TEXT),
    ("Location_X", NAME),
    ("Location_Y", NAME),
    ("Scale", NAME),
    ("Label", LONG),
    ("Title", LONG),
    ("Description", LONG),
    ("Url", LONG),
];

/// Reads a push in plain XML.
pub fn parse(xml: &[u8]) -> Result<Inbound, Malformed> {
    let found = xml::fields(xml, &WANTED)?;
    let [to, from, created, msg_type, msg_id, event, event_key, upper_id, ticket, concerned, rest @ ..] =
        found;
    let mut from = trimmed(from).ok_or(Malformed("缺少 FromUserName"))?;
    let msg_type = trimmed(msg_type).ok_or(Malformed("缺少 MsgType"))?;
    let msg_id = trimmed(msg_id);
    let created = created.and_then(|text| text.trim().parse().ok());
    if msg_id.is_none() && created.is_none() {
        // Without either, one delivery could not be told from the next (§5).
        return Err(Malformed("缺少 MsgId 与 CreateTime"));
    }
    let event_key = text(event_key);
    let kind = match msg_type.to_ascii_lowercase().as_str() {
        "event" => match trimmed(event) {
            Some(event) => Kind::Event(happened(xml, &event, &event_key, &text(upper_id.clone()))?),
            None => Kind::Unknown("event without a name".into()),
        },
        known => message(known, rest).unwrap_or(Kind::Unknown(msg_type)),
    };
    if let (Kind::Event(Event::Revoked { .. }), Some(concerned)) = (&kind, trimmed(concerned)) {
        // It is the platform that tells of it.
        from = concerned;
    }
    let upper_id = match &kind {
        Kind::Event(Event::NoticeSent { msg_ids, .. }) => msg_ids.clone(),
        _ => text(upper_id),
    };
    Ok(Inbound {
        to: trimmed(to).unwrap_or_default(),
        from: OpenId::new(from),
        created_s: created.unwrap_or_default(),
        msg_id,
        kind,
        marks: [event_key, upper_id, text(ticket)],
    })
}

/// The text of the `<Encrypt>` a body carries, if it does (§2).
pub fn encrypted_body(xml: &[u8]) -> Result<Option<String>, Malformed> {
    let [encrypt] = xml::fields(xml, &[("Encrypt", ANY)])?;
    Ok(encrypt.map(Cow::into_owned).filter(|text| !text.is_empty()))
}

fn message(msg_type: &str, fields: [Option<Cow<'_, str>>; 14]) -> Option<Kind> {
    let [content, menu_id, pic_url, media, thumb, format, recognition, fields @ ..] = fields;
    let [latitude, longitude, scale, label, title, description, url] = fields;
    Some(match msg_type {
        "text" => Kind::Text { content: text(content), menu_id: trimmed(menu_id) },
        "image" => Kind::Image { pic_url: text(pic_url), media_id: text(media) },
        "voice" => Kind::Voice {
            media_id: text(media),
            format: text(format),
            recognition: recognition.map(Cow::into_owned).filter(|heard| !heard.is_empty()),
        },
        "video" | "shortvideo" => Kind::Video {
            media_id: text(media),
            thumb_media_id: text(thumb),
            short: msg_type == "shortvideo",
        },
        "location" => Kind::Location {
            latitude: text(latitude),
            longitude: text(longitude),
            scale: text(scale),
            label: text(label),
        },
        "link" => Kind::Link { title: text(title), description: text(description), url: text(url) },
        "file" => Kind::File { title: text(title), description: text(description) },
        _ => return None,
    })
}

fn happened(xml: &[u8], event: &str, key: &str, msg_id: &str) -> Result<Event, Malformed> {
    Ok(match event.to_ascii_lowercase().as_str() {
        "subscribe" => {
            let scene = key.strip_prefix("qrscene_").unwrap_or(key);
            Event::Subscribe { scene: (!scene.is_empty()).then(|| scene.to_owned()) }
        }
        "unsubscribe" => Event::Unsubscribe,
        "scan" => Event::Scan { scene: key.to_owned() },
        "location" => Event::Location,
        name @ ("click" | "scancode_push" | "scancode_waitmsg") => {
            Event::Click { name: name.to_owned(), key: key.to_owned() }
        }
        "view" => Event::View { url: key.to_owned() },
        name @ ("user_authorization_revoke" | "user_authorization_cancellation") => {
            Event::Revoked { name: name.to_owned() }
        }
        "templatesendjobfinish" => {
            let [status] = xml::fields(xml, &[("Status", LONG)])?;
            Event::TemplateSent { msg_id: msg_id.trim().to_owned(), status: text(status).trim().to_owned() }
        }
        name @ "subscribe_msg_popup_event" => consent(xml, name, "SubscribeMsgPopupEvent")?,
        name @ "subscribe_msg_change_event" => consent(xml, name, "SubscribeMsgChangeEvent")?,
        "subscribe_msg_sent_event" => notice_sent(xml)?,
        name if CERTIFICATION.contains(&name) => {
            let [expires, failed, reason] =
                xml::fields(xml, &[("ExpiredTime", NAME), ("FailTime", NAME), ("FailReason", LONG)])?;
            let at_s = trimmed(expires.or(failed)).and_then(|at| at.parse().ok());
            Event::Certification { name: name.to_owned(), at_s, reason: text(reason) }
        }
        name => Event::Other { name: name.to_owned() },
    })
}

/// The events about the account's certification (§3).
const CERTIFICATION: [&str; 6] = [
    "qualification_verify_success",
    "qualification_verify_fail",
    "naming_verify_success",
    "naming_verify_fail",
    "annual_renew",
    "verify_expired",
];

/// `List` repeats inside its one wrapper (§3).
fn consent(xml: &[u8], name: &str, wrapper: &str) -> Result<Event, Malformed> {
    let wanted = [("TemplateId", NAME), ("SubscribeStatusString", NAME)];
    let choice = |[template, status]: [Option<Cow<'_, str>>; 2]| {
        Some((trimmed(template)?, text(status).trim().eq_ignore_ascii_case("accept")))
    };
    let choices = xml::records(xml, &[wrapper, "List"], &wanted)?.into_iter().filter_map(choice);
    Ok(Event::Consent { name: name.to_owned(), choices: choices.collect() })
}

fn notice_sent(xml: &[u8]) -> Result<Event, Malformed> {
    let wanted = [("TemplateId", NAME), ("ErrorCode", NAME), ("ErrorStatus", LONG), ("MsgID", NAME)];
    let mut msg_ids = String::new();
    let result = |[template, code, status, id]: [Option<Cow<'_, str>>; 4]| {
        msg_ids.extend([text(id).trim(), " "]);
        Some((trimmed(template)?, text(code).trim().to_owned(), text(status).trim().to_owned()))
    };
    let found = xml::records(xml, &["SubscribeMsgSentEvent", "List"], &wanted)?;
    let results = found.into_iter().filter_map(result).collect();
    Ok(Event::NoticeSent { results, msg_ids })
}

/// A field as it came; empty when it did not.
fn text(field: Option<Cow<'_, str>>) -> String {
    field.unwrap_or_default().into_owned()
}

/// A name or a number, without the space a bare value may be laid out with; `None` when nothing is left.
fn trimmed(field: Option<Cow<'_, str>>) -> Option<String> {
    field.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{Event, Inbound, Kind, Malformed, encrypted_body, parse};
    use crate::wechat::tests::{fixture, fixtures};

    fn read(inner: &str) -> Result<Inbound, Malformed> {
        let head =
            "<ToUserName>gh_1</ToUserName><FromUserName>o1</FromUserName><CreateTime>1795480000</CreateTime>";
        parse(format!("<xml>{head}{inner}</xml>").as_bytes())
    }

    fn event(inner: &str) -> Inbound {
        read(&format!("<MsgType>event</MsgType>{inner}")).unwrap()
    }

    #[test]
    fn every_kind_of_message_is_read() {
        let kind = |inner: &str| read(&format!("{inner}<MsgId>24801004976846051</MsgId>")).unwrap().kind;
        let s = str::to_owned;
        assert_eq!(
            kind("<MsgType>text</MsgType><Content>a &amp; b</Content><bizmsgmenuid>kb:37/a</bizmsgmenuid>"),
            Kind::Text { content: s("a & b"), menu_id: Some(s("kb:37/a")) }
        );
        assert_eq!(
            kind("<MsgType>image</MsgType><PicUrl>p</PicUrl><MediaId>m</MediaId>"),
            Kind::Image { pic_url: s("p"), media_id: s("m") }
        );
        let voice = |recognition| Kind::Voice { media_id: s("m"), format: s("amr"), recognition };
        let body = "<MsgType>voice</MsgType><MediaId>m</MediaId><Format>amr</Format>";
        assert_eq!(kind(&format!("{body}<Recognition><![CDATA[]]></Recognition>")), voice(None));
        assert_eq!(kind(&format!("{body}<Recognition>听到</Recognition>")), voice(Some(s("听到"))));
        for (name, short) in [("video", false), ("shortvideo", true)] {
            let body = format!("<MsgType>{name}</MsgType><MediaId>m</MediaId><ThumbMediaId>t</ThumbMediaId>");
            assert_eq!(kind(&body), Kind::Video { media_id: s("m"), thumb_media_id: s("t"), short });
        }
        assert_eq!(
            kind(
                "<MsgType>location</MsgType><Location_X>36.2</Location_X><Location_Y>115.6</Location_Y>\
                  <Scale>15</Scale><Label>莘县</Label>"
            ),
            Kind::Location { latitude: s("36.2"), longitude: s("115.6"), scale: s("15"), label: s("莘县") }
        );
        let shared = "<Title>t</Title><Description>d</Description>";
        assert_eq!(
            kind(&format!("<MsgType>link</MsgType>{shared}<Url>u</Url>")),
            Kind::Link { title: s("t"), description: s("d"), url: s("u") }
        );
        assert_eq!(
            kind(&format!("<MsgType>file</MsgType>{shared}<FileKey>k</FileKey>")),
            Kind::File { title: s("t"), description: s("d") }
        );
        assert_eq!(kind("<MsgType>hologram</MsgType><Depth><A>1</A></Depth>"), Kind::Unknown(s("hologram")));
    }

    #[test]
    fn events_are_recognised_in_either_case() {
        let kind = |name: &str, key: &str| {
            event(&format!("<Event>{name}</Event><EventKey><![CDATA[{key}]]></EventKey>")).kind
        };
        let s = str::to_owned;
        for (name, key, expected) in [
            ("subscribe", "", Event::Subscribe { scene: None }),
            ("Subscribe", "qrscene_村口7", Event::Subscribe { scene: Some(s("村口7")) }),
            ("unsubscribe", "", Event::Unsubscribe),
            ("scan", "7", Event::Scan { scene: s("7") }),
            ("SCAN", "7", Event::Scan { scene: s("7") }),
            ("LOCATION", "", Event::Location),
            ("click", "MY_TICKETS", Event::Click { name: s("click"), key: s("MY_TICKETS") }),
            ("scancode_waitmsg", "6", Event::Click { name: s("scancode_waitmsg"), key: s("6") }),
            ("VIEW", "http://a/", Event::View { url: s("http://a/") }),
            ("MASSSENDJOBFINISH", "", Event::Other { name: s("masssendjobfinish") }),
        ] {
            assert_eq!(kind(name, key), Kind::Event(expected), "{name}");
        }
    }

    #[test]
    fn what_became_of_notices_and_what_is_said_of_the_account_is_read_with_all_of_a_list() {
        let s = str::to_owned;
        let kind = |inner: &str| match event(inner).kind {
            Kind::Event(event) => event,
            other => panic!("{other:?}"),
        };
        let status = "<Status><![CDATA[failed:user block]]></Status>";
        assert_eq!(
            kind(&format!("<Event>TEMPLATESENDJOBFINISH</Event><MsgID>200163836</MsgID>{status}")),
            Event::TemplateSent { msg_id: s("200163836"), status: s("failed:user block") }
        );
        let item = |template: &str, said: &str| {
            format!(
                "<List><TemplateId><![CDATA[{template}]]></TemplateId><SubscribeStatusString>{said}</SubscribeStatusString></List>"
            )
        };
        let both = item("A", "accept") + &item("B", "reject");
        assert_eq!(
            kind(&format!(
                "<Event>subscribe_msg_popup_event</Event><SubscribeMsgPopupEvent>{both}</SubscribeMsgPopupEvent>"
            )),
            Event::Consent {
                name: s("subscribe_msg_popup_event"),
                choices: vec![(s("A"), true), (s("B"), false)]
            }
        );
        let elsewhere = format!(
            "<Event>subscribe_msg_change_event</Event><Other>{both}</Other><X><SubscribeMsgChangeEvent>{both}</SubscribeMsgChangeEvent></X>"
        );
        assert_eq!(
            kind(&elsewhere),
            Event::Consent { name: s("subscribe_msg_change_event"), choices: Vec::new() },
            "only where the list belongs"
        );
        let sent = |id: &str| {
            format!(
                "<Event>subscribe_msg_sent_event</Event><SubscribeMsgSentEvent><List><TemplateId>A</TemplateId><MsgID>{id}</MsgID><ErrorCode>0</ErrorCode><ErrorStatus>success</ErrorStatus></List></SubscribeMsgSentEvent>"
            )
        };
        let results = vec![(s("A"), s("0"), s("success"))];
        assert_eq!(kind(&sent("7")), Event::NoticeSent { results, msg_ids: s("7 ") });
        assert_ne!(event(&sent("7")).key(), event(&sent("8")).key(), "two of one second are two");
        assert_eq!(
            kind("<Event>verify_expired</Event><ExpiredTime>1442401156</ExpiredTime>"),
            Event::Certification {
                name: s("verify_expired"),
                at_s: Some(1_442_401_156),
                reason: String::new()
            }
        );
        assert_eq!(
            kind("<Event>naming_verify_fail</Event><FailTime>x</FailTime><FailReason>by time</FailReason>"),
            Event::Certification { name: s("naming_verify_fail"), at_s: None, reason: s("by time") }
        );
        let many = item("A", "accept").repeat(5_000);
        let Event::Consent { choices, .. } = kind(&format!(
            "<Event>subscribe_msg_popup_event</Event><SubscribeMsgPopupEvent>{many}</SubscribeMsgPopupEvent>"
        )) else {
            panic!("another event")
        };
        assert_eq!(choices.len(), super::xml::MAX_RECORDS);
    }

    #[test]
    fn what_the_platform_tells_of_a_person_is_that_persons() {
        for name in ["user_authorization_revoke", "user_authorization_cancellation"] {
            let told =
                event(&format!("<Event>{name}</Event><OpenID><![CDATA[o7]]></OpenID><AppID>wx1</AppID>"));
            assert_eq!(told.from.as_str(), "o7");
            assert_eq!(told.kind, Kind::Event(Event::Revoked { name: name.into() }));
        }
        assert_eq!(
            event("<Event>CLICK</Event><OpenID>o7</OpenID>").from.as_str(),
            "o1",
            "of other events it says nothing"
        );
    }

    #[test]
    fn a_nested_field_does_not_stand_for_one_of_the_message() {
        let inner = "<Deep><FromUserName>o2</FromUserName><Content>forged</Content></Deep>\
                     <MsgType>text</MsgType><Content>mine</Content>";
        let read = read(inner).unwrap();
        assert_eq!(read.from.as_str(), "o1");
        assert_eq!(read.kind, Kind::Text { content: "mine".into(), menu_id: None });
    }

    #[test]
    fn what_lacks_sender_or_kind_or_is_too_long_is_refused() {
        for xml in [
            "<xml><MsgType>text</MsgType><MsgId>1</MsgId></xml>",
            "<xml><FromUserName> </FromUserName><MsgType>text</MsgType><MsgId>1</MsgId></xml>",
            "<xml><FromUserName>o1</FromUserName><MsgId>1</MsgId></xml>",
            "<xml><FromUserName>o1</FromUserName><MsgType>text</MsgType></xml>",
        ] {
            assert!(parse(xml.as_bytes()).is_err(), "{xml}");
        }
        let nameless = "<MsgType>event</MsgType><CreateTime>1</CreateTime>";
        assert!(matches!(read(nameless).unwrap().kind, Kind::Unknown(_)), "acknowledged, not refused");
        let long = |n: usize| read(&format!("<MsgType>text</MsgType><Content>{}</Content>", "a".repeat(n)));
        assert!(long(64 * 1024).is_ok());
        assert!(long(64 * 1024 + 1).is_err());
    }

    #[test]
    fn every_body_of_the_public_test_suites_is_read_as_listed() {
        let (Some(index), Some(folder)) = (fixture("xml_index.json"), fixtures()) else { return };
        let mut n_read = 0;
        for entry in index.as_array().unwrap() {
            let name = entry["file"].as_str().unwrap();
            let body = std::fs::read(folder.join(name)).unwrap();
            let encrypt = entry["fields"]["Encrypt"].as_str().filter(|text| !text.is_empty());
            assert_eq!(encrypted_body(&body).unwrap().as_deref(), encrypt, "{name}");
            let Some(msg_type) = entry["fields"]["MsgType"].as_str() else {
                assert!(parse(&body).is_err(), "{name}");
                continue;
            };
            let read = parse(&body).unwrap_or_else(|bad| panic!("{name}: {bad}"));
            assert_eq!(Some(read.from.as_str()), entry["fields"]["FromUserName"].as_str().map(str::trim));
            match (&read.kind, entry["fields"]["Event"].as_str()) {
                (Kind::Event(event), Some(name)) => {
                    assert_eq!(read.kind.name(), name.trim().to_lowercase(), "{event:?}");
                }
                (Kind::Unknown(kind), _) => assert_eq!(kind, msg_type),
                (Kind::Text { content, .. }, _) => {
                    assert_eq!(Some(content.as_str()), entry["fields"]["Content"].as_str(), "{name}");
                }
                _ => {}
            }
            n_read += 1;
        }
        assert!(n_read >= 150, "{n_read}");
    }

    #[test]
    fn the_cases_no_suite_has_come_out_as_expected() {
        let Some(file) = fixture("extra_cases.json") else { return };
        let body = |name: &str| {
            let cases = file["cases"].as_array().unwrap();
            cases.iter().find(|case| case["name"] == name).unwrap()["xml"].clone()
        };
        let content = |name: &str| match parse(body(name).as_str().unwrap().as_bytes()).unwrap().kind {
            Kind::Text { content, menu_id } => (content, menu_id),
            other => panic!("{other:?}"),
        };
        assert_eq!(content("emoji_zwj").0, "👨\u{200d}👩\u{200d}👧\u{200d}👦 创业补贴怎么领？/::) [微笑]");
        assert_eq!(content("control_char_in_cdata").0, "driving wave");
        assert_eq!(content("cdata_end_in_text").0, "a]]>b</Content><x/>");
        assert_eq!(content("bizmsgmenu_nonnumeric"), ("转人工".into(), Some("kb:37/a".into())));
        assert_eq!(content("unsupported_placeholder").0, "【收到不支持的消息类型，暂无法显示】");
        let both = body("location_and_click_same_second");
        let both =
            both.as_array().unwrap().iter().map(|xml| parse(xml.as_str().unwrap().as_bytes()).unwrap());
        let keys: Vec<String> = both.map(|event| event.key()).collect();
        assert_ne!(keys[0], keys[1]);
        let unknown = parse(body("unknown_msgtype").as_str().unwrap().as_bytes()).unwrap();
        assert_eq!(unknown.kind, Kind::Unknown("hologram".into()));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_bring_the_reader_down(bytes: Vec<u8>, markup in "(<|>|/|xml|!\\[CDATA\\[|\\]|&#?x?|;|\\PC){0,60}") {
            let _ = parse(&bytes);
            let _ = parse(markup.as_bytes());
            let _ = parse(format!("<xml>{markup}</xml>").as_bytes());
            let _ = encrypted_body(markup.as_bytes());
        }
    }
}
