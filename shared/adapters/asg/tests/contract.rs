//! The group and its hook keep the ports' promises, over HTTP, within the role that each has.
mod ground;

use ground::{FULL, GUEST, GUEST_8, Ground, GroupTime, Role};
use std::slice::from_ref;
use std::sync::Arc;
use windlass_core::fleet::{Place, SeenInstance};
use windlass_core::id::InstanceId;
use windlass_ports::contract::fleet::{self as rows, Herd, Provider as _};
use windlass_ports::fleet::{Ended, Way};

const WHOLE: &str = "autoscaling:TerminateInstanceInAutoScalingGroup";

fn herd(role: Role) -> (Herd, Arc<emulator::Emulator>) {
    let ground = Ground::new(role);
    let server = ground.server.clone();
    let time = Arc::new(GroupTime(server.clone()));
    (Herd { provider: Box::new(ground), time }, server)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_and_hook() {
    let (herd, _server) = herd(FULL);
    rows::all(&herd).await;
}

/// A guest protects nothing and has no hook; every other promise is the same, and its role is enough.
/// Before v8.0 of Spacelift's module it is asked once by each of these whether it may end a machine in
/// its group.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_of_a_guest() {
    let (herd, server) = herd(GUEST);
    of_a_guest(&herd).await;
    rows::knows_nothing_of_others(&herd).await;
    rows::ends_what_no_group_knows(&herd).await;
    let denied = outside(&server, GUEST);
    assert!(denied.iter().all(|action| action == WHOLE), "{denied:?}");
    let ground = ends_three(GUEST).await;
    assert_eq!(outside(&ground.server, GUEST), [WHOLE]);
}

/// From then on the role is enough for all that is in the group.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_of_a_guest_that_detaches_nothing() {
    let (herd, server) = herd(GUEST_8);
    of_a_guest(&herd).await;
    assert_eq!(outside(&server, GUEST_8), Vec::<String>::new());
    let ground = ends_three(GUEST_8).await;
    assert_eq!(outside(&ground.server, GUEST_8), Vec::<String>::new());
}

/// What an older release left outside of the group, that role can't end. Asked once it is passed over,
/// and takes no other's place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_leaves_alone_what_it_may_not_end() {
    for (role, place) in [(GUEST, Place::Outside), (GUEST_8, Place::Standby)] {
        let ground = Ground::new(role);
        let stand = ground.group(rows::Spec { min: 0, max: 9, desired: 1, hook_ms: None }).await;
        let machine = stand.fleet.look(&[]).await.unwrap().instances.remove(0).id;
        ground.detach(&stand.name, &machine);
        assert_eq!(seen(&stand, &machine).await, Some(Place::Outside));
        let ended = stand.fleet.end(&"i-0fffffffffffffff0".into(), Way::Outside).await;
        assert_eq!(seen(&stand, &machine).await, Some(place));
        if role == GUEST_8 {
            let fault = ended.unwrap_err();
            assert!(
                fault.chain().contains("needs the permission ec2:TerminateInstances"),
                "{fault}"
            );
        }
    }
}

async fn seen(stand: &rows::Stand, machine: &InstanceId) -> Option<Place> {
    let seen = stand.fleet.look(from_ref(machine)).await.expect("the group");
    seen.instances.into_iter().find(|m| m.id == *machine).map(|m| m.place)
}

/// One process ends all machines of a group, one after the other.
async fn ends_three(role: Role) -> Ground {
    let ground = Ground::new(role);
    let stand = ground.group(rows::Spec { min: 0, max: 9, desired: 3, hook_ms: None }).await;
    for machine in stand.fleet.look(&[]).await.expect("the group").instances {
        let way = Way::InGroup { decrement: true };
        assert_eq!(stand.fleet.end(&machine.id, way).await.expect("the group"), Ended::Going);
    }
    let seen = stand.fleet.look(&[]).await.expect("the group");
    let left = seen.instances.iter().filter(|m| m.place != Place::Terminated).count();
    assert_eq!((seen.group.desired, left), (0, 0));
    ground
}

async fn of_a_guest(herd: &Herd) {
    rows::sees_its_group(herd).await;
    rows::grows_and_shrinks_within_its_bounds(herd).await;
    rows::ends_and_gets_smaller(herd).await;
    rows::ends_and_replaces(herd).await;
    rows::keeps_its_minimum(herd).await;
    rows::ends_once(herd).await;
    rows::looks_up_what_is_named(herd).await;
}

/// What was asked that the role does not allow.
fn outside(server: &emulator::Emulator, role: Role) -> Vec<String> {
    let calls =
        server.calls().expect("its record").into_iter().filter(|call| call.caller == role.0);
    let actions = calls.map(|call| format!("{}:{}", call.service, call.action));
    actions.filter(|action| !role.1.contains(&action.as_str())).collect()
}

/// Launches that fail for want of capacity are counted since the last that succeeded; a guest can't
/// see them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn launches_that_fail_are_counted() {
    let ground = Ground::new(FULL);
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
    let ground = Ground::new(GUEST);
    let stand = ground.group(rows::Spec { min: 0, max: 9, desired: 2, hook_ms: None }).await;
    let other = ground.group(rows::Spec { min: 0, max: 9, desired: 1, hook_ms: None }).await;
    let machine = stand.fleet.look(&[]).await.unwrap().instances.remove(0).id;
    ground.detach(&stand.name, &machine);
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
    let ground = Ground::new(FULL);
    let stand = ground.group(rows::Spec { min: 0, max: 9, desired: 1, hook_ms: None }).await;
    let other = ground.group(rows::Spec { min: 0, max: 9, desired: 1, hook_ms: None }).await;
    let foreign = other.fleet.look(&[]).await.unwrap().instances.remove(0).id;
    let seen = stand.fleet.look(std::slice::from_ref(&foreign)).await.unwrap();
    assert!(seen.instances.len() == 1 && seen.instances[0].id != foreign, "{seen:?}");
    let way = Way::InGroup { decrement: false };
    assert_eq!(stand.fleet.end(&foreign, way).await.unwrap(), Ended::Gone);
    assert_eq!(other.fleet.look(&[]).await.unwrap().instances[0].id, foreign);
}
