//! Staff by hand: taking on, letting go, helping who has lost password or phone, listing. Knows the sentences a terminal
//! prints; what a fit name or password is decides `staff`.

use super::BY_COMMAND;
use crate::audit::Deed;
use crate::clock::Timestamp;
use crate::knowledge::Department;
use crate::staff::{NewPassword, Role, Staff, Unfit};
use crate::store::{Changed, Store};
use anyhow::{Context, bail};

async fn hashed<T: Send + 'static>(
    make: impl FnOnce([u8; 16]) -> Result<T, Unfit> + Send + 'static,
) -> anyhow::Result<T> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).context("no randomness")?;
    let made = tokio::task::spawn_blocking(move || make(salt)).await?;
    made.map_err(|unfit| anyhow::anyhow!("{unfit}"))
}

/// Takes somebody on, or changes role, department and password of somebody who is there; their second factor stays.
pub async fn add(
    store: &dyn Store,
    now: Timestamp,
    name: String,
    role: Role,
    department: Option<Department>,
    password: String,
) -> anyhow::Result<String> {
    let known = store.staff(name.trim()).await?.is_some();
    if known {
        let password = hashed(move |salt| NewPassword::new(&password, salt)).await?;
        let change = move |staff: &mut Staff| {
            (staff.role, staff.department) = (role, department);
            staff.set_password(password);
            true
        };
        match store.change_staff(name.trim(), None, Box::new(change)).await? {
            Changed::Done | Changed::Unfit => {}
            Changed::Nobody => bail!("“{name}”刚刚被移除，请再试一次"),
            Changed::LastAdmin => bail!("“{name}”是最后一位管理员，不能改成别的角色"),
        }
    } else {
        let taken_on = name.clone();
        let staff = hashed(move |salt| Staff::new(&taken_on, role, department, &password, salt)).await?;
        store.put_staff(&staff, false).await?;
    }
    let (done, name) = (if known { "已更新" } else { "已添加" }, name.trim());
    store.audit(Deed::new(now, BY_COMMAND, "添加或更新人员", &format!("{name}，{}", role.name()))).await?;
    Ok(format!("{done}{}：{name}", role.name()))
}

/// Lets somebody go.
pub async fn remove(store: &dyn Store, now: Timestamp, name: &str) -> anyhow::Result<String> {
    if !store.remove_staff(name).await? {
        bail!("没有叫“{name}”的人员");
    }
    store.end_sessions_of(name, None).await?;
    store.audit(Deed::new(now, BY_COMMAND, "移除人员", name)).await?;
    Ok(format!("已移除：{name}，其登录已全部失效"))
}

/// A new password, no second factor, no sessions.
pub async fn reset(
    store: &dyn Store,
    now: Timestamp,
    name: &str,
    password: String,
) -> anyhow::Result<String> {
    // Before the slow work: who mistypes a name hears of it at once.
    if store.staff(name).await?.is_none() {
        bail!("没有叫“{name}”的人员");
    }
    let password = hashed(move |salt| NewPassword::new(&password, salt)).await?;
    let change = move |staff: &mut Staff| {
        staff.set_password(password);
        staff.second_factor = None;
        true
    };
    if store.change_staff(name, None, Box::new(change)).await? != Changed::Done {
        bail!("没有叫“{name}”的人员");
    }
    store.audit(Deed::new(now, BY_COMMAND, "重置密码和第二验证", name)).await?;
    Ok(format!("已重置：{name}。请用新密码登录；原来的第二验证已清除，登录已全部失效"))
}

/// Everybody, one a line.
pub async fn list(store: &dyn Store, now: Timestamp) -> anyhow::Result<String> {
    let all = store.all_staff().await?;
    if all.is_empty() {
        return Ok("还没有人员".into());
    }
    let line = |staff: &Staff| {
        let department = staff.department.map_or("不分部门", Department::name);
        let factor = if staff.second_factor.is_some() { "有第二验证" } else { "无第二验证" };
        let login = staff.last_login.map_or_else(|| "没登录过".into(), |at| format!("上次登录 {at}"));
        let away = staff.away_at(now).map_or_else(String::new, |away| {
            format!("\t外出到 {}，代理人 {}", Timestamp(away.until.0 - 1).date(), away.deputy)
        });
        format!("{}\t{}\t{department}\t{factor}\t{login}{away}", staff.name, staff.role.name())
    };
    Ok(all.iter().map(line).collect::<Vec<_>>().join("\n"))
}
