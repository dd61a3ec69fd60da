//! WeChat's envelope of AES-256-CBC (PROTOCOL.md §2.1) and the signature that goes with it. Knows one account's key and
//! id; must not know what is inside. Only AES, CBC and base64 are named here, and nowhere else.

use super::signature;
use crate::config::Secret;
use aes::cipher::array::Array;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit};
use aes::{Aes256Dec, Aes256Enc};
use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

/// WeChat's keys have 43 characters, 258 bits: the last two need not be zero, which the standard engine insists on.
const KEY_BASE64: GeneralPurpose =
    GeneralPurpose::new(&ALPHABET, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// WeChat pads to 32 bytes, though the cipher's block has 16: the pad has 1 to 32 bytes, all of that value.
const PAD_TO: usize = 32;
const BLOCK: usize = 16;
const RANDOM: usize = 16;
/// The random start and the length of the message.
const HEAD: usize = RANDOM + 4;

/// Why a key cannot be used, said to whoever fills in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not 43 characters.
    #[error("EncodingAESKey 应为 43 个字符，现在是 {0} 个：请从公众平台“消息推送配置”中完整复制")]
    Length(usize),
    /// A character outside A–Z, a–z, 0–9.
    #[error("EncodingAESKey 只能含英文字母和数字：请检查是否多复制了空格或其他符号")]
    Characters,
    /// The app id is empty or longer than any.
    #[error("AppID 为空或过长：请从公众平台“开发者ID”处复制，形如 wx 开头的 18 位字符")]
    AppId,
    /// The token is not what WeChat allows.
    #[error("Token 应为 3 至 32 位英文字母或数字，并与公众平台“消息推送配置”中填写的一致")]
    Token,
    /// A mode with encryption, but no key.
    #[error("安全模式和兼容模式需要 EncodingAESKey：请在配置中填写，或改用明文模式")]
    Missing,
}

/// An envelope that does not open. One value for every cause: a sender must not learn which check failed (§2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// One account's keys, with the key schedules made once.
pub struct Crypt {
    token: Secret,
    app_id: String,
    encrypt: Aes256Enc,
    decrypt: Aes256Dec,
    iv: [u8; BLOCK],
}

impl Crypt {
    /// From the three values of the platform's settings page: the token, the EncodingAESKey of 43 characters and the
    /// AppID every envelope must name.
    pub fn new(token: &Secret, encoding_aes_key: &Secret, app_id: &str) -> Result<Self, KeyError> {
        check_token(token)?;
        let text = encoding_aes_key.expose();
        if text.chars().count() != 43 {
            return Err(KeyError::Length(text.chars().count()));
        }
        if !text.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(KeyError::Characters);
        }
        if app_id.is_empty() || app_id.len() > 128 {
            return Err(KeyError::AppId);
        }
        let key = KEY_BASE64.decode(format!("{text}=")).map_err(|_| KeyError::Characters)?;
        let key: &[u8; 32] = key.as_slice().try_into().map_err(|_| KeyError::Characters)?;
        let mut iv = [0; BLOCK];
        iv.copy_from_slice(&key[..BLOCK]);
        Ok(Self {
            token: token.clone(),
            app_id: app_id.to_owned(),
            encrypt: Aes256Enc::new(key.into()),
            decrypt: Aes256Dec::new(key.into()),
            iv,
        })
    }

    /// The message inside an `<Encrypt>` text, once everything about it holds (§2.1).
    pub fn decrypt(&self, encrypt: &str) -> Result<String, Refused> {
        let mut bytes = STANDARD.decode(encrypt).map_err(|_| Refused)?;
        let (blocks, rest) = Array::slice_as_chunks_mut(&mut bytes);
        if blocks.is_empty() || !rest.is_empty() {
            return Err(Refused);
        }
        cbc::Decryptor::inner_iv_init(&self.decrypt, &self.iv.into()).decrypt_blocks(blocks);
        let end = HEAD + self.message_len(&bytes).ok_or(Refused)?;
        bytes.truncate(end);
        bytes.drain(..HEAD);
        String::from_utf8(bytes).map_err(|_| Refused)
    }

    /// Whether an envelope that does not open was sealed with this key for another AppID. For whoever looks for a mistake
    /// in the settings; the sender must not learn it.
    pub(super) fn names_another(&self, encrypt: &str) -> bool {
        let Ok(mut bytes) = STANDARD.decode(encrypt) else { return false };
        let (blocks, _) = Array::slice_as_chunks_mut(&mut bytes);
        cbc::Decryptor::inner_iv_init(&self.decrypt, &self.iv.into()).decrypt_blocks(blocks);
        Self::parts(&bytes).is_some_and(|(_, app_id)| app_id != self.app_id.as_bytes())
    }

    /// The length of the message in decrypted bytes, if pad, length and AppID are as they must be.
    fn message_len(&self, plain: &[u8]) -> Option<usize> {
        let (length, app_id) = Self::parts(plain)?;
        (app_id == self.app_id.as_bytes()).then_some(length)
    }

    /// The length of the message and the AppID in decrypted bytes, if pad and length are as they must be.
    fn parts(plain: &[u8]) -> Option<(usize, &[u8])> {
        let pad = usize::from(*plain.last()?);
        let unpadded = plain.len().checked_sub(pad)?;
        let (body, padding) = plain.split_at_checked(unpadded)?;
        if !(1..=PAD_TO).contains(&pad) || padding.iter().any(|byte| usize::from(*byte) != pad) {
            return None;
        }
        let length = u32::from_be_bytes(body.get(RANDOM..HEAD)?.try_into().ok()?);
        let length = usize::try_from(length).ok()?;
        Some((length, body.get(HEAD.checked_add(length)?..)?))
    }

    /// Wraps `message` into an `<Encrypt>` text. `random` must be fresh from the system's generator each time (§2.2).
    pub fn encrypt(&self, message: &str, random: [u8; RANDOM]) -> String {
        let unpadded = HEAD + message.len() + self.app_id.len();
        let pad = PAD_TO - unpadded % PAD_TO;
        let mut bytes = Vec::with_capacity(unpadded + pad);
        bytes.extend_from_slice(&random);
        // Bodies are limited to 1 MiB and replies to 2 KiB, so four bytes always hold the length.
        bytes.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(message.as_bytes());
        bytes.extend_from_slice(self.app_id.as_bytes());
        bytes.resize(unpadded + pad, u8::try_from(pad).unwrap_or_default());
        let (blocks, _) = Array::slice_as_chunks_mut(&mut bytes);
        cbc::Encryptor::inner_iv_init(&self.encrypt, &self.iv.into()).encrypt_blocks(blocks);
        STANDARD.encode(bytes)
    }

    /// `msg_signature` over an envelope (§2).
    pub fn sign(&self, timestamp: &str, nonce: &str, encrypt: &str) -> String {
        signature::sign(&[self.token.expose(), timestamp, nonce, encrypt])
    }

    /// Whether `given` is the `msg_signature` over an envelope; constant time.
    pub fn verify(&self, given: &str, timestamp: &str, nonce: &str, encrypt: &str) -> bool {
        signature::verify(given, &[self.token.expose(), timestamp, nonce, encrypt])
    }
}

/// A token that can be one: an empty one would let anybody sign, a space in it is a copying mistake (§1).
pub fn check_token(token: &Secret) -> Result<(), KeyError> {
    let text = token.expose();
    let good = (3..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if good { Ok(()) } else { Err(KeyError::Token) }
}

#[cfg(test)]
mod tests {
    use super::{Crypt, KeyError, Refused, STANDARD, Secret};
    use crate::wechat::tests::fixture;
    use base64::Engine;

    /// Its last character carries two bits too many, as those of three real keys in four do.
    const KEY: &str = "XinQiShenXianZhenQiYeZiXunBangZiXunBangGonh";

    fn crypt(token: &str, key: &str, app_id: &str) -> Crypt {
        Crypt::new(&Secret::new(token), &Secret::new(key), app_id).unwrap()
    }

    fn ours() -> Crypt {
        crypt("xinqi2026", KEY, "wx0123456789abcdef")
    }

    /// Sealed by openssl, so that a mistake made twice here would show. Message, random bytes as below.
    const SEALED: [(&str, &str, &str); 3] = [
        // Padded by 8.
        (
            "房租能免吗？",
            "oVpy4X36TOw2LnjNd1ANVRdB0fGTbHm3DXkxnwwMHGzyRYdME5CUxxpntrxIugGzGPVwKShI4j5OcSIu3dAZlg==",
            "0716ae13d8ad62269e09a46448dca12cdcccd0fb",
        ),
        // Padded by 26.
        (
            "",
            "oVpy4X36TOw2LnjNd1ANVWO3U36vxUlB+5svHP6kihyNW0zmXrPh7UCJ9PLp3xE+8WBSaSoKtCFhVsN2LrztzA==",
            "ff86c0258a29605eacfb422ef89effa7486fa342",
        ),
        // Padded by 32: a whole block of nothing else.
        (
            "aaaaaaaaaaaaaaaaaaaaaaaaaa",
            "oVpy4X36TOw2LnjNd1ANVTcUAICvUQ4l5GNnZJHIlyn9uTOrSou8p3oJyS4vk8P6C0VUjg3pwRlAvbQA5zL7TVfXbuflQQPz+rRfB7G+\
             C2M/9lO3173QAZQmVlKBPF3+",
            "1c599de361710d37959acd5423c1eb3d5193ebb8",
        ),
    ];

    #[test]
    fn an_envelope_sealed_by_openssl_opens_and_comes_out_the_same() {
        assert_eq!(STANDARD.decode(format!("{KEY}=")).ok(), None, "this key has trailing bits");
        for (message, sealed, signature) in SEALED {
            assert_eq!(ours().decrypt(sealed).as_deref(), Ok(message));
            assert_eq!(ours().encrypt(message, *b"0123456789abcdef"), sealed);
            assert_eq!(ours().sign("1795480000", "n1", sealed), signature);
            assert!(ours().verify(signature, "1795480000", "n1", sealed));
        }
    }

    #[test]
    fn the_envelopes_of_the_public_test_suites_open() {
        let Some(vectors) = fixture("crypto_vectors.json") else { return };
        for vector in vectors.as_array().unwrap() {
            let text = |name: &str| vector[name].as_str().unwrap();
            let crypt = crypt(text("token"), text("encoding_aes_key"), text("id_in_cipher"));
            assert_eq!(crypt.decrypt(text("encrypt")).as_deref(), Ok(text("plain")), "{}", text("name"));
            if let Some(signature) = vector["msg_signature"].as_str() {
                assert!(crypt.verify(signature, text("timestamp"), text("nonce"), text("encrypt")));
            }
            if let Ok(random) = text("random").as_bytes().try_into() {
                assert_eq!(crypt.encrypt(text("plain"), random), text("encrypt"), "{}", text("name"));
            }
        }
    }

    /// Encrypts bytes as they are, so that every layout can be forged.
    fn seal(plain: &[u8]) -> String {
        use aes::cipher::array::Array;
        use aes::cipher::{BlockModeEncrypt, InnerIvInit};
        let mut bytes = plain.to_vec();
        let (blocks, _) = Array::slice_as_chunks_mut(&mut bytes);
        cbc::Encryptor::inner_iv_init(&ours().encrypt, &ours().iv.into()).encrypt_blocks(blocks);
        STANDARD.encode(bytes)
    }

    fn layout(length: u32, message: &[u8], app_id: &str, pad: &[u8]) -> Vec<u8> {
        [&[7; 16], &length.to_be_bytes()[..], message, app_id.as_bytes(), pad].concat()
    }

    #[test]
    fn every_wrong_layout_is_refused_alike() {
        let id = "wx0123456789abcdef";
        assert_eq!(ours().decrypt(&seal(&layout(2, b"ok", id, &[8; 8]))).as_deref(), Ok("ok"));
        let wrong: Vec<String> = vec![
            String::new(),
            "====".into(),
            "not base64!".into(),
            STANDARD.encode([1; 15]),
            STANDARD.encode([1; 33]),
            STANDARD.encode([1; 16]),
            seal(&[16; 16]),
            seal(&[32; 32]),
            seal(&[255; 64]),
            seal(&[0; 48]),
            seal(&layout(2, b"ok", id, &[0; 8])),
            seal(&layout(2, b"ok", id, &[7, 8, 8, 8, 8, 8, 8, 8])),
            seal(&layout(2, b"ok", id, &[40; 40])),
            seal(&layout(3, b"ok", id, &[8; 8])),
            seal(&layout(1, b"ok", id, &[8; 8])),
            seal(&layout(u32::MAX, b"ok", id, &[8; 8])),
            seal(&layout(2, b"ok", "wx0123456789abcdeF", &[8; 8])),
            seal(&layout(2, b"ok", "", &[10; 10])),
            seal(&layout(2, b"\xff\xfe", id, &[8; 8])),
        ];
        for sealed in wrong {
            assert_eq!(ours().decrypt(&sealed), Err(Refused), "{sealed}");
        }
    }

    #[test]
    fn a_key_that_cannot_be_one_is_explained() {
        let why =
            |token: &str, key: &str, id: &str| Crypt::new(&Secret::new(token), &Secret::new(key), id).err();
        assert_eq!(why("token", &KEY[1..], "wx1"), Some(KeyError::Length(42)));
        assert_eq!(why("token", &"中".repeat(43), "wx1"), Some(KeyError::Characters));
        assert_eq!(why("token", &"-".repeat(43), "wx1"), Some(KeyError::Characters));
        assert_eq!(why("token", KEY, ""), Some(KeyError::AppId));
        assert_eq!(why("", KEY, "wx1"), Some(KeyError::Token));
        assert_eq!(why("a b c", KEY, "wx1"), Some(KeyError::Token));
        assert!(KeyError::Length(42).to_string().contains("42"));
    }

    proptest::proptest! {
        #[test]
        fn what_is_sealed_opens_to_the_same(length in 0_usize..=4096, filler in "\\PC{8}", random: [u8; 16]) {
            let mut message = filler.repeat(length / filler.len().max(1) + 1);
            while message.len() > length {
                message.pop();
            }
            let sealed = ours().encrypt(&message, random);
            proptest::prop_assert_eq!(ours().decrypt(&sealed), Ok(message));
        }

        #[test]
        fn no_input_brings_decryption_down(sealed in ".{0,200}", bytes: Vec<u8>) {
            let _ = ours().decrypt(&sealed);
            let _ = ours().decrypt(&STANDARD.encode(&bytes));
        }
    }
}
