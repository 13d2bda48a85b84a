"""The calls of Auto Scaling where moto answers otherwise than AWS does, over what fleet.py plays."""
import fleet
from fleet import converge, finish, leave, note, now
from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup, InstanceState
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult


def group_of(backend, name):
    if name not in backend.autoscaling_groups:
        raise ValidationError("AutoScalingGroup name not found - null")
    return backend.autoscaling_groups[name]


def states_of(group, ids, allowed):
    """One that is not there, or not in such a state, spoils the call."""
    known = {s.instance_id: s for s in group.instance_states}
    for one in ids:
        if one not in known:
            raise ValidationError(f"The instance {one} is not part of Auto Scaling group {group.name}.")
        if known[one].lifecycle_state not in allowed:
            raise ValidationError(f"The instance {one} is not in {' or '.join(allowed)}.")
    return [known[one] for one in ids]


def shrink(group, by, refusal):
    if group.desired_capacity - by < group.min_size:
        raise ValidationError(refusal)
    group.desired_capacity -= by


# Of the group.

def resize(self, new):
    self.desired_capacity = self.min_size if new is None else new
    converge(self)


def set_desired(self, name, desired):
    group = group_of(self, name)
    if desired > group.max_size:
        raise ValidationError(f"New SetDesiredCapacity value {desired} is above max value {group.max_size} for the AutoScalingGroup.")
    if desired < group.min_size:
        raise ValidationError(f"New SetDesiredCapacity value {desired} is below min value {group.min_size} for the AutoScalingGroup.")
    group.set_desired_capacity(desired)


def update_of(original):
    """A size that the new bounds leave no room for follows them; what is not named stays."""

    def update(self, **given):
        low = self.min_size if given["min_size"] is None else given["min_size"]
        high = self.max_size if given["max_size"] is None else given["max_size"]
        wanted = given["desired_capacity"]
        if low > high or (wanted is not None and not low <= wanted <= high):
            raise ValidationError(f"Desired capacity:{wanted} must be between the specified min size:{low} and max size:{high}")
        if wanted is None:
            given["desired_capacity"] = min(max(self.desired_capacity, low), high)
        if not (given["launch_template"] or given["launch_config_name"] or given["mixed_instances_policy"]):
            given["mixed_instances_policy"], self_policy = None, self.mixed_instances_policy
            original(self, **given)
            self.mixed_instances_policy = self_policy
            return
        original(self, **given)

    return update


def delete_group(self, name, force=False):
    group = group_of(self, name)
    if group.instance_states and not force:
        raise fleet.refused("ResourceInUse", "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) still in the group.")
    self.autoscaling_groups.pop(name)
    if group.instance_states:
        self.ec2_backend.terminate_instances([s.instance_id for s in group.instance_states])
    for key in [k for k, h in self.lifecycle_hooks.items() if h.auto_scaling_group_name == name]:
        del self.lifecycle_hooks[key]


# Of machines.

def terminate(self, instance_id, decrement):
    """AWS does not say what a second call does while a hook holds the machine. Here it makes the
    group smaller once more, the worst that it could be."""
    state = next((s for g in self.autoscaling_groups.values() for s in g.instance_states if s.instance_id == instance_id), None)
    if state is None:
        raise ValidationError(f"Instance Id not found - No managed instance found for instance ID: {instance_id}")
    group = state.auto_scaling_group
    if decrement:
        shrink(group, 1, f"Currently, desiredSize equals minSize ({group.min_size}). Terminating instance without replacement will violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size.")
    if not state.lifecycle_state.startswith("Terminating"):
        leave(state, "user")
    converge(group)
    return note(group, f"Terminating EC2 instance: {instance_id}", "InProgress", None)


def detach(self, name, ids, decrement):
    """No hook, and no protection any more."""
    group = group_of(self, name)
    states = states_of(group, ids, ("InService", "Standby"))
    if decrement:
        shrink(group, len(states), f"The group's min size {group.min_size} does not allow it to get smaller by {len(states)}.")
    for state in states:
        group.instance_states = [s for s in group.instance_states if s is not state]
        self.ec2_backend.delete_tags([state.instance_id], {"aws:autoscaling:groupName": group.name})
        fleet.Settings.detached[state.instance_id] = group.name
    activities = [note(group, f"Detaching EC2 instance: {one}", "InProgress", None) for one in ids]
    converge(group)
    return activities


def protect(self, name, ids, protected):
    group = group_of(self, name)
    if len(ids) > fleet.PROTECTION_IDS_MAX:
        raise ValidationError(f"Number of instances exceeds the limit of {fleet.PROTECTION_IDS_MAX}.")
    for state in states_of(group, ids, ("InService", "EnteringStandby", "Standby")):
        state.protected_from_scale_in = protected


def terminated_by_hand(self, ids):
    """A health check finds them gone; hooks hold nothing back, and must be completed all the same.
    Of a detached one nobody but its former group's record knows."""
    for one in [one for one in ids if one in fleet.Settings.detached]:
        fleet.ended(one, fleet.Settings.detached.pop(one), "ec2", "none")
    for group in list(self.autoscaling_groups.values()):
        lost = [s for s in group.instance_states if s.instance_id in ids]
        for state in lost:
            if not state.lifecycle_state.startswith("Terminating"):
                leave(state, "ec2")
        if lost:
            converge(group)


# Of hooks.

def put_hook(response):
    backend = response.autoscaling_backend
    name, hook_name = response._get_param("AutoScalingGroupName"), response._get_param("LifecycleHookName")
    group = group_of(backend, name)
    timeout = response._get_int_param("HeartbeatTimeout") or 3600
    if not 30 <= timeout <= 7200:
        raise ValidationError("HeartbeatTimeout must be between 30 and 7200 seconds")
    hook = backend.create_lifecycle_hook(hook_name, name, response._get_param("LifecycleTransition"), timeout, response._get_param("DefaultResult"))
    hook.notification_target_arn = response._get_param("NotificationTargetARN")
    hook.role_arn, hook.metadata = response._get_param("RoleARN"), response._get_param("NotificationMetadata")
    hook.global_timeout = min(fleet.HOLD_SECONDS_MAX, fleet.HOLD_TIMEOUTS_MAX * timeout)
    if hook.notification_target_arn:
        words = {**fleet.common(group), "AutoScalingGroupARN": group.arn, "AutoScalingGroupName": name, "Event": "autoscaling:TEST_NOTIFICATION"}
        fleet.send(group, hook.notification_target_arn, {**words, "Time": fleet.stamp().isoformat(timespec="milliseconds").replace("+00:00", "Z")})
    return EmptyResult()


def waiting(response):
    """The wait that is meant, by its token if one is given, else by its machine."""
    group = group_of(response.autoscaling_backend, response._get_param("AutoScalingGroupName"))
    hook, token = response._get_param("LifecycleHookName"), response._get_param("LifecycleActionToken")
    instance = response._get_param("InstanceId")
    for state in group.instance_states:
        wait = getattr(state, "waits", {}).get(hook)
        if wait and (wait["token"] == token if token else state.instance_id == instance):
            return state, hook, wait
    named = f"token {token}" if token else f"instance ID {instance}"
    raise ValidationError(f"No active Lifecycle Action found with {named}")


def complete(response):
    state, hook, _ = waiting(response)
    if response._get_param("LifecycleActionResult") not in ("CONTINUE", "ABANDON"):
        raise ValidationError("LifecycleActionResult must be CONTINUE or ABANDON")
    finish(state, hook, "completed")
    return EmptyResult()


def heartbeat(response):
    state, hook, wait = waiting(response)
    timeout = response.autoscaling_backend.lifecycle_hooks[f"{state.auto_scaling_group.name}_{hook}"].heartbeat_timeout
    wait["until"] = now() + timeout
    return EmptyResult()


# Of activities and refreshes.

def activities(response):
    group = group_of(response.autoscaling_backend, response._get_param("AutoScalingGroupName"))
    start, size = int(response._get_param("NextToken") or 0), response._get_int_param("MaxRecords") or 100
    known = group.__dict__.get("activities", [])
    more = str(start + size) if len(known) > start + size else None
    return ActionResult({"Activities": known[start : start + size], "NextToken": more})


def start_refresh(response):
    group = group_of(response.autoscaling_backend, response._get_param("AutoScalingGroupName"))
    return ActionResult({"InstanceRefreshId": fleet.start_refresh(group, response._get_param("Preferences") or {})})


def describe_refreshes(response):
    group = group_of(response.autoscaling_backend, response._get_param("AutoScalingGroupName"))
    return ActionResult({"InstanceRefreshes": group.__dict__.get("refreshes", [])})


def cancel_refresh(response):
    group = group_of(response.autoscaling_backend, response._get_param("AutoScalingGroupName"))
    return ActionResult({"InstanceRefreshId": fleet.cancel_refresh(group)})


def template_of(state):
    template = getattr(state.auto_scaling_group, "ec2_launch_template", None)
    if template is None:
        return None
    return {"LaunchTemplateId": template.id, "LaunchTemplateName": template.name, "Version": str(getattr(state, "version", 1))}


def apply():
    FakeAutoScalingGroup.set_desired_capacity = resize
    FakeAutoScalingGroup.active_instances = fleet.active
    FakeAutoScalingGroup.update = update_of(FakeAutoScalingGroup.update)
    InstanceState.launch_template = property(template_of)
    InstanceState.version, InstanceState.launched_at, InstanceState.ready_at = 1, 0, 0
    AutoScalingBackend.set_desired_capacity = set_desired
    AutoScalingBackend.delete_auto_scaling_group = delete_group
    AutoScalingBackend.terminate_instance = terminate
    AutoScalingBackend.detach_instances = detach
    AutoScalingBackend.set_instance_protection = protect
    AutoScalingBackend.notify_terminate_instances = terminated_by_hand
    calls = AutoScalingResponse
    calls.put_lifecycle_hook, calls.complete_lifecycle_action, calls.record_lifecycle_action_heartbeat = put_hook, complete, heartbeat
    calls.describe_scaling_activities, calls.start_instance_refresh = activities, start_refresh
    calls.describe_instance_refreshes, calls.cancel_instance_refresh = describe_refreshes, cancel_refresh
    calls.delete_auto_scaling_group = lambda self: delete_group(self.autoscaling_backend, self._get_param("AutoScalingGroupName"), self._get_bool_param("ForceDelete", False)) or EmptyResult()
