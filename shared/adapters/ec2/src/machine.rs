//! What EC2 tells of a machine, as far as a fleet asks.
use crate::answer::{each, text};
use adapter_aws::Failure;
use aws_smithy_xml::decode::{Document, ScopedDecoder};
use std::collections::BTreeMap;
use windlass_core::id::InstanceId;
use windlass_core::time::UnixMs;

/// One machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    pub id: InstanceId,
    pub state: State,
    pub launched_at: UnixMs,
    pub tags: BTreeMap<String, String>,
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Pending,
    Running,
    ShuttingDown,
    Terminated,
    Stopping,
    Stopped,
    /// A word that is newer than this code.
    Other,
}

impl State {
    fn of(word: &str) -> Self {
        match word {
            "pending" => Self::Pending,
            "running" => Self::Running,
            "shutting-down" => Self::ShuttingDown,
            "terminated" => Self::Terminated,
            "stopping" => Self::Stopping,
            "stopped" => Self::Stopped,
            _ => Self::Other,
        }
    }
}

/// One page of `DescribeInstances`.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) machines: Vec<Machine>,
    pub(crate) next: Option<String>,
}

/// Reads an answer. One that is not whole is as none: a machine that is not seen may be ended.
pub(crate) fn page(xml: &str) -> Result<Page, Failure> {
    let cannot = || Failure::no_answer("the answer can't be read");
    let whole = xml.trim_end().ends_with("</DescribeInstancesResponse>");
    let mut document = Document::new(xml);
    let mut root = document.root_element().map_err(|_| cannot())?;
    if !whole || !root.start_el().matches("DescribeInstancesResponse") {
        return Err(cannot());
    }
    let (mut page, mut odd) = (Page::default(), false);
    each(&mut root, |name, tag| match name {
        "reservationSet" => each(tag, |_, reservation| {
            each(reservation, |name, tag| {
                if name == "instancesSet" {
                    each(tag, |_, item| match machine(item) {
                        Some(machine) => page.machines.push(machine),
                        None => odd = true,
                    });
                }
            });
        }),
        "nextToken" => page.next = text(tag).filter(|token| !token.is_empty()),
        _ => {}
    });
    if odd { Err(cannot()) } else { Ok(page) }
}

fn machine(item: &mut ScopedDecoder<'_, '_>) -> Option<Machine> {
    let (mut id, mut state, mut launched, mut tags) = (None, None, None, BTreeMap::new());
    each(item, |name, tag| match name {
        "instanceId" => id = text(tag),
        "instanceState" => each(tag, |name, tag| {
            if name == "name" {
                state = text(tag);
            }
        }),
        "launchTime" => launched = text(tag).and_then(|text| text.parse::<jiff::Timestamp>().ok()),
        "tagSet" => each(tag, |_, item| {
            let (mut key, mut value) = (None, None);
            each(item, |name, tag| match name {
                "key" => key = text(tag),
                "value" => value = text(tag),
                _ => {}
            });
            tags.extend(key.zip(value));
        }),
        _ => {}
    });
    Some(Machine {
        id: id.filter(|id| !id.is_empty())?.into(),
        state: State::of(&state?),
        launched_at: UnixMs(u64::try_from(launched?.as_millisecond()).ok()?),
        tags,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(inside: &str) -> String {
        format!(
            "<DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
             <requestId>r</requestId>{inside}</DescribeInstancesResponse>\n"
        )
    }

    fn item(id: &str, state: &str, more: &str) -> String {
        format!(
            "<item><instanceId>{id}</instanceId><instanceState><code>16</code><name>{state}</name>\
             </instanceState><launchTime>2026-11-22T10:35:30.000Z</launchTime>{more}</item>"
        )
    }

    fn reservation(items: &str) -> String {
        format!(
            "<item><reservationId>r-1</reservationId><instancesSet>{items}</instancesSet></item>"
        )
    }

    #[test]
    fn a_page_is_read() {
        let tags = "<placement><tagSet><item/></tagSet></placement><tagSet><item><key>a</key>\
                    <value>1 &amp; 2</value></item><item><key>b</key><value/></item></tagSet>";
        let first = reservation(&(item("i-1", "running", tags) + &item("i-2", "stopped", "")));
        let second = reservation(&item("i-3", "hibernating", ""));
        let set = format!("<reservationSet>{first}{second}</reservationSet>");
        let page = page(&answer(&(set + "<nextToken>more</nextToken>"))).unwrap();
        let seen: Vec<_> = page.machines.iter().map(|m| (m.id.as_str(), m.state)).collect();
        assert_eq!(seen, [("i-1", State::Running), ("i-2", State::Stopped), ("i-3", State::Other)]);
        let tags = [("a", "1 & 2"), ("b", "")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(page.machines[0].tags, tags.into());
        assert_eq!(page.machines[0].launched_at.rfc3339(), "2026-11-22T10:35:30.000Z");
        assert_eq!(page.next.as_deref(), Some("more"));
    }

    #[test]
    fn what_is_not_whole_is_no_answer() {
        let whole = answer(&format!(
            "<reservationSet>{}</reservationSet>",
            reservation(&item("i-1", "running", ""))
        ));
        assert_eq!(page(&whole).unwrap().machines.len(), 1);
        assert_eq!(page(&answer("<reservationSet/>")).unwrap().machines.len(), 0);
        for odd in [
            &whole[..whole.len() / 2],
            "",
            "<TerminateInstancesResponse></TerminateInstancesResponse>",
            &whole.replace("<launchTime>2026", "<launchTime>then"),
            &whole.replace("instanceId", "machineId"),
        ] {
            assert!(page(odd).unwrap_err().may_pass(), "{odd}");
        }
    }
}
