//! Somebody with a browser, as far as plain HTTP goes: pages, forms with their hidden fields, one cookie. Knows HTTP/1.1
//! and HTML attributes; nothing of tickets.

use crate::harness::{BETWEEN_LOOKS, N_LOOKS};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What came back over HTTP.
pub struct Answer {
    pub status: u16,
    pub head: String,
    /// As text; what is none has signs of replacement.
    pub body: String,
    pub bytes: Vec<u8>,
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (given, value) = line.split_once(':')?;
            given.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The body as it reads on the screen.
    pub fn text(&self) -> String {
        let signs = [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")];
        signs.iter().fold(self.body.clone(), |text, (written, sign)| text.replace(written, sign))
    }

    /// The value of a hidden field.
    pub fn hidden(&self, name: &str) -> String {
        let mark = format!("name=\"{name}\" value=\"");
        let (_, rest) = self.body.split_once(&mark).unwrap_or_else(|| panic!("no {name} in {}", self.body));
        rest.split('"').next().unwrap().to_owned()
    }
}

/// One request on a connection of its own; `head` is the request line and headers without Host.
pub async fn http(address: SocketAddr, head: &str, body: &str) -> Answer {
    http_bytes(address, head, body.as_bytes()).await
}

async fn http_bytes(address: SocketAddr, head: &str, body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("{head}\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    tokio::time::timeout(Duration::from_secs(20), read).await.expect("an answer in time").unwrap();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let (head, bytes) = (String::from_utf8(bytes[..end].to_vec()).unwrap(), bytes[end + 4..].to_vec());
    let is_in_chunks = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let bytes = if is_in_chunks { joined(&bytes) } else { bytes };
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: String::from_utf8_lossy(&bytes).into_owned(), bytes }
}

/// A body that came in chunks; one that was broken off is none.
fn joined(mut rest: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").expect("a chunk's head");
        let n = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if n == 0 {
            return whole;
        }
        whole.extend_from_slice(&rest[end + 2..end + 2 + n]);
        rest = &rest[end + 2 + n + 2..];
    }
}

/// Somebody at the console.
#[derive(Clone)]
pub struct Visitor {
    address: SocketAddr,
    cookies: BTreeMap<String, String>,
    /// Lines every request has.
    lines: String,
}

impl Visitor {
    /// Not logged in.
    pub fn at(address: SocketAddr) -> Self {
        Self { address, cookies: BTreeMap::new(), lines: String::new() }
    }

    /// The same somebody, whose browser calls itself this.
    pub fn with_browser(mut self, user_agent: &str) -> Self {
        self.lines.push_str(&format!("\r\nUser-Agent: {user_agent}"));
        self
    }

    /// The same somebody, whom a trusted proxy sees at that address.
    pub fn from(mut self, address: &str) -> Self {
        self.lines.push_str(&format!("\r\nX-Forwarded-For: {address}\r\nX-Forwarded-Proto: https"));
        self
    }

    fn head(&self, request: &str) -> String {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{request} HTTP/1.1\r\nCookie: {}{}", cookies.join("; "), self.lines)
    }

    /// Opens an address as it is.
    pub async fn get(&self, path: &str) -> Answer {
        http(self.address, &self.head(&format!("GET {path}")), "").await
    }

    /// Opens a page that is there.
    pub async fn page(&self, path: &str) -> Answer {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer
    }

    /// Waits, bounded, until a page says it.
    pub async fn sees(&self, path: &str, text: &str) -> Answer {
        for _ in 0..N_LOOKS {
            let page = self.page(path).await;
            if page.text().contains(text) {
                return page;
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        panic!("“{text}” did not come up at {path}: {}", self.page(path).await.text());
    }

    /// Sends a form as it is.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let pairs = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
        let body = pairs.collect::<Vec<_>>().join("&");
        let head = format!(
            "{}\r\nOrigin: http://{}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}",
            self.head(&format!("POST {path}")),
            self.address,
            body.len()
        );
        http(self.address, &head, &body).await
    }

    /// Opens the page and sends its form, with the hidden fields as they stand there.
    pub async fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.fill(&self.page(path).await, path, fields).await
    }

    /// Sends the form of a page opened before.
    pub async fn fill(&self, page: &Answer, path: &str, fields: &[(&str, &str)]) -> Answer {
        let (key, seen) = (page.hidden("key"), page.hidden("seen"));
        let hidden = [("key", key.as_str()), ("seen", seen.as_str())];
        self.post(path, &[&hidden, fields].concat()).await
    }

    /// Opens the page and sends one of its forms that needs no more than a key.
    pub async fn uses(&self, page: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let key = self.page(page).await.hidden("key");
        self.post(path, &[&[("key", key.as_str())], fields].concat()).await
    }

    /// Listens to the live stream until it says something, bounded; what it said.
    pub async fn hears(&self, path: &str, last: Option<&str>) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let resumed = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let head =
            format!("{}\r\nHost: {}\r\n{resumed}\r\n", self.head(&format!("GET {path}")), self.address);
        stream.write_all(head.as_bytes()).await.unwrap();
        let (mut said, mut piece) = (String::new(), [0; 1_024]);
        let listening = async {
            while !said.contains("\nevent: change") && !said.contains("event:change") {
                match stream.read(&mut piece).await.unwrap() {
                    0 => break,
                    n => said.push_str(&String::from_utf8_lossy(&piece[..n])),
                }
            }
        };
        // Silence is an answer, too.
        let _ = tokio::time::timeout(Duration::from_millis(1_500), listening).await;
        said
    }

    /// Opens a ticket's page and sends a file from it, with what stands in the field for words.
    pub async fn sends_file(&self, ticket: &str, name: &str, bytes: &[u8], text: &str) -> Answer {
        let page = self.page(ticket).await;
        let fields = [("key", page.hidden("key")), ("seen", page.hidden("seen")), ("text", text.to_owned())];
        let mut body = Vec::new();
        for (field, value) in fields {
            let head = format!("--b0\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{value}\r\n");
            body.extend(head.into_bytes());
        }
        let head = format!(
            "--b0\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        );
        body.extend([head.as_bytes(), bytes, b"\r\n--b0--\r\n"].concat());
        let head = format!(
            "{}\r\nOrigin: http://{}\r\nContent-Type: multipart/form-data; boundary=b0\r\nContent-Length: {}",
            self.head(&format!("POST {ticket}/files")),
            self.address,
            body.len()
        );
        http_bytes(self.address, &head, &body).await
    }

    /// Gives name and password; keeps the cookies.
    pub async fn login(&mut self, name: &str, password: &str) -> Answer {
        self.sends("/console/login", &[("name", name), ("password", password)]).await
    }

    /// Sends a form as it is; keeps the cookies.
    pub async fn sends(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let answer = self.post(path, fields).await;
        for line in answer.head.lines().filter_map(|line| line.split_once(": ")) {
            if !line.0.eq_ignore_ascii_case("set-cookie") {
                continue;
            }
            let (name, rest) = line.1.split_once('=').unwrap();
            match rest.split(';').next().unwrap() {
                "" => self.cookies.remove(name),
                value => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        answer
    }

    /// Sends a form that stands on a page, with the page's key.
    pub async fn acts(&self, page: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let key = self.page(page).await.hidden("key");
        self.post(path, &[&[("key", key.as_str())], fields].concat()).await
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
