//! `windlass replay`: a recorded delivery once more.
use super::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::plain;
use api::v1::{DeliveryRequest, DeliveryView};
use base64::Engine as _;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  windlass replay events/github/push.json\n  windlass replay \
                        push.json --repository infra --json\n  windlass replay \
                        events/apigw/webhook.json\n\nFILE holds GitHub's payload, or the request of \
                        an HTTP API around it, whose headers name the event and the delivery. A \
                        push that does not follow on what the server knows makes it look where the \
                        branch is now, so replaying an old one is harmless.")]
pub(crate) struct Args {
    /// The event file
    file: PathBuf,
    /// GitHub's name of the event [default: by the file's content]
    #[arg(long, value_name = "NAME")]
    event: Option<String>,
    /// The delivery's id; one that was taken before changes nothing [default: a new one]
    #[arg(long, value_name = "ID")]
    delivery: Option<String>,
    /// The repository's name on this server [default: as on GitHub, without the owner]
    #[arg(long, value_name = "NAME")]
    repository: Option<String>,
}

pub(crate) fn run(context: &Context, args: &Args) -> Outcome {
    let text = std::fs::read_to_string(&args.file).map_err(|error| {
        Failure::usage(format!("{} can't be read", args.file.display())).because(error)
    })?;
    let recorded =
        read(&text).map_err(|why| Failure::usage(format!("{}: {why}", args.file.display())))?;
    let Some(event) = args.event.clone().or(recorded.event) else {
        return Err(Failure::usage("what event is this? Name it with --event"));
    };
    let request = DeliveryRequest {
        kind: event,
        delivery: args.delivery.clone().or(recorded.delivery),
        repository: args.repository.clone(),
        payload: recorded.payload,
    };
    let view: DeliveryView = context.client.post("/deliveries", &request)?;
    context.out.show(&view, |_| told(&view))?;
    Ok(match view.became.as_deref() {
        Some("refused") => Exit::NotFinished,
        _ => Exit::Done,
    })
}

fn told(view: &DeliveryView) -> String {
    let why = view.why.as_deref().unwrap_or_default();
    let branch = view.branch.as_deref().unwrap_or_default();
    let line = match (view.became.as_deref(), &view.commit) {
        (None, _) => "taken; nobody has looked at it yet".to_owned(),
        (Some("routed"), Some(commit)) => {
            let short = commit.get(..8).unwrap_or(commit);
            format!("routed: {branch} is at {short}; see `windlass why {short}`")
        }
        (Some("routed"), None) => format!("routed: {branch} is gone"),
        (Some(became), _) => format!("{became}: {why}"),
    };
    format!("Delivery {} {}\n", plain(&view.delivery), plain(&line))
}

#[derive(Debug)]
struct Recorded {
    event: Option<String>,
    delivery: Option<String>,
    payload: Box<RawValue>,
}

/// The request of an HTTP API (payload format 2.0).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    #[serde(default)]
    is_base64_encoded: bool,
}

fn read(text: &str) -> Result<Recorded, String> {
    let fields: BTreeMap<String, &RawValue> =
        serde_json::from_str(text).map_err(|error| format!("this is no JSON object: {error}"))?;
    let has = |names: &[&str]| names.iter().all(|name| fields.contains_key(*name));
    if has(&["requestContext", "headers"]) {
        return of_request(text);
    }
    if has(&["Records"]) || has(&["detail-type"]) || has(&["tick"]) {
        return Err("this is an event of AWS and no delivery of GitHub's".to_owned());
    }
    let event = [
        ("ping", &["zen", "hook_id"][..]),
        ("push", &["ref", "before", "after"]),
        ("issue_comment", &["issue", "comment"]),
        ("pull_request_review", &["pull_request", "review"]),
        ("pull_request", &["pull_request", "action"]),
    ];
    let event = event.iter().find(|(_, names)| has(names)).map(|(event, _)| (*event).to_owned());
    let payload = RawValue::from_string(text.trim().to_owned()).map_err(|e| e.to_string())?;
    Ok(Recorded { event, delivery: None, payload })
}

fn of_request(text: &str) -> Result<Recorded, String> {
    let request: Request = serde_json::from_str(text)
        .map_err(|error| format!("this is no request of an HTTP API: {error}"))?;
    let header = |name: &str| request.headers.get(name).cloned();
    let (event, delivery) = (header("x-github-event"), header("x-github-delivery"));
    if event.is_none() {
        return Err("this request is no delivery: it has no x-github-event".to_owned());
    }
    let body = match request.is_base64_encoded {
        true => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(&request.body);
            let bytes = bytes.map_err(|error| format!("its body is no base64: {error}"))?;
            String::from_utf8(bytes).map_err(|_| "its body is not UTF-8".to_owned())?
        }
        false => request.body,
    };
    let payload = RawValue::from_string(body.trim().to_owned())
        .map_err(|error| format!("its body is no JSON: {error}"))?;
    Ok(Recorded { event, delivery, payload })
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn event_files_are_told_apart() {
        macro_rules! file {
            ($path:literal) => {
                include_str!(concat!("../../../events/", $path))
            };
        }
        for (text, event, delivery) in [
            (file!("github/push.json"), Some("push"), false),
            (file!("github/push-deleted.json"), Some("push"), false),
            (file!("github/ping.json"), Some("ping"), false),
            (file!("github/pull-request.json"), Some("pull_request"), false),
            (file!("apigw/webhook.json"), Some("push"), true),
            (file!("apigw/webhook-base64.json"), Some("push"), true),
            ("{}", None, false),
        ] {
            let read = read(text).unwrap();
            assert_eq!((read.event.as_deref(), read.delivery.is_some()), (event, delivery));
        }
        let payload = read(file!("github/push.json")).unwrap().payload.get().to_owned();
        for wrapped in [file!("apigw/webhook.json"), file!("apigw/webhook-base64.json")] {
            assert_eq!(read(wrapped).unwrap().payload.get(), payload);
        }
        for (text, word) in [
            ("[]", "no JSON object"),
            (file!("apigw/console.json"), "no delivery"),
            (file!("sqs/intents.json"), "event of AWS"),
            (file!("schedule/tick.json"), "event of AWS"),
            (file!("asg/lifecycle-eventbridge.json"), "event of AWS"),
        ] {
            let refused = read(text).unwrap_err();
            assert!(refused.contains(word), "{refused}");
        }
    }

    #[test]
    fn what_became_of_it_is_one_line() {
        let view = |became: Option<&str>, commit: Option<&str>| DeliveryView {
            delivery: "d".into(),
            became: became.map(str::to_owned),
            branch: Some("main".into()),
            commit: commit.map(str::to_owned),
            why: Some("v1 is a tag".into()),
            ..DeliveryView::default()
        };
        for (view, line) in [
            (view(None, None), "Delivery d taken; nobody has looked at it yet\n"),
            (
                view(Some("routed"), Some("0123456789")),
                "Delivery d routed: main is at 01234567; see `windlass why 01234567`\n",
            ),
            (view(Some("routed"), None), "Delivery d routed: main is gone\n"),
            (view(Some("ignored"), None), "Delivery d ignored: v1 is a tag\n"),
        ] {
            assert_eq!(told(&view), line);
        }
    }
}
