//! Everything twice: each message is handled twice and each effect delivered twice, past all
//! deduplication; the documents that come of it are the same.
use crate::invariants::Watch;
use crate::scenarios::{self, Scenario};
use crate::world::World;
use serde_json::Value;
use std::collections::BTreeMap;

/// Every document, without what only counts writes, and every private note of an actor.
pub(crate) fn documents(world: &World) -> BTreeMap<String, Value> {
    let kept = |key: &str| !key.starts_with("pools/") && !key.starts_with("due/");
    let docs = world.docs.dump().into_iter().filter(|(key, _)| kept(key));
    docs.map(|(key, body)| {
        let mut value: Value = serde_json::from_slice(&body).expect("json");
        forget(&mut value);
        (key, value)
    })
    .collect()
}

fn forget(value: &mut Value) {
    const COUNTS: [&str; 7] =
        ["revision", "head_revision", "write_id", "recent", "due_minute", "index_revision", "pid"];
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !COUNTS.contains(&name.as_str()));
            fields.values_mut().for_each(forget);
        }
        Value::Array(items) => items.iter_mut().for_each(forget),
        _ => {}
    }
}

async fn twice(Scenario { setup, act }: Scenario) {
    let mut ends = Vec::new();
    let before = setup().await;
    for twice in [false, true] {
        let mut world = before.fork();
        world.twice = twice;
        act(&mut world).await;
        world.settle_messages().await;
        world.back_to_work(&before);
        let mut watch = Watch::default();
        while world.step().await {
            watch.expect(&world, "on the way").await;
        }
        world.quiet_down().await;
        let broken = watch.at_rest(&world).await;
        assert!(broken.is_empty(), "{broken:#?}");
        let mut applied = world.applied.clone();
        applied.sort();
        ends.push((documents(&world), applied));
    }
    let (second, first) = (ends.pop().expect("two"), ends.pop().expect("one"));
    assert_eq!(second.1, first.1, "a plan was applied another time");
    let keys = |end: &BTreeMap<String, Value>| end.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&second.0), keys(&first.0));
    for (key, document) in &first.0 {
        assert_eq!(&second.0[key], document, "{key}");
    }
}

macro_rules! each { ($($name:ident)+) => {$(
    #[tokio::test]
    async fn $name() {
        twice(scenarios::$name()).await;
    }
)+}; }

each! {
    a_first_commit an_automatic_apply a_confirmation a_cancel_of_a_ready_run a_stop_of_a_plan
    a_retry a_trigger_with_dependents a_destroy a_lost_plan a_lost_apply changed_definitions
    a_stack_that_leaves
}
