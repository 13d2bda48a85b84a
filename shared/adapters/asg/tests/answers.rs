//! What Auto Scaling may answer, and what becomes of it.
#[path = "../../aws/tests/stub/mod.rs"]
mod stub;

use adapter_asg::{Asg, AsgHooks, PoolTag};
use stub::{Answer, Stub};
use windlass_core::drain::Notice;
use windlass_core::id::InstanceId;
use windlass_ports::Fault;
use windlass_ports::fleet::{By, Fleet as _, Hooks as _, Way};

const ID: &str = "i-0123456789abcdef1";

fn told<T: std::fmt::Debug>(result: Result<T, Fault>) -> String {
    match result {
        Ok(answer) => format!("{answer:?}"),
        Err(fault) if fault.is_retryable() => "again".to_owned(),
        Err(_) => "poison".to_owned(),
    }
}

fn error(status: u16, code: &str, words: &str) -> Answer {
    let error = format!("<Type>Sender</Type><Code>{code}</Code><Message>{words}</Message>");
    let whole = format!(
        "<ErrorResponse xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\"><Error>{error}\
         </Error><RequestId>r</RequestId></ErrorResponse>"
    );
    Answer::Status(status, whole)
}

fn done(action: &str, inside: &str) -> Answer {
    let whole = format!(
        "<{action}Response xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\">\
         <{action}Result>{inside}</{action}Result></{action}Response>"
    );
    Answer::Status(200, whole)
}

/// The group with one machine in this state.
fn group(state: &str) -> Answer {
    let machine = format!(
        "<member><InstanceId>{ID}</InstanceId><LifecycleState>{state}</LifecycleState>\
         <AvailabilityZone>a</AvailabilityZone><HealthStatus>Healthy</HealthStatus>\
         <ProtectedFromScaleIn>false</ProtectedFromScaleIn></member>"
    );
    let group = format!(
        "<member><AutoScalingGroupName>workers</AutoScalingGroupName><MinSize>0</MinSize>\
         <MaxSize>9</MaxSize><DesiredCapacity>1</DesiredCapacity><Instances>{machine}</Instances>\
         </member>"
    );
    done("DescribeAutoScalingGroups", &format!("<AutoScalingGroups>{group}</AutoScalingGroups>"))
}

fn tag() -> PoolTag {
    PoolTag { name: "windlass:pool".to_owned(), value: "main".to_owned() }
}

#[tokio::test]
async fn ends() {
    let gone = || error(400, "ValidationError", "Instance Id not found - No managed instance");
    let taken = || done("TerminateInstanceInAutoScalingGroup", "");
    let empty = || done("DescribeAutoScalingGroups", "<AutoScalingGroups/>");
    let serves = || group("InService");
    for (answers, heard, requests) in [
        (vec![serves(), taken()], "Going", 2),
        // What waits for its hook is on its way; no second call makes the group smaller again.
        (vec![group("Terminating:Wait")], "Going", 1),
        (vec![serves(), gone()], "Gone", 2),
        // Nobody knows whether it happened: it is looked at before it is tried again.
        (vec![serves(), Answer::Cut], "again", 2),
        (vec![serves(), error(400, "Throttling", "Rate exceeded")], "again", 2),
        (vec![serves(), error(400, "ScalingActivityInProgress", "busy")], "again", 2),
        (vec![serves(), error(403, "AccessDenied", "no")], "again", 2),
        (
            vec![serves(), error(400, "ValidationError", "Currently, desiredSize equals")],
            "poison",
            2,
        ),
        (vec![empty()], "again", 1),
    ] {
        let case = format!("{answers:?}");
        let stub = Stub::answering(answers).await;
        let asg = Asg::new(&stub.aws, "workers", tag());
        let heard_now = told(asg.end(&ID.into(), Way::InGroup { decrement: true }).await);
        assert_eq!((heard_now.as_str(), stub.requests().len()), (heard, requests), "{case}");
    }
}

fn actions(stub: &Stub) -> Vec<String> {
    let action = |request: &String| {
        let (_, from) = request.split_once("Action=").unwrap_or_default();
        from.split('&').next().unwrap_or_default().to_owned()
    };
    stub.requests().iter().map(action).collect()
}

/// Rule: only a refusal, which is sure, makes a guest try the other call. It keeps the call that was
/// not refused, and nothing if both were.
#[tokio::test]
async fn a_guest_ends_by_the_call_that_its_role_has() {
    const WHOLE: &str = "TerminateInstanceInAutoScalingGroup";
    const DETACH: &str = "DetachInstances";
    const LOOK: &str = "DescribeAutoScalingGroups";
    let denied = || error(403, "AccessDenied", "User: x is not authorized");
    let throttled = || error(400, "Throttling", "Rate exceeded");
    let serves = || group("InService");
    let (taken, detached) = (|| done(WHOLE, ""), || done(DETACH, ""));
    let ending = || Answer::Status(200, "<TerminateInstancesResponse/>".to_owned());
    let ec2 = "TerminateInstances";
    for (answers, heard, asked) in [
        (
            vec![serves(), taken(), serves(), taken()],
            ["Going", "Going"],
            vec![LOOK, WHOLE, LOOK, WHOLE],
        ),
        // A role from before v8.0: asked once in the life of a process.
        (
            vec![serves(), denied(), detached(), ending(), serves(), detached(), ending()],
            ["Going", "Going"],
            vec![LOOK, WHOLE, DETACH, ec2, LOOK, DETACH, ec2],
        ),
        // Neither, as yet: the next try begins anew.
        (
            vec![serves(), denied(), denied(), serves(), taken()],
            ["again", "Going"],
            vec![LOOK, WHOLE, DETACH, LOOK, WHOLE],
        ),
        // The role was changed under a process that had learnt: it learns again.
        (
            vec![serves(), denied(), detached(), ending(), serves(), denied(), taken()],
            ["Going", "Going"],
            vec![LOOK, WHOLE, DETACH, ec2, LOOK, DETACH, WHOLE],
        ),
        // What may have happened is not done in another way too.
        (
            vec![serves(), Answer::Cut, serves(), taken()],
            ["again", "Going"],
            vec![LOOK, WHOLE, LOOK, WHOLE],
        ),
        (
            vec![serves(), throttled(), serves(), taken()],
            ["again", "Going"],
            vec![LOOK, WHOLE, LOOK, WHOLE],
        ),
        (
            vec![serves(), denied(), Answer::Cut, group("Detaching"), throttled()],
            ["again", "again"],
            vec![LOOK, WHOLE, DETACH, LOOK, DETACH],
        ),
        (vec![group("Terminating:Wait")], ["Going", "Going"], vec![LOOK, LOOK]),
    ] {
        let case = format!("{answers:?}");
        let stub = Stub::answering(answers).await;
        let asg = Asg::guest(&stub.aws, "workers", tag());
        for heard in heard {
            let heard_now = told(asg.end(&ID.into(), Way::InGroup { decrement: true }).await);
            assert_eq!(heard_now, heard, "{case}");
        }
        assert_eq!(actions(&stub), asked, "{case}");
    }
}

#[tokio::test]
async fn a_guest_that_may_end_nothing_names_what_it_wants() {
    let denied = || error(403, "AccessDenied", "User: x is not authorized");
    let stub = Stub::answering(vec![group("InService"), denied()]).await;
    let asg = Asg::guest(&stub.aws, "workers", tag());
    let fault = asg.end(&ID.into(), Way::InGroup { decrement: true }).await.unwrap_err();
    let expected = "can't end i-0123456789abcdef1: the role needs the permission \
                    autoscaling:TerminateInstanceInAutoScalingGroup";
    assert!(fault.chain().starts_with(expected), "{}", fault.chain());
}

#[tokio::test]
async fn sizes_and_hooks() {
    let no_wait = || error(400, "ValidationError", "No active Lifecycle Action found with token");
    let notice = Notice {
        group: "workers".to_owned(),
        hook: "drain".to_owned(),
        instance: ID.into(),
        token: "5d8b4a3e-0000-4000-8000-000000000000".to_owned(),
    };
    for (op, answer, heard, requests) in [
        ("size", done("SetDesiredCapacity", ""), "()", 1),
        ("size", error(400, "ValidationError", "above max value"), "poison", 1),
        ("size", error(400, "ScalingActivityInProgress", "busy"), "again", 1),
        ("size", error(400, "Throttling", "Rate exceeded"), "again", 3),
        ("complete", done("CompleteLifecycleAction", ""), "Taken", 1),
        ("complete", no_wait(), "NoActiveAction", 1),
        ("complete", error(400, "ValidationError", "LifecycleHook name not found"), "poison", 1),
        ("complete", error(403, "AccessDenied", "no"), "again", 1),
        ("beat", done("RecordLifecycleActionHeartbeat", ""), "Taken", 1),
        ("beat", no_wait(), "NoActiveAction", 1),
        ("beat", Answer::Cut, "again", 3),
    ] {
        let stub = Stub::answering(vec![answer]).await;
        let asg = Asg::new(&stub.aws, "workers", tag());
        let hooks = AsgHooks::new(&stub.aws, "drain");
        let heard_now = match op {
            "size" => told(asg.set_desired(3).await),
            "complete" => told(hooks.complete(&notice, By::Token).await),
            "beat" => told(hooks.heartbeat(&notice, By::Token).await),
            _ => panic!("{op}"),
        };
        assert_eq!((heard_now.as_str(), stub.requests().len()), (heard, requests), "{op}");
    }
}

#[tokio::test]
async fn a_wait_is_named_as_it_is_asked() {
    let stub = Stub::answering(vec![done("CompleteLifecycleAction", "")]).await;
    let hooks = AsgHooks::new(&stub.aws, "drain");
    let token = "5d8b4a3e-0000-4000-8000-000000000000";
    let notice = |token: &str| Notice {
        group: "workers".to_owned(),
        hook: "drain".to_owned(),
        instance: ID.into(),
        token: token.to_owned(),
    };
    for (token, by, named) in
        [(token, By::Token, true), (token, By::Instance, false), ("", By::Token, false)]
    {
        hooks.complete(&notice(token), by).await.unwrap();
        let request = stub.requests().pop().unwrap();
        assert!(request.contains(ID) && request.contains("LifecycleActionResult=CONTINUE"));
        assert_eq!(request.contains("LifecycleActionToken"), named, "{request}");
    }
}

#[tokio::test]
async fn a_missing_permission_is_named() {
    let stub = Stub::answering(vec![error(403, "AccessDenied", "User: x is not")]).await;
    let asg = Asg::new(&stub.aws, "workers", tag());
    let fault = asg.set_desired(1).await.unwrap_err();
    let expected = "can't set the size of workers to 1: the role needs the permission \
                    autoscaling:SetDesiredCapacity; it will be tried again";
    assert!(fault.chain().starts_with(expected), "{}", fault.chain());
}

/// One that left since it was seen in service spoils the call for its neighbours, and is passed over.
#[tokio::test]
async fn one_that_left_spoils_no_protection() {
    let left = || error(400, "ValidationError", "The instance i-1 is not in InService or Standby.");
    let served = group("InService");
    let stub = Stub::answering(vec![served, left(), left()]).await;
    let asg = Asg::new(&stub.aws, "workers", tag());
    let named: [InstanceId; 2] = [ID.into(), "i-0123456789abcdef2".into()];
    asg.protect(&named, true).await.unwrap();
    let requests = stub.requests();
    assert_eq!(requests.len(), 3);
    assert!(!requests[1].contains("abcdef2"), "it is not in service: {}", requests[1]);
}
