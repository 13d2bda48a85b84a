//! A headless Chromium, spoken to through two pipes: no driver, no port, no library.
//!
//! With `--remote-debugging-pipe` the browser reads commands from its descriptor 3 and answers on
//! 4, one JSON text after another, each ended by a zero byte. A shell turns its standard input and
//! output into these two.
use crate::wait::{SHORT, until};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const ANSWER: Duration = Duration::from_secs(30);
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

pub struct Browser {
    child: Child,
    input: ChildStdin,
    answers: Receiver<Value>,
    asked: u64,
    page: Option<String>,
}

impl Browser {
    /// None if this machine has none.
    pub fn installed() -> Option<&'static str> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let there = |name: &&str| std::env::split_paths(&path).any(|f| f.join(name).is_file());
        NAMES.into_iter().find(there)
    }

    /// Opens one with an empty page, its profile in this folder.
    #[track_caller]
    pub fn open(program: &str, profile: &Path) -> Self {
        let start = "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1";
        let mut child = Command::new("sh")
            .args(["-c", start, "sh", program])
            // A sandbox needs rights that a container's root does not have; the page is our own.
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--remote-debugging-pipe", "--no-first-run", "--disable-background-networking"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let input = child.stdin.take().expect("its input");
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            let mut text = Vec::new();
            while output.read_until(0, &mut text).is_ok_and(|read| read > 0) {
                let json = text.strip_suffix(&[0]).unwrap_or(&text);
                let Ok(value) = serde_json::from_slice::<Value>(json) else { break };
                if value.get("id").is_some() && sender.send(value).is_err() {
                    break;
                }
                text.clear();
            }
        });
        let mut browser = Self { child, input, answers, asked: 0, page: None };
        let page = browser.ask("Target.createTarget", json!({ "url": "about:blank" }));
        let target = json!({ "targetId": page["targetId"], "flatten": true });
        let session = browser.ask("Target.attachToTarget", target);
        browser.page = session["sessionId"].as_str().map(str::to_owned);
        browser
    }

    #[track_caller]
    pub fn go(&mut self, url: &str) {
        let went = self.ask("Page.navigate", json!({ "url": url }));
        assert_eq!(went.get("errorText"), None, "{url}: {went}");
    }

    /// The value of an expression in the page; null while the page is being replaced.
    #[track_caller]
    pub fn eval(&mut self, expression: &str) -> Value {
        let what = json!({ "expression": expression, "returnByValue": true });
        self.ask("Runtime.evaluate", what)["result"]["value"].clone()
    }

    /// All that can be read on the page.
    #[track_caller]
    pub fn text(&mut self) -> String {
        let text = self.eval("document.body ? document.body.innerText : ''");
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the expression is true.
    #[track_caller]
    pub fn wait(&mut self, what: &str, expression: &str) {
        until(what, SHORT, || match self.eval(expression) {
            Value::Bool(true) => Ok(()),
            _ => Err(self.text()),
        });
    }

    /// Clicks on the button (or link) whose text begins so, as soon as there is one.
    #[track_caller]
    pub fn click(&mut self, text: &str) {
        let name = json!(text);
        let find = format!(
            "[...document.querySelectorAll('button, input[type=submit], summary, a')]\
             .find(e => (e.innerText || e.value || '').trim().startsWith({name}))"
        );
        self.wait(&format!("a button {text:?}"), &format!("!!({find})"));
        self.eval(&format!("({find}).click()"));
    }

    #[track_caller]
    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        let mut message = json!({ "id": self.asked, "method": method, "params": params });
        if let Some(page) = &self.page {
            message["sessionId"] = json!(page);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.input.write_all(&bytes).expect("the browser listens");
        loop {
            let answer = self.answers.recv_timeout(ANSWER);
            let answer = answer.unwrap_or_else(|_| panic!("the browser is silent on {method}"));
            if answer["id"] == self.asked {
                return answer["result"].clone();
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
