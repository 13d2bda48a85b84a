//! Serves the console over a small installation in memory, to look at pages while changing them:
//! `cargo run -p api --example preview`, then open the printed address.
#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/mount/direct.rs"]
mod mount;
use common::{Tool, World};
use std::net::SocketAddr;
use std::time::Duration;
use windlass_core::job::Step;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut world = World::demo().await;
    story(&mut world).await;
    let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 8420))).await;
    let listener = listener.expect("port 8420 is free");
    let link: api::v1::LoginLink = world.post("/login-links", serde_json::Value::Null).await.to();
    println!("http://127.0.0.1:8420{}", link.path);
    let router = world.router.clone();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut turns = 0_u64;
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        world.clock.advance(50);
        while world.step().await {}
        turns += 1;
        if turns.is_multiple_of(40) {
            for held in &world.held {
                let text = format!(
                    "\u{1b}[1mterraform_data.slow:\u{1b}[0m Still creating... [{}s elapsed]\n",
                    turns / 20
                );
                world.say(&held.spec, Step::Applying, &text).await;
            }
        }
    }
}

/// A bit of everything: applied, waiting, failed, skipped, running, locked, previewed.
async fn story(world: &mut World) {
    let error = "Error: Unsupported argument\n\n  on main.tf line 7, in resource \"terraform_data\" \
                 \"queue\":\n   7:   colour = \"blue\"\n\nAn argument named \"colour\" is not expected \
                 here.";
    let fails = Some((Step::Planning, format!("terraform plan failed\n{error}")));
    let before = world.tools.get("cluster").cloned().unwrap_or_default();
    let log = format!("\u{1b}[31m{error}\u{1b}[0m\n");
    world.tools.insert("cluster".into(), Tool { fails, plan_log: log, ..before.clone() });
    world.push("main", &[("stacks/cluster/main.tf", "colour")]).await;
    world.settle().await;
    world.tools.insert("cluster".into(), before);
    world.push("feature/queues", &[("stacks/app-a/main.tf", "preview")]).await;
    world.settle().await;
    world.push("main", &[("README.md", "words")]).await;
    world.settle().await;
    world.post("/stacks/app-a/lock", serde_json::json!({"note": "moving the database"})).await;
    set_aside(world).await;
    if let Some(tool) = world.tools.get_mut("network") {
        tool.hangs_in = Some(Step::Applying);
    }
    world.push("main", &[("stacks/network/main.tf", "3")]).await;
    world.settle().await;
}

/// Messages that could not be handled.
async fn set_aside(world: &World) {
    let reasons = [
        "this intent does not parse: missing field `stack` at line 1 column 48",
        "the stored document stacks/network/head.json does not parse: expected value at line 1 column 1",
    ];
    for (n, reason) in reasons.into_iter().enumerate() {
        let body = serde_json::json!({"kind": "stack", "id": "e-1", "note": "x".repeat(300)});
        let message = serde_json::json!({"schema": 1, "revision": 1, "write_id": "w", "value": {
            "queue": "intents.fifo", "group": "stack:network", "body": body.to_string(),
            "reason": reason, "at": world.now().0 }});
        let key =
            windlass_core::keys::quarantine(&format!("5f0c2a1e-77b4-4e1f-9d{n}a-0242ac120002"));
        let body = message.to_string().into_bytes();
        let put =
            windlass_ports::Docs::put(&*world.docs, &key, windlass_ports::Expect::Absent, body);
        put.await.expect("stored");
    }
}
