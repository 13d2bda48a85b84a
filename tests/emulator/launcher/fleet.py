"""Auto Scaling groups that behave: machines boot, hooks hold them back, groups choose, refreshes replace.

moto keeps the data and speaks the protocol; what a group does of itself is here. Facts:
docs.aws.amazon.com/autoscaling/ec2/userguide (lifecycle-hooks, instance-protection,
instance-refresh-overview, ec2-auto-scaling-termination-policies) and the API reference. All of it
runs under the lock of serve.py. Time is the machine's, and what a test adds to it.
"""
import json
import math
import time
import uuid
from datetime import datetime, timezone

from moto.autoscaling import models
from moto.autoscaling.exceptions import AutoscalingClientError
from moto.autoscaling.models import FakeAutoScalingGroup, autoscaling_backends
from moto.events.models import events_backends
from moto.sqs.models import sqs_backends

TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"
HOLD_SECONDS_MAX, HOLD_TIMEOUTS_MAX = 48 * 3600, 100
PROTECTION_IDS_MAX = 50
# How long a refresh waits for machines that are protected.
REFRESH_WAIT_SECONDS = 3600
# Between two attempts to launch what failed.
RETRY_SECONDS = 30
ACTIVE = ("Pending", "InService")


def refused(code, words):
    return AutoscalingClientError(code, words)


class Settings:
    """What tests want, and what became of machines; set by `reset`."""


def reset():
    Settings.boot_seconds = Settings.ahead_seconds = 0.0
    # group -> {"code", "times", "capacity"}: which launches fail.
    Settings.launches = {}
    # Machines that went, in order.
    Settings.ends = []
    # Machines that were detached and still run, with the group that each was of.
    Settings.detached = {}


def now():
    return time.time() + Settings.ahead_seconds


def stamp(at=None):
    return datetime.fromtimestamp(at or now(), timezone.utc)


def settings(words):
    """What a test wants: a delay of boots, time to pass, launches to fail."""
    if "boot_ms" in words:
        Settings.boot_seconds = words["boot_ms"] / 1000
    Settings.ahead_seconds += words.get("pass_ms", 0) / 1000
    for group, rule in words.get("launches", {}).items():
        Settings.launches[group] = rule
        for known in groups():
            if known.name == group:
                known.retry_at = 0
    step()


def groups():
    return [g for regions in autoscaling_backends.values() for b in regions.values() for g in list(b.autoscaling_groups.values())]


def told():
    """Every group's machines, and those that went."""
    shown = {
        g.name: {
            "desired": g.desired_capacity,
            "instances": {s.instance_id: s.lifecycle_state for s in g.instance_states},
            "held_ms": {s.instance_id: left_ms(s) for s in g.instance_states if getattr(s, "waits", {})},
            "detached": [one for one, group in Settings.detached.items() if group == g.name],
        }
        for g in groups()
    }
    return {"groups": shown, "ends": Settings.ends}


def left_ms(state):
    """Until the first of its hooks lapses."""
    return max(0, int(1000 * (min(min(w["until"], w["end"]) for w in state.waits.values()) - now())))


def step():
    """Everything that is due. Whether anything happened."""
    return any([advance(group) for group in groups()])


def advance(group):
    before = [(s.instance_id, s.lifecycle_state) for s in group.instance_states]
    for state in list(group.instance_states):
        if state.lifecycle_state == "Pending" and state.ready_at <= now():
            state.lifecycle_state = "InService"
        if state.lifecycle_state in ACTIVE and state.health_status != "Healthy":
            leave(state, "unhealthy")
        for name, wait in list(getattr(state, "waits", {}).items()):
            if now() >= min(wait["until"], wait["end"]):
                finish(state, name, "lapsed")
    refresh(group)
    converge(group)
    return before != [(s.instance_id, s.lifecycle_state) for s in group.instance_states]


# What a group does of itself.

def active(group):
    return [s for s in group.instance_states if s.lifecycle_state in ACTIVE]


def converge(group):
    """Launches what is missing; of what is too much it ends the unprotected, the oldest template first."""
    missing = (group.desired_capacity or 0) - len(active(group))
    if missing > 0:
        launch(group, missing)
    elif missing < 0:
        free = [s for s in active(group) if not s.protected_from_scale_in]
        for state in sorted(free, key=lambda s: (s.version, s.launched_at, s.instance_id))[:-missing]:
            leave(state, "scale-in")


def launch(group, count):
    if now() < getattr(group, "retry_at", 0):
        return
    rule = Settings.launches.get(group.name)
    if rule:
        room = max(0, rule["capacity"] - len(active(group))) if rule.get("capacity") is not None else 0
        if rule.get("times") is None or rule["times"] > 0:
            if count > room:
                note(group, "Launching a new EC2 instance.", "Failed", f"{rule['code']} - We currently do not have sufficient capacity in the Availability Zone you requested. Launching EC2 instance failed.")
                group.retry_at = now() + RETRY_SECONDS
                if rule.get("times") is not None:
                    rule["times"] -= 1
            count = min(count, room)
    if not count:
        return
    known = {s.instance_id for s in group.instance_states}
    launch_of_moto(group, count, group.get_propagated_tags())
    for state in group.instance_states:
        if state.instance_id not in known:
            state.version, state.launched_at = version(group), now()
            state.ready_at = now() + Settings.boot_seconds
            if Settings.boot_seconds:
                state.lifecycle_state = "Pending"
            note(group, f"Launching a new EC2 instance: {state.instance_id}", "Successful", None)


def version(group):
    template = group.ec2_launch_template
    if template is None:
        return 0
    wanted = str(getattr(group, "launch_template_version", None) or "$Default")
    numbers = {"$Default": template.default_version_number, "$Latest": template.latest_version_number}
    return int(numbers.get(wanted, wanted))


def note(group, description, status, words):
    activity = models.Activity(description, f"At {stamp():%Y-%m-%dT%H:%M:%SZ} the group's capacity was changed.", group, start_time=stamp(), end_time=stamp(), status_code=status)
    activity.status_message, activity.progress = words, 100
    group.__dict__.setdefault("activities", []).insert(0, activity)
    return activity


# Ways out of a group.

def hooks(group):
    known = group.autoscaling_backend.lifecycle_hooks.values()
    return [h for h in known if h.auto_scaling_group_name == group.name and h.lifecycle_transition == TERMINATING]


def leave(state, why):
    """On its way out: it waits for every hook, or goes at once."""
    group = state.auto_scaling_group
    state.why, state.waits = why, {}
    for hook in hooks(group):
        until = now() + hook.heartbeat_timeout
        end = now() + min(HOLD_SECONDS_MAX, HOLD_TIMEOUTS_MAX * hook.heartbeat_timeout)
        state.waits[hook.name] = {"token": str(uuid.uuid4()), "until": until, "end": end}
    if not state.waits:
        return go(state, "none")
    state.lifecycle_state = "Terminating:Wait"
    for hook in hooks(group):
        notify(state, hook)


def finish(state, name, how):
    """One hook is done with; after the last of them the machine goes."""
    state.waits.pop(name)
    if not state.waits:
        go(state, how)


def go(state, how):
    group = state.auto_scaling_group
    group.instance_states = [s for s in group.instance_states if s is not state]
    if state.instance.state not in ("terminated", "shutting-down"):
        group.ec2_backend.terminate_instances([state.instance_id])
    note(group, f"Terminating EC2 instance: {state.instance_id}", "Successful", None)
    ended(state.instance_id, group.name, state.why, how)


def ended(instance_id, group, why, how):
    Settings.ends.append({"instance": instance_id, "group": group, "why": why, "hook": how, "at": now(), "clock_at": time.time()})


def notify(state, hook):
    """docs.aws.amazon.com/autoscaling/ec2/userguide/prepare-for-lifecycle-notifications.html"""
    group, token = state.auto_scaling_group, state.waits[hook.name]["token"]
    detail = {
        "Origin": "AutoScalingGroup", "Destination": "EC2", "LifecycleHookName": hook.name, "EC2InstanceId": state.instance_id,
        "LifecycleTransition": TERMINATING, "AutoScalingGroupName": group.name, "LifecycleActionToken": token,
    }
    if hook.metadata:
        detail["NotificationMetadata"] = hook.metadata
    event = {
        "version": "0", "id": str(uuid.uuid4()), "detail-type": "EC2 Instance-terminate Lifecycle Action", "source": "aws.autoscaling",
        "account": group.account_id, "time": f"{stamp():%Y-%m-%dT%H:%M:%SZ}", "region": group.region, "resources": [group.arn], "detail": detail,
    }
    if hook.notification_target_arn:
        send(group, hook.notification_target_arn, {**common(group), "Time": stamp().isoformat(timespec="milliseconds").replace("+00:00", "Z"), **detail})
    for bus in events_backends[group.account_id][group.region].event_buses.values():
        for rule in bus.rules.values():
            if rule.event_pattern and rule.event_pattern.matches_event(event):
                for target in rule.targets:
                    send(group, target["Arn"], event)


def common(group):
    return {"AccountId": group.account_id, "RequestId": str(uuid.uuid4()), "Service": "AWS Auto Scaling"}


def send(group, arn, words):
    service, region, account, name = (arn.split(":") + [""] * 6)[2:6]
    if service == "sqs" and name in sqs_backends[account][region].queues:
        sqs_backends[account][region].send_message(queue_name=name, message_body=json.dumps(words))


# Refreshes.

def refresh(group):
    """One after another, as far as the least healthy share lets it."""
    run = group.__dict__.get("refreshes", [None])[0]
    if run is None or run["Status"] not in ("Pending", "InProgress"):
        return
    run["Status"] = "InProgress"
    old = [s for s in group.instance_states if s.instance_id in run["left"]]
    run["left"] = [s.instance_id for s in old]
    total, wanted = run["total"], group.desired_capacity
    run["PercentageComplete"] = 100 if not total else int(100 * (total - len(old)) / total)
    run["InstancesToUpdate"] = len(old)
    serving = [s for s in group.instance_states if s.lifecycle_state == "InService"]
    out = max(0, wanted - len(serving)) + sum(s.lifecycle_state.startswith("Terminating") for s in old)
    free = [s for s in old if s.lifecycle_state == "InService" and (run["protected"] == "Refresh" or not s.protected_from_scale_in)]
    if not old or (run["protected"] == "Ignore" and not free and not out):
        run["Status"], run["EndTime"] = "Successful", stamp()
        return
    if not free and not out and now() - run["since"] > REFRESH_WAIT_SECONDS:
        run["Status"], run["StatusReason"], run["EndTime"] = "Failed", "Instances are protected from scale in.", stamp()
        return
    may_be_out = max(1, math.floor(wanted * (100 - run["healthy"]) / 100))
    for state in free[: max(0, may_be_out - out)]:
        run["since"] = now()
        leave(state, "refresh")


def start_refresh(group, preferences):
    runs = group.__dict__.setdefault("refreshes", [])
    if runs and runs[0]["Status"] in ("Pending", "InProgress"):
        raise refused("InstanceRefreshInProgress", "An Instance Refresh is already in progress.")
    left = [s.instance_id for s in active(group)]
    healthy = preferences.get("MinHealthyPercentage")
    runs.insert(0, {
        "InstanceRefreshId": str(uuid.uuid4()), "AutoScalingGroupName": group.name, "Status": "Pending", "StartTime": stamp(),
        "PercentageComplete": 0, "InstancesToUpdate": len(left), "left": left, "total": len(left), "since": now(),
        "healthy": 90 if healthy is None else int(healthy), "protected": preferences.get("ScaleInProtectedInstances") or "Wait",
    })
    return runs[0]["InstanceRefreshId"]


def cancel_refresh(group):
    runs = group.__dict__.get("refreshes", [])
    if not runs or runs[0]["Status"] not in ("Pending", "InProgress"):
        raise refused("ActiveInstanceRefreshNotFound", "No in progress or pending Instance Refresh found.")
    runs[0]["Status"], runs[0]["EndTime"] = "Cancelled", stamp()
    return runs[0]["InstanceRefreshId"]


launch_of_moto = FakeAutoScalingGroup.replace_autoscaling_group_instances
reset()
