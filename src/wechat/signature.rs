//! WeChat's signature: the SHA-1 of the sorted parts (PROTOCOL.md §1, §2). Knows no keys and no requests.

use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;

/// The signature over `parts`: SHA-1 of their concatenation in bytewise order, in lower-case hex (§1).
pub fn sign(parts: &[&str]) -> String {
    String::from_utf8_lossy(&hex_of(parts)).into_owned()
}

/// Whether `given` is the signature over `parts`; takes the same time wherever the two differ (§1).
pub fn verify(given: &str, parts: &[&str]) -> bool {
    hex_of(parts).as_slice().ct_eq(given.as_bytes()).into()
}

/// A short fingerprint of a body, for telling "the same again" from "something else".
pub(super) fn fingerprint(body: &[u8]) -> u128 {
    let digest = Sha1::digest(body);
    digest.iter().take(16).fold(0, |all, byte| all << 8 | u128::from(*byte))
}

fn hex_of(parts: &[&str]) -> [u8; 40] {
    let mut sorted = parts.to_vec();
    sorted.sort_unstable();
    let mut hasher = Sha1::new();
    for part in sorted {
        hasher.update(part.as_bytes());
    }
    let mut hex = [0; 40];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(hasher.finalize()) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    hex
}

const fn digit(half: u8) -> u8 {
    if half < 10 { b'0' + half } else { b'a' + half - 10 }
}

#[cfg(test)]
mod tests {
    use super::{sign, verify};
    use crate::wechat::tests::fixture;

    #[test]
    fn the_signatures_of_the_public_test_suites_come_out() {
        let Some(vectors) = fixture("signature_vectors.json") else { return };
        for vector in vectors.as_array().unwrap() {
            let text = |name: &str| vector[name].as_str();
            let mut parts = vec![text("token").unwrap(), text("timestamp").unwrap(), text("nonce").unwrap()];
            parts.extend(text("encrypt"));
            assert_eq!(sign(&parts), vector["expected"].as_str().unwrap(), "{}", vector["name"]);
        }
    }

    #[test]
    fn the_order_of_the_parts_does_not_matter_and_is_bytewise() {
        // As text "10" comes before "9": what coreutils' sha1sum says of "109a".
        let expected = "9afe9dae973f0bf823fa8b8109eed35fbb161517";
        assert_eq!(sign(&["a", "9", "10"]), sign(&["10", "9", "a"]));
        assert_eq!(sign(&["9", "10", "a"]), expected);
    }

    #[test]
    fn only_the_exact_signature_is_accepted() {
        let parts = ["令牌", "1795480000", "n"];
        let right = sign(&parts);
        assert!(verify(&right, &parts));
        assert!(!verify(&right.to_uppercase(), &parts));
        assert!(!verify(&right[..39], &parts));
        assert!(!verify(&format!("{right}0"), &parts));
        assert!(!verify("", &parts));
        assert!(!verify(&right, &["令牌", "1795480001", "n"]));
    }
}
