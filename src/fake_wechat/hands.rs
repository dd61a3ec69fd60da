//! More that a follower's hands do: consent to notifications, scan, tap what an answer offers, send files that can be
//! fetched. Each is one [`Act`]; knows which one, the rest is `phone`'s.

use super::api::PICTURES;
use super::card::Card;
use super::links::{Piece, pieces};
use super::media::{PICTURE, recording};
use super::push::random;
use super::state::{Bubble, Side};
use super::{Act, Consent, Delivered, FakeWechat, PhoneError};
use crate::wechat::OpenId;

/// Where pictures of pushes lie as long as nobody said where this API is.
const ELSEWHERE: &str = "https://mmbiz.example/picture.png";

impl FakeWechat {
    /// Agrees to notifications by this template: once, or for good where the template is a long-term one.
    pub async fn allows(&self, who: &OpenId, template: &str) -> Result<Delivered, PhoneError> {
        self.answers_popup(who, template, true).await
    }

    /// Refuses notifications by this template in the popup.
    pub async fn refuses(&self, who: &OpenId, template: &str) -> Result<Delivered, PhoneError> {
        self.answers_popup(who, template, false).await
    }

    async fn answers_popup(&self, who: &OpenId, template: &str, yes: bool) -> Result<Delivered, PhoneError> {
        self.must_know(template)?;
        self.act(who, Act::Consent { answers: vec![(template.to_owned(), yes)] }).await
    }

    /// Switches notifications by this template off.
    pub async fn switches_off(&self, who: &OpenId, template: &str) -> Result<Delivered, PhoneError> {
        self.must_know(template)?;
        self.act(who, Act::SwitchOff { templates: vec![template.to_owned()] }).await
    }

    fn must_know(&self, template: &str) -> Result<(), PhoneError> {
        let known = self.state().templates.iter().any(|known| known.id == template);
        if known { Ok(()) } else { Err(PhoneError::NoTemplate) }
    }

    /// Scans a QR code with this scene, or one that says this address: who does not follow yet begins to.
    pub async fn scans(&self, who: &OpenId, scene: &str) -> Result<Delivered, PhoneError> {
        let scene = self.scene_of(scene).unwrap_or_else(|| scene.to_owned());
        let following = self.state().follower(who).ok_or(PhoneError::Unknown)?.following;
        let act = if following { Act::Scan { scene } } else { Act::Follow { scene: Some(scene) } };
        self.act(who, act).await
    }

    /// Opens a page from the menu.
    pub async fn views(&self, who: &OpenId, url: &str) -> Result<Delivered, PhoneError> {
        self.act(who, Act::View { url: url.to_owned() }).await
    }

    /// Sends this picture, or one that every phone has.
    pub async fn sends_picture(&self, who: &OpenId, bytes: &[u8]) -> Result<Delivered, PhoneError> {
        let bytes = if bytes.is_empty() { PICTURE } else { bytes };
        let media_id = self.keeps("image", bytes)?;
        let base = self.state().base_url.clone();
        let pic_url =
            if base.is_empty() { ELSEWHERE.to_owned() } else { format!("{base}{PICTURES}{media_id}") };
        self.act(who, Act::Picture { media_id, pic_url }).await
    }

    /// Speaks for a second.
    pub async fn sends_recording(&self, who: &OpenId) -> Result<Delivered, PhoneError> {
        let media_id = self.keeps("voice", &recording())?;
        self.act(who, Act::Recording { media_id }).await
    }

    fn keeps(&self, kind: &str, bytes: &[u8]) -> Result<String, PhoneError> {
        let now = self.now();
        self.state().media.take(now, kind, bytes).map_err(|_| PhoneError::File)
    }

    /// Taps the newest thing that reads so: a menu link in an answer, or an option of a message with options. Arrives as
    /// words with the id of what was tapped.
    pub async fn taps(&self, who: &OpenId, label: &str) -> Result<Delivered, PhoneError> {
        let transcript = self.transcript(who);
        let from_account = transcript.iter().rev().filter(|bubble| bubble.from == Side::Account);
        let mut offered = from_account.flat_map(offers);
        let (_, said) = offered.find(|(reads, _)| reads.trim() == label.trim()).ok_or(PhoneError::NoLink)?;
        let (text, menu_id) = said.ok_or(PhoneError::Page)?;
        self.chooses(who, &text, &menu_id).await
    }

    /// Whether the account shows a follower that somebody is typing.
    pub fn is_typing(&self, who: &OpenId) -> bool {
        let now = self.now();
        self.state().follower(who).is_some_and(|follower| now < follower.typing_until)
    }

    /// What a follower has agreed to, by template.
    pub fn consents(&self, who: &OpenId) -> Vec<(String, Consent)> {
        let mut state = self.state();
        let consents = state.follower(who).map(|follower| follower.consents.clone());
        consents.into_iter().flatten().collect()
    }

    /// How many bubbles a follower's screen ever showed.
    pub fn n_shown(&self, who: &OpenId) -> u64 {
        self.state().follower(who).map_or(0, |follower| follower.n_shown)
    }

    /// The bubbles after the first `seen`, as far as the screen still has them.
    pub fn shown_since(&self, who: &OpenId, seen: u64) -> Vec<Bubble> {
        let mut state = self.state();
        let Some(follower) = state.follower(who) else { return Vec::new() };
        let fresh = usize::try_from(follower.n_shown.saturating_sub(seen)).unwrap_or(usize::MAX);
        let skip = follower.transcript.len().saturating_sub(fresh);
        follower.transcript.iter().skip(skip).cloned().collect()
    }

    /// Pushes an event that WeChat sends of its own accord. Nothing of it shows on a phone.
    pub async fn happens(&self, who: &OpenId, event: &str) {
        let push = self.seal(who, &self.event_xml(who, event), random());
        // Nobody sees whether it arrives; WeChat shows no follower that it did not.
        let _ = self.post(&push).await;
    }
}

/// What can be tapped in a bubble: what it reads, and the words and id it stands for; `None`: it leads to a page.
fn offers(bubble: &Bubble) -> Vec<(String, Option<(String, String)>)> {
    if let Some(Card::Options { options, .. }) = &bubble.card {
        let said = |option: &super::Choice| Some((option.content.clone(), option.id.clone()));
        return options.iter().map(|option| (option.content.clone(), said(option))).collect();
    }
    let offer = |piece| match piece {
        Piece::Words { .. } => None,
        Piece::Page { label, .. } => Some((label, None)),
        Piece::Choice { label, text, id } => Some((label, Some((text, id)))),
    };
    pieces(&bubble.text).into_iter().filter_map(offer).collect()
}
