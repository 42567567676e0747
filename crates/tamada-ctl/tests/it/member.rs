//! A member's REST API that says what the scene tells it to.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

#[derive(Clone)]
pub struct Reply {
    /// 0: the connection is closed without an answer.
    pub status: u16,
    pub text: String,
}

#[derive(Default)]
struct Script {
    replies: BTreeMap<(String, String), Reply>,
    heard: Vec<String>,
}

pub struct Member {
    pub port: u16,
    script: Arc<Mutex<Script>>,
}

impl Member {
    /// Serves until the test process ends.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
        let port = listener.local_addr().expect("a bound socket").port();
        let script = Arc::new(Mutex::new(Script::default()));
        let serving = script.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away ends only its own conversation.
                let _ = converse(&stream, &serving);
            }
        });
        Self { port, script }
    }

    pub fn will_reply(&self, method: &str, path: &str, reply: Reply) {
        self.script.lock().expect("no panic").replies.insert((method.to_owned(), path.to_owned()), reply);
    }

    /// Requests since the last call, one line each.
    pub fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.script.lock().expect("no panic").heard)
    }
}

fn converse(mut stream: &TcpStream, script: &Mutex<Script>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let method = words.next().unwrap_or_default().to_owned();
    let path = words.next().unwrap_or_default().to_owned();
    let (length, credentials) = read_headers(&mut reader)?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut heard = format!("{method} {path}");
    if !body.is_empty() {
        heard += &format!(" {}", String::from_utf8_lossy(&body));
    }
    if let Some(credentials) = credentials {
        heard += &format!(" ({credentials})");
    }
    let reply = {
        let mut script = script.lock().expect("no panic");
        script.heard.push(heard);
        let unscripted = Reply { status: 404, text: "not scripted".to_owned() };
        script.replies.get(&(method, path)).cloned().unwrap_or(unscripted)
    };
    if reply.status == 0 {
        return Ok(());
    }
    write!(stream, "HTTP/1.0 {} Scripted\r\nContent-Type: text/html\r\n\r\n{}", reply.status, reply.text)
}

fn read_headers(reader: &mut impl BufRead) -> std::io::Result<(usize, Option<String>)> {
    let (mut length, mut credentials) = (0, None);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { return Ok((length, credentials)) };
        match name.to_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap_or(0),
            "authorization" => credentials = Some(value.to_owned()),
            _ => {}
        }
    }
}
