//! The cloud in a box as a place for stories: the control plane of `infra/template.yaml`, GitHub with
//! the story's repository, and workers with the real tool.
use super::ahead;
use super::github::{Github, OWNER, WEBHOOK_SECRET};
use super::runtime::lock;
use super::stack::Stack;
use super::template::{self, Template};
use super::workers::Workers;
use super::{Cloud, Settings, deploy, fresh_name, iam, threads};
use crate::binary;
use crate::http::Api;
use crate::place::{Death, Place, Stage};
use crate::process::tail;
use crate::up::Up;
use crate::wait::{self, LONG, until};
use crate::world::World;
use emulator::Emulator;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A story must not wait a minute for a tick.
const SPEED: u32 = 30;
/// Nor for a queue's visibility timeout after a function was killed.
const COMES_BACK: Duration = Duration::from_secs(2);

/// Everything goes through processes and HTTP that is one function call in `up`.
const PATIENCE: u32 = 3;

/// A deployment that a world has.
#[derive(Clone)]
pub struct InABox {
    folder: PathBuf,
    emulator: Arc<Emulator>,
    inner: Arc<Mutex<Option<Arc<Inner>>>>,
}

/// What was deployed, with everybody who takes part.
pub struct Inner {
    pub cloud: Cloud,
    pub github: Github,
    pub workers: Workers,
    /// Workers that are started from now on have clocks that are so far ahead.
    pub workers_ahead_ms: AtomicI64,
    /// The first API key's token.
    token: Mutex<String>,
    folder: PathBuf,
}

impl InABox {
    /// What it keeps on this machine goes into the folder.
    pub fn new(folder: &Path, emulator: Arc<Emulator>) -> Self {
        wait::be_patient(PATIENCE);
        Self { folder: folder.to_owned(), emulator, inner: Arc::default() }
    }

    /// The deployment, made when it is first asked for.
    fn inner(&self, world: &World) -> Arc<Inner> {
        let mut inner = lock(&self.inner);
        let deploy = || Arc::new(Inner::deploy(world, &self.folder, self.emulator.clone()));
        inner.get_or_insert_with(deploy).clone()
    }

    /// The deployment, once its world was started.
    #[track_caller]
    pub fn deployed(&self) -> Arc<Inner> {
        self.made().expect("the world was started")
    }

    fn made(&self) -> Option<Arc<Inner>> {
        lock(&self.inner).clone()
    }
}

impl Place for InABox {
    #[track_caller]
    fn start(&self, world: &World, workers: u16) -> Up {
        let inner = self.inner(world);
        inner.cloud.start();
        inner.workers.keep(workers, |id, folder| inner.worker(world, id, folder));
        let api = until("the control plane to answer", LONG, || inner.api());
        Up::new(api, Box::new(Running { inner }))
    }

    fn program(&self) -> &'static Path {
        binary::windlass_on_aws()
    }

    fn point(&self, command: &mut Command) {
        let Some(inner) = self.made() else { return };
        command.env("WINDLASS_SERVER", inner.cloud.front.url());
        command.env("WINDLASS_TOKEN_FILE", inner.token_file());
    }

    fn state(&self, stack: &str) -> Option<PathBuf> {
        let inner = self.made()?;
        let body = inner.object(&format!("state/{stack}/terraform.tfstate"))?;
        let file = self.folder.join(format!("{stack}.tfstate"));
        std::fs::write(&file, body).expect("a copy of the state");
        Some(file)
    }

    fn kept(&self) -> Vec<(String, Vec<u8>)> {
        let Some(inner) = self.made() else { return Vec::new() };
        let meant = |key: &String| key.starts_with("state/") || key.starts_with("private/outputs/");
        let keys = inner.keys().into_iter().filter(|key| !meant(key));
        let mut kept: Vec<_> =
            keys.filter_map(|key| inner.object(&key).map(|body| (key, body))).collect();
        for log in inner.logs() {
            let body = std::fs::read(&log).unwrap_or_default();
            kept.push((log.display().to_string(), body));
        }
        kept
    }

    fn cause(&self, _: Death) -> &'static str {
        "ended before it could say how"
    }
}

impl Inner {
    fn deploy(world: &World, folder: &Path, emulator: Arc<Emulator>) -> Self {
        std::fs::create_dir_all(folder).expect("a folder for the box");
        let (name, github) = (fresh_name(), Github::start(&world.repo, &folder.join("github.git")));
        let repository = world.repo.folder.file_name().expect("a name").to_string_lossy();
        let token = format!("/{name}/config/github-token");
        let parameters = vec![
            ("Repositories", format!("{repository}={OWNER}/{repository}@main")),
            ("GithubApi", github.forge.url().to_owned()),
            ("GithubToken", token.clone()),
            ("LogLevel", std::env::var("WINDLASS_TEST_LOG").unwrap_or_else(|_| "info".to_owned())),
        ];
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
        let cloud = Cloud::deploy(&Settings {
            name: name.clone(),
            template: &workspace.join("infra/template.yaml"),
            parameters,
            programs: &binary::function,
            logs: &folder.join("functions"),
            speed: SPEED,
            comes_back: Some(COMES_BACK),
            emulator,
        });
        let cloud = cloud.expect("the control plane is deployed");
        let hook = format!("/{name}/config/webhook-secrets");
        for (name, value) in [(token.as_str(), Github::token()), (&hook, WEBHOOK_SECRET)] {
            deploy::parameter(&cloud.aws, name, value).expect("a parameter is kept");
        }
        github.deliver_to(&format!("{}/webhooks/github", cloud.front.url()));
        let workers = Workers::new(&folder.join("workers"));
        Self {
            cloud,
            github,
            workers,
            workers_ahead_ms: AtomicI64::new(0),
            token: Mutex::default(),
            folder: folder.to_owned(),
        }
    }

    fn worker(&self, world: &World, id: &str, folder: &Path) -> Command {
        let mut command = world.windlass();
        command.arg("worker").env("WINDLASS_DATA", folder).env("WINDLASS_WORKER_ID", id);
        command.env_remove("WINDLASS_SERVER").env_remove("WINDLASS_TOKEN_FILE");
        command.envs(self.cloud.aws.emulator.env(iam::WORKER));
        let name = &self.cloud.name;
        command.env("WINDLASS_BUCKET", self.cloud.bucket());
        command.env("WINDLASS_QUEUE_URL_PREFIX", self.cloud.aws.queue_url(&format!("{name}-")));
        command.env("WINDLASS_SECRETS_PREFIX", format!("/{name}/secrets/"));
        match self.workers_ahead_ms.load(Ordering::Relaxed) {
            0 => {}
            ahead_ms => _ = command.envs(ahead::variables(ahead_ms)),
        }
        command
    }

    /// The API, once it is healthy, with a token that lasts as long as the world.
    fn api(&self) -> Result<Api, String> {
        let address = self.cloud.front.address.to_string();
        Api::new(&address, "").get("/health").map_err(|refusal| format!("{refusal:?}"))?;
        let mut token = lock(&self.token);
        if token.is_empty() {
            let (id, secret) = self.first_key();
            let body = json!({ "id": id, "secret": secret });
            let made = Api::new(&address, "").post("/tokens", &body);
            let made = made.map_err(|refusal| format!("{refusal:?}"))?;
            *token = made["token"].as_str().unwrap_or_default().to_owned();
            std::fs::write(self.token_file(), token.as_str()).map_err(|e| e.to_string())?;
        }
        Ok(Api::new(&address, &token))
    }

    fn token_file(&self) -> PathBuf {
        self.folder.join("token")
    }

    /// An admin's, made as the documentation says: by whoever may write the bucket.
    fn first_key(&self) -> (String, String) {
        let made = Command::new(binary::windlass_on_aws())
            .args(["key", "create", "box", "--role", "admin", "--json", "--bucket"])
            .arg(self.cloud.bucket())
            .envs(self.cloud.aws.emulator.env("operator"))
            .output()
            .expect("the program can be started");
        let said = String::from_utf8_lossy(&made.stderr);
        let key: Value = serde_json::from_slice(&made.stdout).unwrap_or_else(|_| panic!("{said}"));
        let word = |name: &str| {
            let word = key[name].as_str().or(key["key"][name].as_str());
            word.unwrap_or_else(|| panic!("a key has {name}")).to_owned()
        };
        (word("id"), word("secret"))
    }

    pub fn object(&self, key: &str) -> Option<Vec<u8>> {
        let asked = self.cloud.aws.s3.get_object().bucket(self.cloud.bucket()).key(key);
        threads().block_on(async {
            let found = asked.send().await.ok()?;
            Some(found.body.collect().await.ok()?.to_vec())
        })
    }

    pub fn keys(&self) -> Vec<String> {
        let asked = self.cloud.aws.s3.list_objects_v2().bucket(self.cloud.bucket());
        threads().block_on(async {
            let mut pages = asked.into_paginator().send();
            let mut keys = Vec::new();
            while let Some(page) = pages.next().await {
                let page = page.expect("a list of objects");
                keys.extend(page.contents.unwrap_or_default().into_iter().filter_map(|o| o.key));
            }
            keys
        })
    }

    fn logs(&self) -> Vec<PathBuf> {
        let functions = self.cloud.lambda.logs().map(Path::to_owned);
        functions.chain(self.workers.logs()).collect()
    }
}

impl Drop for Inner {
    /// Whatever a story was about: nobody did what their role does not allow.
    fn drop(&mut self) {
        self.cloud.stop(true);
        self.workers.kill_all();
        let calls = self.cloud.aws.emulator.calls().unwrap_or_default();
        let mut used = iam::used(&calls, &self.cloud.name);
        if std::thread::panicking() {
            return;
        }
        let roles = iam::roles(&product(iam::ANY_STACK).expect("the template is understood"));
        // What a pool's functions did is looked at by the pool.
        used.retain(|one| roles.contains_key(&one.caller));
        iam::remember(&used).expect("the record of calls can be written");
        let missing = iam::missing(&roles, &used);
        assert!(missing.is_empty(), "no statement of infra/template.yaml allows {missing:#?}");
    }
}

/// The control plane's own template, for a stack of this name.
///
/// # Errors
/// When it is not understood.
pub fn product(name: &str) -> anyhow::Result<Stack> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/template.yaml");
    let repositories = ("Repositories", format!("infra={OWNER}/infra@main"));
    Stack::of(&Template::new(name, template::translate(&path)?, &[repositories])?)
}

/// The control plane while it runs.
struct Running {
    inner: Arc<Inner>,
}

impl Stage for Running {
    #[track_caller]
    fn login_link(&self) -> String {
        let api = self.inner.api().expect("the control plane answers");
        let link = api.post("/login-links", &json!({})).expect("a login link");
        api.url(link["path"].as_str().expect("a path"))
    }
    fn processes(&self) -> BTreeMap<String, u32> {
        self.inner.cloud.lambda.processes()
    }
    fn workers(&self) -> BTreeMap<String, u32> {
        self.inner.workers.pids()
    }
    #[track_caller]
    fn kill_worker(&self, name: &str) {
        self.inner.workers.kill(name);
    }
    fn strike(&self) {
        self.inner.cloud.lambda.kill();
    }
    fn kill(&mut self) {
        self.inner.cloud.stop(true);
    }
    fn kill_all(&mut self) {
        self.inner.cloud.stop(true);
        self.inner.workers.kill_all();
    }
    fn kill_tools(&self) {
        self.inner.workers.kill_tools();
    }
    fn stop(&mut self) {
        self.inner.workers.stop(LONG);
        self.inner.cloud.stop(false);
    }
    fn said(&self) -> String {
        let mut text = String::new();
        for log in self.inner.logs() {
            text += &tail(&log, 40);
        }
        text + "--- GitHub\n" + &self.inner.github.said() + "\n"
    }
}
