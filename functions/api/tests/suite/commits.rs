//! Whose definitions may be carried out: those of the branch by who may write, others by an admin.

use crate::common::{HOST, REPO, World};
use api::v1::Role;
use axum::body::Body;
use axum::http::Request;
use axum::http::header::{AUTHORIZATION, HOST as HOST_HEADER};
use serde_json::{Value, json};

async fn trigger(world: &mut World, token: &str, stack: &str, body: &Value) -> (u16, String) {
    let request = Request::post(format!("/api/v1/stacks/{stack}/trigger"))
        .header(HOST_HEADER, HOST)
        .header(AUTHORIZATION, format!("Bearer {token}"));
    let answer = world.send(request.body(Body::from(body.to_string())).unwrap()).await;
    (answer.status.as_u16(), answer.body)
}

#[tokio::test]
async fn definitions_off_the_branch_need_an_admin() {
    let mut world = World::demo().await;
    let old = world.source.tip(REPO, "main").unwrap();
    world.push("main", &[("stacks/network/main.tf", "2")]).await;
    world.settle().await;
    // Nothing that was pushed to `main`, though the repository knows the commit.
    world.source.set_branch(REPO, "feature", &old);
    let aside = world.source.push(REPO, "feature", &[("stacks/network/main.tf", "aside")]);
    let alien = world.source.push(REPO, "alien", &[("windlass.yaml", "version: 1\nstacks: []\n")]);
    let (_, writer) = world.key(Role::Writer, "root").await;
    let (_, admin) = world.key(Role::Admin, "root").await;
    let (defs, plain) = ("infra-definitions", "network");
    let new = world.source.tip(REPO, "main").unwrap();
    #[rustfmt::skip]
    let table = [
        // stack, kind,       commit,  a writer, an admin
        (defs,  "TRACKED",  &new,    200, 200),
        (defs,  "TRACKED",  &old,    200, 200),
        (defs,  "TRACKED",  &aside,  403, 200),
        (defs,  "TRACKED",  &alien,  403, 200),
        (defs,  "PROPOSED", &aside,  200, 200),
        (plain, "TRACKED",  &aside,  200, 200),
    ];
    for (stack, kind, commit, of_writer, of_admin) in table {
        let body = json!({"type": kind, "commit": commit.0});
        for (token, expect) in [(&writer, of_writer), (&admin, of_admin)] {
            let (status, said) = trigger(&mut world, token, stack, &body).await;
            assert_eq!(status, expect, "{stack} {kind} {commit}: {said}");
            if expect == 403 {
                let words = format!("the commit {} is not on main", commit.short());
                assert!(said.contains(&words) && said.contains("needs the role admin"), "{said}");
            }
        }
    }
}
