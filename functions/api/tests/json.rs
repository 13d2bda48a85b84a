//! The JSON API over a small installation: golden documents, and what each command comes to.
mod common;
use common::World;

#[tokio::test]
async fn it_lives() {
    let mut world = World::demo().await;
    let answer = world.get("/stacks").await;
    println!("{} {}", answer.status, answer.body);
    let run = world.last("app-b").await;
    for path in [format!("/runs/{run}"), "/why/app-b".into(), "/stacks/app-b".into(), "/rollouts".into(), format!("/runs/{run}/logs")] {
        let answer = world.get(&path).await;
        println!("{path} {} {}", answer.status, serde_json::to_string_pretty(&answer.json()).unwrap());
    }
}
