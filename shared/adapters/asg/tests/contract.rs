//! The group and its hook keep the ports' promises, over HTTP, within the role that each has.
mod ground;

use ground::{GUEST, Ground, GroupTime};
use std::sync::Arc;
use windlass_core::fleet::{Place, SeenInstance};
use windlass_ports::contract::fleet::{self as rows, Herd, Provider as _};
use windlass_ports::fleet::{Ended, Way};

fn herd(is_guest: bool) -> (Herd, Arc<emulator::Emulator>) {
    let ground = Ground::new(is_guest);
    let server = ground.server.clone();
    let time = Arc::new(GroupTime(server.clone()));
    (Herd { provider: Box::new(ground), time }, server)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_and_hook() {
    let (herd, _server) = herd(false);
    rows::all(&herd).await;
}

/// A guest protects nothing and has no hook; every other promise is the same, and its role is enough.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_of_a_guest() {
    let (herd, server) = herd(true);
    rows::sees_its_group(&herd).await;
    rows::grows_and_shrinks_within_its_bounds(&herd).await;
    rows::ends_and_gets_smaller(&herd).await;
    rows::ends_and_replaces(&herd).await;
    rows::keeps_its_minimum(&herd).await;
    rows::ends_once(&herd).await;
    rows::knows_nothing_of_others(&herd).await;
    rows::looks_up_what_is_named(&herd).await;
    rows::ends_what_no_group_knows(&herd).await;
    let calls = server.calls().unwrap();
    let of_guest = calls.iter().filter(|call| call.caller == GUEST.0);
    for call in of_guest {
        let action = format!("{}:{}", call.service, call.action);
        assert!(GUEST.1.contains(&action.as_str()), "{action} is not in a guest's role");
    }
}

/// Launches that fail for want of capacity are counted since the last that succeeded; a guest can't
/// see them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn launches_that_fail_are_counted() {
    let ground = Ground::new(false);
    let spec = rows::Spec { min: 0, max: 9, desired: 1, hook_ms: None };
    let stand = ground.group(spec).await;
    let code = "InsufficientInstanceCapacity".to_owned();
    let mut failing = emulator::Failing { code, times: None, capacity: Some(1) };
    ground.server.fail_launches(&stand.name, Some(&failing)).unwrap();
    stand.fleet.set_desired(3).await.unwrap();
    for _ in 0..2 {
        ground.server.pass_fleet_ms(60_000).unwrap();
    }
    let seen = stand.fleet.look(&[]).await.unwrap();
    assert!(seen.group.launches_failed >= 3, "{seen:?}");
    assert_eq!((seen.group.desired, seen.instances.len()), (3, 1));
    // One more comes, and another does not.
    failing.capacity = Some(2);
    ground.server.fail_launches(&stand.name, Some(&failing)).unwrap();
    let seen = stand.fleet.look(&[]).await.unwrap();
    assert_eq!((seen.group.launches_failed, seen.instances.len()), (0, 2));
    ground.server.fail_launches(&stand.name, None).unwrap();
    ground.server.pass_fleet_ms(60_000).unwrap();
    let seen = stand.fleet.look(&[]).await.unwrap();
    assert_eq!((seen.group.launches_failed, seen.instances.len()), (0, 3));
}

/// A guest that died between its two calls ends what it detached; nothing else that is not in the
/// group.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_ends_what_it_detached() {
    let ground = Ground::new(true);
    let stand = ground.group(rows::Spec { min: 0, max: 9, desired: 2, hook_ms: None }).await;
    let other = ground.group(rows::Spec { min: 0, max: 9, desired: 1, hook_ms: None }).await;
    let machine = stand.fleet.look(&[]).await.unwrap().instances.remove(0).id;
    ground.call(
        "autoscaling",
        &[
            ("Action", "DetachInstances"),
            ("AutoScalingGroupName", &stand.name),
            ("InstanceIds.member.1", machine.as_str()),
            ("ShouldDecrementDesiredCapacity", "true"),
        ],
    );
    let foreign = other.fleet.look(&[]).await.unwrap().instances.remove(0).id;
    let way = Way::InGroup { decrement: true };
    assert_eq!(stand.fleet.end(&machine, way).await.unwrap(), Ended::Going);
    assert_eq!(stand.fleet.end(&foreign, way).await.unwrap(), Ended::Gone);
    let place =
        |seen: Vec<SeenInstance>, id| seen.into_iter().find(|m| m.id == id).map(|m| m.place);
    let seen = stand.fleet.look(std::slice::from_ref(&machine)).await.unwrap();
    assert_eq!(place(seen.instances, machine), Some(Place::Terminated));
    assert_eq!(seen.group.desired, 1, "once");
    let seen = other.fleet.look(&[]).await.unwrap();
    assert_eq!(place(seen.instances, foreign), Some(Place::InService));
}

/// A machine of another group with the same tag is neither this one's nor nobody's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_groups_machine_is_not_outside() {
    let ground = Ground::new(false);
    let stand = ground.group(rows::Spec { min: 0, max: 9, desired: 1, hook_ms: None }).await;
    let other = ground.group(rows::Spec { min: 0, max: 9, desired: 1, hook_ms: None }).await;
    let foreign = other.fleet.look(&[]).await.unwrap().instances.remove(0).id;
    let seen = stand.fleet.look(std::slice::from_ref(&foreign)).await.unwrap();
    assert!(seen.instances.len() == 1 && seen.instances[0].id != foreign, "{seen:?}");
    let way = Way::InGroup { decrement: false };
    assert_eq!(stand.fleet.end(&foreign, way).await.unwrap(), Ended::Gone);
    assert_eq!(other.fleet.look(&[]).await.unwrap().instances[0].id, foreign);
}
