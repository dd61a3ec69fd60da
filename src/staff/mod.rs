//! Who works in the office: names, roles, passwords, second factors. Knows how they are kept and who needs which; nothing of
//! sessions or pages.

pub mod second_factor;

use self::second_factor::SecondFactor;
use crate::clock::Timestamp;
use crate::knowledge::Department;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Answers tickets (坐席).
    Agent,
    /// Also decides for a department: assignments, extensions, disputed transfers (负责人).
    Lead,
    /// Also looks after staff and knowledge (管理员).
    Admin,
    /// Reads and changes nothing (只读).
    Viewer,
}

impl Role {
    /// Every role, in the order a form offers them.
    pub const ALL: [Self; 4] = [Self::Agent, Self::Lead, Self::Admin, Self::Viewer];

    /// What it may do, in a sentence.
    pub fn duty(self) -> &'static str {
        match self {
            Self::Agent => "答复、转办、办结咨询单",
            Self::Lead => "还能分派、批准延期、裁定转办",
            Self::Admin => "还能管理人员、知识库、二维码和诊断",
            Self::Viewer => "只能查看，不能答复和改动",
        }
    }

    /// The name people read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Agent => "坐席",
            Self::Lead => "负责人",
            Self::Admin => "管理员",
            Self::Viewer => "只读",
        }
    }

    /// From a command line or a form: `agent`/`坐席`, `lead`/`负责人`, `admin`/`管理员`, `viewer`/`只读`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "agent" | "坐席" => Some(Self::Agent),
            "lead" | "负责人" => Some(Self::Lead),
            "admin" | "管理员" => Some(Self::Admin),
            "viewer" | "只读" => Some(Self::Viewer),
            _ => None,
        }
    }
}

/// Who has to have a second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FactorRule {
    /// Administrators.
    Admins,
    /// Everybody.
    All,
    /// Nobody; whoever wants one may have it.
    Optional,
}

impl FactorRule {
    /// Whether somebody with this role has to have one.
    pub fn demands(self, role: Role) -> bool {
        match self {
            Self::Admins => role == Role::Admin,
            Self::All => true,
            Self::Optional => false,
        }
    }
}

/// Out of office (外出).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Away {
    /// Until when.
    pub until: Timestamp,
    /// Who sees and answers meanwhile what is theirs (代理人).
    pub deputy: String,
}

/// One member of staff.
#[derive(Clone, Serialize, Deserialize)]
pub struct Staff {
    /// Login name and the name colleagues read; Chinese is usual.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Where they work; `None`: in all departments.
    pub department: Option<Department>,
    /// Out of office, and who stands in meanwhile.
    pub away: Option<Away>,
    /// Asked for after the password.
    pub second_factor: Option<SecondFactor>,
    /// When they last came in.
    pub last_login: Option<Timestamp>,
    /// Argon2id in PHC form.
    password: String,
}

impl fmt::Debug for Staff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Staff({}, {})", self.name, self.role.name())
    }
}

/// Why somebody cannot be taken on, as a sentence for the form or the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit(pub &'static str);

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The shortest password, in characters (GB/T 39786 and NIST SP 800-63B both ask for length rather than signs).
pub const MIN_PASSWORD: usize = 10;
const MAX_PASSWORD_BYTES: usize = 256;

/// A password somebody will have; only its hash is kept.
pub struct NewPassword(String);

impl NewPassword {
    /// Hashes it. `salt` is fresh randomness. Slow on purpose (about 20–50 ms): call it off the async threads.
    pub fn new(password: &str, salt: [u8; 16]) -> Result<Self, Unfit> {
        if password.chars().count() < MIN_PASSWORD {
            return Err(Unfit("密码至少 10 个字符"));
        }
        if password.len() > MAX_PASSWORD_BYTES {
            return Err(Unfit("密码最多 256 字节"));
        }
        let hash = hasher().hash_password_with_salt(password.as_bytes(), &salt);
        hash.map(|hash| Self(hash.to_string())).map_err(|_| Unfit("密码无法保存，请换一个"))
    }
}

impl Staff {
    /// Looks after staff and knowledge.
    pub fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }

    /// Changes with the password and with the second factor: a session begun before does not outlive them.
    pub fn mark(&self) -> [u8; 16] {
        let mut hash = Sha256::new_with_prefix(&self.password);
        if let Some(factor) = &self.second_factor {
            hash.update(factor.identity());
        }
        let hash = hash.finalize();
        std::array::from_fn(|n| hash[n])
    }

    /// Out of office at this moment.
    pub fn away_at(&self, now: Timestamp) -> Option<&Away> {
        self.away.as_ref().filter(|away| away.until > now)
    }

    /// From now on this is their password.
    pub fn set_password(&mut self, password: NewPassword) {
        self.password = password.0;
    }

    /// Takes somebody on. `salt` is fresh randomness. Slow on purpose (about 20–50 ms): call it off the async threads.
    pub fn new(
        name: &str,
        role: Role,
        department: Option<Department>,
        password: &str,
        salt: [u8; 16],
    ) -> Result<Self, Unfit> {
        let name = name.trim();
        let n = name.chars().count();
        if !(1..=20).contains(&n)
            || name.chars().any(|c| c.is_control() || c.is_whitespace() || "/\\<>\"'&".contains(c))
        {
            return Err(Unfit("姓名要有 1–20 个字，不含空格和特殊符号"));
        }
        let NewPassword(password) = NewPassword::new(password, salt)?;
        let name = name.to_owned();
        Ok(Self { name, role, department, away: None, second_factor: None, last_login: None, password })
    }

    /// Whether this is their password. Slow on purpose.
    pub fn knows(&self, password: &str) -> bool {
        password.len() <= MAX_PASSWORD_BYTES
            && PasswordHash::new(&self.password)
                .is_ok_and(|hash| hasher().verify_password(password.as_bytes(), &hash).is_ok())
    }
}

/// OWASP's second recommendation: 19 MiB, two passes, one lane.
fn hasher() -> Argon2<'static> {
    let params = Params::new(19 * 1024, 2, 1, None).expect("constant parameters within argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// As slow as checking a real password, so that an unknown name cannot be told from a wrong password by the clock.
pub fn pretend_to_check(password: &str) {
    let mut out = [0_u8; 32];
    let bytes = &password.as_bytes()[..password.len().min(MAX_PASSWORD_BYTES)];
    // The result is of no use; only the time it takes is.
    let _ = hasher().hash_password_into(bytes, b"nobody-nobody-00", &mut out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_its_owner_only_and_never_printed() {
        let staff = Staff::new("王敏", Role::Agent, None, "correct horse", [7; 16]).unwrap();
        assert!(staff.knows("correct horse"));
        assert!(!staff.knows("correct house"));
        assert!(!format!("{staff:?}").contains("argon2"));
    }

    #[test]
    fn another_password_or_second_factor_leaves_another_mark() {
        let mut staff = Staff::new("王敏", Role::Agent, None, "correct horse", [7; 16]).unwrap();
        let now = Timestamp::from_s(59);
        let mut marks = vec![staff.mark()];
        staff.second_factor = SecondFactor::begin(*b"12345678901234567890", "287082", &[], now);
        assert!(staff.second_factor.is_some());
        marks.push(staff.mark());
        staff.set_password(NewPassword::new("another password", [8; 16]).unwrap());
        marks.push(staff.mark());
        staff.second_factor = None;
        marks.push(staff.mark());
        staff.last_login = Some(now);
        assert_eq!(staff.mark(), marks[3], "coming in changes none");
        let different: std::collections::HashSet<_> = marks.iter().collect();
        assert_eq!(different.len(), 4);
    }

    #[test]
    fn who_is_away_is_back_at_the_moment_they_named() {
        let mut staff = Staff::new("王敏", Role::Agent, None, "correct horse", [7; 16]).unwrap();
        staff.away = Some(Away { until: Timestamp::from_s(100), deputy: "李强".into() });
        assert!(staff.away_at(Timestamp::from_s(99)).is_some());
        assert!(staff.away_at(Timestamp::from_s(100)).is_none());
    }

    #[test]
    fn the_rule_says_who_needs_a_second_factor() {
        let needs = |rule: FactorRule| Role::ALL.map(|role| rule.demands(role));
        assert_eq!(needs(FactorRule::Admins), [false, false, true, false]);
        assert_eq!(needs(FactorRule::All), [true; 4]);
        assert_eq!(needs(FactorRule::Optional), [false; 4]);
    }

    #[test]
    fn short_passwords_and_odd_names_are_refused_with_a_sentence() {
        assert!(Staff::new("王敏", Role::Agent, None, "short", [7; 16]).unwrap_err().0.contains("至少 10"));
        assert!(Staff::new("<b>", Role::Agent, None, "correct horse", [7; 16]).is_err());
    }
}
