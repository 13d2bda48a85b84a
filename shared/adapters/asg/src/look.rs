//! One look: EC2's list of the pool's machines, then the group, then whatever is left.
use crate::failures::{self, Launch};
use crate::group::Asg;
use crate::place::{inside, outside};
use crate::words::{ACTIVITIES, DESCRIBE};
use adapter_aws::Failure;
use adapter_ec2::Machine;
use aws_sdk_autoscaling::types::{AutoScalingGroup, Instance};
use std::collections::BTreeMap;
use std::time::SystemTime;
use windlass_core::fleet::{Group, Place, SeenInstance};
use windlass_core::id::InstanceId;
use windlass_core::time::UnixMs;
use windlass_ports::Fault;
use windlass_ports::fleet::Machines;

/// Activities that are looked at: more failures in a row change nothing.
const ACTIVITIES_MAX: i32 = 50;

impl Asg {
    pub(crate) async fn machines(&self, named: &[InstanceId]) -> Result<Machines, Fault> {
        // EC2 before the group: what has the group's tag and is not listed has left it since.
        let tagged = self.ec2.tagged(&self.tag.name, &self.tag.value).await?;
        let group = self.describe().await?;
        let mut known: BTreeMap<InstanceId, Machine> =
            tagged.into_iter().map(|machine| (machine.id.clone(), machine)).collect();
        let listed = group.instances().iter().filter_map(Instance::instance_id);
        let wanted = listed.map(InstanceId::from).chain(named.iter().cloned());
        let missing: Vec<InstanceId> = wanted.filter(|id| !known.contains_key(id)).collect();
        let found = self.ec2.named(&missing).await?;
        known.extend(found.into_iter().map(|machine| (machine.id.clone(), machine)));

        let mut instances = Vec::with_capacity(known.len());
        for instance in group.instances() {
            instances.extend(listed_as(instance, &mut known));
        }
        instances.extend(known.values().filter_map(|machine| self.unlisted(machine)));
        let launches_failed = self.launches_failed(&group, &instances).await?;
        let group = Group { launches_failed, ..numbers(&self.name, &group) };
        Ok(Machines { group, instances })
    }

    /// The group itself, with all its machines: AWS does not page them.
    pub(crate) async fn describe(&self) -> Result<AutoScalingGroup, Fault> {
        let request = self.client.describe_auto_scaling_groups();
        let answer = request.auto_scaling_group_names(&self.name).send().await;
        let what = || format!("can't look at the Auto Scaling group {}", self.name);
        let answer = answer.map_err(|error| Failure::of(error).fault_of(DESCRIBE, &what()))?;
        let mut groups = answer.auto_scaling_groups.unwrap_or_default().into_iter();
        let ours = groups.find(|group| group.auto_scaling_group_name() == Some(&self.name));
        ours.ok_or_else(|| {
            Fault::retryable(format!("there is no Auto Scaling group {}", self.name))
        })
    }

    fn unlisted(&self, machine: &Machine) -> Option<SeenInstance> {
        let mut place = outside(machine, &self.name)?;
        if place == Place::Outside && self.learnt.leaves_outside() {
            let instance = &machine.id;
            tracing::warn!(%instance, "it runs in no group, and the role may not end it: do it by hand");
            place = Place::Standby;
        }
        Some(SeenInstance {
            id: machine.id.clone(),
            place,
            launched_at: machine.launched_at,
            template: 0,
            protected: false,
            notice: None,
        })
    }

    /// Asked only while machines are missing: without that nothing hangs on it.
    async fn launches_failed(
        &self,
        group: &AutoScalingGroup,
        seen: &[SeenInstance],
    ) -> Result<u32, Fault> {
        let there = |seen: &&SeenInstance| matches!(seen.place, Place::Pending | Place::InService);
        let wanted = count(group.desired_capacity());
        if self.is_guest || count_of(seen.iter().filter(there).count()) >= wanted {
            return Ok(0);
        }
        let request = self.client.describe_scaling_activities();
        let request = request.auto_scaling_group_name(&self.name).max_records(ACTIVITIES_MAX);
        let what = || format!("can't see why {} launches nothing", self.name);
        let answer = request.send().await;
        let answer = answer.map_err(|error| Failure::of(error).fault_of(ACTIVITIES, &what()))?;
        let launches: Vec<Launch> = answer.activities().iter().map(failures::launch).collect();
        Ok(failures::in_a_row(launches))
    }
}

fn numbers(name: &str, group: &AutoScalingGroup) -> Group {
    Group {
        name: name.to_owned(),
        desired: count(group.desired_capacity()),
        min: count(group.min_size()),
        max: count(group.max_size()),
        launches_failed: 0,
    }
}

fn count(number: Option<i32>) -> u32 {
    number.and_then(|number| u32::try_from(number).ok()).unwrap_or_default()
}

fn count_of(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A machine that the group lists. EC2 may not know yet one that was launched just now.
fn listed_as(
    instance: &Instance,
    known: &mut BTreeMap<InstanceId, Machine>,
) -> Option<SeenInstance> {
    let id = InstanceId::from(instance.instance_id()?);
    let machine = known.remove(&id);
    let lifecycle = instance.lifecycle_state().map_or("", |state| state.as_str());
    let version = instance.launch_template().and_then(|template| template.version());
    Some(SeenInstance {
        place: inside(lifecycle, machine.as_ref().map(|machine| machine.state)),
        launched_at: machine.map_or_else(now, |machine| machine.launched_at),
        // A machine of a launch configuration has none, and is older than any that has one.
        template: version.and_then(|version| version.parse().ok()).unwrap_or_default(),
        protected: instance.protected_from_scale_in().unwrap_or_default(),
        notice: None,
        id,
    })
}

fn now() -> UnixMs {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
