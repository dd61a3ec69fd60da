//! What a phone does, written as WeChat pushes it: XML, signed, sealed as the mode says (PROTOCOL.md §2, §3). Nothing is
//! sent and nothing remembered here, so that tests and benches can build, bend and repeat pushes.

use super::card::Card;
use super::events;
use super::window::Trigger;
use super::{ACCOUNT, FakeWechat};
use crate::wechat::signature::sign;
use crate::wechat::{Mode, OpenId, Query};

/// Something a follower does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Writes.
    Text(String),
    /// Taps a menu link in a text: arrives as words with the id of the link.
    Choose {
        /// The words.
        text: String,
        /// The id.
        menu_id: String,
    },
    /// Sends a picture.
    Image {
        /// Where it lies.
        pic_url: String,
    },
    /// Speaks; WeChat may have understood.
    Voice {
        /// What it understood.
        recognition: Option<String>,
    },
    /// Sends a video.
    Video,
    /// Sends a place.
    Location {
        /// Degrees.
        latitude: String,
        /// Degrees.
        longitude: String,
        /// In words.
        label: String,
    },
    /// Shares a page.
    Link {
        /// Its title.
        title: String,
        /// Its address.
        url: String,
    },
    /// Sends a file.
    File {
        /// Its name.
        title: String,
    },
    /// Sends a picture that can be fetched.
    Picture {
        /// Under which.
        media_id: String,
        /// Where it lies.
        pic_url: String,
    },
    /// Speaks, and it can be fetched.
    Recording {
        /// Under which.
        media_id: String,
    },
    /// Answers the popup that asks for consent to notifications.
    Consent {
        /// Templates, and whether they are agreed to.
        answers: Vec<(String, bool)>,
    },
    /// Switches notifications off.
    SwitchOff {
        /// Of these templates.
        templates: Vec<String>,
    },
    /// Begins to follow, perhaps through a QR code with a scene.
    Follow {
        /// The scene.
        scene: Option<String>,
    },
    /// Stops following.
    Unfollow,
    /// Taps a menu button.
    Click {
        /// Its key.
        key: String,
    },
    /// Opens a page from the menu.
    View {
        /// Its address.
        url: String,
    },
    /// Scans a QR code while following.
    Scan {
        /// Its scene.
        scene: String,
    },
    /// The phone reports where it is.
    ReportLocation,
    /// A message or event of any other kind.
    Other {
        /// Its MsgType; `event` with an `Event` among the fields.
        msg_type: String,
        /// The other fields, in order.
        fields: Vec<(String, String)>,
    },
}

/// A request as WeChat makes it, not yet sent.
#[derive(Clone, Debug)]
pub struct Push {
    /// Its query.
    pub query: Query,
    /// Its body.
    pub body: String,
}

impl Push {
    /// The query as it stands in a URL, without `?`.
    pub fn query_string(&self) -> String {
        let query = &self.query;
        let fields = [
            ("signature", &query.signature),
            ("timestamp", &query.timestamp),
            ("nonce", &query.nonce),
            ("openid", &query.openid),
            ("encrypt_type", &query.encrypt_type),
            ("msg_signature", &query.msg_signature),
            ("echostr", &query.echostr),
        ];
        let given = fields.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        given.map(|(name, value)| format!("{name}={}", percent_encoded(value))).collect::<Vec<_>>().join("&")
    }
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte))
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

impl Act {
    pub(super) fn is_event(&self) -> bool {
        match self {
            Self::Other { msg_type, .. } => msg_type == "event",
            _ => matches!(self.type_and_fields().0, "event"),
        }
    }

    /// What it gives the account (§7).
    pub(super) fn trigger(&self) -> Option<Trigger> {
        match self {
            Self::Choose { .. } | Self::Click { .. } | Self::Follow { .. } | Self::Scan { .. } => {
                Some(Trigger::Tap)
            }
            Self::Other { fields, .. } if self.is_event() => {
                let scans =
                    |(name, value): &(String, String)| name == "Event" && value.starts_with("scancode_");
                fields.iter().any(scans).then_some(Trigger::Tap)
            }
            _ => (!self.is_event()).then_some(Trigger::Message),
        }
    }

    /// How it looks on the follower's own screen.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Text(text) | Self::Choose { text, .. } => text.clone(),
            Self::Image { .. } => "[图片]".into(),
            Self::Voice { recognition } => format!("[语音]{}", recognition.as_deref().unwrap_or_default()),
            Self::Video => "[视频]".into(),
            Self::Location { label, .. } => format!("[位置]{label}"),
            Self::Link { title, .. } => format!("[链接]{title}"),
            Self::File { title } => format!("[文件]{title}"),
            Self::Picture { .. } => "[图片]".into(),
            Self::Recording { .. } => "[语音]".into(),
            Self::Consent { answers } if answers.iter().any(|(_, accepted)| *accepted) => {
                "允许了订阅通知".into()
            }
            Self::Consent { .. } => "拒绝了订阅通知".into(),
            Self::SwitchOff { .. } => "关闭了订阅通知".into(),
            Self::Follow { .. } => "已关注公众号".into(),
            Self::Unfollow => "已取消关注".into(),
            Self::Click { key } => format!("点击了菜单 {key}"),
            Self::View { url } => format!("打开了网页 {url}"),
            Self::Scan { scene } => format!("扫描了二维码 {scene}"),
            Self::ReportLocation => "上报了地理位置".into(),
            Self::Other { msg_type, .. } => format!("[{msg_type}]"),
        }
    }

    /// What it shows beside words.
    pub(super) fn card(&self) -> Option<Card> {
        match self {
            Self::Picture { media_id, .. } => Some(Card::Image { media_id: media_id.clone() }),
            Self::Recording { media_id } => Some(Card::Voice { media_id: media_id.clone() }),
            _ => None,
        }
    }

    /// What stands in lists, as XML.
    fn lists(&self) -> String {
        match self {
            Self::Consent { answers } => events::popup(answers),
            Self::SwitchOff { templates } => events::switched_off(templates),
            _ => String::new(),
        }
    }

    fn type_and_fields(&self) -> (&str, Vec<(&str, &str)>) {
        let event = |name, key| ("event", vec![("Event", name), ("EventKey", key)]);
        match self {
            Self::Text(text) => ("text", vec![("Content", text)]),
            Self::Choose { text, menu_id } => ("text", vec![("Content", text), ("bizmsgmenuid", menu_id)]),
            Self::Image { pic_url } => ("image", vec![("PicUrl", pic_url), ("MediaId", "fake_image")]),
            Self::Voice { recognition } => {
                let heard = recognition.as_deref().unwrap_or_default();
                ("voice", vec![("MediaId", "fake_voice"), ("Format", "amr"), ("Recognition", heard)])
            }
            Self::Video => ("video", vec![("MediaId", "fake_video"), ("ThumbMediaId", "fake_thumb")]),
            Self::Location { latitude, longitude, label } => {
                let place = [("Location_X", latitude), ("Location_Y", longitude), ("Label", label)];
                let place = place.map(|(name, value)| (name, value.as_str()));
                ("location", [&place[..2], &[("Scale", "15")], &place[2..]].concat())
            }
            Self::Link { title, url } => ("link", vec![("Title", title), ("Description", ""), ("Url", url)]),
            Self::File { title } => {
                ("file", vec![("Title", title), ("Description", ""), ("FileKey", "fake")])
            }
            Self::Picture { media_id, pic_url } => {
                ("image", vec![("PicUrl", pic_url), ("MediaId", media_id)])
            }
            Self::Recording { media_id } => ("voice", vec![("MediaId", media_id), ("Format", "amr")]),
            // The rest of these two stands in lists.
            Self::Consent { .. } | Self::SwitchOff { .. } => ("event", Vec::new()),
            Self::Follow { scene } => event("subscribe", scene.as_deref().unwrap_or_default()),
            Self::Unfollow => event("unsubscribe", ""),
            Self::Click { key } => event("CLICK", key),
            Self::View { url } => event("VIEW", url),
            Self::Scan { scene } => event("SCAN", scene),
            Self::ReportLocation => {
                let place = [("Event", "LOCATION"), ("Latitude", "36.23"), ("Longitude", "115.66")];
                ("event", [&place[..], &[("Precision", "30")]].concat())
            }
            Self::Other { msg_type, fields } => {
                (msg_type, fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect())
            }
        }
    }
}

impl FakeWechat {
    /// The push for what `who` does now, sent by nobody. Each has a MsgId of its own, if it is a message.
    pub fn push(&self, who: &OpenId, act: &Act) -> Push {
        self.seal(who, &self.xml(who, act), random())
    }

    /// The message in plain XML.
    pub(super) fn xml(&self, who: &OpenId, act: &Act) -> String {
        let (msg_type, fields) = act.type_and_fields();
        let mut xml = self.head(who, msg_type);
        for (name, value) in fields {
            // A scene arrives with this prefix, but only in the event of following (§3).
            let follow = matches!(act, Act::Follow { .. }) && name == "EventKey" && !value.is_empty();
            if follow {
                write(&mut xml, name, &format!("qrscene_{value}"))
            } else {
                write(&mut xml, name, value)
            }
        }
        xml.push_str(&act.lists());
        if !act.is_event() {
            xml.push_str(&format!("<MsgId>{}</MsgId>", self.new_msg_id()));
        }
        xml.push_str("</xml>");
        xml
    }

    /// An event that WeChat sends of its own accord; `event` is its XML from `<Event>` on.
    pub(super) fn event_xml(&self, who: &OpenId, event: &str) -> String {
        [self.head(who, "event").as_str(), event, "</xml>"].concat()
    }

    fn head(&self, who: &OpenId, msg_type: &str) -> String {
        let mut xml = String::from("<xml>");
        write(&mut xml, "ToUserName", ACCOUNT);
        write(&mut xml, "FromUserName", who.as_str());
        xml.push_str(&format!("<CreateTime>{}</CreateTime>", self.now().as_s()));
        write(&mut xml, "MsgType", msg_type);
        xml
    }

    /// Signs any XML as a push from `who` at this moment, sealed as the mode says. Nonce and envelope come from `random`.
    pub fn seal(&self, who: &OpenId, xml: &str, random: [u8; 16]) -> Push {
        let settings = &self.inner.settings;
        // The real time, wherever the phones' has been moved: the other side looks at a clock of its own.
        let timestamp = self.inner.clock.now().as_s().to_string();
        // WeChat's have ten digits; of those two could meet when a hundred thousand pushes are made within one second.
        let nonce = (u128::from_le_bytes(random) as u64).to_string();
        let mut query = Query {
            signature: Some(sign(&[settings.token.expose(), &timestamp, &nonce])),
            openid: Some(who.as_str().to_owned()),
            ..Query::default()
        };
        let mut body = xml.to_owned();
        if let Some(crypt) = &self.inner.crypt {
            let encrypt = crypt.encrypt(xml, random);
            query.encrypt_type = Some("aes".to_owned());
            query.msg_signature = Some(crypt.sign(&timestamp, &nonce, &encrypt));
            if settings.mode == Mode::Safe {
                body = "<xml>".to_owned();
                write(&mut body, "ToUserName", ACCOUNT);
            } else {
                body.truncate(xml.trim_end().len().saturating_sub("</xml>".len()));
            }
            write(&mut body, "Encrypt", &encrypt);
            body.push_str("</xml>");
        }
        query.timestamp = Some(timestamp);
        query.nonce = Some(nonce);
        Push { query, body }
    }

    /// The request by which WeChat verifies the address (§1).
    pub(super) fn echo(&self) -> Push {
        let mut push = self.seal(&OpenId::new(""), "", random());
        let echo = push.query.nonce.as_deref().unwrap_or_default().repeat(2);
        push.query = Query {
            echostr: Some(echo),
            openid: None,
            encrypt_type: None,
            msg_signature: None,
            ..push.query
        };
        push
    }
}

/// Fresh bytes from the system.
pub(super) fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system gives random bytes to a process that runs");
    bytes
}

/// As WeChat writes: control characters go through as they are, only the end of the section is split.
pub(super) fn write(xml: &mut String, name: &str, value: &str) {
    let value = value.replace("]]>", "]]]]><![CDATA[>");
    xml.push_str(&format!("<{name}><![CDATA[{value}]]></{name}>"));
}
