//! A group of machines in memory, as EC2 Auto Scaling keeps one: its hooks, its protection, and its
//! own will where nobody protects a machine from it.
//!
//! Nothing happens by itself: [`FakeFleet::settle`] lets the group do what it would do within a
//! minute.
use super::lock;
use crate::clock::Clock;
use crate::fault::Fault;
use crate::fleet::{Answer, By, Ended, Fleet, Hooks, Machines, Way};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use windlass_core::drain::Notice;
use windlass_core::fleet::{self, Group, Place, SeenInstance};
use windlass_core::id::InstanceId;
use windlass_core::time::{MINUTE_MS, UnixMs};

/// AWS's bounds on a wait, whatever the heartbeats.
const WAIT_MS_MAX: u64 = 48 * 60 * MINUTE_MS;
const WAIT_TIMEOUTS_MAX: u64 = 100;

/// [`Fleet`] and [`Hooks`] in memory.
pub struct FakeFleet {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

/// A hook on termination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FakeHook {
    pub name: String,
    pub timeout_ms: u64,
}

/// Who made a machine go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoneBy {
    /// A call of ours.
    Us,
    /// The group, by its own choice or somebody's wish.
    Group,
    /// A hook that nobody completed in time.
    Lapse,
    /// Hardware, or Spot.
    Weather,
}

/// A machine that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    pub instance: InstanceId,
    pub by: GoneBy,
    pub at: UnixMs,
}

#[derive(Clone)]
struct State {
    group: Group,
    hook: Option<FakeHook>,
    /// New machines are protected.
    protects: bool,
    /// No more machines than this can be launched.
    capacity: u32,
    machines: BTreeMap<InstanceId, Machine>,
    launched: u64,
    deaths: Vec<Death>,
}

#[derive(Clone)]
struct Machine {
    seen: SeenInstance,
    /// Seen without being asked for.
    tagged: bool,
    by: Option<GoneBy>,
    wait: Option<Wait>,
}

#[derive(Clone)]
struct Wait {
    token: String,
    since: UnixMs,
    until: UnixMs,
}

impl FakeFleet {
    /// A group without machines, and without a hook.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, group: Group) -> Self {
        let state = State {
            group,
            hook: None,
            protects: false,
            capacity: u32::MAX,
            machines: BTreeMap::new(),
            launched: 0,
            deaths: vec![],
        };
        Self { clock, state: Mutex::new(state) }
    }
    /// An independent copy that goes by a clock of its own.
    #[must_use]
    pub fn fork_at(&self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::new(lock(&self.state).clone()) }
    }

    pub fn set_hook(&self, hook: Option<FakeHook>) {
        lock(&self.state).hook = hook;
    }
    /// Whether machines that are launched from now on are protected.
    pub fn protect_new(&self, protects: bool) {
        lock(&self.state).protects = protects;
    }
    /// From now on the group has at most so many machines, whatever is asked for.
    pub fn set_capacity(&self, machines: u32) {
        lock(&self.state).capacity = machines;
    }
    /// An operator's change. The size follows the bounds, as AWS has it.
    pub fn change(&self, change: impl FnOnce(&mut Group)) {
        let group = &mut lock(&self.state).group;
        change(group);
        group.desired = group.desired.clamp(group.min, group.max);
    }
    /// Changes what is seen of one machine.
    pub fn see(&self, instance: &InstanceId, change: impl FnOnce(&mut SeenInstance)) {
        if let Some(machine) = lock(&self.state).machines.get_mut(instance) {
            change(&mut machine.seen);
        }
    }
    /// The provider warns of the near future of one machine.
    pub fn warn(&self, instance: &InstanceId, notice: fleet::Notice) {
        self.see(instance, |seen| seen.notice = Some(notice));
    }
    /// A machine that runs, and that no group knows.
    pub fn stray(&self, tagged: bool) -> InstanceId {
        let now = self.clock.now();
        lock(&self.state).launch(Place::Outside, tagged, now)
    }
    /// The group ends it for reasons of its own: a refresh, a zone, its age. It is replaced.
    pub fn refresh(&self, instance: &InstanceId) {
        let now = self.clock.now();
        lock(&self.state).leave(instance, GoneBy::Group, now);
    }
    /// It is gone at once: no hook holds hardware back.
    pub fn lose(&self, instance: &InstanceId) {
        let now = self.clock.now();
        lock(&self.state).bury(instance, GoneBy::Weather, now);
    }
    /// The group does what it would within a minute: waits lapse, what is too much and unprotected
    /// goes, what is missing comes.
    pub fn settle(&self) {
        let now = self.clock.now();
        let mut state = lock(&self.state);
        state.lapse(now);
        state.scale_in(now);
        state.scale_out(now);
    }

    #[must_use]
    pub fn group(&self) -> Group {
        lock(&self.state).group.clone()
    }
    #[must_use]
    pub fn machine(&self, instance: &InstanceId) -> Option<SeenInstance> {
        lock(&self.state).machines.get(instance).map(|machine| machine.seen.clone())
    }
    /// Every machine that there is or was.
    #[must_use]
    pub fn machines(&self) -> Vec<SeenInstance> {
        lock(&self.state).machines.values().map(|machine| machine.seen.clone()).collect()
    }
    /// Those of the group that are in service.
    #[must_use]
    pub fn in_service(&self) -> Vec<InstanceId> {
        let serves = |seen: &SeenInstance| seen.place == Place::InService;
        self.machines().into_iter().filter(serves).map(|seen| seen.id).collect()
    }
    /// Every machine that went, in order.
    #[must_use]
    pub fn deaths(&self) -> Vec<Death> {
        lock(&self.state).deaths.clone()
    }
    /// What a wait's message says.
    #[must_use]
    pub fn notice(&self, instance: &InstanceId) -> Option<Notice> {
        let state = lock(&self.state);
        let token = state.machines.get(instance)?.wait.as_ref()?.token.clone();
        Some(Notice { token, ..state.named(instance)? })
    }
}

impl State {
    fn counted(&self) -> u32 {
        let counts = |m: &&Machine| matches!(m.seen.place, Place::Pending | Place::InService);
        u32::try_from(self.machines.values().filter(counts).count()).unwrap_or(u32::MAX)
    }

    fn launch(&mut self, place: Place, tagged: bool, now: UnixMs) -> InstanceId {
        self.launched += 1;
        // As EC2 writes them; in the order of their launch.
        let id = InstanceId(format!("i-{:017x}", self.launched));
        let seen = SeenInstance {
            id: id.clone(),
            place,
            launched_at: now,
            template: 1,
            protected: self.protects && place != Place::Outside,
            notice: None,
        };
        let machine = Machine { seen, tagged, by: None, wait: None };
        self.machines.insert(id.clone(), machine);
        id
    }

    /// On its way out: held by the hook if there is one.
    fn leave(&mut self, instance: &InstanceId, by: GoneBy, now: UnixMs) {
        let Some(hook) = self.hook.clone() else { return self.bury(instance, by, now) };
        let Some(machine) = self.machines.get_mut(instance) else { return };
        machine.seen.place = Place::Leaving;
        machine.by = Some(by);
        let until = now.plus_ms(hook.timeout_ms);
        machine.wait = Some(Wait { token: format!("token-{instance}"), since: now, until });
    }

    fn bury(&mut self, instance: &InstanceId, by: GoneBy, now: UnixMs) {
        let Some(machine) = self.machines.get_mut(instance) else { return };
        if machine.seen.place == Place::Terminated {
            return;
        }
        machine.seen.place = Place::Terminated;
        machine.wait = None;
        self.deaths.push(Death { instance: instance.clone(), by, at: now });
    }

    fn lapse(&mut self, now: UnixMs) {
        let over = |m: &&Machine| m.wait.as_ref().is_some_and(|wait| now >= wait.until);
        let lapsed: Vec<InstanceId> =
            self.machines.values().filter(over).map(|m| m.seen.id.clone()).collect();
        for instance in lapsed {
            self.bury(&instance, GoneBy::Lapse, now);
        }
    }

    fn scale_in(&mut self, now: UnixMs) {
        while self.counted() > self.group.desired {
            let may = |m: &&Machine| m.seen.place == Place::InService && !m.seen.protected;
            let oldest = |m: &&Machine| (m.seen.template, m.seen.launched_at, m.seen.id.clone());
            let Some(victim) = self.machines.values().filter(may).min_by_key(oldest) else {
                return;
            };
            let victim = victim.seen.id.clone();
            self.leave(&victim, GoneBy::Group, now);
        }
    }

    fn scale_out(&mut self, now: UnixMs) {
        let pending = self.machines.values_mut().filter(|m| m.seen.place == Place::Pending);
        pending.for_each(|machine| machine.seen.place = Place::InService);
        while self.counted() < self.group.desired {
            if self.counted() >= self.capacity {
                self.group.launches_failed += 1;
                return;
            }
            self.group.launches_failed = 0;
            self.launch(Place::InService, true, now);
        }
    }

    fn named(&self, instance: &InstanceId) -> Option<Notice> {
        let hook = self.hook.as_ref()?.name.clone();
        let group = self.group.name.clone();
        Some(Notice { group, hook, instance: instance.clone(), token: String::new() })
    }

    /// The wait that is meant, if there is one.
    fn waits(&mut self, notice: &Notice, by: By) -> Option<&mut Wait> {
        let hook = self.hook.as_ref()?;
        if notice.group != self.group.name || notice.hook != hook.name {
            return None;
        }
        let wait = self.machines.get_mut(&notice.instance)?.wait.as_mut()?;
        (by == By::Instance || wait.token == notice.token).then_some(wait)
    }
}

#[async_trait]
impl Fleet for FakeFleet {
    async fn look(&self, named: &[InstanceId]) -> Result<Machines, Fault> {
        let state = lock(&self.state);
        let seen = |m: &&Machine| match m.seen.place {
            Place::Terminated => named.contains(&m.seen.id),
            Place::Outside => m.tagged || named.contains(&m.seen.id),
            _ => true,
        };
        let instances = state.machines.values().filter(seen).map(|m| m.seen.clone()).collect();
        Ok(Machines { group: state.group.clone(), instances })
    }

    async fn set_desired(&self, to: u32) -> Result<(), Fault> {
        let group = &mut lock(&self.state).group;
        if !(group.min..=group.max).contains(&to) {
            let (min, max) = (group.min, group.max);
            return Err(Fault::poison(format!("{to} is not between {min} and {max}")));
        }
        group.desired = to;
        Ok(())
    }

    async fn end(&self, instance: &InstanceId, way: Way) -> Result<Ended, Fault> {
        let now = self.clock.now();
        let mut state = lock(&self.state);
        let Some(machine) = state.machines.get(instance) else { return Ok(Ended::Gone) };
        match (way, machine.seen.place) {
            (_, Place::Terminated) | (Way::InGroup { .. }, Place::Outside) => Ok(Ended::Gone),
            (Way::InGroup { .. }, Place::Leaving) => Ok(Ended::Going),
            (Way::InGroup { decrement }, _) => {
                if decrement && state.group.desired <= state.group.min {
                    return Err(Fault::poison("the group may not get smaller than its minimum"));
                }
                state.group.desired -= u32::from(decrement);
                state.leave(instance, GoneBy::Us, now);
                Ok(Ended::Going)
            }
            (Way::Outside, _) => {
                state.bury(instance, GoneBy::Us, now);
                Ok(Ended::Going)
            }
        }
    }

    async fn protect(&self, instances: &[InstanceId], protected: bool) -> Result<(), Fault> {
        let mut state = lock(&self.state);
        for instance in instances {
            let Some(machine) = state.machines.get_mut(instance) else { continue };
            if machine.seen.place == Place::InService {
                machine.seen.protected = protected;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Hooks for FakeFleet {
    async fn waiting(&self, group: &str) -> Result<Vec<Notice>, Fault> {
        let state = lock(&self.state);
        let waits = state.machines.values().filter(|m| m.wait.is_some());
        let ours = waits.filter(|_| state.group.name == group);
        Ok(ours.filter_map(|machine| state.named(&machine.seen.id)).collect())
    }

    async fn heartbeat(&self, notice: &Notice, by: By) -> Result<Answer, Fault> {
        let now = self.clock.now();
        let mut state = lock(&self.state);
        let timeout_ms = state.hook.as_ref().map_or(0, |hook| hook.timeout_ms);
        let bound_ms = WAIT_MS_MAX.min(timeout_ms.saturating_mul(WAIT_TIMEOUTS_MAX));
        let Some(wait) = state.waits(notice, by) else { return Ok(Answer::NoActiveAction) };
        wait.until = now.plus_ms(timeout_ms).min(wait.since.plus_ms(bound_ms));
        Ok(Answer::Taken)
    }

    async fn complete(&self, notice: &Notice, by: By) -> Result<Answer, Fault> {
        let now = self.clock.now();
        let mut state = lock(&self.state);
        if state.waits(notice, by).is_none() {
            return Ok(Answer::NoActiveAction);
        }
        let by = state.machines.get(&notice.instance).and_then(|machine| machine.by);
        state.bury(&notice.instance, by.unwrap_or(GoneBy::Group), now);
        Ok(Answer::Taken)
    }
}
