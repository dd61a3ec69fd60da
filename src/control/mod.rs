//! Commands of the CLI to the running service, over a Unix socket in the data folder that only its owner may open:
//! one line of JSON each way. Without a running service the CLI opens the store, or calls WeChat, itself.

mod follower;
mod people;

use crate::audit::{Check, Deed};
use crate::clock::{Clock, Timestamp};
use crate::conversation::Event;
use crate::desk::Desk;
use crate::doctor::Doctor;
use crate::knowledge::Department;
use crate::media::MediaStore;
use crate::staff::Role;
use crate::store::Store;
use crate::wechat::Client;
use crate::wechat::menu::Menu;
use crate::wechat::scene::{Scene, Validity};
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// What can be asked of the running service.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Take on somebody, or change their role and password.
    StaffAdd {
        /// Login name.
        name: String,
        /// What they may do.
        role: Role,
        /// Where they work.
        department: Option<Department>,
        /// Their password; goes no further than the hash.
        password: String,
    },
    /// Let somebody go.
    StaffRemove {
        /// Login name.
        name: String,
    },
    /// Give somebody a new password, take their second factor away, end all their sessions.
    StaffReset {
        /// Login name.
        name: String,
        /// Their new password; goes no further than the hash.
        password: String,
    },
    /// Who works here.
    StaffList,
    /// Forget a follower, as unsubscribing does.
    FollowerErase {
        /// WeChat's name for them.
        openid: String,
    },
    /// Everything that is kept of a follower.
    FollowerExport {
        /// WeChat's name for them.
        openid: String,
    },
    /// Look whether the audit trail is whole.
    AuditVerify,
    /// Write the store anew, so that erased bytes leave the disk.
    StoreRewrite,
    /// Do something at WeChat.
    Wechat {
        /// AppID of the account it is meant for; empty: the sandbox.
        account: String,
        /// What.
        errand: Errand,
    },
    /// Look how service and account stand; answers a `Report`.
    Doctor {
        /// AppID of the account it is meant for; empty: the sandbox.
        account: String,
    },
}

/// What an operator has done at WeChat, with the account's token.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Errand {
    /// Read the menu; answers `Option<Menu>`.
    Menu,
    /// Replace the menu.
    PublishMenu(Menu),
    /// Have a QR code made; answers a `SceneCode`.
    SceneCode {
        /// What it carries.
        scene: Scene,
        /// How long.
        validity: Validity,
    },
}

/// What the running service obeys with.
pub struct Reach {
    /// Its store.
    pub store: Arc<dyn Store>,
    /// Its way to WeChat.
    pub client: Arc<Client>,
    /// Its desk.
    pub desk: Desk,
    /// The AppID it was configured with; empty: the sandbox.
    pub account: String,
    /// What time it is there.
    pub clock: Clock,
    /// Who looks how it stands.
    pub doctor: Arc<Doctor>,
}

impl Reach {
    async fn obey(&self, command: Command) -> anyhow::Result<String> {
        match command {
            Command::Wechat { account, errand } if account == self.account => {
                run_errand(&self.client, errand).await
            }
            Command::FollowerErase { openid } => {
                if self.store.known_follower(&openid).await?.is_none() {
                    bail!("没有这个用户：openid 不对，或者已经删除");
                }
                // As unsubscribing does, with all that follows from it.
                let key = format!("erased by hand {}", self.clock.now().0);
                self.desk.hear(&openid, &key, Event::Left).await?;
                let deed = Deed::new(self.clock.now(), BY_COMMAND, "删除用户资料", "");
                self.store.audit(deed).await?;
                Ok(ERASED.into())
            }
            Command::StoreRewrite => {
                let done = obey(&*self.store, self.clock.now(), Command::StoreRewrite).await?;
                // The index has words of theirs, too.
                if let Some(finding) = self.desk.finding() {
                    finding.purge().await?;
                }
                Ok(done)
            }
            Command::Doctor { account } if account == self.account => {
                Ok(serde_json::to_string(&self.doctor.examine().await)?)
            }
            command => obey(&*self.store, self.clock.now(), command).await,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Answer {
    ok: bool,
    text: String,
}

const MAX_LINE: u64 = 64 * 1024;
/// An export is longer.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;
/// Three calls to WeChat and the fetching of two tokens between them, 5 s each, end before this.
const PATIENCE: Duration = Duration::from_secs(30);
/// A large store takes long to be written anew.
const PATIENCE_TO_REWRITE: Duration = Duration::from_secs(600);
/// Who asks hears an answer that was given at the last moment.
const PATIENCE_TO_HEAR: Duration = Duration::from_secs(2);

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// Who does what is done by hand, in the audit trail.
const BY_COMMAND: &str = "命令行";

const ERASED: &str =
    "已删除，附件也已删除。磁盘上的旧字节在下次整理（每日凌晨，或 xinqi store rewrite）时清除";

/// Forgets a follower where no service runs.
pub async fn erase(
    store: &dyn Store,
    files: &MediaStore,
    now: Timestamp,
    openid: &str,
) -> anyhow::Result<String> {
    for ticket in follower::erase(store, now, openid).await? {
        files.remove_ticket(ticket)?;
    }
    Ok(ERASED.into())
}

/// Looks through the whole audit trail: no entry is missing, changed or cut off at the end.
async fn verify(store: &dyn Store) -> anyhow::Result<String> {
    // What is added meanwhile is not looked at.
    let end = store.audit_end().await?;
    let (mut check, mut next) = (Check::default(), 1);
    while next <= end.seq {
        let entries = store.audit_from(next).await?;
        let Some(last) = entries.last().map(|entry| entry.seq) else { break };
        entries.iter().take_while(|entry| entry.seq <= end.seq).try_for_each(|entry| check.next(entry))?;
        next = last + 1;
    }
    let end = check.finish(end)?;
    let hash: String = end.hash.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!(
        "审计记录完整，共 {} 条。结尾校验值 {hash}。把它抄在别处，以后能查出整段被换掉的情况",
        end.seq
    ))
}

/// Does a command on a store; the sentence says what was done.
pub async fn obey(store: &dyn Store, now: Timestamp, command: Command) -> anyhow::Result<String> {
    match command {
        Command::StaffAdd { name, role, department, password } => {
            people::add(store, now, name, role, department, password).await
        }
        Command::StaffRemove { name } => people::remove(store, now, &name).await,
        Command::StaffReset { name, password } => people::reset(store, now, &name, password).await,
        Command::StaffList => people::list(store, now).await,
        Command::FollowerErase { .. } => bail!("删除用户要连附件一起删"),
        Command::FollowerExport { openid } => follower::export(store, &openid).await,
        Command::AuditVerify => verify(store).await,
        Command::StoreRewrite => {
            let [before, after] = store.rewrite(now).await?;
            Ok(format!("已整理：{} KB → {} KB", before.div_ceil(1_000), after.div_ceil(1_000)))
        }
        Command::Wechat { .. } | Command::Doctor { .. } => {
            bail!("运行中的服务用的是另一个公众号（或沙箱），请核对 --config 和 XINQI_WECHAT__APP_ID 后再试")
        }
    }
}

impl Command {
    fn patience(&self) -> Duration {
        if matches!(self, Self::StoreRewrite) { PATIENCE_TO_REWRITE } else { PATIENCE }
    }
}

/// Does an errand at WeChat; the answer as JSON.
pub async fn run_errand(client: &Client, errand: Errand) -> anyhow::Result<String> {
    Ok(match errand {
        Errand::Menu => serde_json::to_string(&client.menu().await?)?,
        Errand::PublishMenu(menu) => serde_json::to_string(&client.publish_menu(&menu).await?)?,
        Errand::SceneCode { scene, validity } => {
            serde_json::to_string(&client.scene_code(&scene, validity).await?)?
        }
    })
}

/// Listens in the data folder until the task is dropped.
pub fn listen(data_dir: &Path, reach: Reach) -> anyhow::Result<impl Future<Output = ()> + use<>> {
    let path = path(data_dir);
    // The store's lock says that no other service runs here, so an old socket is a leftover.
    if path.exists() {
        std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    let listener =
        UnixListener::bind(&path).with_context(|| format!("cannot listen at {}", path.display()))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                // Out of descriptors, most likely: somebody has to let go of one first.
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            };
            if let Err(error) = answer(stream, &reach).await {
                tracing::warn!(%error, "a control command failed");
            }
        }
    })
}

async fn answer(stream: UnixStream, reach: &Reach) -> anyhow::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    tokio::time::timeout(PATIENCE, BufReader::new(read.take(MAX_LINE)).read_line(&mut line)).await??;
    let done = match serde_json::from_str::<Command>(&line) {
        Ok(command) => {
            let patience = command.patience();
            let done = tokio::time::timeout(patience, reach.obey(command)).await;
            done.unwrap_or_else(|_| bail!("{} 秒内没有做完", patience.as_secs()))
        }
        Err(_) => Err(anyhow::anyhow!("运行中的服务不认识这个命令，可能版本不同，请重启服务")),
    };
    let answer = match done {
        Ok(text) => Answer { ok: true, text },
        Err(error) => Answer { ok: false, text: format!("{error:#}") },
    };
    let mut bytes = serde_json::to_vec(&answer)?;
    bytes.push(b'\n');
    tokio::time::timeout(PATIENCE, write.write_all(&bytes)).await??;
    Ok(())
}

/// Asks the running service; `None` when there is none.
pub async fn ask(data_dir: &Path, command: &Command) -> anyhow::Result<Option<String>> {
    let Ok(stream) = UnixStream::connect(path(data_dir)).await else { return Ok(None) };
    let (read, mut write) = stream.into_split();
    let mut bytes = serde_json::to_vec(command)?;
    bytes.push(b'\n');
    write.write_all(&bytes).await?;
    let mut line = String::new();
    let mut reader = BufReader::new(read.take(MAX_ANSWER));
    let patience = command.patience() + PATIENCE_TO_HEAR;
    tokio::time::timeout(patience, reader.read_line(&mut line)).await.context("运行中的服务没有回应")??;
    let answer: Answer = serde_json::from_str(&line).context("运行中的服务答非所问")?;
    if answer.ok { Ok(Some(answer.text)) } else { bail!("{}", answer.text) }
}
