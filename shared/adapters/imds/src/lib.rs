//! Notices from the instance metadata service (IMDSv2): a Spot interruption, and the advice to leave
//! that may come before it.
//!
//! AWS's own client keeps the session token, and asks where `AWS_EC2_METADATA_SERVICE_ENDPOINT` or
//! the profile says.
use async_trait::async_trait;
use aws_config::imds::client::Client;
use aws_config::imds::client::error::ImdsError;
use aws_config::provider_config::ProviderConfig;
use serde::Deserialize;
use windlass_core::time::UnixMs;
use windlass_ports::{Fault, Notice, Notices};

const INTERRUPTION: &str = "/latest/meta-data/spot/instance-action";
const REBALANCE: &str = "/latest/meta-data/events/recommendations/rebalance";
/// Who asks again in a few seconds need not insist.
const TRIES_MAX: u32 = 2;

/// The metadata service of this instance.
#[derive(Clone, Debug)]
pub struct Imds(Client);

/// `{"action": "terminate", "time": "2017-09-18T08:22:00Z"}`. Stopped or put to sleep, the machine
/// is gone for its jobs all the same.
#[derive(Deserialize)]
struct InstanceAction {
    time: String,
}

impl Imds {
    /// None where `AWS_EC2_METADATA_DISABLED` says that nobody is to ask.
    #[must_use]
    pub fn from_env() -> Option<Self> {
        let disabled = std::env::var("AWS_EC2_METADATA_DISABLED").unwrap_or_default();
        let config = ProviderConfig::default().with_http_client(adapter_aws::http_client());
        (!disabled.eq_ignore_ascii_case("true"))
            .then(|| Self(Client::builder().configure(&config).max_attempts(TRIES_MAX).build()))
    }

    /// What is under this path; None if nothing is.
    async fn read(&self, path: &str) -> Result<Option<String>, Fault> {
        match self.0.get(path).await {
            Ok(text) => Ok(Some(text.into())),
            Err(ImdsError::ErrorResponse(answer)) if answer.response().status().as_u16() == 404 => {
                Ok(None)
            }
            Err(error) => {
                Err(Fault::retryable_from("the instance metadata service does not answer", error))
            }
        }
    }
}

#[async_trait]
impl Notices for Imds {
    async fn standing(&self) -> Result<Option<Notice>, Fault> {
        if let Some(text) = self.read(INTERRUPTION).await? {
            let action: Option<InstanceAction> = serde_json::from_str(&text).ok();
            let at = action.and_then(|action| UnixMs::from_rfc3339(&action.time));
            let unread = || Fault::poison(format!("a Spot notice that can't be read: {text}"));
            return Ok(Some(Notice::Interruption { at: at.ok_or_else(unread)? }));
        }
        Ok(self.read(REBALANCE).await?.map(|_| Notice::Rebalance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::sync::{Arc, Mutex};

    /// Status and body of the two paths.
    type Answers = [(u16, &'static str); 2];

    fn answer(mut stream: &TcpStream, answers: Answers) {
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        let first = lines.next().unwrap_or_default();
        let head: Vec<String> =
            lines.take_while(|line| !line.is_empty()).map(|line| line.to_lowercase()).collect();
        let with_token = head.iter().any(|line| line == "x-aws-ec2-metadata-token: a-token");
        let path = first.split(' ').nth(1).unwrap_or_default();
        let (status, body) = match path {
            "/latest/api/token" if first.starts_with("PUT") => (200, "a-token"),
            _ if !with_token => (401, ""),
            INTERRUPTION => answers[0],
            REBALANCE => answers[1],
            _ => (404, ""),
        };
        let _ = write!(
            stream,
            "HTTP/1.1 {status} X\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
    }

    #[tokio::test]
    async fn notices_are_understood() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let answers: Arc<Mutex<Answers>> = Arc::new(Mutex::new([(404, ""); 2]));
        let played = answers.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answers = *played.lock().unwrap();
                answer(&stream, answers);
            }
        });
        let config = ProviderConfig::default().with_http_client(adapter_aws::http_client());
        let client = Client::builder().configure(&config).max_attempts(1);
        let imds = Imds(client.endpoint(endpoint).unwrap().build());
        let taken = r#"{"action": "terminate", "time": "2017-09-18T08:22:00Z"}"#;
        let advice = r#"{"noticeTime": "2020-10-26T15:12:30Z"}"#;
        let at = UnixMs(1_505_722_920_000);
        #[rustfmt::skip]
        let table = [
            ("none",        [(404, ""),        (404, "")],     Ok(None)),
            ("advice",      [(404, ""),        (200, advice)], Ok(Some(Notice::Rebalance))),
            ("both",        [(200, taken),     (200, advice)], Ok(Some(Notice::Interruption { at }))),
            ("unreadable",  [(200, "{}"),      (404, "")],     Err("can't be read: {}")),
            ("no time",     [(200, r#"{"action":"stop","time":"soon"}"#), (404, "")], Err("can't be read")),
            ("away",        [(503, ""),        (404, "")],     Err("does not answer")),
            ("half away",   [(404, ""),        (503, "")],     Err("does not answer")),
        ];
        for (name, say, expected) in table {
            *answers.lock().unwrap() = say;
            match (imds.standing().await, expected) {
                (Ok(seen), Ok(expected)) => assert_eq!(seen, expected, "{name}"),
                (Err(fault), Err(words)) => {
                    assert!(fault.chain().contains(words), "{name}: {}", fault.chain());
                }
                (seen, _) => panic!("{name}: {seen:?}"),
            }
        }
    }
}
