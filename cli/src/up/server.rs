//! One process that serves repositories: the store, the actors' loops, the workers, the console.
//!
//! Nothing here polls but the one-second tick, which costs one look at the index of what is due.
use super::bind::{Bound, bind};
use super::crew::{Aftermath, Crew, MachinePresence, Roster};
use super::folder::{Folder, Layout};
use super::logging::{self, Aloud};
use super::repos::{self, Found, Proposal, RepoArg};
use super::server_file::{self, ServerFile};
use super::states::StateFolder;
use super::watching::keep_watching;
use crate::client::Client;
use crate::exit::Failure;
use adapter_files::{FolderBlobs, SealedSecrets};
use adapter_git::Mirrors;
use adapter_socket::{Authority, Ports};
use adapter_sqlite::Store;
use api::auth::KeptSessions;
use api::v1::LoginLink;
use scheduler::{Deps, WriteIds};
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use windlass_core::keys;
use windlass_definitions::DEFAULT_POOL;
use windlass_ports::clock::{SteadyClock, SystemClock};
use windlass_ports::forge::{NoArchive, NoForge};
use windlass_ports::{Blobs, Clock, Docs, Queues, Secrets};

const TICK: Duration = Duration::from_secs(1);
/// What the loops have in hand gets this long at the end; the rest is still in its queue then.
const LOOPS_END: Duration = Duration::from_secs(5);

/// What to serve, and how.
pub(crate) struct Config {
    pub(crate) data: PathBuf,
    pub(crate) repos: Vec<RepoArg>,
    pub(crate) port: Option<u16>,
    pub(crate) workers: usize,
    /// Write the proposed definitions where there are none.
    pub(crate) write: bool,
    pub(crate) aloud: Aloud,
}

/// What came of a start.
pub(crate) enum Start {
    Serving(Box<Server>),
    /// Nothing is defined in this repository: here is what could be.
    Nothing {
        repository: String,
        proposal: Proposal,
    },
}

pub(crate) struct Server {
    folder: Folder,
    pub(crate) access: ServerFile,
    pub(crate) repositories: Vec<scheduler::Repository>,
    /// What a person should know, in the order of the start.
    pub(crate) notices: Vec<String>,
    pub(crate) crew: Crew,
    deps: Deps,
    /// New commits and the tick.
    intake: watch::Sender<bool>,
    loops: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

/// The store and everything else that outlives the process.
struct House {
    docs: Arc<dyn Docs>,
    queues: Arc<dyn Queues>,
    blobs: Arc<dyn Blobs>,
    secrets: Arc<dyn Secrets>,
    store: Arc<Store>,
    mirrors: Arc<Mirrors>,
}

impl House {
    fn open(layout: &Layout) -> Result<Self, Failure> {
        let at_home = |what: &str, error: &dyn std::error::Error| {
            Failure::missing(format!("{what}: {error}"))
        };
        let store = Store::open(&layout.database(), Arc::new(SteadyClock::start()))
            .map_err(|e| at_home("the store can't be opened", &e).because(e))?;
        let store = Arc::new(store);
        let blobs = FolderBlobs::open(&layout.blobs())
            .map_err(|e| at_home("the folder of blobs can't be opened", &e).because(e))?;
        let secrets = SealedSecrets::open(&layout.secrets())
            .map_err(|e| at_home("the secrets can't be opened", &e).because(e))?;
        Ok(Self {
            docs: store.clone(),
            queues: store.clone(),
            blobs: Arc::new(blobs),
            secrets: Arc::new(secrets),
            store,
            mirrors: Arc::new(Mirrors::new(layout.mirrors())),
        })
    }
}

impl Server {
    /// Everything up to the moment when the first request can be served.
    pub(crate) async fn start(config: Config) -> Result<Start, Failure> {
        super::prerequisites::check()?;
        let folder = Folder::open(&config.data)?;
        let layout = folder.layout();
        logging::start(&layout.log(), config.aloud)
            .map_err(|e| Failure::missing("the log can't be written").because(e))?;
        let Bound { listener, busy } = bind(config.port)?;
        let house = House::open(&layout)?;
        let mut notices: Vec<String> =
            busy.iter().map(|port| format!("port {port} is in use; taking the next")).collect();
        let mut found = Vec::new();
        for repo in config.repos {
            found.push(repos::find(&house.mirrors, &*house.docs, repo).await?);
        }
        notices.extend(found.iter().filter_map(|found| found.warning.clone()));
        if let Some(first) = found.first().filter(|_| found.iter().all(|found| !found.defined)) {
            let proposal = repos::proposal(&house.mirrors, first).await?;
            if !config.write {
                let repository = first.repository.name.0.clone();
                return Ok(Start::Nothing { repository, proposal });
            }
            let path = repos::write(&proposal)?;
            let path = path.display();
            notices.push(format!("wrote {path}; commit it, and Windlass does what it says"));
        }
        let roster = Roster::open(layout.workers_file())
            .map_err(|e| Failure::missing("the list of workers can't be read").because(e))?;
        let server = Self::assemble(folder, &house, Arc::new(roster), found, notices, listener);
        let server = server.await?;
        server.crew.start(config.workers).await;
        server_file::write(server.folder.root(), &server.access)
            .map_err(|e| Failure::missing("server.json can't be written").because(e))?;
        Ok(Start::Serving(Box::new(server)))
    }

    async fn assemble(
        folder: Folder,
        house: &House,
        roster: Arc<Roster>,
        found: Vec<Found>,
        notices: Vec<String>,
        listener: std::net::TcpListener,
    ) -> Result<Self, Failure> {
        let layout = folder.layout();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let repositories: Vec<_> = found.iter().map(|found| found.repository.clone()).collect();
        let deps = Deps {
            docs: house.docs.clone(),
            queues: house.queues.clone(),
            blobs: house.blobs.clone(),
            secrets: house.secrets.clone(),
            presence: Arc::new(MachinePresence::new(roster.clone())),
            source: house.mirrors.clone(),
            forge: Arc::new(NoForge),
            links: None,
            archive: Arc::new(NoArchive),
            clock: clock.clone(),
            write_ids: Arc::new(WriteIds::new(random_hex(8)?)),
            repositories: Arc::new(repositories.clone()),
            wake: Arc::new(Notify::new()),
            warm: Arc::default(),
        };
        let authority = Authority::open(&layout.worker_secret(), house.docs.clone())
            .map_err(|e| Failure::missing(format!("the workers' secret: {e}")).because(e))?;
        let authority = Arc::new(authority);
        let aftermath = Aftermath::new(deps.clone());
        let pool = DEFAULT_POOL.into();
        let crew = Crew::new(layout.clone(), pool, authority.clone(), roster, aftermath);
        let address = listener
            .local_addr()
            .map_err(|e| Failure::missing("the port has no address").because(e))?;
        let token = random_hex(32)?;
        let access = ServerFile { address: address.to_string(), token, pid: std::process::id() };
        let (intake, loops) = (watch::channel(false).0, watch::channel(false).0);
        let mut server = Self {
            folder,
            access,
            repositories,
            notices,
            crew,
            deps,
            intake,
            loops,
            tasks: JoinSet::new(),
        };
        server.recover(house).await?;
        server.serve_workers(house, authority)?;
        server.serve_people(listener).await?;
        server.run_loops();
        for found in found {
            let (deps, stop) = (server.deps.clone(), server.intake.subscribe());
            server.tasks.spawn(keep_watching(deps, found, stop));
        }
        Ok(server)
    }

    /// What a killed server had in hand comes again at once, and every open stack looks at itself.
    async fn recover(&self, house: &House) -> Result<(), Failure> {
        let (control, workers) = (keys::CONTROL_POOL.into(), DEFAULT_POOL.into());
        let control = keys::first_queue(&control);
        // A pointer may have been on its way to a worker that never got it. One that was claimed
        // comes again as well, and nobody takes it.
        let (first, rest) = (keys::first_queue(&workers), keys::rest_queue(&workers));
        for queue in [keys::INTENTS, keys::REPORTS, &control, &first, &rest] {
            house.store.hand_back_all(queue).await?;
        }
        scheduler::resume_control(&self.deps).await?;
        scheduler::nudge_open(&self.deps).await?;
        Ok(())
    }

    fn serve_workers(&mut self, house: &House, gate: Arc<Authority>) -> Result<(), Failure> {
        let path = self.folder.layout().socket();
        let listener = adapter_socket::bind(&path).map_err(|e| {
            Failure::missing(format!("the socket {} can't be made", path.display())).because(e)
        })?;
        let ports = Ports {
            docs: house.docs.clone(),
            queues: house.queues.clone(),
            blobs: house.blobs.clone(),
            secrets: house.secrets.clone(),
        };
        self.until_the_end(adapter_socket::serve(listener, ports, gate));
        Ok(())
    }

    async fn serve_people(&mut self, listener: std::net::TcpListener) -> Result<(), Failure> {
        let unusable = |e| Failure::missing("the port can't be served").because(e);
        listener.set_nonblocking(true).map_err(unusable)?;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(unusable)?;
        let port = listener.local_addr().map_err(unusable)?.port();
        let (token, hosts) = (&self.access.token, api::Auth::local_hosts(port));
        let sessions = KeptSessions::open(self.deps.docs.clone(), self.deps.clock.clone()).await?;
        let auth = api::Auth::new(token, &user(), hosts, Arc::new(sessions));
        let router = api::router(api::Deps {
            docs: self.deps.docs.clone(),
            queues: self.deps.queues.clone(),
            blobs: self.deps.blobs.clone(),
            secrets: self.deps.secrets.clone(),
            source: self.deps.source.clone(),
            state: Arc::new(StateFolder::new(self.folder.layout().states())),
            clock: self.deps.clock.clone(),
            wake: self.deps.wake.clone(),
            auth,
        });
        self.until_the_end(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the console has ended");
            }
        });
        Ok(())
    }

    fn run_loops(&mut self) {
        for queue in [keys::INTENTS, keys::REPORTS] {
            let (deps, stop) = (self.deps.clone(), self.loops.subscribe());
            self.tasks.spawn(async move { scheduler::serve(&deps, queue, stop).await });
        }
        let (deps, stop) = (self.deps.clone(), self.loops.subscribe());
        self.tasks.spawn(async move { scheduler::serve_control(&deps, stop).await });
        let deps = self.deps.clone();
        let places = drift::Deps {
            docs: deps.docs.clone(),
            queues: deps.queues.clone(),
            write_ids: deps.write_ids.clone(),
        };
        self.until_the_end(async move {
            loop {
                tokio::time::sleep(TICK).await;
                if let Err(fault) = scheduler::tick(&deps).await {
                    tracing::warn!(error = fault.chain(), "a tick failed; the next one comes");
                }
                if let Err(fault) = drift::handle(&places, deps.clock.now()).await {
                    tracing::warn!(error = fault.chain(), "drift waits for the next tick");
                }
            }
        });
    }

    /// From now on, whoever reads what `say` writes hears of each run that waits for a person, and
    /// of definitions that fail.
    pub(crate) fn tell_of_needs(&mut self, say: impl Fn(&str) + Send + Sync + 'static) {
        let deps = self.deps.clone();
        self.until_the_end(super::needs::tell(deps, say));
    }

    /// Runs until the loops are told to stop, then is dropped wherever it is.
    fn until_the_end(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        let mut stop = self.loops.subscribe();
        self.tasks.spawn(async move {
            tokio::select! {
                () = work => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        });
    }

    /// No new commits are looked at, workers finish what they do; then the loops end.
    pub(crate) async fn drain(mut self) {
        self.intake.send_replace(true);
        self.crew.drain().await;
        self.loops.send_replace(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LOOPS_END, all).await;
        server_file::remove(self.folder.root());
    }

    /// Whoever stops the process without a drain leaves no address behind.
    pub(crate) fn leave_no_address(&self) -> impl Fn() + Send + 'static {
        let root = self.folder.root().to_owned();
        move || server_file::remove(&root)
    }

    #[must_use]
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.root().to_owned()
    }
    /// A link that opens the console once.
    pub(crate) async fn login_link(&self) -> Result<String, Failure> {
        let client = Client::to(self.access.clone());
        let ask = move || -> Result<String, Failure> {
            let link: LoginLink = client.post("/login-links", &serde_json::json!({}))?;
            Ok(client.url(&link.path))
        };
        let asked = tokio::task::spawn_blocking(ask).await;
        asked.map_err(|e| Failure::failed("no login link could be made").because(e))?
    }
}

/// The login that started the server: who a command acts for unless it says otherwise.
fn user() -> String {
    let known = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten();
    known.map_or_else(|| format!("uid-{}", nix::unistd::getuid()), |user| user.name)
}

/// Bytes that nobody can guess, as hexadecimal digits.
fn random_hex(bytes: usize) -> Result<String, Failure> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random)
        .map_err(|e| Failure::missing("the system gave no randomness").because(e.to_string()))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}
