//! A machine's metadata service (IMDSv2), as far as it tells of the machine's end.
use crate::cloud::runtime::lock;
use serde_json::json;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// What a session begins with; no answer without it.
const TOKEN: &str = "a-session-of-this-machine";

/// It answers as long as the process lives.
pub struct Metadata {
    address: SocketAddr,
    instance_action: Arc<Mutex<Option<String>>>,
}

impl Metadata {
    /// Of a machine that nobody wants back.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let instance_action = Arc::<Mutex<Option<String>>>::default();
        let told = instance_action.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let action = lock(&told).clone();
                answer(&stream, action.as_deref());
            }
        });
        Self { address, instance_action }
    }

    /// What `AWS_EC2_METADATA_SERVICE_ENDPOINT` says on the machine.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Spot takes the machine in so long.
    pub fn taken_in(&self, left: Duration) {
        let at = jiff::Timestamp::try_from(SystemTime::now() + left).expect("a time");
        let action = json!({ "action": "terminate", "time": format!("{at:.0}") });
        *lock(&self.instance_action) = Some(action.to_string());
    }
}

fn answer(mut stream: &TcpStream, action: Option<&str>) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    let known = format!("x-aws-ec2-metadata-token: {TOKEN}");
    let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
    let known = head.iter().any(|line| line.eq_ignore_ascii_case(&known));
    let (status, body) = match (first.split(' ').nth(1).unwrap_or_default(), action) {
        ("/latest/api/token", _) if first.starts_with("PUT ") => ("200 OK", TOKEN),
        _ if !known => ("401 Unauthorized", ""),
        ("/latest/meta-data/spot/instance-action", Some(action)) => ("200 OK", action),
        _ => ("404 Not Found", ""),
    };
    // Who hung up has no use for it.
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
}
