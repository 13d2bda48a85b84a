//! What Spacelift says of a pool, read so that one odd worker spoils nothing.
use crate::variable;
use serde_json::Value;
use windlass_core::fleet::Whereabouts;
use windlass_core::id::InstanceId;
use windlass_core::time::{SECOND_MS, UnixMs};
use windlass_ports::Fault;

pub(crate) const POOL: &str = "query($id:ID!){workerPool(id:$id){pendingRuns \
     workers{id busy createdAt availableAt drained metadata}}}";
/// For servers that do not say since when a worker is idle.
pub(crate) const POOL_LEGACY: &str = "query($id:ID!){workerPool(id:$id){pendingRuns \
     workers{id busy createdAt drained metadata}}}";
/// The field that those refuse.
pub(crate) const AVAILABLE_AT: &str = "availableAt";
pub(crate) const DRAIN: &str = "mutation($pool:ID!,$id:ID!,$drain:Boolean!)\
     {workerDrainSet(workerPool:$pool,id:$id,drain:$drain){id busy drained}}";

/// EC2's ids have 19 characters. What is longer, or has others in it, is none and goes nowhere.
const INSTANCE_CHARS_MAX: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Worker {
    pub(crate) id: String,
    pub(crate) busy: bool,
    pub(crate) drained: bool,
    pub(crate) created_at: Option<UnixMs>,
    pub(crate) available_at: Option<UnixMs>,
    /// The machine that it names, whatever group it names.
    pub(crate) instance: Option<InstanceId>,
    /// The group that it names.
    pub(crate) group: Option<String>,
}

impl Worker {
    pub(crate) fn on(&self, group: &str) -> Whereabouts {
        match (&self.group, &self.instance) {
            (Some(other), instance) if other != group => {
                Whereabouts::OtherGroup { group: other.clone(), instance: instance.clone() }
            }
            (_, Some(instance)) => Whereabouts::On(instance.clone()),
            (_, None) => Whereabouts::Unknown,
        }
    }
}

pub(crate) struct Seen {
    pub(crate) workers: Vec<Worker>,
    pub(crate) pending: u32,
}

pub(crate) fn pool(data: &Value) -> Result<Seen, Fault> {
    let pool = &data["workerPool"];
    if pool.is_null() {
        return Err(Fault::poison(format!(
            "Spacelift shows no such worker pool: check {}, and that the API key's role reads its \
             space",
            variable::POOL
        )));
    }
    let odd = || Fault::retryable("can't look at the worker pool: Spacelift's answer is odd");
    let pending = pool["pendingRuns"].as_u64().ok_or_else(odd)?;
    let listed = pool["workers"].as_array().ok_or_else(odd)?;
    let workers: Vec<Worker> = listed.iter().filter_map(worker).collect();
    if workers.len() < listed.len() {
        let odd = listed.len() - workers.len();
        tracing::warn!(odd, "workers without an id are passed over");
    }
    Ok(Seen { workers, pending: u32::try_from(pending).unwrap_or(u32::MAX) })
}

/// None: it has no id, so nothing can be done about it. What else is odd is read as whatever keeps
/// its machine alive: busy, not drained, young.
fn worker(value: &Value) -> Option<Worker> {
    let id = value["id"].as_str().filter(|id| !id.is_empty())?;
    let metadata = metadata(&value["metadata"]);
    let text = |name: &str| {
        let text = metadata.get(name)?.as_str()?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    Some(Worker {
        id: id.to_owned(),
        busy: value["busy"].as_bool().unwrap_or(true),
        drained: value["drained"].as_bool().unwrap_or(false),
        created_at: moment(&value["createdAt"]),
        available_at: moment(&value[AVAILABLE_AT]),
        instance: text("instance_id").filter(|id| names_instance(id)).map(InstanceId),
        group: text("asg_id"),
    })
}

fn names_instance(id: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    id.len() <= INSTANCE_CHARS_MAX && id.chars().all(plain)
}

/// An object in a text, or nothing.
fn metadata(value: &Value) -> Value {
    value.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// Seconds since 1970. Nothing happened at 0 or before.
fn moment(value: &Value) -> Option<UnixMs> {
    let seconds = value.as_u64().filter(|seconds| *seconds > 0)?;
    Some(UnixMs(seconds.saturating_mul(SECOND_MS)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn metadata_may_be_anything() {
        let on = |id: &str| Whereabouts::On(id.into());
        let other = |on: Option<&str>| Whereabouts::OtherGroup {
            group: "theirs".to_owned(),
            instance: on.map(InstanceId::from),
        };
        let long = format!(r#"{{"instance_id":"i-{}"}}"#, "0".repeat(80));
        #[rustfmt::skip]
        let table: [(Value, Whereabouts); 20] = [
            (json!(r#"{"instance_id":"i-1","asg_id":"ours"}"#),       on("i-1")),
            (json!(r#"{"instance_id":" i-1\n","asg_id":"ours"}"#),    on("i-1")),
            (json!(r#"{"instance_id":"i-1"}"#),                       on("i-1")),
            (json!(r#"{"instance_id":"i-1","asg_id":""}"#),           on("i-1")),
            (json!(r#"{"instance_id":"i-1","asg_id":7}"#),            on("i-1")),
            (json!(r#"{"instance_id":"i-1","asg_id":"theirs"}"#),     other(Some("i-1"))),
            (json!(r#"{"asg_id":"theirs"}"#),                         other(None)),
            (json!(r#"{"asg_id":"ours"}"#),                           Whereabouts::Unknown),
            (json!(r#"{"instance_id":"","asg_id":"ours"}"#),          Whereabouts::Unknown),
            (json!(r#"{"instance_id":17,"asg_id":"ours"}"#),          Whereabouts::Unknown),
            (json!(r#"{"instance_id":"i-1, i-2"}"#),                  Whereabouts::Unknown),
            (json!(long),                                             Whereabouts::Unknown),
            (json!("{}"),                                             Whereabouts::Unknown),
            (json!("[]"),                                             Whereabouts::Unknown),
            (json!("null"),                                           Whereabouts::Unknown),
            (json!("\"i-1\""),                                        Whereabouts::Unknown),
            (json!("{not json"),                                      Whereabouts::Unknown),
            (json!(""),                                               Whereabouts::Unknown),
            (json!(null),                                             Whereabouts::Unknown),
            (json!({ "instance_id": "i-1" }),                         Whereabouts::Unknown),
        ];
        for (metadata, expect) in table {
            let seen = worker(&json!({ "id": "w", "metadata": metadata })).expect("it has an id");
            assert_eq!(seen.on("ours"), expect, "{metadata}");
        }
    }

    #[test]
    fn what_is_odd_keeps_a_machine_alive() {
        let seen = json!({ "workerPool": { "pendingRuns": 3, "workers": [
            {},
            { "id": 7 },
            { "id": "w1" },
            { "id": "w2", "busy": "no", "drained": 1, "createdAt": -5, "availableAt": "soon" },
            { "id": "w3", "busy": false, "drained": true, "createdAt": 17, "availableAt": 0 },
            { "id": "w4", "busy": false, "createdAt": 17, "availableAt": u64::MAX },
        ] } });
        let seen = pool(&seen).expect("read");
        let rows: Vec<_> = seen
            .workers
            .iter()
            .map(|w| (w.id.as_str(), w.busy, w.drained, w.created_at, w.available_at))
            .collect();
        #[rustfmt::skip]
        assert_eq!(rows, [
            ("w1", true,  false, None,                 None),
            ("w2", true,  false, None,                 None),
            ("w3", false, true,  Some(UnixMs(17_000)), None),
            ("w4", false, false, Some(UnixMs(17_000)), Some(UnixMs(u64::MAX))),
        ]);
        assert_eq!(seen.pending, 3);
    }

    #[test]
    fn a_pool_that_is_none() {
        for (data, retryable) in [
            (json!({ "workerPool": null }), false),
            (json!({}), false),
            (json!({ "workerPool": { "pendingRuns": 1 } }), true),
            (json!({ "workerPool": { "pendingRuns": "1", "workers": [] } }), true),
        ] {
            let fault = pool(&data).err().expect("odd");
            assert_eq!(fault.is_retryable(), retryable, "{data}: {fault}");
        }
    }
}
