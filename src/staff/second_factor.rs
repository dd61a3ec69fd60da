//! The second factor: codes of an authenticator (RFC 6238: SHA-1, six digits, thirty seconds, as every such program has
//! them) and one-time recovery codes. Pure: time and randomness come in. Knows which proof counts; not who asks for one.

use crate::clock::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use totp_rs::{Builder, Secret, Totp};

/// What an authenticator and we share.
pub type FactorSecret = [u8; 20];

/// So many recovery codes there are at first.
pub const N_RECOVERY: usize = 10;
/// 80 bits each: whoever reads their hashes guesses none.
const RECOVERY_BYTES: usize = 10;
/// Nothing longer is looked at.
const MAX_TYPED: usize = 64;
/// The name under which an authenticator lists its codes.
const ISSUER: &str = "莘企工作台";

/// Somebody's second factor.
#[derive(Clone, Serialize, Deserialize)]
pub struct SecondFactor {
    secret: FactorSecret,
    /// Since when.
    pub since: Timestamp,
    /// The thirty seconds whose code was used last: neither it nor an earlier one counts again.
    last_step: u64,
    /// Hashes of the recovery codes that are left.
    recovery: Vec<[u8; 32]>,
}

impl SecondFactor {
    /// Begins with a first code that shows that the authenticator has the secret.
    pub fn begin(secret: FactorSecret, code: &str, recovery: &[String], now: Timestamp) -> Option<Self> {
        let recovery = recovery.iter().take(N_RECOVERY).map(|code| hash(&letters(code))).collect();
        let mut factor = Self { secret, since: now, last_step: 0, recovery };
        factor.uses_code(code, now).then_some(factor)
    }

    /// Whether this is a proof: a code of about now (half a minute's difference between the clocks is borne) or a recovery
    /// code. It is used up.
    pub fn uses(&mut self, typed: &str, now: Timestamp) -> bool {
        if is_code(typed) {
            return self.uses_code(typed, now);
        }
        let hash = hash(&letters(typed));
        let Some(n) = self.recovery.iter().position(|left| *left == hash) else { return false };
        self.recovery.remove(n);
        true
    }

    fn uses_code(&mut self, typed: &str, now: Timestamp) -> bool {
        let now_s = u64::try_from(now.as_s()).unwrap_or(0);
        let step = totp(self.secret, None).and_then(|totp| totp.check(&digits(typed), now_s));
        let fresh = step.filter(|step| *step > self.last_step);
        self.last_step = fresh.unwrap_or(self.last_step);
        fresh.is_some()
    }

    /// How many recovery codes are left.
    pub fn n_recovery(&self) -> usize {
        self.recovery.len()
    }

    /// What changes when the factor is another one.
    pub(super) fn identity(&self) -> [u8; 32] {
        Sha256::new().chain_update(self.secret).chain_update(self.since.0.to_be_bytes()).finalize().into()
    }
}

/// Whether what was typed is meant as an authenticator's code; else it is meant as a recovery code.
pub fn is_code(typed: &str) -> bool {
    let digits = digits(typed);
    digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Without spaces, and with the wide digits of Chinese keyboards made narrow.
fn digits(typed: &str) -> String {
    let narrow = |c: char| match c {
        '０'..='９' => char::from_digit(c as u32 - '０' as u32, 10).unwrap_or(c),
        c => c,
    };
    typed.chars().filter(|c| !c.is_whitespace()).take(MAX_TYPED).map(narrow).collect()
}

/// A recovery code as it is compared: capitals without hyphens; what the alphabet lacks is taken for what it looks like.
fn letters(typed: &str) -> String {
    let seen = |c: char| match c.to_ascii_uppercase() {
        '0' => 'O',
        '1' => 'I',
        '8' => 'B',
        c => c,
    };
    typed.chars().filter(char::is_ascii_alphanumeric).take(MAX_TYPED).map(seen).collect()
}

fn hash(letters: &str) -> [u8; 32] {
    Sha256::digest(letters).into()
}

fn totp(secret: FactorSecret, name: Option<&str>) -> Option<Totp> {
    let builder = Builder::new().with_secret(Secret::new_stack(secret)).with_skew(1);
    let builder = match name {
        // A colon would end the label.
        Some(name) => builder.with_issuer(Some(ISSUER)).with_account_name(name.replace(':', "")),
        None => builder,
    };
    builder.build().ok()
}

/// The address an authenticator reads from a QR code.
pub fn address(secret: FactorSecret, name: &str) -> Option<String> {
    totp(secret, Some(name))?.to_url().ok()
}

/// The secret to be typed, in groups of four.
pub fn spelled(secret: FactorSecret) -> String {
    in_fours(&Secret::new_stack(secret).to_base32(), " ")
}

/// Fresh recovery codes from randomness, to be shown once.
pub fn recovery_codes(random: &[u8; N_RECOVERY * RECOVERY_BYTES]) -> Vec<String> {
    let codes = random.chunks(RECOVERY_BYTES);
    codes.map(|bytes| in_fours(&Secret::from(bytes.to_vec()).to_base32(), "-")).collect()
}

fn in_fours(text: &str, between: &str) -> String {
    let groups: Vec<String> =
        text.as_bytes().chunks(4).map(|four| String::from_utf8_lossy(four).into_owned()).collect();
    groups.join(between)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of RFC 6238, appendix B.
    const SECRET: FactorSecret = *b"12345678901234567890";

    fn code_at(seconds: u64) -> String {
        totp(SECRET, None).unwrap().generate(seconds).to_string()
    }

    fn factor(at_s: i64) -> SecondFactor {
        let codes = recovery_codes(&std::array::from_fn(|n| n as u8));
        let code = code_at(at_s.unsigned_abs());
        SecondFactor::begin(SECRET, &code, &codes, Timestamp::from_s(at_s)).unwrap()
    }

    #[test]
    fn codes_are_those_of_the_standard() {
        assert_eq!([59, 1_111_111_109, 2_000_000_000].map(code_at), ["287082", "081804", "279037"]);
    }

    #[test]
    fn a_code_counts_once_and_half_a_minute_early_or_late() {
        let mut factor = factor(1_000_000);
        let now = Timestamp::from_s(1_000_020);
        assert!(!factor.uses(&code_at(1_000_000), now), "the one it began with");
        assert!(!factor.uses(&code_at(1_000_080), now), "two steps early");
        assert!(factor.uses(&code_at(1_000_050), now), "a clock that is fast");
        assert!(!factor.uses(&code_at(1_000_050), now), "a second time");
        assert!(!factor.uses(&code_at(1_000_020), now), "an earlier one after it");
        let later = Timestamp::from_s(1_000_110);
        assert!(factor.uses(&code_at(1_000_080), later), "a clock that is slow");
        assert!(!factor.uses(&code_at(1_000_020), later));
        let wide: String = code_at(1_000_110)
            .chars()
            .map(|c| char::from_u32('０' as u32 + c.to_digit(10).unwrap()).unwrap())
            .collect();
        assert!(factor.uses(&format!(" {wide} "), later), "as a Chinese keyboard writes it");
    }

    #[test]
    fn a_wrong_first_code_begins_nothing() {
        let now = Timestamp::from_s(1_000_000);
        for wrong in ["", "000000", "12345", "+12345", "AAAA-BBBB-CCCC-DDDD"] {
            assert!(SecondFactor::begin(SECRET, wrong, &[], now).is_none(), "{wrong}");
        }
    }

    #[test]
    fn each_recovery_code_counts_once_however_it_is_typed() {
        let mut factor = factor(1_000_000);
        let now = Timestamp::from_s(1_000_000);
        let codes = recovery_codes(&std::array::from_fn(|n| n as u8));
        assert_eq!((codes.len(), codes[0].len(), factor.n_recovery()), (10, 19, 10));
        assert!(factor.uses(&codes[3], now) && !factor.uses(&codes[3], now));
        assert!(factor.uses(&codes[4].to_lowercase().replace('-', " "), now));
        assert!(!factor.uses("", now) && !factor.uses("----", now));
        assert_eq!(factor.n_recovery(), 8);
    }

    #[test]
    fn the_address_names_who_it_is_for() {
        let address = address(SECRET, "王:敏").unwrap();
        assert!(
            address.starts_with("otpauth://totp/") && address.contains("secret=GEZDGNBVGY3TQOJQ"),
            "{address}"
        );
        assert!(spelled(SECRET).starts_with("GEZD GNBV "));
    }
}
