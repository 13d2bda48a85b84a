//! Who may do what: every route, each role, on spaces above, at, below and beside what it is about.

use crate::common::{Answer, Browser, HOST, World};
use api::v1::Role;
use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use windlass_core::event::{Command, Intent, StackEnvelope, StackEvent};
use windlass_core::keys;
use windlass_ports::fake::{Faults, Faulty, Strike};
use windlass_ports::{Docs as _, Expect, Secrets as _};

/// ocelot and lynx lie in `deep`, which lies in `team`. What ocelot waits for and what waits for it
/// lie in `other`.
const DEFINITIONS: &str = r"
version: 1
spaces:
  - { name: team }
  - { name: deep, parent: team }
  - { name: other }
stacks:
  - { name: quagga, space: other, project_root: quagga, autodeploy: true }
  - name: ocelot
    space: deep
    project_root: ocelot
    depends_on: [{ stack: quagga, references: [{ output: vpc_id, input: TF_VAR_vpc_id }] }]
  - { name: zebra, space: other, project_root: zebra, autodeploy: true, depends_on: [{ stack: ocelot }] }
  - { name: lynx, space: deep, project_root: lynx, autodeploy: true }
  - { name: apex, project_root: apex, autodeploy: true }
";

struct Caller {
    name: String,
    role: Role,
    space: &'static str,
    token: String,
    browser: Browser,
}

impl Caller {
    fn reaches(&self, space: &str) -> bool {
        let above: &[&str] = match space {
            "deep" => &["deep", "team", "root"],
            "other" => &["other", "root"],
            _ => &["root"],
        };
        above.contains(&self.space)
    }
    fn may(&self, role: Role, space: &str) -> bool {
        self.role >= role && self.reaches(space)
    }
    /// What no answer to them may hold.
    fn hidden(&self) -> &'static [&'static str] {
        match self.space {
            "root" => &[],
            "other" => &["ocelot", "lynx", "apex", "infra-definitions"],
            _ => &["quagga", "zebra", "apex", "infra-definitions"],
        }
    }
}

struct Stage {
    world: World,
    callers: Vec<Caller>,
    /// Of ocelot, which waits for a person.
    run: String,
    /// A commit that touched lynx alone.
    commit: String,
    /// Of a reader of `deep`.
    key: String,
}

async fn stage() -> Stage {
    let mut world = World::new();
    world.tools = crate::common::demo_tools();
    let outputs = world.tools["network"].clone();
    world.tools.insert("quagga".into(), outputs.clone());
    let change = crate::common::Tool { outputs: vec![], ..outputs };
    for stack in ["ocelot", "zebra", "lynx", "apex"] {
        world.tools.insert(stack.into(), change.clone());
    }
    let files =
        ["quagga", "ocelot", "zebra", "lynx", "apex"].map(|s| (format!("{s}/main.tf"), "1"));
    let mut files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    files.push(("windlass.yaml", DEFINITIONS));
    world.push("main", &files).await;
    world.settle().await;
    world.push("main", &[("lynx/main.tf", "2")]).await;
    world.settle().await;
    world.push("main", &[("quagga/main.tf", "2")]).await;
    world.settle().await;
    world.post("/stacks/quagga/lock", json!({"note": "only for quagga's people"})).await;
    world.post("/stacks/quagga/unlock", json!({})).await;
    world.call(Method::PUT, "/secrets/cluster/token", Some(json!({"value": "hush-hush"}))).await;
    let mut callers = Vec::new();
    for space in ["root", "team", "deep", "other"] {
        for role in Role::ALL {
            let (_, token) = world.key(role, space).await;
            let browser = world.browser_of(&token).await;
            let name = format!("{} on {space}", role.as_str());
            callers.push(Caller { name, role, space, token, browser });
        }
    }
    let message = json!({"schema": 1, "revision": 1, "write_id": "w", "value": {
        "queue": keys::INTENTS, "group": "stack:apex", "body": intent(&world),
        "reason": "this intent of apex does not parse", "at": world.now().0 }});
    let body = message.to_string().into_bytes();
    world.docs.put(&keys::quarantine("m-1"), Expect::Absent, body).await.unwrap();
    let run = world.last("ocelot").await;
    let commit = world.head("lynx").await.tracked.unwrap().sha.0;
    let (key, _) = world.key(Role::Reader, "deep").await;
    Stage { world, callers, run, commit, key }
}

/// Somebody asks for a lock on apex.
fn intent(world: &World) -> String {
    let command = Command::Lock { note: None, until: None };
    let envelope = StackEnvelope {
        id: "asked-before".into(),
        stack: "apex".into(),
        at: world.now(),
        hops: 0,
        event: StackEvent::Command { actor: "grace".to_owned(), command },
    };
    serde_json::to_string(&Intent::Stack(envelope)).unwrap()
}

/// What a route asks of its caller.
#[derive(Clone, Copy)]
enum Needs {
    /// Nothing, not even a token.
    Nothing,
    /// Somebody; what they get is what they may see.
    Anybody,
    /// A role on `deep`. Without a reader's it is not there.
    Deep(Role),
    /// A role on the root, where the pool of the only worker is; without a reader's it is not there.
    Pool(Role),
    /// A role on a space that the request names.
    Named(Role, &'static str),
}

impl Needs {
    fn expect(self, caller: &Caller, allowed: u16) -> u16 {
        let (role, space, unseen) = match self {
            Needs::Nothing | Needs::Anybody => return allowed,
            Needs::Deep(role) => (role, "deep", 404),
            Needs::Pool(role) => (role, "root", 404),
            Needs::Named(role, space) => (role, space, 403),
        };
        match (caller.may(role, space), caller.may(Role::Reader, space)) {
            (true, _) => allowed,
            (false, true) => 403,
            (false, false) => unseen,
        }
    }
}

struct Row {
    method: &'static str,
    route: &'static str,
    /// For what stands in braces.
    path: String,
    body: Value,
    needs: Needs,
    /// The status for whoever may.
    status: u16,
}

fn row(
    method: &'static str,
    route: &'static str,
    path: &str,
    body: Value,
    needs: Needs,
    status: u16,
) -> Row {
    Row { method, route, path: path.to_owned(), body, needs, status }
}

/// Requests that leave things as they are, where there is such a one: what is allowed is refused for
/// another reason then.
fn api_rows(stage: &Stage) -> Vec<Row> {
    use Needs::{Anybody, Deep, Named, Nothing, Pool};
    use Role::{Admin, Reader, Writer};
    let (run, commit) = (stage.run.as_str(), stage.commit.as_str());
    let of_run = |rest: &str| format!("/runs/{run}{rest}");
    let none = || json!(null);
    let long = || json!({"note": "x".repeat(1_001)});
    let secret = || json!({"value": "1234"});
    let new_key = || json!({"name": "", "role": "reader", "space": "deep"});
    #[rustfmt::skip]
    let rows = vec![
        row("GET",    "/health",                   "/health",                  none(),   Nothing,        200),
        row("POST",   "/tokens",                   "/tokens",                  json!({"id": "x", "secret": "y"}), Nothing, 401),
        row("GET",    "/stacks",                   "/stacks",                  none(),   Anybody,        200),
        row("GET",    "/stacks/{slug}",            "/stacks/ocelot",           none(),   Deep(Reader),   200),
        row("GET",    "/stacks/{slug}/runs",       "/stacks/ocelot/runs",      none(),   Deep(Reader),   200),
        row("GET",    "/stacks/{slug}/resources",  "/stacks/lynx/resources",   none(),   Deep(Reader),   200),
        row("GET",    "/stacks/{slug}/outputs",    "/stacks/lynx/outputs",     none(),   Deep(Reader),   200),
        row("GET",    "/stacks/{slug}/state",      "/stacks/lynx/state",       none(),   Deep(Writer),   200),
        row("POST",   "/stacks/{slug}/lock",       "/stacks/ocelot/lock",      long(),   Deep(Writer),   422),
        row("POST",   "/stacks/{slug}/unlock",     "/stacks/ocelot/unlock",    none(),   Deep(Writer),   409),
        row("POST",   "/stacks/{slug}/unlock",     "/stacks/ocelot/unlock",    json!({"force": true}), Deep(Admin), 409),
        row("POST",   "/stacks/{slug}/trigger",    "/stacks/ocelot/trigger",   json!({"type": "TASK"}), Deep(Writer), 422),
        row("POST",   "/stacks/{slug}/task",       "/stacks/ocelot/task",      json!({"command": " "}), Deep(Writer), 422),
        row("GET",    "/runs",                     "/runs",                    none(),   Anybody,        200),
        row("GET",    "/runs",                     "/runs?state=UNCONFIRMED",  none(),   Anybody,        200),
        row("GET",    "/runs/{id}",                &of_run(""),                none(),   Deep(Reader),   200),
        row("GET",    "/runs/{id}/logs",           &of_run("/logs"),           none(),   Deep(Reader),   200),
        row("GET",    "/runs/{id}/changes",        &of_run("/changes"),        none(),   Deep(Reader),   200),
        row("POST",   "/runs/{id}/{verb}",         &of_run("/confirm"),        json!({"plan_digest": "0", "version": 1}), Deep(Writer), 409),
        row("POST",   "/runs/{id}/{verb}",         &of_run("/approve"),        none(),   Deep(Writer),   409),
        row("POST",   "/runs/{id}/{verb}",         &of_run("/discard"),        long(),   Deep(Writer),   422),
        row("POST",   "/runs/{id}/{verb}",         &of_run("/cancel"),         long(),   Deep(Writer),   422),
        row("POST",   "/runs/{id}/{verb}",         &of_run("/stop"),           none(),   Deep(Writer),   409),
        row("POST",   "/runs/{id}/{verb}",         &of_run("/retry"),          none(),   Deep(Writer),   409),
        row("POST",   "/runs/{id}/{verb}",         &of_run("/replan"),         json!({"targets": []}), Deep(Writer), 422),
        row("POST",   "/runs/{id}/{verb}",         &of_run("/prioritize"),     json!({"on": true}), Deep(Writer), 200),
        row("GET",    "/commits/{sha}",            &format!("/commits/{commit}"), none(), Deep(Reader),  200),
        row("GET",    "/rollouts",                 "/rollouts",                none(),   Anybody,        200),
        row("GET",    "/workers",                  "/workers",                 none(),   Anybody,        200),
        row("POST",   "/workers/{id}/drain",       "/workers/worker-1/drain",  none(),   Pool(Admin),    200),
        row("POST",   "/workers/{id}/undrain",     "/workers/worker-1/undrain", none(),  Pool(Admin),    200),
        row("GET",    "/audit",                    "/audit",                   none(),   Anybody,        200),
        row("GET",    "/deliveries/{id}",          "/deliveries/d-1",          none(),   Named(Reader, "root"), 404),
        row("POST",   "/deliveries",               "/deliveries",              json!({"kind": "star", "payload": {}}), Named(Admin, "root"), 422),
        row("GET",    "/secrets",                  "/secrets",                 none(),   Named(Reader, "root"), 200),
        row("PUT",    "/secrets/{*name}",          "/secrets/a/b",             secret(), Named(Admin, "root"),  422),
        row("DELETE", "/secrets/{*name}",          "/secrets/a/b",             none(),   Named(Admin, "root"),  404),
        row("GET",    "/why/{what}",               "/why/ocelot",              none(),   Deep(Reader),   200),
        row("GET",    "/why/{what}",               &format!("/why/{run}"),     none(),   Deep(Reader),   200),
        row("GET",    "/why/{what}",               &format!("/why/{commit}"),  none(),   Deep(Reader),   200),
        row("GET",    "/quarantine",               "/quarantine",              none(),   Named(Reader, "root"), 200),
        row("GET",    "/quarantine/{id}",          "/quarantine/m-1",          none(),   Named(Admin, "root"),  200),
        row("POST",   "/quarantine/{id}/retry",    "/quarantine/m-2/retry",    none(),   Named(Admin, "root"),  404),
        row("DELETE", "/quarantine/{id}",          "/quarantine/m-2",          none(),   Named(Admin, "root"),  404),
        row("GET",    "/keys",                     "/keys",                    none(),   Anybody,        200),
        row("POST",   "/keys",                     "/keys",                    new_key(), Named(Admin, "deep"), 422),
        row("DELETE", "/keys/{id}",                &format!("/keys/{}", stage.key), none(), Deep(Admin), 200),
        row("POST",   "/login-links",              "/login-links",             none(),   Anybody,        200),
    ];
    rows
}

fn page_rows(stage: &Stage) -> Vec<Row> {
    use Needs::{Anybody, Deep, Named, Nothing, Pool};
    use Role::{Admin, Reader, Writer};
    let (run, commit) = (stage.run.as_str(), stage.commit.as_str());
    let of_run = |rest: &str| format!("/runs/{run}{rest}");
    let none = || json!(null);
    let long = || json!({"note": "x".repeat(1_001)});
    #[rustfmt::skip]
    let rows = vec![
        row("GET",  "/login",                   "/login",                     none(), Nothing,       401),
        row("GET",  "/assets/{digest}/{name}",  "/assets/0/app.css",          none(), Nothing,       404),
        row("GET",  "/",                        "/",                          none(), Anybody,       200),
        row("GET",  "/poll",                    "/poll",                      none(), Anybody,       200),
        row("GET",  "/stacks/{slug}",           "/stacks/ocelot",             none(), Deep(Reader),  200),
        row("GET",  "/stacks/{slug}/poll",      "/stacks/ocelot/poll",        none(), Deep(Reader),  200),
        row("POST", "/stacks/{slug}/{verb}",    "/stacks/ocelot/lock",        long(), Deep(Writer),  422),
        row("POST", "/stacks/{slug}/{verb}",    "/stacks/ocelot/unlock",      json!({"force": "yes"}), Deep(Admin), 409),
        row("POST", "/stacks/{slug}/{verb}",    "/stacks/ocelot/task",        json!({"command": " "}), Deep(Writer), 422),
        row("GET",  "/runs",                    "/runs",                      none(), Anybody,       200),
        row("GET",  "/runs/{id}",               &of_run(""),                  none(), Deep(Reader),  200),
        row("GET",  "/runs/{id}/poll",          &of_run("/poll"),             none(), Deep(Reader),  200),
        row("GET",  "/runs/{id}/log",           &of_run("/log"),              none(), Deep(Reader),  200),
        row("GET",  "/runs/{id}/changes",       &of_run("/changes"),          none(), Deep(Reader),  200),
        row("POST", "/runs/{id}/{verb}",        &of_run("/stop"),             none(), Deep(Writer),  409),
        row("POST", "/runs/{id}/{verb}",        &of_run("/confirm"),          json!({"plan_digest": "0", "version": "1"}), Deep(Writer), 409),
        row("GET",  "/commits",                 "/commits",                   none(), Anybody,       200),
        row("GET",  "/commits/{sha}",           &format!("/commits/{commit}"), none(), Deep(Reader), 200),
        row("GET",  "/commits/{sha}/poll",      &format!("/commits/{commit}/poll"), none(), Deep(Reader), 200),
        row("GET",  "/workers",                 "/workers",                   none(), Anybody,       200),
        row("POST", "/workers/{id}/{verb}",     "/workers/worker-1/undrain",  none(), Pool(Admin),   303),
        row("GET",  "/audit",                   "/audit",                     none(), Anybody,       200),
        row("GET",  "/quarantine",              "/quarantine",                none(), Named(Reader, "root"), 200),
        row("GET",  "/quarantine/{id}",         "/quarantine/m-1",            none(), Named(Admin, "root"),  200),
        row("POST", "/quarantine/{id}/{verb}",  "/quarantine/m-2/drop",       none(), Named(Admin, "root"),  404),
        row("POST", "/logout",                  "/logout",                    none(), Anybody,       303),
    ];
    rows
}

#[tokio::test]
async fn every_route_asks_who_it_is() {
    let mut stage = stage().await;
    stage.world.states.put("lynx", "{}");
    let (api, pages) = (api_rows(&stage), page_rows(&stage));
    let in_table: BTreeSet<(&str, String)> = api
        .iter()
        .map(|row| (row.method, format!("/api/v1{}", row.route)))
        .chain(pages.iter().map(|row| (row.method, row.route.to_owned())))
        .collect();
    let known = api::routes().into_iter().map(|(method, path)| (method, path.to_owned())).collect();
    assert_eq!(in_table, known, "each route has its row");
    let Stage { world, callers, .. } = &mut stage;
    for row in &api {
        let nobody = call(world, "", row).await.status.as_u16();
        let expect = if matches!(row.needs, Needs::Nothing) { row.status } else { 401 };
        assert_eq!(nobody, expect, "{} {} without a token", row.method, row.path);
        for caller in callers.iter() {
            let answer = call(world, &caller.token, row).await;
            check(caller, row, &answer);
        }
    }
    let nobody = Browser { cookie: String::new(), token: String::new() };
    for row in &pages {
        let status = visit(world, &nobody, row).await.status.as_u16();
        let expect = if matches!(row.needs, Needs::Nothing) { row.status } else { 401 };
        assert_eq!(status, expect, "{} {} without a session", row.method, row.path);
        for caller in callers.iter() {
            let answer = visit(world, &caller.browser, row).await;
            check(caller, row, &answer);
        }
    }
}

fn check(caller: &Caller, row: &Row, answer: &Answer) {
    let what = format!("{} {} by a {}", row.method, row.path, caller.name);
    let expect = row.needs.expect(caller, row.status);
    assert_eq!(answer.status.as_u16(), expect, "{what}: {}", answer.body);
    for word in caller.hidden() {
        // What was asked for may be told back; nothing else.
        let asked = row.path.contains(word);
        assert!(asked || !answer.body.contains(word), "{what} tells of {word}: {}", answer.body);
    }
}

async fn call(world: &mut World, token: &str, row: &Row) -> Answer {
    let mut request = Request::builder()
        .method(row.method)
        .uri(format!("/api/v1{}", row.path))
        .header("host", HOST);
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let body = match &row.body {
        Value::Null => Body::empty(),
        body => Body::from(body.to_string()),
    };
    world.send(request.body(body).unwrap()).await
}

async fn visit(world: &mut World, browser: &Browser, row: &Row) -> Answer {
    if row.method == "GET" {
        return browser.get(world, &row.path).await;
    }
    let fields: Vec<(String, String)> = row.body.as_object().map_or(vec![], |fields| {
        fields.iter().map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned())).collect()
    });
    let fields: Vec<_> = fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    browser.submit(world, &row.path, &fields).await
}

#[tokio::test]
async fn lists_hold_what_is_theirs() {
    let mut stage = stage().await;
    let Stage { world, callers, .. } = &mut stage;
    for caller in callers.iter() {
        let list = async |world: &mut World, path: &str| {
            let row = row("GET", "", path, Value::Null, Needs::Anybody, 200);
            call(world, &caller.token, &row).await.json()
        };
        let stacks = list(world, "/stacks").await;
        let slugs: Vec<&str> = stacks["stacks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| s["slug"].as_str().unwrap())
            .collect();
        let mut expect: Vec<&str> = match caller.space {
            "root" => vec!["apex", "infra-definitions", "lynx", "ocelot", "quagga", "zebra"],
            "other" => vec!["quagga", "zebra"],
            _ => vec!["lynx", "ocelot"],
        };
        let mut slugs = slugs;
        slugs.sort_unstable();
        expect.sort_unstable();
        assert_eq!(slugs, expect, "{}", caller.name);
        assert_eq!(stacks["total"], expect.len(), "{}", caller.name);
        let facets: u64 = stacks["facets"]["space"]
            .as_object()
            .unwrap()
            .values()
            .map(|n| n.as_u64().unwrap())
            .sum();
        assert_eq!(facets, expect.len() as u64, "{}: facets count what is theirs", caller.name);
        let runs = list(world, "/runs").await;
        let of: BTreeSet<&str> =
            runs["runs"].as_array().unwrap().iter().map(|r| r["stack"].as_str().unwrap()).collect();
        assert!(
            !of.is_empty() && of.iter().all(|stack| expect.contains(stack)),
            "{}: {of:?}",
            caller.name
        );
        let audit = list(world, "/audit").await;
        let entries = audit["entries"].as_array().unwrap();
        let about: BTreeSet<&str> = entries.iter().filter_map(|e| e["stack"].as_str()).collect();
        assert_eq!(about.contains("quagga"), caller.reaches("other"), "{}", caller.name);
        let keys = list(world, "/keys").await;
        let keys = keys["keys"].as_array().unwrap();
        let keys = keys.iter().filter(|key| key["id"] != "ada").count();
        let theirs = match (caller.role, caller.space) {
            (Role::Admin, "root") => 13,
            (Role::Admin, "team") => 7,
            (Role::Admin, "deep") => 4,
            (Role::Admin, _) => 3,
            _ => 0,
        };
        assert_eq!(keys, theirs, "{}", caller.name);
    }
}

/// What must leave a line in the audit trail: method, route, path, body, the line's action.
#[tokio::test]
async fn every_change_leaves_a_line() {
    let stage = stage().await;
    let Stage { mut world, callers, run, key, .. } = stage;
    let admin = callers.iter().find(|c| c.role == Role::Admin && c.space == "root").unwrap();
    let detail: api::v1::RunDetail = world.get(&format!("/runs/{run}")).await.to();
    let confirm = json!({"plan_digest": detail.plan_digest, "version": detail.run.version});
    let of_run = |verb: &str| format!("/runs/{run}/{verb}");
    let secret = json!({"value": "hush-hush-hush"});
    let new_key = json!({"name": "ci", "role": "writer"});
    let none = || Value::Null;
    let nowhere = "0".repeat(40);
    let recorded = json!({"kind": "push", "payload": {
        "ref": "refs/tags/v1", "before": nowhere, "after": "1".repeat(40),
        "repository": {"full_name": "acme/infra"}}});
    #[rustfmt::skip]
    let table = [
        // method  route                     path                                  body                          action
        ("PUT",    "/secrets/{*name}",       "/secrets/a/b".to_owned(),            secret,                       "secret_set"),
        ("DELETE", "/secrets/{*name}",       "/secrets/a/b".to_owned(),            none(),                       "secret_remove"),
        ("POST",   "/keys",                  "/keys".to_owned(),                   new_key,                      "key_create"),
        ("DELETE", "/keys/{id}",             format!("/keys/{key}"),               none(),                       "key_revoke"),
        ("POST",   "/workers/{id}/drain",    "/workers/worker-1/drain".to_owned(), none(),                       "drain"),
        ("POST",   "/workers/{id}/undrain",  "/workers/worker-1/undrain".to_owned(), none(),                     "undrain"),
        ("POST",   "/stacks/{slug}/lock",    "/stacks/lynx/lock".to_owned(),       none(),                       "lock"),
        ("POST",   "/stacks/{slug}/unlock",  "/stacks/lynx/unlock".to_owned(),     none(),                       "unlock"),
        ("POST",   "/stacks/{slug}/trigger", "/stacks/lynx/trigger".to_owned(),    json!({}),                    "trigger tracked"),
        ("POST",   "/stacks/{slug}/trigger", "/stacks/lynx/trigger".to_owned(),    json!({"type": "PROPOSED"}),  "trigger proposed"),
        ("POST",   "/stacks/{slug}/task",    "/stacks/lynx/task".to_owned(),       json!({"command": "true"}),   "trigger task"),
        ("POST",   "/runs/{id}/{verb}",      of_run("confirm"),                    confirm,                      "confirm"),
        ("POST",   "/deliveries",            "/deliveries".to_owned(),             recorded,                     "delivery_replay"),
        ("POST",   "/quarantine/{id}/retry", "/quarantine/m-1/retry".to_owned(),   none(),                       "quarantine_retry"),
        ("DELETE", "/quarantine/{id}",       "/quarantine/m-2".to_owned(),         none(),                       "quarantine_drop"),
    ];
    // They make a ticket, which is not a change of what Windlass keeps about stacks.
    let tickets = [("POST", "/tokens"), ("POST", "/login-links")];
    let has_row = |method: &str, path: &str| {
        let route = path.strip_prefix("/api/v1").unwrap();
        table.iter().any(|row| (row.0, row.1) == (method, route))
            || tickets.contains(&(method, route))
    };
    for (method, path) in api::routes() {
        let is_change = method != "GET" && path.starts_with("/api/v1");
        assert!(!is_change || has_row(method, path), "{method} {path} has no row");
    }
    let copy = world.docs.get(&keys::quarantine("m-1")).await.unwrap();
    let copy = copy.unwrap().body;
    world.docs.put(&keys::quarantine("m-2"), Expect::Absent, copy).await.unwrap();
    for (method, route, path, body, action) in table {
        world.clock.advance(1_000);
        let request = row(method, route, &path, body, Needs::Anybody, 200);
        let answer = call(&mut world, &admin.token, &request).await;
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.body);
        world.settle().await;
        let audit: api::v1::AuditList = world.get("/audit?limit=200").await.to();
        let line = audit.entries.iter().find(|entry| entry.action == action);
        let line = line.unwrap_or_else(|| panic!("{path} leaves no line {action}"));
        assert!(line.actor.starts_with("api::admin-on-root-"), "{path}: {}", line.actor);
        assert!(line.stack.is_some() || line.note.is_some(), "{path}: the line names its target");
        if let Some(event) = answer.json()["event"].as_str() {
            assert_eq!(line.id, event, "{path}: the line has the request's id");
        }
    }
    let lock = world.head("apex").await.lock;
    assert_eq!(lock.unwrap().by, "grace", "what was put back on its queue was handled");
}

/// Where the trail can't be written, nothing is done that it would have told of.
#[tokio::test]
async fn nothing_is_done_that_the_trail_can_not_tell() {
    let Stage { mut world, key, .. } = stage().await;
    let recorded = json!({"kind": "push", "payload": {
        "ref": "refs/tags/v1", "before": "0".repeat(40), "after": "1".repeat(40),
        "repository": {"full_name": "acme/infra"}}});
    let drained = row("POST", "", "/workers/worker-1/drain", Value::Null, Needs::Anybody, 200);
    let token = world.bearer().await;
    assert_eq!(call(&mut world, &token, &drained).await.json()["changed"], true);
    world.secrets.set("kept", "hush-hush-hush").await.unwrap();
    let faults = Faults::always("docs.put audit/", Strike::Before);
    world.remount_over(Arc::new(Faulty::new(world.docs.clone(), &faults)));
    #[rustfmt::skip]
    let table = [
        ("PUT",    "/secrets/a/b".to_owned(),              json!({"value": "hush-hush-hush"})),
        ("DELETE", "/secrets/kept".to_owned(),             Value::Null),
        ("POST",   "/keys".to_owned(),                     json!({"name": "ci", "role": "writer"})),
        ("DELETE", format!("/keys/{key}"),                 Value::Null),
        ("POST",   "/workers/worker-1/undrain".to_owned(), Value::Null),
        ("POST",   "/deliveries".to_owned(),               recorded),
        ("POST",   "/quarantine/m-1/retry".to_owned(),     Value::Null),
        ("DELETE", "/quarantine/m-1".to_owned(),           Value::Null),
    ];
    let state = async |world: &World| {
        let docs: Vec<String> = world
            .docs
            .dump()
            .into_iter()
            .filter(|(key, _)| !key.starts_with("sessions/"))
            .map(|(key, body)| format!("{key} {}", String::from_utf8_lossy(&body)))
            .collect();
        (docs, world.secrets.names().await.unwrap(), world.queues.busy())
    };
    for (method, path, body) in table {
        let before = state(&world).await;
        let request = row(method, "", &path, body, Needs::Anybody, 503);
        let answer = call(&mut world, &token, &request).await;
        assert!(answer.status.is_server_error(), "{method} {path}: {}", answer.body);
        let after = state(&world).await;
        assert!(before == after, "{method} {path} was done all the same");
    }
}

/// What came to nothing is told as that.
#[tokio::test]
async fn what_came_to_nothing_has_a_line_that_says_so() {
    let Stage { mut world, .. } = stage().await;
    let token = world.bearer().await;
    let faults = Faults::always("docs.put pools/", Strike::Before);
    world.remount_over(Arc::new(Faulty::new(world.docs.clone(), &faults)));
    let drain = row("POST", "", "/workers/worker-1/drain", Value::Null, Needs::Anybody, 503);
    let answer = call(&mut world, &token, &drain).await;
    assert!(answer.status.is_server_error(), "{}", answer.body);
    let audit: api::v1::AuditList = world.get("/audit?limit=200").await.to();
    let notes = audit.entries.iter().filter(|entry| entry.action == "drain");
    let mut notes: Vec<&str> = notes.filter_map(|entry| entry.note.as_deref()).collect();
    notes.sort_unstable();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert_eq!(notes[0], "worker worker-1");
    assert!(
        notes[1].starts_with("worker worker-1: nothing is known to have changed: "),
        "{notes:?}"
    );
}

#[tokio::test]
async fn a_key_works_until_it_is_revoked() {
    let mut world = World::demo().await;
    let made = world.post("/keys", json!({"name": "CI of Ada", "role": "writer"})).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let made = made.json();
    let (id, secret) = (made["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
    assert!(id.starts_with("ci-of-ada-") && secret.len() == 64, "{id}");
    for (key, body) in world.docs.dump() {
        assert!(!String::from_utf8_lossy(&body).contains(secret), "{key} holds the secret");
    }
    let listed = world.get("/keys").await;
    assert!(!listed.body.contains(secret) && listed.body.contains(id), "{}", listed.body);
    #[rustfmt::skip]
    let table = [
        // name                 id               secret                status
        ("the key",             id.to_owned(),   secret.to_owned(),    200),
        ("another secret",      id.to_owned(),   "0".repeat(64),       401),
        ("an empty one",        id.to_owned(),   String::new(),        401),
        ("an unknown id",       "nobody".into(), secret.to_owned(),    401),
        ("an id that is a path","../x".into(),   secret.to_owned(),    401),
    ];
    for (name, id, secret, status) in table {
        let request = json!({ "id": id, "secret": secret });
        let row = row("POST", "", "/tokens", request, Needs::Nothing, status);
        let answer = call(&mut world, "", &row).await;
        assert_eq!(answer.status.as_u16(), status, "{name}: {}", answer.body);
    }
    let exchange = json!({ "id": id, "secret": secret });
    let tokens = row("POST", "", "/tokens", exchange, Needs::Nothing, 200);
    let token = call(&mut world, "", &tokens).await.json();
    let token = token["token"].as_str().unwrap().to_owned();
    let browser = world.browser_of(&token).await;
    let stacks = row("GET", "", "/stacks", Value::Null, Needs::Anybody, 200);
    let works =
        async |world: &mut World, token: &str| call(world, token, &stacks).await.status.as_u16();
    assert_eq!(works(&mut world, &token).await, 200);
    world.clock.advance(3_600_000);
    assert_eq!(works(&mut world, &token).await, 401, "a token ends after an hour");
    let token = call(&mut world, "", &tokens).await.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(
        works(&mut world, browser.cookie.split_once('=').unwrap().1).await,
        401,
        "a cookie is no token"
    );
    assert_eq!(works(&mut world, &token).await, 200);
    assert_eq!(browser.get(&mut world, "/").await.status, 200);
    let gone = world.call(Method::DELETE, &format!("/keys/{id}"), None).await;
    assert_eq!(gone.json()["changed"], true);
    assert_eq!(works(&mut world, &token).await, 401, "its token ends with it");
    assert_eq!(browser.get(&mut world, "/").await.status, 401, "and its session");
    assert_eq!(call(&mut world, "", &tokens).await.status, 401);
    let other = world.bearer().await;
    assert_eq!(works(&mut world, &other).await, 200, "other tokens stay");
}
