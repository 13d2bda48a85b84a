//! A server that answers as told, for what a real one does too seldom: a few lines of HTTP.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test uses a part of it")]
use adapter_aws::Aws;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// One answer. The last of a list is given again and again.
#[derive(Clone, Debug)]
pub enum Answer {
    Status(u16, String),
    /// With these further header lines.
    With(u16, &'static str, String),
    /// The connection ends without an answer.
    Cut,
    /// The body is promised and does not come.
    Half(&'static str),
    /// 200 and nothing more, after so many milliseconds.
    Late(u64),
    /// Nothing, for longer than anybody waits.
    Silence,
}

/// S3's words for an error.
pub fn xml(status: u16, code: &str) -> Answer {
    let body = format!("<Error><Code>{code}</Code><Message>words of S3</Message></Error>");
    Answer::Status(status, body)
}

/// The other services' words for one.
pub fn json(status: u16, code: &str) -> Answer {
    Answer::Status(status, format!(r#"{{"__type":"{code}","message":"words of AWS"}}"#))
}

/// One attempt lasts 0.3 s here.
fn aws(endpoint: &str) -> Aws {
    let vars = [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "stub"),
        ("AWS_SECRET_ACCESS_KEY", "not-a-secret"),
    ];
    let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Aws::from_vars(&vars.into()).unwrap().attempt_ms(300)
}

/// Where nobody listens.
pub async fn nobody() -> Aws {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    aws(&format!("http://{}", listener.local_addr().unwrap()))
}

pub struct Stub {
    pub aws: Aws,
    seen: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

impl Stub {
    pub async fn answering(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = seen.clone();
        let connections: Arc<AtomicUsize> = Arc::default();
        let count = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, answers.clone(), heard.clone()));
            }
        });
        Self { aws: aws(&endpoint), seen, connections }
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The heads of all requests, in lower case, each with its body behind it.
    pub fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(stream: TcpStream, answers: Vec<Answer>, seen: Arc<Mutex<Vec<String>>>) {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            let line = line.to_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        if stream.read_exact(&mut body).await.is_err() {
            return;
        }
        head.push_str(&String::from_utf8_lossy(&body));
        let nth = {
            let mut seen = seen.lock().unwrap();
            seen.push(head);
            seen.len() - 1
        };
        let text = match answers.get(nth).or(answers.last()) {
            Some(Answer::Status(status, body)) => answer(*status, "", body.len(), body),
            Some(Answer::With(status, head, body)) => answer(*status, head, body.len(), body),
            Some(Answer::Half(body)) => answer(200, "", body.len() + 10, body),
            Some(Answer::Late(ms)) => {
                tokio::time::sleep(std::time::Duration::from_millis(*ms)).await;
                answer(200, "", 2, "{}")
            }
            Some(Answer::Silence) => return tokio::time::sleep(FOREVER).await,
            Some(Answer::Cut) | None => return,
        };
        let whole = !matches!(answers.get(nth).or(answers.last()), Some(Answer::Half(_)));
        if stream.write_all(text.as_bytes()).await.is_err() || !whole {
            return;
        }
    }
}

const FOREVER: std::time::Duration = std::time::Duration::from_secs(3_600);

fn answer(status: u16, head: &str, length: usize, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{head}\r\n{body}")
}
