//! Who works in the office: names, roles, passwords. Knows how a password is kept; nothing of sessions or pages.

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

impl Staff {
    /// Looks after staff and knowledge.
    pub fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }

    /// Changes with the password: a session begun before does not outlive it.
    pub fn mark(&self) -> [u8; 16] {
        let hash = Sha256::digest(self.password.as_bytes());
        std::array::from_fn(|n| hash[n])
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
        if password.chars().count() < MIN_PASSWORD {
            return Err(Unfit("密码至少 10 个字符"));
        }
        if password.len() > MAX_PASSWORD_BYTES {
            return Err(Unfit("密码最多 256 字节"));
        }
        let hash = hasher()
            .hash_password_with_salt(password.as_bytes(), &salt)
            .map_err(|_| Unfit("密码无法保存，请换一个"))?;
        Ok(Self { name: name.to_owned(), role, department, away: None, password: hash.to_string() })
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
    fn short_passwords_and_odd_names_are_refused_with_a_sentence() {
        assert!(Staff::new("王敏", Role::Agent, None, "short", [7; 16]).unwrap_err().0.contains("至少 10"));
        assert!(Staff::new("<b>", Role::Agent, None, "correct horse", [7; 16]).is_err());
    }
}
