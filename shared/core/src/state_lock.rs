//! The tool's lock on a state that lies in a bucket, and whose it is.
//!
//! Terraform and OpenTofu write it beside the state (`….tflock`) and remove it when they are done;
//! a tool that is killed leaves it. It may be removed for the run that left it and for nobody else
//! (rule E1), so whose it is has to be known, not guessed.
use crate::job::SeenLocks;
use crate::time::UnixMs;
use serde::Deserialize;

/// A lock as the tool writes it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StateLock {
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(default)]
    pub operation: String,
    /// `user@host`.
    #[serde(default)]
    pub who: String,
    /// RFC 3339, by the clock of that host.
    #[serde(default)]
    pub created: String,
}

/// When and as whom a tool of ours may have made a lock: between two moments of one machine's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// `user@host`, as the tool tells it there.
    pub who: String,
    pub from: UnixMs,
    pub to: UnixMs,
}

impl StateLock {
    /// None for what is no lock, or one without an id.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let lock: StateLock = serde_json::from_slice(body).ok()?;
        (!lock.id.is_empty()).then_some(lock)
    }

    /// It was made on that machine, by that user, within that time. Told on that very machine, so that no two
    /// clocks are compared.
    #[must_use]
    pub fn made_in(&self, life: &Life) -> bool {
        let created = self.created.parse::<jiff::Timestamp>().ok();
        let created = created.and_then(|at| u64::try_from(at.as_millisecond()).ok());
        self.who == life.who && created.is_some_and(|at| (life.from.0..=life.to.0).contains(&at))
    }

    /// It is that attempt's: seen while its tool ran, or made where and when only its tool was at
    /// work. `life` is None for whoever is not on that machine.
    #[must_use]
    pub fn is_of(&self, seen: &SeenLocks, life: Option<&Life>) -> bool {
        seen.ids.contains(&self.id) || life.is_some_and(|life| self.made_in(life))
    }

    /// For people: who holds it, and how to free it where nobody works on the state any more.
    #[must_use]
    pub fn left(&self, stack: &crate::id::StackId) -> String {
        let Self { id, who, created, .. } = self;
        format!(
            "the state's lock {id} is held by {who} since {created}, and was not seen to be this \
             run's, so it stays; once nobody works on that state: windlass task {stack} -- \
             terraform force-unlock -force {id}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(id: &str, who: &str, created: &str) -> StateLock {
        let body = serde_json::json!({"ID": id, "Operation": "OperationTypeApply", "Info": "",
            "Who": who, "Version": "1.11.4", "Created": created, "Path": "b/state/app/x"});
        StateLock::parse(body.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_lock_is_the_runs_only_if_that_is_known() {
        let seen = SeenLocks { ids: vec!["plan-1".into(), "apply-1".into()] };
        let none = SeenLocks::default();
        let at =
            |text: &str| UnixMs(text.parse::<jiff::Timestamp>().unwrap().as_millisecond() as u64);
        let life = Life {
            who: "root@ip-10-0-0-7".into(),
            from: at("2026-11-25T08:00:00Z"),
            to: at("2026-11-25T08:10:00Z"),
        };
        let within = "2026-11-25T08:05:00.123456789Z";
        #[rustfmt::skip]
        let table = [
            // name                          id         who                created                 seen   life          expect
            ("seen",                         "apply-1", "ann@laptop",      "",                     &seen, None,         true),
            ("another one by now",           "other",   "root@ip-10-0-0-7", within,                &seen, None,         false),
            ("another, made in its life",    "other",   "root@ip-10-0-0-7", within,                &seen, Some(&life),  true),
            ("never seen, made in its life", "apply-1", "root@ip-10-0-0-7", within,                &none, Some(&life),  true),
            ("never seen, nobody there",     "apply-1", "root@ip-10-0-0-7", within,                &none, None,         false),
            ("before it began",              "x",       "root@ip-10-0-0-7", "2026-11-25T07:59:59Z", &none, Some(&life), false),
            ("after it was gone",            "x",       "root@ip-10-0-0-7", "2026-11-25T08:10:01Z", &none, Some(&life), false),
            ("another host",                 "x",       "root@ip-10-0-0-8", within,                &none, Some(&life),  false),
            ("another user there",           "x",       "ann@ip-10-0-0-7", within,                 &none, Some(&life),  false),
            ("a person's",                   "x",       "ann@laptop",      within,                 &none, Some(&life),  false),
            ("no time",                      "x",       "root@ip-10-0-0-7", "yesterday",           &none, Some(&life),  false),
        ];
        for (name, id, who, created, seen, life, expect) in table {
            assert_eq!(lock(id, who, created).is_of(seen, life), expect, "{name}");
        }
        for body in ["", "{}", "[1]", r#"{"ID": ""}"#] {
            assert_eq!(StateLock::parse(body.as_bytes()), None, "{body}");
        }
    }
}
