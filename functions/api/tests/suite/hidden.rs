//! What a run says of stacks that its reader may not see, where no edge of its rollout names them.

use crate::common::{Tool, World, demo_tools};
use api::v1::Role;
use axum::body::Body;
use axum::http::Request;
use axum::http::header::{AUTHORIZATION, HOST as HOST_HEADER};
use serde_json::json;

/// Both of `team` refer to outputs of quagga, one of them to one that does not exist.
const DEFINITIONS: &str = r"
version: 1
spaces:
  - { name: team }
  - { name: other }
stacks:
  - { name: quagga, space: other, project_root: quagga, autodeploy: true }
  - name: ocelot
    space: team
    project_root: ocelot
    autodeploy: true
    depends_on: [{ stack: quagga, references: [{ output: vpc_id, input: TF_VAR_vpc_id }] }]
  - name: serval
    space: team
    project_root: serval
    autodeploy: true
    depends_on: [{ stack: quagga, references: [{ output: none, input: TF_VAR_none }] }]
";

async fn world() -> World {
    let mut world = World::new();
    let outputs = demo_tools()["network"].clone();
    world.tools.insert("quagga".into(), outputs.clone());
    for stack in ["ocelot", "serval"] {
        world.tools.insert(stack.into(), Tool { outputs: vec![], ..outputs.clone() });
    }
    let files = [
        ("windlass.yaml", DEFINITIONS),
        ("quagga/main.tf", "1"),
        ("ocelot/main.tf", "1"),
        ("serval/main.tf", "1"),
    ];
    world.push("main", &files).await;
    world.settle().await;
    world
}

#[tokio::test]
async fn inputs_of_hidden_stacks_have_no_names() {
    let mut world = world().await;
    let (_, token) = world.key(Role::Reader, "team").await;
    let browser = world.browser_of(&token).await;
    let ask = json!({"type": "TRACKED"});
    let fed = world.post("/stacks/ocelot/trigger", ask.clone()).await.json();
    let starved = world.post("/stacks/serval/trigger", ask).await.json();
    world.settle().await;
    let (fed, starved) = (fed["run"].as_str().unwrap(), starved["run"].as_str().unwrap());
    let detail = world.get(&format!("/runs/{fed}")).await.json();
    assert_eq!(detail["inputs"][0]["from"], "quagga", "{detail}");
    assert_eq!(detail["waits"], json!([]), "{detail}");
    let failed = world.get(&format!("/runs/{starved}")).await;
    assert!(failed.body.contains("quagga.none"), "{}", failed.body);

    let mut paths = vec!["/runs".to_owned(), "/stacks".to_owned(), "/audit".to_owned()];
    for run in [fed, starved] {
        paths.extend([format!("/runs/{run}"), format!("/why/{run}")]);
    }
    for stack in ["ocelot", "serval"] {
        let of = ["", "/runs"].map(|rest| format!("/stacks/{stack}{rest}"));
        paths.extend(of.into_iter().chain([format!("/why/{stack}")]));
    }
    for path in paths {
        let request = Request::get(format!("/api/v1{path}"))
            .header(HOST_HEADER, crate::common::HOST)
            .header(AUTHORIZATION, format!("Bearer {token}"));
        let answer = world.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert!(!answer.body.contains("quagga"), "{path}: {}", answer.body);
    }
    for path in [
        "/",
        "/stacks/ocelot",
        "/stacks/serval",
        &format!("/runs/{fed}"),
        &format!("/runs/{starved}"),
    ] {
        let page = browser.get(&mut world, path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(!page.body.contains("quagga"), "{path}: {}", page.body);
    }
}
