//! What a follower did, as WeChat tells it (PROTOCOL.md §3), and by what the same thing is known again (§5). Must not
//! know how the push was proven or what will be answered.

use super::OpenId;
pub use super::parse::{encrypted_body, parse};

/// A body that is no message of WeChat's, and in what way; the sentence is for the log and quotes nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub(super) &'static str);

/// One push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbound {
    /// The account's original id, `gh_…`.
    pub to: String,
    /// Who did it.
    pub from: OpenId,
    /// When, by WeChat's clock: seconds since 1970; 0 when a message came without it.
    pub created_s: i64,
    /// WeChat's number of a message: 64 bits, far above 2^53, hence text. Most events have none.
    pub msg_id: Option<String>,
    /// What was done.
    pub kind: Kind,
    /// EventKey, MsgID and Ticket as they came: what tells apart two events of the same second (§5).
    pub marks: [String; 3],
}

/// What a push is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Words.
    Text {
        /// As written, without characters XML forbids.
        content: String,
        /// The id of the menu link that was tapped instead of typing; need not be a number. Such a text counts as a
        /// click towards the window (§7).
        menu_id: Option<String>,
    },
    /// A picture.
    Image {
        /// Where it can be fetched for a while.
        pic_url: String,
        /// Its media id, good for three days.
        media_id: String,
    },
    /// A voice message.
    Voice {
        /// Its media id.
        media_id: String,
        /// `amr` or `speex`.
        format: String,
        /// WeChat's own transcript, where it still makes one.
        recognition: Option<String>,
    },
    /// A video.
    Video {
        /// Its media id.
        media_id: String,
        /// The media id of its preview.
        thumb_media_id: String,
        /// Whether it was taken as a `shortvideo`.
        short: bool,
    },
    /// A place somebody sent.
    Location {
        /// Degrees, as text.
        latitude: String,
        /// Degrees, as text.
        longitude: String,
        /// Map scale, as text.
        scale: String,
        /// The address in words.
        label: String,
    },
    /// A shared page.
    Link {
        /// Its title.
        title: String,
        /// Its summary.
        description: String,
        /// Its address.
        url: String,
    },
    /// A file. WeChat offers no way to fetch it (§3).
    File {
        /// Its name.
        title: String,
        /// Mostly empty.
        description: String,
    },
    /// Something that happened.
    Event(Event),
    /// A MsgType this service does not know: acknowledge it and go on.
    Unknown(String),
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Began to follow, perhaps through a QR code with a scene.
    Subscribe {
        /// The scene, without `qrscene_`.
        scene: Option<String>,
    },
    /// Stopped following: all that is kept about the person must be deleted (§3).
    Unsubscribe,
    /// Took back the leave to use their data, or closed their WeChat account: it must be deleted (§3).
    Revoked {
        /// Which of the two, by the event's name.
        name: String,
    },
    /// A follower scanned a QR code.
    Scan {
        /// Its scene.
        scene: String,
    },
    /// The phone reported where it is.
    Location,
    /// A menu button with a key, also one that scans a code.
    Click {
        /// `click`, `scancode_push` or `scancode_waitmsg`.
        name: String,
        /// The key.
        key: String,
    },
    /// A menu button that opens a page; takes no answer.
    View {
        /// The page.
        url: String,
    },
    /// What became of a template message (TEMPLATESENDJOBFINISH).
    TemplateSent {
        /// The id WeChat gave when it took the message.
        msg_id: String,
        /// `success`, or why not.
        status: String,
    },
    /// The follower allowed notices by these templates, or does not any more.
    Consent {
        /// `subscribe_msg_popup_event` or `subscribe_msg_change_event`.
        name: String,
        /// Template and whether it is allowed.
        choices: Vec<(String, bool)>,
    },
    /// What became of subscribe notifications.
    NoticeSent {
        /// Template, error code (`0`: it arrived), and WeChat's word for it.
        results: Vec<(String, String, String)>,
        /// The message ids, joined: what tells two such events of one second apart.
        msg_ids: String,
    },
    /// Something about the account's certification (认证), by the event's name.
    Certification {
        /// `annual_renew`, `verify_expired`, `qualification_verify_success` …
        name: String,
        /// When it ends or failed, in seconds since 1970.
        at_s: Option<i64>,
        /// Why it failed.
        reason: String,
    },
    /// Any other event: acknowledge it and go on.
    Other {
        /// Its name in lower case.
        name: String,
    },
}

impl Inbound {
    /// The same text for every delivery of the same thing, different for different things (§5). It names the follower:
    /// hash it, never log it.
    pub fn key(&self) -> String {
        // No field can contain this character: XML forbids it, so it was dropped.
        let separator = "\u{1f}";
        let from = self.from.as_str();
        if let Some(id) = &self.msg_id {
            return ["message", from, id].join(separator);
        }
        let created = self.created_s.to_string();
        let [event_key, msg_id, ticket] = &self.marks;
        [from, &created, self.kind.name(), event_key, msg_id, ticket].join(separator)
    }
}

impl Kind {
    /// The name of the event or of the message type, in lower case for those that are known.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Text { .. } => "text",
            Self::Image { .. } => "image",
            Self::Voice { .. } => "voice",
            Self::Video { short: false, .. } => "video",
            Self::Video { short: true, .. } => "shortvideo",
            Self::Location { .. } => "location message",
            Self::Link { .. } => "link",
            Self::File { .. } => "file",
            Self::Unknown(name) => name,
            Self::Event(event) => match event {
                Event::Subscribe { .. } => "subscribe",
                Event::Unsubscribe => "unsubscribe",
                Event::Scan { .. } => "scan",
                Event::Location => "location",
                Event::View { .. } => "view",
                Event::TemplateSent { .. } => "templatesendjobfinish",
                Event::NoticeSent { .. } => "subscribe_msg_sent_event",
                Event::Click { name, .. }
                | Event::Consent { name, .. }
                | Event::Revoked { name }
                | Event::Certification { name, .. }
                | Event::Other { name } => name,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Inbound, OpenId, parse};

    fn read(inner: &str) -> Inbound {
        let head = "<FromUserName>o1</FromUserName><CreateTime>1795480000</CreateTime>";
        parse(format!("<xml>{head}{inner}</xml>").as_bytes()).unwrap()
    }

    fn event(inner: &str) -> Inbound {
        read(&format!("<MsgType>event</MsgType>{inner}"))
    }

    #[test]
    fn a_message_is_known_by_sender_and_number_an_event_by_all_that_tells_it_apart() {
        let said = |id: &str| read(&format!("<MsgType>text</MsgType><MsgId>{id}</MsgId>"));
        assert_eq!(said("24801004976846051").msg_id.as_deref(), Some("24801004976846051"));
        assert_eq!(said("1").key(), said(" 1 ").key());
        assert_ne!(said("1").key(), said("2").key());
        let mut other = said("1");
        other.from = OpenId::new("o2");
        assert_ne!(said("1").key(), other.key());

        let click = event("<Event>CLICK</Event><EventKey>A</EventKey>");
        assert_eq!(click.key(), event("<EventKey>A</EventKey><Event>click</Event>").key());
        for different in [
            event("<Event>CLICK</Event><EventKey>B</EventKey>"),
            event("<Event>LOCATION</Event><Latitude>36.23</Latitude>"),
            event("<Event>CLICK</Event><EventKey>A</EventKey><MsgID>7</MsgID>"),
            event("<Event>CLICK</Event><EventKey>A</EventKey><Ticket>t</Ticket>"),
            event("<Event>scancode_push</Event><EventKey>A</EventKey>"),
        ] {
            assert_ne!(click.key(), different.key());
        }
    }
}
