//! The real program as an operator runs it: started in its own data folder, its printed lines read, stopped politely or
//! killed. Knows processes and plain HTTP; nothing of what is inside.
#![expect(
    clippy::disallowed_methods,
    reason = "a process is waited for in real time and begins with a clean environment"
)]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// Longer than this nothing here takes; a test that waits so long fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running service; killed when dropped.
pub struct Process {
    child: Child,
    /// The process that serves; another than the child where a tracer stands between.
    pub pid: u32,
    /// `http://127.0.0.1:port`.
    pub base: String,
    /// The one-time link, if it was printed.
    pub setup_link: Option<String>,
    /// Kept open, so that the service can go on printing.
    stdout: BufReader<ChildStdout>,
}

/// The program, set up for this data folder and told nothing by whoever runs the tests.
pub fn program(data_dir: &Path) -> Command {
    settle(Command::new(env!("CARGO_BIN_EXE_xinqi")), data_dir)
}

/// The program behind another one, a tracer say.
pub fn program_behind(mut front: Command, data_dir: &Path) -> Command {
    front.arg(env!("CARGO_BIN_EXE_xinqi"));
    settle(front, data_dir)
}

fn settle(mut command: Command, data_dir: &Path) -> Command {
    let strange = std::env::vars().filter(|(name, _)| name.starts_with("XINQI_"));
    for (name, _) in strange {
        command.env_remove(name);
    }
    command
        .env("XINQI_DATA_DIR", data_dir)
        .env("XINQI_KNOWLEDGE_DIR", concat!(env!("CARGO_MANIFEST_DIR"), "/knowledge"))
        .env("XINQI_MODEL_FILE", "")
        // Who logs in here does it to see something else.
        .env("XINQI_CONSOLE__SECOND_FACTOR", "optional")
        // The system picks a free port and the service prints it: nobody can take it in between.
        // Long enough to be taken back, short enough to be waited for.
        .env("XINQI_TICKETS__UNDO_S", "2")
        .env("XINQI_LISTEN", "127.0.0.1:0")
        .env("XINQI_LOG", "error");
    command
}

impl Process {
    /// The sandbox, in this data folder.
    pub fn sandbox(data_dir: &Path) -> Self {
        Self::start(program(data_dir))
    }

    /// Starts a prepared [`program`] and waits until it answers.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let first = read_line(&mut stdout);
        let Some((_, address)) = first.split_once("监听 ") else {
            let _ = child.kill();
            panic!("the service did not start, it printed “{first}”; ended with {:?}", child.wait());
        };
        let base = format!("http://{}", address.trim());
        while !read_line(&mut stdout).contains("/console") {}
        let pid = served_by(&child);
        let mut service = Self { child, pid, base, setup_link: None, stdout };
        service.wait_until_it_answers();
        // Two more lines are printed only while there is no administrator.
        if service.get("/console/login").contains("还没有管理员") {
            read_line(&mut service.stdout);
            service.setup_link = Some(read_line(&mut service.stdout).trim().to_owned());
        }
        service
    }

    fn wait_until_it_answers(&self) {
        let begun = Instant::now();
        while http_get(&self.base, "/healthz").as_deref().unwrap_or_default() != "ok" {
            assert!(begun.elapsed() < PATIENCE, "the service does not answer");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The body of a page.
    pub fn get(&self, path: &str) -> String {
        http_get(&self.base, path).expect("the service answers")
    }

    /// SIGKILL, as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, as systemd does; how it ended.
    pub fn stop(mut self) -> ExitStatus {
        let told = Command::new("kill").args(["-TERM", &self.pid.to_string()]).status().unwrap();
        assert!(told.success());
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "the service does not stop");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has usually ended; a tracer killed without its program would leave that running.
        if matches!(self.child.try_wait(), Ok(None)) {
            if self.pid != self.child.id() {
                let _ = Command::new("kill").args(["-KILL", &self.pid.to_string()]).status();
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn read_line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    let n = from.read_line(&mut line).unwrap();
    assert!(n > 0, "the service ended before it said what was waited for");
    line
}

/// The child, or the child's child where the child is a tracer.
fn served_by(child: &Child) -> u32 {
    let own = child.id();
    let children = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
    children.split_whitespace().next().map_or(own, |pid| pid.parse().unwrap())
}

fn http_get(base: &str, path: &str) -> std::io::Result<String> {
    let address = base.trim_start_matches("http://");
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    let answer = std::io::read_to_string(stream)?;
    Ok(answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

/// `xinqi staff add … --password-stdin`, beside the running service or without it.
pub fn staff_add(data_dir: &Path, name: &str, role: &str, password: &str) -> Output {
    let mut child = program(data_dir)
        .args(["staff", "add", name, "--role", role, "--password-stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn it_starts_prints_a_setup_link_until_there_is_somebody_and_stops_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let service = Process::sandbox(&data);
    let link = service.setup_link.clone().unwrap();
    let path = link.strip_prefix(&service.base).unwrap();
    assert!(service.get(path).contains("建立第一位管理员"));
    let added = staff_add(&data, "王敏", "admin", "correct horse battery");
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    assert!(!service.get(path).contains("建立第一位管理员"), "the link outlived the first administrator");
    assert_eq!(service.stop().code(), Some(0));

    let again = Process::sandbox(&data);
    assert_eq!(again.setup_link, None);
    assert!(again.get("/console/login").contains("工作人员登录"));
}

#[test]
fn a_second_one_on_the_same_data_says_so_and_ends() {
    let dir = tempfile::tempdir().unwrap();
    let service = Process::sandbox(dir.path());
    let second = program(dir.path()).output().unwrap();
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("已被另一个 xinqi 进程占用"), "{said}");
    assert_eq!(service.get("/healthz"), "ok");
}

#[test]
fn data_of_the_sandbox_is_not_used_for_a_real_account() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Process::sandbox(dir.path()).stop().success());
    let mut real = program(dir.path());
    real.env("XINQI_WECHAT__APP_ID", "wx1")
        .env("XINQI_WECHAT__APP_SECRET", "s")
        .env("XINQI_WECHAT__TOKEN", "token");
    real.env("XINQI_WECHAT__MODE", "plain");
    let refused = real.output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("data_dir"), "{said}");
}

#[test]
fn the_simulator_is_for_who_sits_at_the_machine() {
    let dir = tempfile::tempdir().unwrap();
    let service = Process::sandbox(dir.path());
    assert!(service.get("/simulator").contains("模拟器"));
    for path in ["/simulator", "/simulator/api/state"] {
        // What a header carries behind the path is what a proxy would add.
        let said = service.get(&format!("{path} HTTP/1.1\r\nX-Forwarded-For: 203.0.113.9\r\nX-Rest:"));
        assert!(said.contains("只在运行本服务的这台机器上开放"), "{path}: {said}");
    }
}
