//! Dead letters that go back to no queue.
use crate::counts::Attention;
use crate::world::World;
use windlass_ports::{Outgoing, Queues};

const DEAD: [&str; 3] = ["jobs-default-first-dead", "jobs-default-rest-dead", "schedules-dead"];

#[tokio::test]
async fn each_is_counted_once_and_taken_away() {
    let world = World::new();
    let attention = Attention::listen();
    for (n, queue) in DEAD.iter().enumerate() {
        for _ in 0..12 + n {
            let body = br#"{"tick":true}"#.to_vec();
            let letter = Outgoing { body, group: None, dedup: None, delay_ms: 0 };
            world.queues.send(queue, letter).await.expect("sent");
        }
    }
    for _ in 0..2 * scheduler::REDRIVE_MINUTES {
        scheduler::bury(&world.deps).await.expect("buried");
        world.advance(60_000);
    }
    assert_eq!(attention.counted(), 12 + 13 + 14);
    for queue in DEAD {
        assert_eq!(world.queues.depth(queue).await.expect("a number"), 0, "{queue}");
    }
}
