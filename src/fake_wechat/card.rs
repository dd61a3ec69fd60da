//! What a bubble shows beside its text: pictures, articles, options to tap, and notices. Shapes only.

use serde::Serialize;

/// The structured part of a [`Bubble`](super::Bubble). Everything in it comes from outside: show it as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Card {
    /// A picture.
    Image {
        /// Under which it can be fetched.
        media_id: String,
    },
    /// Somebody's voice.
    Voice {
        /// Under which it can be fetched.
        media_id: String,
    },
    /// An article: a title over a line or two, leading to a page.
    Article {
        /// Its title.
        title: String,
        /// What stands below.
        description: String,
        /// The page.
        url: String,
        /// Its picture.
        pic_url: String,
    },
    /// A message with options to tap (msgmenu).
    Options {
        /// What stands above them.
        head: String,
        /// They themselves.
        options: Vec<Choice>,
        /// What stands below.
        tail: String,
    },
    /// A notice by template.
    Notice {
        /// The template's title.
        title: String,
        /// Labels and what they say.
        rows: Vec<(String, String)>,
        /// The page it leads to, if any.
        url: String,
    },
}

/// One option to tap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// What arrives as `bizmsgmenuid`.
    pub id: String,
    /// What it reads, and what the follower then says.
    pub content: String,
}

impl Card {
    /// All of it in words, for transcripts.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Image { .. } => "[图片]".to_owned(),
            Self::Voice { .. } => "[语音]".to_owned(),
            Self::Article { title, .. } => format!("[图文]{title}"),
            Self::Options { head, options, tail } => {
                let options = options.iter().map(|option| option.content.as_str());
                let all = [head.as_str()].into_iter().chain(options).chain([tail.as_str()]);
                all.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
            }
            Self::Notice { title, rows, .. } => {
                let rows = rows.iter().map(|(label, value)| format!("\n{label}：{value}"));
                [format!("[通知]{title}")].into_iter().chain(rows).collect()
            }
        }
    }
}
