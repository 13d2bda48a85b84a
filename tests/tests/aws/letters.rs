//! Messages that could not be handled: dead ones that come back, and poison when there is no room.
use aws_sdk_sqs::types::QueueAttributeName;
use e2e::cloud::place::{InABox, Inner};
use e2e::cloud::threads;
use e2e::proofs::Times;
use e2e::{LONG, Up, World, until};
use emulator::{ACCOUNT, Fault, REGION};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// Dead letters are looked for whenever the scheduler's clock shows a multiple of this.
const REDRIVE_MS: i64 = 10 * 60 * 1_000;

fn stacks(names: &[&str]) -> (World, InABox, Up) {
    let (world, cloud) = World::cloud_alone("terraform");
    let stacks: Vec<(&str, &str)> = names.iter().map(|name| (*name, "autodeploy: true")).collect();
    world.define(&stacks);
    for name in names {
        world.code(name, "first");
    }
    let sha = world.repo.commit("Stacks");
    let up = world.up(1);
    for name in names {
        up.reaches(name, &sha, "FINISHED");
    }
    (world, cloud, up)
}

fn letters(of: &Inner, queue: &str) -> u32 {
    let url = of.cloud.aws.queue_url(&format!("{}-{queue}", of.cloud.name));
    let name = QueueAttributeName::ApproximateNumberOfMessages;
    let asked =
        of.cloud.aws.sqs.get_queue_attributes().queue_url(url).attribute_names(name.clone());
    let answer = threads().block_on(asked.send()).expect("the queue's attributes");
    let count = answer.attributes.and_then(|mut all| all.remove(&name));
    count.and_then(|count| count.parse().ok()).expect("a number")
}

#[test]
fn what_an_outage_left_dead_comes_back_to_its_group() {
    let (world, cloud, up) = stacks(&["one"]);
    let deployed = cloud.deployed();
    let aws = &deployed.cloud.aws;
    let url = |queue: &str| aws.queue_url(&format!("{}-{queue}", deployed.cloud.name));
    // Two receives stand for the hundred and twenty of an outage of hours.
    let dead = format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{}-intents-dead.fifo", deployed.cloud.name);
    let policy = json!({ "deadLetterTargetArn": dead, "maxReceiveCount": 2 }).to_string();
    let asked = aws.sqs.set_queue_attributes().queue_url(url("intents.fifo"));
    let asked = asked.attributes(QueueAttributeName::RedrivePolicy, policy);
    threads().block_on(asked.send()).expect("attributes are taken");
    let outage = Fault {
        service: Some("s3".to_owned()),
        caller: Some("fn-Scheduler".to_owned()),
        status: Some(503),
        ..Fault::default()
    };
    aws.emulator.set_faults(&[outage]).expect("rules are taken");
    // Asked, and not answered: that is said.
    let asked = up.api.post("/stacks/one/lock", &json!({ "note": "hands off" }));
    assert_eq!(asked.expect_err("nobody answers").status, 503);
    until("the dead letter", LONG, || match letters(&deployed, "intents-dead.fifo") {
        0 => Err("none".to_owned()),
        _ => Ok(()),
    });
    aws.emulator.set_faults(&[]).expect("the outage is over");
    let locked = |up: &Up| up.stack("one")["lock"].clone();
    assert!(locked(&up).is_null(), "nobody has done it: {}", locked(&up));

    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_millis();
    let late_ms = i64::try_from(now).expect("a time") % REDRIVE_MS;
    deployed.cloud.lambda.set_clock("Scheduler", REDRIVE_MS - late_ms);
    let lock = until("the lock", LONG, || match locked(&up) {
        Value::Null => Err("none".to_owned()),
        lock => Ok(lock),
    });
    assert_eq!(lock["note"], "hands off", "{lock}");
    assert_eq!(letters(&deployed, "intents-dead.fifo"), 0);
    drop(world);
}

#[test]
fn poison_waits_for_a_quarantine_that_takes_nothing_and_is_found_among_a_thousand() {
    const BEFORE: usize = 1_100;
    let (world, cloud, up) = stacks(&["one", "two"]);
    let deployed = cloud.deployed();
    let aws = &deployed.cloud.aws;
    let poison = |words: &str| {
        let asked = aws.sqs.send_message().message_body(words).message_group_id("stack:one");
        let queue = format!("{}-intents.fifo", deployed.cloud.name);
        let asked = asked.queue_url(aws.queue_url(&queue)).message_deduplication_id(words);
        threads().block_on(asked.send()).expect("a message is taken");
    };
    let aside = || deployed.keys().into_iter().find(|key| key.starts_with("quarantine/"));
    poison("the-first");
    let first = until("a message to be set aside", LONG, || aside().ok_or("none".to_owned()));
    let first = deployed.object(&first).expect("its document");
    threads().block_on(async {
        for n in 1..BEFORE {
            let put = aws.s3.put_object().bucket(deployed.cloud.bucket());
            let put = put.key(format!("quarantine/before-{n:04}")).body(first.clone().into());
            put.send().await.expect("it lies there too");
        }
    });
    let full = Fault {
        service: Some("s3".to_owned()),
        action: Some("PutObject".to_owned()),
        resource: Some(format!("{}/quarantine/", deployed.cloud.bucket())),
        status: Some(503),
        ..Fault::default()
    };
    aws.emulator.set_faults(&[full]).expect("rules are taken");
    poison("the-last");
    until("a refusal", LONG, || match aws.emulator.struck().expect("a count")[0] {
        0 => Err("none".to_owned()),
        _ => Ok(()),
    });
    world.code("one", "second").code("two", "second");
    let sha = world.repo.commit("Other values");
    up.reaches("two", &sha, "FINISHED");

    aws.emulator.set_faults(&[]).expect("there is room again");
    up.reaches("one", &sha, "FINISHED");
    let (mut after, mut found) = (String::new(), Vec::new());
    loop {
        let page = up.ask(&format!("/quarantine?limit=200{after}"));
        let messages = page["messages"].as_array().expect("a list").iter();
        found.extend(messages.map(|one| one["id"].as_str().expect("an id").to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(found.len(), BEFORE + 1);
    let own = found.iter().filter(|id| !id.starts_with("before-"));
    let last = own.filter(|id| up.ask(&format!("/quarantine/{id}"))["body"] == "the-last");
    assert_eq!(last.count(), 1, "{found:?}");
    world.prove(&up, Times::Peaceful);
}
