//! What EC2 may answer, and what becomes of it.
#[path = "../../aws/tests/stub/mod.rs"]
mod stub;

use adapter_ec2::{Ec2, TERMINATE};
use stub::{Answer, Stub};
use windlass_core::id::InstanceId;
use windlass_ports::Fault;

const FIRST: &str = "i-0123456789abcdef1";
const SECOND: &str = "i-0123456789abcdef2";

fn told<T>(result: &Result<T, Fault>) -> &'static str {
    match result {
        Ok(_) => "done",
        Err(fault) if fault.is_retryable() => "again",
        Err(_) => "poison",
    }
}

async fn end(ec2: &Ec2) -> Result<bool, Fault> {
    ec2.terminate(&FIRST.into())
        .await
        .map_err(|failure| failure.fault_of(TERMINATE, "can't end it"))
}

fn error(status: u16, code: &str, words: &str) -> Answer {
    Answer::Status(
        status,
        format!(
            "<Response><Errors><Error><Code>{code}</Code><Message>{words}</Message></Error></Errors>\
             <RequestID>r</RequestID></Response>"
        ),
    )
}

fn page(ids: &[&str], next: &str) -> Answer {
    let item = |id: &&str| {
        format!(
            "<item><instancesSet><item><instanceId>{id}</instanceId><instanceState><name>running\
             </name></instanceState><launchTime>2026-11-22T10:35:30.000Z</launchTime></item>\
             </instancesSet></item>"
        )
    };
    let items: String = ids.iter().map(item).collect();
    Answer::Status(
        200,
        format!(
            "<DescribeInstancesResponse><reservationSet>{items}</reservationSet>{next}\
             </DescribeInstancesResponse>"
        ),
    )
}

fn ids(names: &[&str]) -> Vec<InstanceId> {
    names.iter().map(|name| InstanceId::from(*name)).collect()
}

#[tokio::test]
async fn answers() {
    let unknown = "InvalidInstanceID.NotFound";
    let throttled = || error(503, "RequestLimitExceeded", "Request limit exceeded.");
    let protected = "The instance may not be terminated. Modify its 'disableApiTermination'";
    let first_of_two = || page(&[FIRST], "<nextToken>2</nextToken>");
    for (op, answers, heard, requests) in [
        ("end", vec![page(&[], "")], "done", 1),
        ("end", vec![error(400, unknown, FIRST)], "done", 1),
        ("end", vec![throttled(), page(&[], "")], "done", 2),
        ("end", vec![error(400, "RequestLimitExceeded", ""), page(&[], "")], "done", 2),
        ("end", vec![throttled()], "again", 3),
        ("end", vec![error(400, "OperationNotPermitted", protected)], "again", 1),
        ("end", vec![error(403, "UnauthorizedOperation", "no")], "again", 1),
        ("end", vec![error(400, "MissingParameter", "no")], "poison", 1),
        ("end", vec![Answer::Cut, page(&[], "")], "done", 2),
        ("end", vec![Answer::Silence], "again", 3),
        ("named", vec![page(&[FIRST], "")], "done", 1),
        ("named", vec![error(400, unknown, SECOND), page(&[FIRST], "")], "done", 2),
        ("named", vec![error(400, unknown, "who knows")], "again", 1),
        ("named", vec![error(500, "InternalError", "")], "again", 3),
        ("named", vec![Answer::Status(200, "<html/>".to_owned())], "again", 1),
        ("named", vec![Answer::Half("<DescribeInstancesResponse>")], "again", 3),
        ("tagged", vec![first_of_two(), page(&[SECOND], "")], "done", 2),
        ("tagged", vec![first_of_two(), throttled()], "again", 4),
    ] {
        let case = format!("{op} {answers:?}");
        let stub = Stub::answering(answers).await;
        let ec2 = Ec2::new(&stub.aws);
        let now = match op {
            "end" => told(&end(&ec2).await),
            "named" => told(&ec2.named(&ids(&[FIRST, SECOND])).await),
            "tagged" => told(&ec2.tagged("windlass:pool", "a").await),
            _ => panic!("{op}"),
        };
        assert_eq!((now, stub.requests().len()), (heard, requests), "{case}");
    }
}

#[tokio::test]
async fn a_listing_is_read_to_its_end() {
    let first = page(&[FIRST], "<nextToken>more+/=</nextToken>");
    let stub = Stub::answering(vec![first, page(&[SECOND, FIRST], "<nextToken/>")]).await;
    let found = Ec2::new(&stub.aws).tagged("windlass:pool", "a").await.unwrap();
    assert_eq!(found.iter().map(|m| m.id.as_str()).collect::<Vec<_>>(), [FIRST, SECOND]);
    assert!(stub.requests()[1].contains("NextToken=more%2B%2F%3D"));
}

/// Rule: one name that nobody knows hinders no other, and is not asked for again.
#[tokio::test]
async fn a_vanished_machine_spoils_nothing() {
    let unknown = error(400, "InvalidInstanceID.NotFound", &format!("'{FIRST}' does not exist"));
    let stub = Stub::answering(vec![unknown, page(&[SECOND], "")]).await;
    let named = ids(&[FIRST, "box/7", SECOND, SECOND]);
    let found = Ec2::new(&stub.aws).named(&named).await.unwrap();
    assert_eq!(found.iter().map(|m| m.id.as_str()).collect::<Vec<_>>(), [SECOND]);
    let requests = stub.requests();
    for (request, first) in [(&requests[0], true), (&requests[1], false)] {
        assert_eq!(request.contains(FIRST), first, "{request}");
        assert!(request.contains(SECOND) && !request.contains("box"), "{request}");
    }
}

#[tokio::test]
async fn a_call_is_signed_and_a_missing_permission_named() {
    let stub = Stub::answering(vec![error(403, "UnauthorizedOperation", "You are not")]).await;
    let ec2 = Ec2::new(&stub.aws);
    let fault = ec2.tagged("windlass:pool", "a").await.unwrap_err();
    assert!(fault.chain().contains("needs the permission ec2:DescribeInstances"), "{fault:?}");
    let fault = end(&ec2).await.unwrap_err();
    assert!(fault.chain().contains("needs the permission ec2:TerminateInstances"), "{fault:?}");
    let request = stub.requests()[0].to_ascii_lowercase();
    for part in [
        "authorization: aws4-hmac-sha256 credential=stub/",
        "/us-east-1/ec2/aws4_request, signedheaders=content-type;host;x-amz-date, signature=",
        "action=describeinstances&version=2016-11-15&filter.1.name=tag%3awindlass%3apool",
    ] {
        assert!(request.contains(part), "{part} is not in {request}");
    }
    assert!(!request.contains("not-a-secret"));
}

#[tokio::test]
async fn nothing_to_ask_is_not_asked() {
    let stub = Stub::answering(vec![page(&[], "")]).await;
    let ec2 = Ec2::new(&stub.aws);
    assert_eq!(ec2.named(&ids(&["box/7"])).await.unwrap(), []);
    assert!(!ec2.terminate(&"box/7".into()).await.unwrap());
    assert_eq!(stub.requests().len(), 0);
}
