//! Groups of machines and their hooks: what AWS promises of both, as far as we stand on it.
//!
//! <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/Welcome.html>
use super::{Time, rows};
use crate::fleet::{Answer, By, Ended, Fleet, Hooks, Machines, Way};
use async_trait::async_trait;
use std::slice::from_ref;
use std::sync::Arc;
use windlass_core::drain::Notice;
use windlass_core::fleet::{Place, SeenInstance};
use windlass_core::id::InstanceId;

/// A group to be made.
#[derive(Clone, Debug)]
pub struct Spec {
    pub min: u32,
    pub max: u32,
    /// So many machines are in service when the group is handed over.
    pub desired: u32,
    /// The timeout of its hook on termination, if it has one.
    pub hook_ms: Option<u64>,
}

/// A group of its own, and the ports to it. `name` is what its hook's messages call it.
pub struct Stand {
    pub fleet: Arc<dyn Fleet>,
    pub hooks: Arc<dyn Hooks>,
    pub name: String,
    pub hook: String,
}

/// The provider's side.
#[async_trait]
pub trait Provider: Send + Sync {
    async fn group(&self, spec: Spec) -> Stand;
    /// Returns once everything has come to pass that was asked for: launches, and ends that no hook
    /// holds back.
    async fn settle(&self, stand: &Stand);
    /// A machine that runs outside of every group; `tagged`: with the pool's tag.
    async fn stray(&self, stand: &Stand, tagged: bool) -> InstanceId;
}

pub struct Herd {
    pub provider: Box<dyn Provider>,
    pub time: Arc<dyn Time>,
}

rows!(Herd:
    sees_its_group, grows_and_shrinks_within_its_bounds, ends_and_gets_smaller, ends_and_replaces,
    keeps_its_minimum, ends_once, knows_nothing_of_others, looks_up_what_is_named,
    ends_what_no_group_knows, protects_many_at_once, a_hook_holds, a_hook_by_its_machine_alone,
    a_hook_that_is_over, heartbeats_put_off,
);

/// The hook's timeout where nobody waits for it.
const HOOK_MS: u64 = 300_000;
/// A machine that never was.
const NOWHERE: &str = "i-0fffffffffffffff0";

impl Herd {
    async fn of(&self, desired: u32) -> Stand {
        self.provider.group(Spec { min: 0, max: 60, desired, hook_ms: None }).await
    }
    async fn hooked(&self, desired: u32) -> Stand {
        self.provider.group(Spec { min: 0, max: 60, desired, hook_ms: Some(HOOK_MS) }).await
    }
}

impl Stand {
    async fn look(&self) -> Machines {
        self.fleet.look(&[]).await.unwrap()
    }
    async fn desired(&self) -> u32 {
        self.look().await.group.desired
    }
    async fn at(&self, place: Place) -> Vec<InstanceId> {
        let seen = self.look().await.instances.into_iter();
        seen.filter(|seen| seen.place == place).map(|seen| seen.id).collect()
    }
    async fn seen(&self, named: &InstanceId) -> Option<SeenInstance> {
        let seen = self.fleet.look(from_ref(named)).await.unwrap();
        seen.instances.into_iter().find(|seen| seen.id == *named)
    }
    /// Gone, or nobody knows it any more.
    async fn is_gone(&self, named: &InstanceId) -> bool {
        self.seen(named).await.is_none_or(|seen| seen.place == Place::Terminated)
    }
    async fn end(&self, instance: &InstanceId, decrement: bool) -> Ended {
        self.fleet.end(instance, Way::InGroup { decrement }).await.unwrap()
    }
    fn notice(&self, instance: &InstanceId, token: &str) -> Notice {
        Notice {
            group: self.name.clone(),
            hook: self.hook.clone(),
            instance: instance.clone(),
            token: token.to_owned(),
        }
    }
    async fn waiting(&self) -> Vec<InstanceId> {
        let waiting = self.hooks.waiting(&self.name).await.unwrap();
        for notice in &waiting {
            assert_eq!((&notice.group, &notice.hook), (&self.name, &self.hook));
        }
        waiting.into_iter().map(|notice| notice.instance).collect()
    }
}

pub async fn sees_its_group(herd: &Herd) {
    let stand = herd.provider.group(Spec { min: 1, max: 7, desired: 2, hook_ms: None }).await;
    let seen = stand.look().await;
    let group = &seen.group;
    assert_eq!(group.name, stand.name);
    assert_eq!((group.min, group.desired, group.max), (1, 2, 7));
    assert_eq!((group.launches_failed, seen.instances.len()), (0, 2));
    for seen in &seen.instances {
        assert_eq!((seen.place, seen.notice), (Place::InService, None));
        assert!(seen.launched_at.0 > 0, "{seen:?}");
    }
}

pub async fn grows_and_shrinks_within_its_bounds(herd: &Herd) {
    let stand = herd.provider.group(Spec { min: 1, max: 4, desired: 1, hook_ms: None }).await;
    for to in [3, 3, 4] {
        stand.fleet.set_desired(to).await.unwrap();
        assert_eq!(stand.desired().await, to);
    }
    for beyond in [5, 0] {
        let fault = stand.fleet.set_desired(beyond).await.unwrap_err();
        assert!(!fault.is_retryable(), "{}", fault.chain());
    }
    herd.provider.settle(&stand).await;
    assert_eq!((stand.desired().await, stand.at(Place::InService).await.len()), (4, 4));
}

pub async fn ends_and_gets_smaller(herd: &Herd) {
    let stand = herd.of(3).await;
    let first = stand.at(Place::InService).await.remove(0);
    assert_eq!(stand.end(&first, true).await, Ended::Going);
    assert_eq!(stand.desired().await, 2);
    herd.provider.settle(&stand).await;
    assert!(stand.is_gone(&first).await);
    let left = stand.at(Place::InService).await;
    assert!(left.len() == 2 && !left.contains(&first), "{left:?}");
}

pub async fn ends_and_replaces(herd: &Herd) {
    let stand = herd.of(2).await;
    let before = stand.at(Place::InService).await;
    assert_eq!(stand.end(&before[1], false).await, Ended::Going);
    assert_eq!(stand.desired().await, 2);
    herd.provider.settle(&stand).await;
    let after = stand.at(Place::InService).await;
    assert!(after.len() == 2 && after.contains(&before[0]) && !after.contains(&before[1]));
}

/// AWS refuses an end that would make the group smaller than its minimum; without that it is free.
pub async fn keeps_its_minimum(herd: &Herd) {
    let stand = herd.provider.group(Spec { min: 2, max: 4, desired: 2, hook_ms: None }).await;
    let first = stand.at(Place::InService).await.remove(0);
    let fault = stand.fleet.end(&first, Way::InGroup { decrement: true }).await.unwrap_err();
    assert!(!fault.is_retryable(), "{}", fault.chain());
    assert_eq!(stand.at(Place::InService).await.len(), 2);
    assert_eq!(stand.end(&first, false).await, Ended::Going);
}

/// Rule: a call whose answer was lost is made again, and makes the group smaller once.
pub async fn ends_once(herd: &Herd) {
    for stand in [herd.of(3).await, herd.hooked(3).await] {
        let first = stand.at(Place::InService).await.remove(0);
        for _ in 0..3 {
            stand.end(&first, true).await;
            assert_eq!(stand.desired().await, 2);
        }
        herd.provider.settle(&stand).await;
        stand.end(&first, true).await;
        assert_eq!((stand.desired().await, stand.at(Place::InService).await.len()), (2, 2));
    }
}

pub async fn knows_nothing_of_others(herd: &Herd) {
    let (stand, other) = (herd.of(1).await, herd.of(1).await);
    assert_eq!(stand.at(Place::InService).await.len(), 1);
    for way in [Way::InGroup { decrement: true }, Way::Outside] {
        assert_eq!(stand.fleet.end(&NOWHERE.into(), way).await.unwrap(), Ended::Gone);
    }
    stand.fleet.protect(&[NOWHERE.into()], true).await.unwrap();
    assert_eq!((stand.desired().await, other.desired().await), (1, 1));
}

/// Rule: one name that nobody knows hinders no other (scenario 25).
pub async fn looks_up_what_is_named(herd: &Herd) {
    let stand = herd.of(1).await;
    let tagged = herd.provider.stray(&stand, true).await;
    let untagged = herd.provider.stray(&stand, false).await;
    assert_eq!(stand.at(Place::Outside).await, from_ref(&tagged));
    let mut inside = stand.at(Place::InService).await;
    let named = [NOWHERE.into(), untagged.clone(), inside[0].clone(), "not-an-id".into()];
    let looked = stand.fleet.look(&named).await.unwrap();
    let mut seen: Vec<InstanceId> = looked.instances.iter().map(|seen| seen.id.clone()).collect();
    seen.sort();
    inside.extend([tagged, untagged]);
    inside.sort();
    assert_eq!(seen, inside, "each once");
}

pub async fn ends_what_no_group_knows(herd: &Herd) {
    let stand = herd.of(1).await;
    let stray = herd.provider.stray(&stand, true).await;
    assert_eq!(stand.fleet.end(&stray, Way::Outside).await.unwrap(), Ended::Going);
    herd.provider.settle(&stand).await;
    assert!(stand.is_gone(&stray).await);
    assert_eq!(stand.at(Place::Outside).await, []);
    stand.fleet.end(&stray, Way::Outside).await.unwrap();
    assert_eq!(stand.desired().await, 1);
}

/// AWS takes fifty names at a time, and one that is not in service spoils a call.
pub async fn protects_many_at_once(herd: &Herd) {
    let stand = herd.hooked(53).await;
    let machines = stand.at(Place::InService).await;
    stand.end(&machines[0], false).await;
    let mut named = machines.clone();
    named.push(NOWHERE.into());
    for protected in [true, false, true] {
        stand.fleet.protect(&named, protected).await.unwrap();
        let seen = stand.look().await.instances;
        let of = |seen: &&SeenInstance| machines[1..].contains(&seen.id);
        let many = seen.iter().filter(of).filter(|seen| seen.protected == protected).count();
        assert_eq!(many, 52, "{protected}");
    }
    stand.fleet.protect(&[], true).await.unwrap();
}

pub async fn a_hook_holds(herd: &Herd) {
    let stand = herd.hooked(2).await;
    assert_eq!(stand.waiting().await, []);
    let first = stand.at(Place::InService).await.remove(0);
    stand.end(&first, true).await;
    herd.provider.settle(&stand).await;
    assert_eq!(stand.at(Place::Leaving).await, from_ref(&first));
    assert_eq!(stand.waiting().await, from_ref(&first));
    let notice = stand.hooks.waiting(&stand.name).await.unwrap().remove(0);
    assert_eq!(stand.hooks.heartbeat(&notice, By::Instance).await.unwrap(), Answer::Taken);
    assert_eq!(stand.hooks.complete(&notice, By::Instance).await.unwrap(), Answer::Taken);
    herd.provider.settle(&stand).await;
    assert!(stand.is_gone(&first).await);
    assert_eq!(stand.waiting().await, []);
}

/// Rule: a wrong token names no wait; the machine alone does (scenario 35).
pub async fn a_hook_by_its_machine_alone(herd: &Herd) {
    let stand = herd.hooked(1).await;
    let first = stand.at(Place::InService).await.remove(0);
    stand.end(&first, true).await;
    herd.provider.settle(&stand).await;
    let wrong = stand.notice(&first, "5d8b4a3e-0000-4000-8000-000000000000");
    assert_eq!(stand.hooks.complete(&wrong, By::Token).await.unwrap(), Answer::NoActiveAction);
    assert_eq!(stand.hooks.heartbeat(&wrong, By::Token).await.unwrap(), Answer::NoActiveAction);
    assert_eq!(stand.waiting().await, from_ref(&first), "it still waits");
    assert_eq!(stand.hooks.complete(&wrong, By::Instance).await.unwrap(), Answer::Taken);
    assert_eq!(stand.waiting().await, []);
}

pub async fn a_hook_that_is_over(herd: &Herd) {
    let stand = herd.hooked(2).await;
    let machines = stand.at(Place::InService).await;
    stand.end(&machines[0], true).await;
    herd.provider.settle(&stand).await;
    let notice = stand.notice(&machines[0], "");
    assert_eq!(stand.hooks.complete(&notice, By::Instance).await.unwrap(), Answer::Taken);
    // Of a machine that waits no more, that never waited, and that nobody knows.
    for instance in [&machines[0], &machines[1], &NOWHERE.into()] {
        let notice = stand.notice(instance, "5d8b4a3e-0000-4000-8000-000000000000");
        for by in [By::Token, By::Instance] {
            let beat = stand.hooks.heartbeat(&notice, by).await.unwrap();
            let done = stand.hooks.complete(&notice, by).await.unwrap();
            assert_eq!((beat, done), (Answer::NoActiveAction, Answer::NoActiveAction));
        }
    }
    assert_eq!(stand.at(Place::InService).await, machines[1..]);
}

pub async fn heartbeats_put_off(herd: &Herd) {
    let stand = herd.hooked(2).await;
    let machines = stand.at(Place::InService).await;
    for instance in &machines {
        stand.end(instance, true).await;
    }
    herd.provider.settle(&stand).await;
    let notice = stand.notice(&machines[0], "");
    for _ in 0..3 {
        if !herd.time.pass(HOOK_MS * 2 / 3).await {
            return;
        }
        assert_eq!(stand.hooks.heartbeat(&notice, By::Instance).await.unwrap(), Answer::Taken);
        herd.provider.settle(&stand).await;
    }
    assert_eq!(stand.waiting().await, machines[..1], "the other's time has passed");
    assert!(herd.time.pass(HOOK_MS).await);
    herd.provider.settle(&stand).await;
    assert_eq!(stand.waiting().await, []);
}
