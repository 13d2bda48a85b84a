//! The server is as strict as what it stands for.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
use serde_json::{Value, json};
use spacelift_server::{Failure, KEY_ID, KEY_SECRET, Options, POOL, SpaceliftServer, Worker};

const TOKEN: &str = "mutation($id:ID!,$secret:String!){apiKeyUser(id:$id,secret:$secret){jwt}}";
const LOOK: &str = "query($id:ID!){workerPool(id:$id){pendingRuns workers{id busy drained}}}";

/// Status and answer.
fn ask(server: &SpaceliftServer, token: &str, document: &str, variables: &Value) -> (u16, Value) {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let url = format!("{}/graphql", server.url());
    let request = agent.post(&url).header("authorization", format!("Bearer {token}"));
    let mut answer =
        request.send_json(json!({ "query": document, "variables": variables })).unwrap();
    let (status, body) = (answer.status(), answer.body_mut().read_to_string().unwrap());
    (status.as_u16(), serde_json::from_str(&body).unwrap_or(Value::String(body)))
}

fn token(server: &SpaceliftServer) -> String {
    let (_, told) = ask(server, "", TOKEN, &json!({ "id": KEY_ID, "secret": KEY_SECRET }));
    told["data"]["apiKeyUser"]["jwt"].as_str().unwrap().to_owned()
}

fn said(told: &Value) -> &str {
    told["errors"][0]["message"].as_str().unwrap_or_default()
}

#[test]
fn a_document_is_validated() {
    let server = SpaceliftServer::start();
    let token = token(&server);
    let pool = json!({ "id": POOL });
    #[rustfmt::skip]
    let table = [
        // document                                            variables           says
        ("query($id:ID!){workerPool(id:$id){",                 pool.clone(),       "expected"),
        ("query($id:ID!){workerPool(id:$id){colour}}",         pool.clone(),       "colour"),
        ("query($id:ID!){workerPool(id:$id){workers}}",        pool.clone(),       "workers"),
        ("query($id:ID!){workerPool(pool:$id){id}}",           pool.clone(),       "pool"),
        ("query($id:Boolean!){workerPool(id:$id){id}}",        json!({"id": true}), "id"),
        ("query($id:ID!){workerPool(id:$id){id}}",             json!({}),          "id"),
        ("query($id:ID!,$x:Int){workerPool(id:$id){id}}",      pool.clone(),       "x"),
        ("mutation{workerDrainSet(id:\"w\"){id}}",             json!({}),          "drain"),
    ];
    for (document, variables, says) in table {
        let (status, told) = ask(&server, &token, document, &variables);
        assert_eq!(status, 200, "errors come with 200: {document}");
        assert!(told["errors"].to_string().contains(says), "{document}: {told}");
        assert_eq!(server.take_mistakes().len(), 1, "{document}");
    }
}

#[test]
fn older_servers_lack_a_field() {
    let document = "query($id:ID!){workerPool(id:$id){workers{id availableAt}}}";
    for (legacy, mistakes) in [(false, 0), (true, 1)] {
        let server = SpaceliftServer::start_as(&Options { legacy, ..Options::default() });
        let (status, told) = ask(&server, &token(&server), document, &json!({ "id": POOL }));
        assert_eq!((status, told["data"].is_null()), (200, legacy), "{told}");
        assert_eq!(server.take_mistakes().len(), mistakes);
    }
}

#[test]
fn nobody_looks_without_a_token() {
    let server = SpaceliftServer::start();
    let (good, pool) = (token(&server), json!({ "id": POOL }));
    for (token, says) in [(good.as_str(), ""), ("", "unauthorized"), ("made-up", "unauthorized")] {
        let (status, told) = ask(&server, token, LOOK, &pool);
        assert_eq!((status, said(&told)), (200, says));
    }
    server.set_token_lives_s(-1);
    let ended = token(&server);
    assert_eq!(said(&ask(&server, &ended, LOOK, &pool).1), "unauthorized");
    let wrong = json!({ "id": KEY_ID, "secret": "wrong" });
    assert_eq!(said(&ask(&server, "", TOKEN, &wrong).1), "unauthorized");
}

#[test]
fn workers_move_only_as_they_are_told() {
    let server = SpaceliftServer::start();
    server.pool(|pool| pool.workers = vec![Worker::on("w1", "i-1", "asg")]);
    let token = token(&server);
    let document = "mutation($id:ID!,$drain:Boolean!,$pool:ID!)\
                    {workerDrainSet(workerPool:$pool,id:$id,drain:$drain){busy drained status}}";
    let set = |id: &str, drain: bool| {
        let variables = json!({ "pool": POOL, "id": id, "drain": drain });
        let told = ask(&server, &token, document, &variables).1;
        (told["data"]["workerDrainSet"].clone(), said(&told).to_owned())
    };
    server.before("workerDrainSet", |pool| assert!(pool.run("w1")));
    let (answer, _) = set("w1", true);
    assert_eq!(answer, json!({ "busy": true, "drained": true, "status": "BUSY" }));
    server.pool(|pool| pool.finish("w1"));
    assert!(!server.pool(|pool| pool.run("w1")), "it is drained");
    let (answer, _) = set("w1", false);
    assert_eq!(answer, json!({ "busy": false, "drained": false, "status": "IDLE" }));
    assert_eq!(set("w2", true).1, "worker not found");
    let expect = [("w1", true), ("w1", false), ("w2", true)];
    assert_eq!(server.drains(), expect.map(|(id, drain)| (id.to_owned(), drain)));
}

#[test]
fn what_goes_wrong_on_command() {
    let server = SpaceliftServer::start();
    server.pool(|pool| pool.workers = vec![Worker::on("w1", "i-1", "asg")]);
    let token = token(&server);
    let drain = "mutation{workerDrainSet(workerPool:\"01JPOOLPOOLPOOLPOOLPOOLPOOL\",id:\"w1\",\
                 drain:true){id}}";
    #[rustfmt::skip]
    let table = [
        // failure                                   status drained after
        (Failure::Status(500, "oops"),               500,   false),
        (Failure::TooMany { retry_after_s: None },   429,   false),
        (Failure::Error("internal error"),           200,   false),
        (Failure::LostReply,                         502,   true),
    ];
    for (failure, expect, drained) in table {
        server.fail("workerDrainSet", 1, failure.clone());
        assert_eq!(ask(&server, &token, drain, &json!({})).0, expect, "{failure:?}");
        assert_eq!(server.worker("w1").unwrap().drained, drained, "{failure:?}");
    }
    assert_eq!(ask(&server, &token, LOOK, &json!({ "id": POOL })).0, 200);
    let calls = server.calls();
    let statuses: Vec<u16> = calls.iter().map(|call| call.status).collect();
    assert_eq!(statuses, [200, 500, 429, 200, 502, 200]);
    assert_eq!(calls[0].variables["secret"], "***");
}
