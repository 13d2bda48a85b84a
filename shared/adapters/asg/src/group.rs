//! The port over the group's calls.
use crate::PoolTag;
use crate::ending::Learnt;
use crate::place::GROUP_TAG;
use crate::words::{PROTECT, RESIZE, is_elsewhere};
use adapter_aws::{Aws, Failure};
use adapter_ec2::{Ec2, State};
use async_trait::async_trait;
use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::types::{AutoScalingGroup, Instance, LifecycleState};
use std::slice::from_ref;
use windlass_core::id::InstanceId;
use windlass_ports::Fault;
use windlass_ports::fleet::{Ended, Fleet, Machines, Way};

/// Of ids in one `SetInstanceProtection`:
/// <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_SetInstanceProtection.html>
const PROTECT_IDS_MAX: usize = 50;

/// One Auto Scaling group.
pub struct Asg {
    pub(crate) client: Client,
    pub(crate) ec2: Ec2,
    pub(crate) name: String,
    pub(crate) tag: PoolTag,
    pub(crate) is_guest: bool,
    pub(crate) learnt: Learnt,
}

impl Asg {
    /// The group of this name; its machines, and those that leaked out of it, have the tag.
    #[must_use]
    pub fn new(aws: &Aws, group: &str, tag: PoolTag) -> Self {
        let client = Client::new(&aws.config_for("AUTO_SCALING"));
        let (ec2, name, learnt) = (Ec2::new(aws), group.to_owned(), Learnt::default());
        Self { client, ec2, name, tag, is_guest: false, learnt }
    }

    /// The same within the role that Spacelift's own autoscaler has: it protects no machine, and does
    /// not know of launches that failed. It ends a machine by the one call that the full form makes;
    /// where it may not, as before v8.0 of Spacelift's module, it detaches and terminates.
    /// <https://github.com/spacelift-io/terraform-aws-spacelift-workerpool-on-ec2/blob/main/docs/upgrade/v7.x-to-v8.0.md>
    #[must_use]
    pub fn guest(aws: &Aws, group: &str, tag: PoolTag) -> Self {
        Self { is_guest: true, ..Self::new(aws, group, tag) }
    }

    /// What AWS says of a second call for the same machine is not written down, and the size
    /// changes with it: so the group is looked at before, and no call is made again by itself.
    async fn end_in_group(&self, id: &InstanceId, decrement: bool) -> Result<Ended, Fault> {
        match listed(&self.describe().await?, id) {
            None => self.end_unlisted(id).await,
            Some(state) if is_leaving(&state) => Ok(Ended::Going),
            Some(_) => self.end_listed(id, decrement).await,
        }
    }

    /// An earlier call of a guest may have detached it and no more: then it still runs, has the
    /// pool's tag, and is in no group. Whatever else is not in the group is not ours.
    pub(crate) async fn end_unlisted(&self, id: &InstanceId) -> Result<Ended, Fault> {
        if !self.is_guest {
            return Ok(Ended::Gone);
        }
        let found = self.ec2.named(from_ref(id)).await?;
        let left = found.into_iter().any(|machine| {
            machine.tags.get(&self.tag.name) == Some(&self.tag.value)
                && !machine.tags.contains_key(GROUP_TAG)
                && machine.state != State::Terminated
        });
        if left { self.terminate(id).await } else { Ok(Ended::Gone) }
    }

    async fn protect_some(&self, ids: &[InstanceId], protected: bool) -> Result<(), Failure> {
        let request = self
            .client
            .set_instance_protection()
            .auto_scaling_group_name(&self.name)
            .set_instance_ids(Some(ids.iter().map(|id| id.0.clone()).collect()))
            .protected_from_scale_in(protected);
        request.send().await.map(drop).map_err(Failure::of)
    }

    /// One that left since spoils the call for the others: then each is asked for by itself.
    async fn protect_each(&self, ids: &[InstanceId], protected: bool) -> Result<(), Failure> {
        for id in ids {
            match self.protect_some(from_ref(id), protected).await {
                Err(failure) if !is_elsewhere(&failure) => return Err(failure),
                _ => {}
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Fleet for Asg {
    async fn look(&self, named: &[InstanceId]) -> Result<Machines, Fault> {
        self.machines(named).await
    }

    async fn set_desired(&self, to: u32) -> Result<(), Fault> {
        let what = || format!("can't set the size of {} to {to}", self.name);
        let size = i32::try_from(to).map_err(|_| Fault::poison(what()))?;
        let request = self.client.set_desired_capacity().auto_scaling_group_name(&self.name);
        // What is decided is decided: no cooldown of the group puts it off.
        let sent = request.desired_capacity(size).honor_cooldown(false).send().await;
        sent.map(drop).map_err(|error| Failure::of(error).fault_of(RESIZE, &what()))
    }

    async fn end(&self, instance: &InstanceId, way: Way) -> Result<Ended, Fault> {
        match way {
            Way::InGroup { decrement } => self.end_in_group(instance, decrement).await,
            Way::Outside => self.terminate(instance).await,
        }
    }

    /// A guest may not, and does nothing.
    async fn protect(&self, instances: &[InstanceId], protected: bool) -> Result<(), Fault> {
        if self.is_guest || instances.is_empty() {
            return Ok(());
        }
        let group = self.describe().await?;
        let serves = |id: &&InstanceId| listed(&group, id) == Some(LifecycleState::InService);
        let ids: Vec<InstanceId> = instances.iter().filter(serves).cloned().collect();
        for chunk in ids.chunks(PROTECT_IDS_MAX) {
            let done = match self.protect_some(chunk, protected).await {
                Err(failure) if is_elsewhere(&failure) => self.protect_each(chunk, protected).await,
                done => done,
            };
            let what = || format!("can't protect machines of {}", self.name);
            done.map_err(|failure| failure.fault_of(PROTECT, &what()))?;
        }
        Ok(())
    }
}

fn listed(group: &AutoScalingGroup, id: &InstanceId) -> Option<LifecycleState> {
    let mut instances = group.instances().iter();
    let ours = instances.find(|instance| instance.instance_id() == Some(id.as_str()));
    ours.and_then(Instance::lifecycle_state).cloned()
}

fn is_leaving(state: &LifecycleState) -> bool {
    state.as_str().starts_with("Terminat")
}
