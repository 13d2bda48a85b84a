//! Every kind of call, allowed and not, as one table.
mod common;
use adapter_socket::{Call, Facts, JobFacts, Needs, allowed, needs};
use common::{RUN, claim, job, record, report, result, spec, stored};
use windlass_core::job::{Claim, JobResult, JobSpec, News, Outputs, Phase, PlanRef, Step, Verdict};
use windlass_core::keys;
use windlass_core::time::UnixMs;

/// Who holds the apply in question.
#[derive(Clone, Copy, Debug)]
enum Held {
    ByMe,
    ByMeEnded,
    ByOther,
    ByNobody,
    Cancelled,
    NoSuchJob,
    OtherPools,
}
use Held::*;

fn facts(held: Held) -> Facts {
    let id = job(Phase::Apply);
    let claim = match held {
        ByMe | ByMeEnded => Some(claim("blue", "w1")),
        ByOther => Some(claim("blue", "w2")),
        OtherPools => Some(claim("red", "w1")),
        Cancelled => Some(Claim::Tombstone { at: UnixMs(1) }),
        ByNobody | NoSuchJob => None,
    };
    let pool = if matches!(held, OtherPools) { "red" } else { "blue" };
    let spec = (!matches!(held, NoSuchJob)).then(|| JobSpec { pool: pool.into(), ..spec(&id) });
    let ended = matches!(held, ByMeEnded | Cancelled);
    Facts { jobs: vec![JobFacts { id: id.to_string(), spec, claim, ended }] }
}

/// "ok", or why not.
fn ask(held: Held, call: &Call, body: &[u8]) -> String {
    let mut facts = facts(held);
    // Only what the decision says it needs is there.
    match needs(call, body) {
        Needs::Nothing => facts.jobs.clear(),
        Needs::Job(id) => facts.jobs.retain(|job| job.id == id),
        Needs::Held => {}
    }
    match allowed(&"w1".into(), &"blue".into(), call, body, &facts) {
        Ok(()) => "ok".to_owned(),
        Err(denied) => denied.to_string(),
    }
}

fn check(rows: &[(Held, Call, Vec<u8>, &str)]) {
    for (held, call, body, expect) in rows {
        let got = ask(*held, call, body);
        let fits = if *expect == "ok" { got == "ok" } else { got.ends_with(expect) };
        assert!(fits, "{held:?} {call:?}: {got}, not {expect}");
        assert!(got == "ok" || got.starts_with("not allowed: worker w1 of pool blue may not "));
    }
}

fn key(part: &str) -> String {
    keys::job(&job(Phase::Apply), part)
}

#[test]
fn reading_documents() {
    let get = |key: &str| Call::GetDoc { key: key.to_owned() };
    let mut rows = Vec::new();
    for part in ["spec", "claim", "control", "result", "late-result"] {
        for held in [ByMe, ByOther, ByNobody, Cancelled, NoSuchJob] {
            rows.push((held, get(&key(part)), vec![], "ok"));
        }
        rows.push((OtherPools, get(&key(part)), vec![], "the job is another pool's"));
    }
    rows.push((ByMe, get(&key("other")), vec![], "a job has no such part"));
    rows.push((ByMe, get("pools/blue/instances/w1.json"), vec![], "ok"));
    for other in [
        "pools/blue/instances/w2.json",
        "pools/red/instances/w1.json",
        "stacks/app/head.json",
        "jobs/",
        "jobs//spec",
        "jobs/a/b/spec",
        "index/catalog.json",
        "",
    ] {
        rows.push((ByMe, get(other), vec![], "neither its own record nor part of a job"));
    }
    check(&rows);
}

#[test]
fn writing_its_record() {
    let put = |key: &str| Call::PutDoc { key: key.to_owned(), at: Some("1".into()) };
    let own = "pools/blue/instances/w1.json";
    let (mine, other) = (stored(&record("w1", "blue", None)), stored(&record("w2", "blue", None)));
    let elsewhere = stored(&record("w1", "red", None));
    check(&[
        (NoSuchJob, put(own), mine.clone(), "ok"),
        (NoSuchJob, Call::PutDoc { key: own.into(), at: None }, mine.clone(), "ok"),
        (NoSuchJob, put(own), other, "the record names another worker or pool"),
        (NoSuchJob, put(own), elsewhere, "the record names another worker or pool"),
        (NoSuchJob, put(own), b"{}".to_vec(), "the body is no record of a worker"),
        (NoSuchJob, put("pools/blue/instances/w2.json"), mine.clone(), "part of a job"),
        (NoSuchJob, put("pools/red/instances/w1.json"), mine, "part of a job"),
    ]);
}

#[test]
fn claiming() {
    let put = |at: Option<&str>| Call::PutDoc { key: key("claim"), at: at.map(str::to_owned) };
    let mine = stored(&claim("blue", "w1"));
    check(&[
        (ByNobody, put(None), mine.clone(), "ok"),
        // Lost races are the store's to tell.
        (ByOther, put(None), mine.clone(), "ok"),
        (ByNobody, put(Some("1")), mine.clone(), "it may only be created"),
        (ByNobody, put(None), stored(&claim("blue", "w2")), "names another worker or pool"),
        (ByNobody, put(None), stored(&claim("red", "w1")), "names another worker or pool"),
        (
            ByNobody,
            put(None),
            stored(&Claim::Tombstone { at: UnixMs(1) }),
            "another worker or pool",
        ),
        (ByNobody, put(None), b"garbage".to_vec(), "the body is no claim"),
        (NoSuchJob, put(None), mine.clone(), "there is no such job"),
        (OtherPools, put(None), mine, "the job is another pool's"),
    ]);
}

#[test]
fn writing_results() {
    let id = job(Phase::Apply);
    let base = || result(&id, "w1");
    let body = |change: &dyn Fn(&mut JobResult)| {
        let mut result = base();
        change(&mut result);
        stored(&result)
    };
    let full = body(&|r| {
        r.plan = Some(PlanRef { key: keys::plan_archive(&id), digest: "d".to_owned().into() });
        r.changes_key = Some(keys::plan_changes(&id));
        r.resources_key = Some(keys::resource_list(&id));
        let key = keys::output_values(&"app".into(), &id);
        r.outputs = Some(Outputs { key, ..Outputs::default() });
    });
    let put = |part: &str| Call::PutDoc { key: key(part), at: None };
    let mut rows = vec![
        (ByMe, put("control"), vec![], "it may write no such part of a job"),
        (ByMe, put("spec"), vec![], "it may write no such part of a job"),
    ];
    for part in ["result", "late-result"] {
        let late = Call::PutDoc { key: key(part), at: Some("1".into()) };
        rows.push((ByMe, late, stored(&base()), "it may only be created"));
        rows.push((ByMe, put(part), stored(&base()), "ok"));
        rows.push((ByMeEnded, put(part), stored(&base()), "ok"));
        rows.push((ByMe, put(part), full.clone(), "ok"));
        for held in [ByOther, ByNobody, Cancelled, OtherPools] {
            rows.push((held, put(part), stored(&base()), "the job is not claimed by it"));
        }
        rows.push((NoSuchJob, put(part), stored(&base()), "there is no such job"));
        rows.push((ByMe, put(part), b"[]".to_vec(), "the body is no result of a job"));
        for (bad, expect) in [
            (body(&|r| r.job = job(Phase::Plan)), "the result is another job's"),
            (body(&|r| r.stack = "net".into()), "the result is another job's"),
            (body(&|r| r.worker = Some("w2".into())), "the result names another worker"),
            (body(&|r| r.verdict = Verdict::Cancelled), "declares a job cancelled"),
            (body(&|r| r.verdict = Verdict::Lost { cause: String::new() }), "ok"),
            (
                body(&|r| {
                    let key = "private/outputs/net/other.json".to_owned();
                    r.outputs = Some(Outputs { key, ..Outputs::default() });
                }),
                "a blob that is not its job's",
            ),
            (
                body(&|r| r.changes_key = Some("changes/x/y.json".into())),
                "a blob that is not its job's",
            ),
        ] {
            rows.push((ByMe, put(part), bad, expect));
        }
    }
    check(&rows);
}

#[test]
fn queues() {
    let receive = |queue: &str| Call::Receive {
        queue: queue.to_owned(),
        max: 1,
        wait_ms: 0,
        visibility_ms: 1,
    };
    let delete = |queue: &str| Call::Delete { queue: queue.to_owned(), receipt: "r".into() };
    let extend = |queue: &str| Call::Extend {
        queue: queue.to_owned(),
        receipt: "r".into(),
        visibility_ms: 0,
    };
    let mut rows = Vec::new();
    for (queue, expect) in [
        ("jobs-blue-first", "ok"),
        ("jobs-blue-rest", "ok"),
        ("jobs-red-first", "it is not a queue of its pool"),
        ("jobs-control-first", "it is not a queue of its pool"),
        ("reports.fifo", "it is not a queue of its pool"),
        ("intents.fifo", "it is not a queue of its pool"),
    ] {
        for call in [receive(queue), delete(queue), extend(queue)] {
            rows.push((NoSuchJob, call, vec![], expect));
        }
    }
    let send = |queue: &str, group: &str, delay_ms: u64| Call::Send {
        queue: queue.to_owned(),
        group: Some(group.to_owned()),
        dedup: Some("d".into()),
        delay_ms,
    };
    let id = job(Phase::Apply);
    let body = |worker: &str, news| serde_json::to_vec(&report(&id, worker, news)).unwrap();
    let (began, ended) = (News::Began(Step::Applying), News::Ended);
    let report = || send("reports.fifo", "stack:app", 0);
    for (held, news, expect) in [
        (ByMe, began, "ok"),
        (ByMe, ended, "ok"),
        (ByMeEnded, ended, "ok"),
        // Another's result, or a tombstone's: the event is said again.
        (Cancelled, ended, "ok"),
        (Cancelled, began, "the job is not claimed by it"),
        (ByOther, began, "the job is not claimed by it"),
        (ByOther, ended, "the job is not claimed by it"),
        (ByNobody, ended, "the job is not claimed by it"),
        (OtherPools, ended, "the job is not claimed by it"),
        (NoSuchJob, ended, "there is no such job"),
    ] {
        rows.push((held, report(), body("w1", news), expect));
    }
    rows.push((ByMe, report(), body("w2", began), "the report names another worker"));
    rows.push((ByMe, report(), b"x".to_vec(), "the body is no report"));
    let elsewhere = send("reports.fifo", "stack:net", 0);
    rows.push((ByMe, elsewhere, body("w1", began), "the group is not that of the report's stack"));
    let delayed = send("reports.fifo", "stack:app", 1);
    rows.push((ByMe, delayed, body("w1", began), "a report is not delayed"));
    for queue in ["intents.fifo", "jobs-blue-first"] {
        let call = send(queue, "stack:app", 0);
        rows.push((ByMe, call, body("w1", began), "it may send to the reports only"));
    }
    check(&rows);
}

#[test]
fn blobs() {
    let put = |key: &str| Call::PutBlob { key: key.to_owned() };
    let id = job(Phase::Apply);
    let mut rows = Vec::new();
    for own in [
        keys::log_part(&id, Step::Applying, 0),
        keys::log_part(&id, Step::Preparing, 123_456),
        keys::plan_archive(&id),
        keys::plan_changes(&id),
        keys::resource_list(&id),
        keys::output_values(&"app".into(), &id),
        keys::errored_state(&"app".into(), &id),
    ] {
        rows.push((ByMe, put(&own), vec![], "ok"));
        rows.push((ByMeEnded, put(&own), vec![], "ok"));
        for held in [ByOther, ByNobody, Cancelled, OtherPools] {
            rows.push((held, put(&own), vec![], "the job is not claimed by it"));
        }
        rows.push((NoSuchJob, put(&own), vec![], "there is no such job"));
    }
    for (other, expect) in [
        (format!("logs/{RUN}/{id}/applying/../../x"), "it is no blob of a job"),
        (format!("logs/{RUN}/{id}/applying/12"), "it is no blob of this job"),
        (format!("logs/{RUN}/{id}/elsewhere/000000000000"), "it is no blob of this job"),
        (format!("logs/other/{id}/applying/000000000000"), "it is no blob of this job"),
        (format!("plans/other/{id}.tar.zst"), "it is no blob of this job"),
        (keys::output_values(&"net".into(), &id), "it is no blob of this job"),
        (keys::errored_state(&"net".into(), &id), "it is no blob of this job"),
        (keys::state(&"app".into()), "it is no blob of a job"),
        (keys::plan_archive(&job(Phase::Plan)), "it is no blob of a job"),
        ("private/outputs/net/parent.json".to_owned(), "it is no blob of a job"),
        ("anything".to_owned(), "it is no blob of a job"),
    ] {
        rows.push((ByMe, put(&other), vec![], expect));
    }
    let get = |key: &str| Call::GetBlob { key: key.to_owned() };
    let no = "no job that it works on names it";
    for named in [keys::plan_archive(&job(Phase::Plan)), "private/outputs/net/parent.json".into()] {
        rows.push((ByMe, get(&named), vec![], "ok"));
        for held in [ByMeEnded, ByOther, ByNobody, Cancelled, NoSuchJob, OtherPools] {
            rows.push((held, get(&named), vec![], no));
        }
    }
    rows.push((ByMe, get("private/outputs/net/other.json"), vec![], no));
    rows.push((ByMe, get(&keys::plan_archive(&id)), vec![], no));
    check(&rows);
}

#[test]
fn secrets_and_what_no_worker_may() {
    let get = |name: &str| Call::GetSecret { name: name.to_owned() };
    let no = "no job that it works on names it";
    let mut rows = vec![
        (ByMe, get("cluster/token"), vec![], "ok"),
        (ByMe, get("cluster/other"), vec![], no),
        (ByMe, get("plain"), vec![], no),
    ];
    for held in [ByMeEnded, ByOther, ByNobody, Cancelled, NoSuchJob, OtherPools] {
        rows.push((held, get("cluster/token"), vec![], no));
    }
    let (key, prefix) = (|| "jobs/x/claim".to_owned(), || "jobs/".to_owned());
    for call in [
        Call::DeleteDoc { key: key(), at: "1".into() },
        Call::ListDocs { prefix: prefix(), after: None, limit: 1 },
        Call::Depth { queue: "jobs-blue-first".into() },
        Call::ListBlobs { prefix: prefix(), after: None, limit: 1 },
        Call::DeleteBlob { key: key() },
        Call::SetSecret { name: "cluster/token".into() },
        Call::RemoveSecret { name: "cluster/token".into() },
        Call::ListSecrets,
    ] {
        rows.push((ByMe, call, vec![], "no worker may"));
    }
    check(&rows);
}
