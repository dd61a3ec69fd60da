//! Forms and their keys. A key proves that the form came from a page of this session (nobody else's site can send it)
//! and names the submission, so that a double click counts once. Knows keys and fields; not what a form is for.

use super::Hall;
use super::error::WebError;
use super::session::StaffUser;
use super::visitor::Visitor;
use crate::store::TokenHash;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// Makes and checks keys. The secret lives as long as the process: after a restart open pages must be loaded anew.
pub(super) struct FormKeys {
    secret: [u8; 32],
}

/// Random part and proof.
const KEY_BYTES: usize = 16 + 32;

impl FormKeys {
    /// With a fresh secret.
    pub fn new() -> Self {
        Self { secret: random().expect("the system gave randomness for the setup link a moment ago") }
    }

    /// A fresh key for a form of this session.
    pub fn issue(&self, session: &TokenHash) -> Result<String, WebError> {
        let random: [u8; 16] = random()?;
        Ok(URL_SAFE_NO_PAD.encode([random.as_slice(), &self.proof(session, &random)].concat()))
    }

    /// Whether the key was made here for this session.
    pub fn holds(&self, session: &TokenHash, key: &str) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(key) else { return false };
        let Some((random, proof)) = bytes.split_at_checked(16).filter(|_| bytes.len() == KEY_BYTES) else {
            return false;
        };
        bool::from(proof.ct_eq(&self.proof(session, random)))
    }

    /// Twenty bytes nobody else can tell: the same as long as this session and this mark last.
    pub fn derive(&self, session: &TokenHash, mark: &[u8; 16]) -> [u8; 20] {
        let hash = Sha256::new_with_prefix("second factor").chain_update(self.secret);
        let hash = hash.chain_update(session).chain_update(mark).finalize();
        std::array::from_fn(|n| hash[n])
    }

    /// All parts have fixed lengths, so that nothing can be appended to what is hashed.
    fn proof(&self, session: &TokenHash, random: &[u8]) -> [u8; 32] {
        Sha256::new().chain_update(self.secret).chain_update(session).chain_update(random).finalize().into()
    }
}

/// Fresh randomness.
pub(super) fn random<const N: usize>() -> Result<[u8; N], WebError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| WebError::Internal(anyhow::anyhow!("no randomness: {error}")))?;
    Ok(bytes)
}

/// The fields of a form, in the order in which they were sent.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// A field as it was sent; empty if it is missing.
    pub fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// All fields, name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// All fields of that name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// A field without spaces around it.
    pub fn trimmed(&self, name: &str) -> &str {
        self.get(name).trim()
    }
}

impl FromRequest<Arc<Hall>> for Fields {
    type Rejection = WebError;

    async fn from_request(request: Request, hall: &Arc<Hall>) -> Result<Self, WebError> {
        match Form::from_request(request, hall).await {
            Ok(Form(fields)) => Ok(Self(fields)),
            Err(FormRejection::BytesRejection(error)) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(WebError::TooLarge)
            }
            Err(_) => Err(WebError::BadForm),
        }
    }
}

/// A form somebody sent who is logged in; its key has not been looked at.
pub(super) struct Posted {
    user: StaffUser,
    fields: Fields,
    key: Option<String>,
}

/// A form with a good key.
pub(super) struct Keyed {
    /// Who sent it.
    pub user: StaffUser,
    /// What is in it.
    pub fields: Fields,
    /// Its key.
    pub key: String,
}

/// A form whose key is none of ours, or not any more.
pub(super) struct Stale {
    /// Who sent it.
    pub user: StaffUser,
    /// What is in it: to be shown again, not to be acted on.
    pub fields: Fields,
}

impl Posted {
    /// Who sent it.
    pub fn user(&self) -> &StaffUser {
        &self.user
    }

    /// The form, if its key is good: there is no other way to its fields.
    pub fn open(self) -> Result<Keyed, Box<Stale>> {
        let Self { user, fields, key } = self;
        match key {
            Some(key) => Ok(Keyed { user, fields, key }),
            None => Err(Box::new(Stale { user, fields })),
        }
    }
}

impl From<Box<Stale>> for WebError {
    fn from(_: Box<Stale>) -> Self {
        Self::Expired
    }
}

impl FromRequest<Arc<Hall>> for Posted {
    type Rejection = WebError;

    async fn from_request(request: Request, hall: &Arc<Hall>) -> Result<Self, WebError> {
        let (mut parts, body) = request.into_parts();
        let user = StaffUser::from_request_parts(&mut parts, hall).await?;
        let elsewhere = parts.headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
        if elsewhere {
            return Err(WebError::Forbidden(FROM_ELSEWHERE));
        }
        let fields = Fields::from_request(Request::from_parts(parts, body), hall).await?;
        let key =
            Some(fields.get("key")).filter(|key| hall.keys.holds(&user.session, key)).map(str::to_owned);
        Ok(Self { user, fields, key })
    }
}

/// Said when a form was sent from somebody else's site.
pub(super) const FROM_ELSEWHERE: &str = "这次提交不是从工作台的页面发出的，没有生效。请从工作台里操作。";

/// The fields of a form for which nobody needs to be logged in, sent from a page of our own.
pub(super) struct OwnPageForm(pub Visitor, pub Fields);

impl FromRequest<Arc<Hall>> for OwnPageForm {
    type Rejection = WebError;

    async fn from_request(request: Request, hall: &Arc<Hall>) -> Result<Self, WebError> {
        let visitor = super::session::visitor(request.extensions())?;
        if !visitor.sent_from_own_page(request.headers()) {
            return Err(WebError::Forbidden(FROM_ELSEWHERE));
        }
        Ok(Self(visitor, Fields::from_request(request, hall).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_holds_for_its_session_and_process_only() {
        let (keys, others) = (FormKeys::new(), FormKeys::new());
        let key = keys.issue(&[1; 32]).unwrap();
        assert!(keys.holds(&[1; 32], &key));
        assert!(!keys.holds(&[2; 32], &key), "another session");
        assert!(!others.holds(&[1; 32], &key), "another process");
        assert_ne!(key, keys.issue(&[1; 32]).unwrap());
    }

    #[test]
    fn a_mended_or_cut_key_does_not_hold() {
        let keys = FormKeys::new();
        let key = keys.issue(&[1; 32]).unwrap();
        for bad in ["", "x", "*", &key[1..], &format!("{key}AAAA"), &key.replacen(&key[..2], "__", 1)] {
            assert!(!keys.holds(&[1; 32], bad) || bad == key, "{bad}");
        }
    }
}
