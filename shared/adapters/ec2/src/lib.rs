//! Two of EC2's calls, without its SDK: which machines there are, and ending them.
//!
//! The SDK of EC2 alone takes a third of the time to build everything. Two calls of its Query API
//! need a form, a signature, and a few elements of an answer in XML; `aws-sigv4` and
//! `aws-smithy-xml` are what the SDKs themselves use for that, so nothing more is built.
mod answer;
mod machine;
mod query;

pub use machine::{Machine, State};

use adapter_aws::{Aws, Failure};
use std::collections::BTreeMap;
use windlass_core::id::InstanceId;
use windlass_ports::Fault;

/// Of ids in one call. AWS takes a thousand, and advises against so many.
const CHUNK: usize = 200;
/// Machines on one page of a listing; AWS takes 5 to 1000.
const PAGE: usize = 500;
/// Pages of one listing. Far beyond what one pool has: a listing must end.
const PAGES_MAX: usize = 100;
const UNKNOWN: [&str; 1] = ["InvalidInstanceID.NotFound"];

const DESCRIBE: &str = "ec2:DescribeInstances";
/// The permission that [`Ec2::terminate`] needs.
pub const TERMINATE: &str = "ec2:TerminateInstances";

/// EC2 in one region.
pub struct Ec2 {
    aws: Aws,
}

impl Ec2 {
    #[must_use]
    pub fn new(aws: &Aws) -> Self {
        Self { aws: aws.clone() }
    }

    /// These machines, each once, without those that EC2 does not know (any more).
    ///
    /// # Errors
    /// `Retryable` when EC2 can't be asked.
    pub async fn named(&self, ids: &[InstanceId]) -> Result<Vec<Machine>, Fault> {
        let mut found = BTreeMap::new();
        for chunk in written_right(ids).chunks(CHUNK) {
            let mut left = chunk.to_vec();
            // AWS names what it does not know; the others are asked for again. Every round leaves
            // one out at least, so this ends.
            while !left.is_empty() {
                match query::call(&self.aws, "DescribeInstances", &by_ids(&left)).await {
                    Ok(text) => {
                        let page = machine::page(&text)
                            .map_err(|failure| failure.fault_of(DESCRIBE, "can't read EC2"))?;
                        found.extend(page.machines.into_iter().map(|m| (m.id.clone(), m)));
                        break;
                    }
                    Err(failure) => left = without_unknown(left, failure)?,
                }
            }
        }
        Ok(found.into_values().collect())
    }

    /// Every machine with this tag that is not terminated.
    ///
    /// # Errors
    /// `Retryable` when EC2 can't be asked.
    pub async fn tagged(&self, tag: &str, value: &str) -> Result<Vec<Machine>, Fault> {
        let what = || format!("can't list machines with the tag {tag}");
        let (mut found, mut token) = (BTreeMap::new(), None);
        for _ in 0..PAGES_MAX {
            let form = listing(tag, value, token.as_deref());
            let text = query::call(&self.aws, "DescribeInstances", &form).await;
            let page = text.and_then(|text| machine::page(&text));
            let page = page.map_err(|failure| failure.fault_of(DESCRIBE, &what()))?;
            found.extend(page.machines.into_iter().map(|m| (m.id.clone(), m)));
            token = page.next;
            if token.is_none() {
                return Ok(found.into_values().collect());
            }
        }
        Err(Fault::retryable(format!("{}: there is no end of them", what())))
    }

    /// Ends a machine. False: EC2 does not know it (any more). Harmless when done twice.
    ///
    /// # Errors
    /// As EC2 refused it, for who asks has to know whether a permission is missing:
    /// [`Failure::fault_of`] [`TERMINATE`] makes a fault of it.
    pub async fn terminate(&self, id: &InstanceId) -> Result<bool, Failure> {
        if written_right(std::slice::from_ref(id)).is_empty() {
            return Ok(false);
        }
        let form = by_ids(std::slice::from_ref(id));
        match query::call(&self.aws, "TerminateInstances", &form).await {
            Ok(_) => Ok(true),
            Err(failure) if failure.is(&UNKNOWN) => Ok(false),
            Err(failure) => Err(failure),
        }
    }
}

/// `i-` and 8 or 17 hexadecimal digits. Another name spoils a call, and nobody has it.
fn written_right(ids: &[InstanceId]) -> Vec<InstanceId> {
    let right = |id: &&InstanceId| {
        let digits = id.as_str().strip_prefix("i-").unwrap_or_default();
        matches!(digits.len(), 8 | 17) && digits.bytes().all(|b| b.is_ascii_hexdigit())
    };
    let once: std::collections::BTreeSet<&InstanceId> = ids.iter().filter(right).collect();
    once.into_iter().cloned().collect()
}

fn by_ids(ids: &[InstanceId]) -> Vec<(String, String)> {
    let numbered = ids.iter().enumerate();
    numbered.map(|(n, id)| (format!("InstanceId.{}", n + 1), id.0.clone())).collect()
}

fn listing(tag: &str, value: &str, token: Option<&str>) -> Vec<(String, String)> {
    let mut form = vec![
        ("Filter.1.Name".to_owned(), format!("tag:{tag}")),
        ("Filter.1.Value.1".to_owned(), value.to_owned()),
        ("Filter.2.Name".to_owned(), "instance-state-name".to_owned()),
        ("MaxResults".to_owned(), PAGE.to_string()),
    ];
    let there = ["pending", "running", "shutting-down", "stopping", "stopped"];
    for (n, state) in there.iter().enumerate() {
        form.push((format!("Filter.2.Value.{}", n + 1), (*state).to_owned()));
    }
    form.extend(token.map(|token| ("NextToken".to_owned(), token.to_owned())));
    form
}

/// The ids without those that the failure says are unknown.
fn without_unknown(ids: Vec<InstanceId>, failure: Failure) -> Result<Vec<InstanceId>, Fault> {
    let named = |id: &InstanceId| failure.words().contains(id.as_str());
    if failure.is(&UNKNOWN) && ids.iter().any(named) {
        return Ok(ids.into_iter().filter(|id| !named(id)).collect());
    }
    Err(failure.fault_of(DESCRIBE, "can't look machines up"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(names: &[&str]) -> Vec<InstanceId> {
        names.iter().map(|name| InstanceId::from(*name)).collect()
    }

    #[test]
    fn only_what_may_be_a_machine_is_asked_for_and_once() {
        let given = ids(&["i-0123456789abcdef0", "i-1234abcd", "i-1234abcd", "i-xyz", "", "box/7"]);
        assert_eq!(written_right(&given), ids(&["i-0123456789abcdef0", "i-1234abcd"]));
    }

    #[test]
    fn what_is_unknown_is_left_out() {
        let failure = |code: &str, words: &str| {
            Failure::of_answer(400, Some(code.to_owned()), Some(words.to_owned()), None)
        };
        let (asked, unknown) = (ids(&["i-1234abc1", "i-1234abc2", "i-1234abc3"]), UNKNOWN[0]);
        for (failure, left) in [
            (
                failure(unknown, "The instance ID 'i-1234abc2' does not exist"),
                Some(ids(&["i-1234abc1", "i-1234abc3"])),
            ),
            (
                failure(unknown, "The instance IDs 'i-1234abc1, i-1234abc3' do not exist"),
                Some(ids(&["i-1234abc2"])),
            ),
            (failure(unknown, "one of them does not exist"), None),
            (failure("RequestLimitExceeded", "i-1234abc2"), None),
        ] {
            let case = format!("{failure}");
            let found = without_unknown(asked.clone(), failure);
            assert!(found.as_ref().err().is_none_or(Fault::is_retryable), "{case}");
            assert_eq!(found.ok(), left, "{case}");
        }
    }
}
