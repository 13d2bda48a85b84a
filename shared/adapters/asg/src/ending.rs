//! The calls that end a machine, and what a guest learns of its role by being refused one.
use crate::group::Asg;
use crate::words::{DETACH, END, is_elsewhere};
use adapter_aws::Failure;
use adapter_ec2::TERMINATE;
use aws_smithy_types::retry::RetryConfig;
use std::sync::atomic::{AtomicBool, Ordering};
use windlass_core::id::InstanceId;
use windlass_ports::Fault;
use windlass_ports::fleet::Ended;

/// What was seen of a guest's role. Nothing else tells: the roles of Spacelift's module differ from
/// release to release, and none may read itself.
#[derive(Debug, Default)]
pub(crate) struct Learnt {
    /// Machines leave the group by being detached.
    detaches: AtomicBool,
    /// It may end no machine that is in no group.
    leaves_outside: AtomicBool,
}

impl Learnt {
    fn call(&self) -> Call {
        if self.detaches.load(Ordering::Relaxed) { Call::Detach } else { Call::End }
    }

    fn keep(&self, call: Call) {
        tracing::info!(call = call.action(), "machines of the group leave it by this call here");
        self.detaches.store(call == Call::Detach, Ordering::Relaxed);
    }

    pub(crate) fn leaves_outside(&self) -> bool {
        self.leaves_outside.load(Ordering::Relaxed)
    }
}

/// How a machine leaves its group. `End` is the better one: it is one call, which either happened or
/// not, and the group's hooks see it. Between the two calls of the other a machine can be forgotten.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    End,
    /// And EC2 is asked to end it then.
    Detach,
}

impl Call {
    fn other(self) -> Self {
        if self == Self::End { Self::Detach } else { Self::End }
    }

    fn action(self) -> &'static str {
        if self == Self::End { END } else { DETACH }
    }
}

impl Asg {
    /// A machine that its group lists. A guest that is refused one call makes the other: a refusal is
    /// sure, nothing happened. Whatever else an answer is, or if there is none, no second call is made.
    pub(crate) async fn end_listed(
        &self,
        id: &InstanceId,
        decrement: bool,
    ) -> Result<Ended, Fault> {
        let mut call = self.learnt.call();
        let mut sent = self.send(call, id, decrement).await;
        if self.is_guest && is_refused(&sent) {
            let other = call.other();
            let again = self.send(other, id, decrement).await;
            // Refused both, it knows no more than before: a role that was only just made is like that
            // for a while.
            if !is_refused(&again) {
                (call, sent) = (other, again);
                self.learnt.keep(call);
            }
        }
        match (call, sent) {
            (Call::End, Ok(())) => Ok(Ended::Going),
            (Call::Detach, Ok(())) => self.terminate(id).await,
            (_, Err(failure)) if is_elsewhere(&failure) => self.end_unlisted(id).await,
            (_, Err(failure)) => Err(failure.fault_of(call.action(), &format!("can't end {id}"))),
        }
    }

    /// Once: the group's size changes with it.
    async fn send(&self, call: Call, id: &InstanceId, decrement: bool) -> Result<(), Failure> {
        let once = aws_sdk_autoscaling::Config::builder().retry_config(RetryConfig::disabled());
        match call {
            Call::End => {
                let request = self.client.terminate_instance_in_auto_scaling_group();
                let request = request.instance_id(id.as_str());
                let request = request.should_decrement_desired_capacity(decrement);
                let sent = request.customize().config_override(once).send().await;
                sent.map(drop).map_err(Failure::of)
            }
            Call::Detach => {
                let request = self.client.detach_instances().instance_ids(id.as_str());
                let request = request.auto_scaling_group_name(&self.name);
                let request = request.should_decrement_desired_capacity(decrement);
                let sent = request.customize().config_override(once).send().await;
                sent.map(drop).map_err(Failure::of)
            }
        }
    }

    /// A machine that no group has. A guest that may not is told so once; from then on each look
    /// passes such a machine over, for it would take the place of others that can be ended.
    pub(crate) async fn terminate(&self, id: &InstanceId) -> Result<Ended, Fault> {
        let asked = self.ec2.terminate(id).await;
        let refused = asked.as_ref().is_err_and(Failure::is_denied);
        if refused || asked.is_ok() {
            self.learnt.leaves_outside.store(self.is_guest && refused, Ordering::Relaxed);
        }
        let ended = asked.map_err(|why| why.fault_of(TERMINATE, &format!("can't end {id}")))?;
        Ok(if ended { Ended::Going } else { Ended::Gone })
    }
}

fn is_refused(sent: &Result<(), Failure>) -> bool {
    sent.as_ref().is_err_and(Failure::is_denied)
}
