//! Staff and their sessions in sled. What changes something is run on the writer's thread, one after the other, so that
//! looking and changing are one. Knows keys; not who may do what.

use super::sled_home::io;
use super::sled_keys as keys;
use super::sled_writer::Disk;
use super::{Changed, Result, Session, StaffChange, TokenHash};
use crate::clock::Timestamp;
use crate::staff::Staff;

/// So many people, or sessions, are looked at in one go; an office has a hundredth of it.
const MAX_SCAN: usize = 5_000;

/// A member of staff.
pub fn staff(disk: &Disk, name: &str) -> Result<Option<Staff>> {
    disk.get(&keys::staff(name), "staff")
}

/// All of them, by name.
pub fn all_staff(disk: &Disk) -> Result<Vec<Staff>> {
    let items = disk.db().scan_prefix(b"s").values().take(MAX_SCAN);
    items.map(|value| keys::decode(&value.map_err(io)?, "staff")).collect()
}

/// Takes somebody on or changes them; refused where somebody has to be the first administrator and is not.
pub fn put_staff(disk: &Disk, staff: &Staff, only_first: bool) -> Result<bool> {
    if only_first && all_staff(disk)?.iter().any(Staff::is_admin) {
        return Ok(false);
    }
    disk.db().insert(keys::staff(&staff.name), keys::encode(staff)?).map_err(io)?;
    disk.sync()?;
    Ok(true)
}

/// Lets somebody go.
pub fn remove_staff(disk: &Disk, name: &str) -> Result<bool> {
    let was_there = disk.db().remove(keys::staff(name)).map_err(io)?.is_some();
    disk.sync()?;
    Ok(was_there)
}

/// Changes somebody as they stand, and in the same batch the sessions that hang on what is changed.
pub fn change_staff(
    disk: &Disk,
    name: &str,
    goes_on: Option<TokenHash>,
    change: StaffChange,
) -> Result<Changed> {
    let Some(mut member) = staff(disk, name)? else { return Ok(Changed::Nobody) };
    let (was_admin, mark_before) = (member.is_admin(), member.mark());
    if !change(&mut member) {
        return Ok(Changed::Unfit);
    }
    let is_other_admin = |other: &Staff| other.is_admin() && other.name != name;
    if was_admin && !member.is_admin() && !all_staff(disk)?.iter().any(is_other_admin) {
        return Ok(Changed::LastAdmin);
    }
    let mut batch = sled::Batch::default();
    batch.insert(keys::staff(name), keys::encode(&member)?);
    if member.mark() != mark_before {
        for (token, mut session) in sessions_of(disk, name)? {
            if goes_on == Some(token) && session.mark == mark_before {
                session.mark = member.mark();
                batch.insert(keys::session(&token), keys::encode(&session)?);
            } else {
                batch.remove(keys::session(&token));
            }
        }
    }
    disk.db().apply_batch(batch).map_err(io)?;
    disk.sync()?;
    Ok(Changed::Done)
}

/// A session.
pub fn session(disk: &Disk, token: &TokenHash) -> Result<Option<Session>> {
    disk.get(&keys::session(token), "session")
}

/// Begins or changes a session.
pub fn put_session(disk: &Disk, token: &TokenHash, session: &Session) -> Result<()> {
    disk.db().insert(keys::session(token), keys::encode(session)?).map(drop).map_err(io)
}

/// Changes a session that has not been ended. Who prolongs it may have looked at it before its mark became another one.
pub fn prolong_session(disk: &Disk, token: &TokenHash, fresh: &Session) -> Result<()> {
    match session(disk, token)? {
        Some(Session { mark, .. }) => put_session(disk, token, &Session { mark, ..fresh.clone() }),
        None => Ok(()),
    }
}

/// Ends a session.
pub fn end_session(disk: &Disk, token: &TokenHash) -> Result<()> {
    disk.db().remove(keys::session(token)).map_err(io)?;
    disk.sync()
}

/// All sessions, as far as one goes. One that cannot be read is nobody's.
fn sessions(disk: &Disk) -> impl Iterator<Item = Result<(TokenHash, Session)>> {
    let read = |(key, value): (sled::IVec, sled::IVec)| {
        Some((key.get(1..)?.try_into().ok()?, keys::decode(&value, "session").ok()?))
    };
    disk.db().scan_prefix(b"k").take(MAX_SCAN).filter_map(move |item| item.map(read).map_err(io).transpose())
}

/// Somebody's sessions.
pub fn sessions_of(disk: &Disk, staff: &str) -> Result<Vec<(TokenHash, Session)>> {
    let all = sessions(disk);
    all.filter(|item| item.as_ref().map_or(true, |(_, session)| session.staff == staff)).collect()
}

/// Ends somebody's sessions but this one.
pub fn end_sessions_of(disk: &Disk, staff: &str, but: Option<TokenHash>) -> Result<()> {
    for (token, _) in sessions_of(disk, staff)? {
        if but != Some(token) {
            disk.db().remove(keys::session(&token)).map_err(io)?;
        }
    }
    disk.sync()
}

/// Forgets sessions that are over.
pub fn forget_before(disk: &Disk, now: Timestamp) -> Result<()> {
    for item in sessions(disk) {
        let (token, session) = item?;
        if session.is_over(now) {
            disk.db().remove(keys::session(&token)).map_err(io)?;
        }
    }
    Ok(())
}
