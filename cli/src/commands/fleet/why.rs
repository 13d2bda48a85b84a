//! `windlass fleet why`: what the autoscaler decided last about a pool, and what from.
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Grid, Look, Out, Word, plain, span};
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use windlass_core::fleet::{
    Action, Alarm, Because, Cause, Explanation, Kind, Ledger, Seen, SeenMachine, Unmet, Victim, Why,
};
use windlass_ports::cas::Stored;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  windlass fleet why default --bucket windlass-1234\n  windlass fleet \
                  why default --bucket windlass-1234 --json\n  aws s3 cp \
                  s3://BUCKET/fleet/default/ledger.json - | windlass fleet why --ledger -\n\nEach \
                  tick of the autoscaler stores what it saw, what it decided and why before it does \
                  anything. As a guest in the official Spacelift module it has no store: there \
                  the function's log says it."
)]
pub(crate) struct Args {
    /// The pool
    #[arg(required_unless_present = "ledger")]
    pool: Option<String>,
    /// The bucket that its autoscaler was given
    #[arg(long, value_name = "NAME", env = "WINDLASS_BUCKET", conflicts_with = "ledger")]
    bucket: Option<String>,
    /// The document itself, instead of asking for it; `-`: from stdin
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
}

pub(super) fn run(out: &Out, args: &Args) -> Outcome {
    let ledger = match &args.ledger {
        Some(file) => parse(&bytes(file)?)?,
        None => ask(args.pool.as_deref().unwrap_or_default(), args.bucket.as_deref())?,
    };
    let nothing = || Failure::new(Exit::NotFound, "its autoscaler has not decided anything yet");
    let explained = ledger.explained.ok_or_else(nothing)?;
    out.show(&explained, |look| text(&explained, look))?;
    Ok(Exit::Done)
}

fn bytes(file: &Path) -> Result<Vec<u8>, Failure> {
    let shown = file.display();
    let mut bytes = vec![];
    let read = match file.to_str() {
        Some("-") => std::io::stdin().read_to_end(&mut bytes).map(|_| ()),
        _ => std::fs::read(file).map(|read| bytes = read),
    };
    read.map_err(|error| Failure::usage(format!("{shown} can't be read")).because(error))?;
    Ok(bytes)
}

fn parse(bytes: &[u8]) -> Result<Ledger, Failure> {
    let stored: Result<Stored<Ledger>, _> = serde_json::from_slice(bytes);
    let wrong = |error| Failure::usage("this is no ledger of an autoscaler's").because(error);
    stored.map(|stored| stored.value).map_err(wrong)
}

#[cfg(not(feature = "aws"))]
fn ask(_: &str, _: Option<&str>) -> Result<Ledger, Failure> {
    Err(Failure::usage(
        "this build of windlass does not speak to AWS: fetch the document and name it with --ledger",
    ))
}

#[cfg(feature = "aws")]
fn ask(pool: &str, bucket: Option<&str>) -> Result<Ledger, Failure> {
    use windlass_ports::Docs as _;
    let bucket = bucket.ok_or_else(|| {
        Failure::usage("say in which bucket its autoscaler remembers: --bucket, or WINDLASS_BUCKET")
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed("can't start").because(error))?;
    let key = windlass_core::keys::fleet_ledger(&pool.into());
    let found = runtime.block_on(async {
        let mut wrong = vec![];
        let aws = crate::agent::connect(&mut wrong).await;
        let aws = aws.filter(|_| wrong.is_empty());
        let aws = aws.ok_or_else(|| Failure::missing(wrong.join("; ")))?;
        let found = adapter_s3::Bucket::new(&aws, bucket).get(&key).await;
        found.map_err(|fault| Failure::failed("the bucket can't be read").because(fault))
    })?;
    let missing = || Failure::new(Exit::NotFound, format!("there is no {key} in {bucket}"));
    parse(&found.ok_or_else(missing)?.body)
}

fn text(explained: &Explanation, look: &Look) -> String {
    let Explanation { at, seen, actions, why, unmet, alarms, .. } = explained;
    let mut text = String::new();
    let ago = span(look.now.since_ms(*at));
    let _ = writeln!(text, "{}, decided {ago} ago: {}\n", plain(&seen.group), because(why));
    let _ = writeln!(text, "{}", numbers(seen));
    for action in actions {
        let _ = writeln!(text, "  {}", told(action));
    }
    if let Some(Unmet { slots, cause }) = unmet {
        let _ = writeln!(text, "  not met: {}, {}", counted(*slots, "slot"), in_the_way(*cause));
    }
    for alarm in alarms {
        let _ = writeln!(text, "  look at this: {}", alarming(alarm));
    }
    if !seen.machines.is_empty() {
        let mut grid = Grid::new(&["MACHINE", "IS", "RUNS", "IDLE FOR", "AGE"]);
        seen.machines.iter().for_each(|machine| grid.row(row(machine, explained)));
        let _ = write!(text, "\n{}\n", grid.render(look));
    }
    text
}

fn row(machine: &SeenMachine, explained: &Explanation) -> Vec<Word> {
    let since = |from| span(explained.at.since_ms(from));
    vec![
        machine.id.0.as_str().into(),
        kind(machine.is).into(),
        machine.busy.to_string().into(),
        machine.idle_since.map(since).unwrap_or_default().into(),
        since(machine.launched_at).into(),
    ]
}

fn numbers(seen: &Seen) -> String {
    let Seen { desired, min, max, machines_in_group, machines_booting, .. } = seen;
    let Seen { slots_open, slots_busy, schedulable, oldest_ms, .. } = seen;
    let waits = match schedulable {
        0 => "no run waits".to_owned(),
        n => format!("{} may start, the oldest for {}", counted(*n, "run"), span(*oldest_ms)),
    };
    format!(
        "{desired} wanted ({min} to {max}), {} there, {machines_booting} of them booting; {} open, \
         {slots_busy} busy; {waits}",
        counted(*machines_in_group, "machine"),
        counted(*slots_open, "slot"),
    )
}

fn counted(n: u32, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn because(why: &Why) -> String {
    match why {
        Why::Stale { age_ms } => format!("nothing; the tick was {} old", span(*age_ms)),
        Why::FirstLook { gap_ms } => {
            format!("nothing; nobody had looked for {}, so this look only observed", span(*gap_ms))
        }
        Why::Implausible { live, before } => {
            format!(
                "nothing; {live} of {before} workers were left, which is believed when seen twice"
            )
        }
        Why::RightSized { booting: 0 } => "there is as much as is wanted".to_owned(),
        Why::RightSized { booting } => {
            format!(
                "there is as much as is wanted, {} of it still booting",
                counted(*booting, "machine")
            )
        }
        Why::Woken => "no more is wanted; all else waits for the next tick".to_owned(),
        Why::Grown => "more is wanted than there is".to_owned(),
        Why::Shrunk => "less is wanted than there is".to_owned(),
        Why::AtMax => "more is wanted, and the group may not grow".to_owned(),
        Why::AtMin => "less is wanted, and the group may not shrink".to_owned(),
        Why::NeverGrows => "more is wanted, and its owner lets nothing be added".to_owned(),
        Why::NeverShrinks => "less is wanted, and its owner lets nothing go".to_owned(),
        Why::CoolingDown { left_ms } => {
            format!("its size was changed just now; again in {}", span(*left_ms))
        }
        Why::CapacityBlocked => "more is wanted, and the provider has none".to_owned(),
        Why::BootsFail { in_a_row } => {
            format!(
                "more is wanted, but {in_a_row} boots in a row failed: look at image and network"
            )
        }
        Why::RunsWait { schedulable: 1 } => {
            "less is wanted, but a run is about to be taken".to_owned()
        }
        Why::RunsWait { schedulable } => {
            format!("less is wanted, but {schedulable} runs are about to be taken")
        }
        Why::NoneIdleLongEnough => {
            "less is wanted, but nothing has been idle for long enough".to_owned()
        }
        Why::ShrinkingByHand { excess } => {
            format!("somebody made it smaller: {} above that go first", counted(*excess, "machine"))
        }
    }
}

fn in_the_way(cause: Cause) -> &'static str {
    match cause {
        Cause::Max => "the group is at its maximum",
        Cause::Step => "one tick adds no more",
        Cause::Capacity => "the provider has no capacity",
        Cause::BootsFail => "boots fail",
        Cause::CoolingDown => "its size was changed just now",
        Cause::ByHand => "somebody made the group smaller",
    }
}

fn told(action: &Action) -> String {
    match action {
        Action::SetDesired { from, to } => format!("wanted: {from} -> {to}"),
        Action::Retire { count, candidates } => {
            let reason = candidates.first().map_or("", |victim| reason(victim.because));
            format!("remove {count} of {}: {reason}", named(candidates))
        }
        Action::Drain { victim } => {
            format!("{} takes no more runs: {}", victim.instance, reason(victim.because))
        }
        Action::Finish { victim } => {
            format!("end {}, drained before: {}", victim.instance, reason(victim.because))
        }
        Action::Undrain { instance, .. } => format!("{instance} is wanted again"),
        Action::End { victim } => format!("end {}: {}", victim.instance, reason(victim.because)),
    }
}

fn named(victims: &[Victim]) -> String {
    victims.iter().map(|victim| victim.instance.as_str()).collect::<Vec<_>>().join(", ")
}

fn reason(because: Because) -> &'static str {
    match because {
        Because::Surplus => "idle, and not needed",
        Because::AboveDesired => "above the size that somebody set",
        Because::Drained => "drained by somebody, and idle now",
        Because::BootFailed => "its worker never registered",
        Because::Lost => "its worker is silent",
        Because::Leaked => "no group knows it",
        Because::Notice => "the provider will take it, or says to leave it",
    }
}

fn alarming(alarm: &Alarm) -> String {
    match alarm {
        Alarm::QueueAtMax => "runs wait, and the group is at its maximum".to_owned(),
        Alarm::CapacityBlocked => "the provider has no capacity".to_owned(),
        Alarm::BootsFail => "new machines don't come up: image or network are broken".to_owned(),
        Alarm::Implausible => "too many workers vanished at once to be believed".to_owned(),
        Alarm::OtherGroup { worker } => format!("{} names another group", plain(worker)),
        Alarm::Unidentified { worker } => {
            format!("{} does not say which machine it is on", plain(worker))
        }
        Alarm::SilentAndBusy { instance } => format!("{instance} has a run, and is silent"),
        Alarm::BlastRadius => "more machines are broken than one tick may end".to_owned(),
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Open => "open",
        Kind::Occupied => "draining",
        Kind::Drained => "drained",
        Kind::Doomed => "doomed",
        Kind::Warned => "warned",
        Kind::Booting => "booting",
        Kind::Overdue => "overdue",
        Kind::SilentAndBusy => "silent, busy",
        Kind::Silent => "silent",
        Kind::Lost => "lost",
        Kind::Leaked => "leaked",
        Kind::Stranded => "in no group",
        Kind::Leaving => "leaving",
        Kind::Standby => "standby",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_core::fleet::{
        Demand, Group, Memory, Place, Policy, SeenInstance, Snapshot, decide,
    };
    use windlass_core::time::UnixMs;

    const NOON: UnixMs = UnixMs(1_795_435_200_000);

    /// A ledger as a tick stores it: two machines boot since a minute, and ten runs wait.
    fn ledger() -> Vec<u8> {
        let machine = |n: u32| SeenInstance {
            id: format!("i-{n}").into(),
            place: Place::InService,
            launched_at: UnixMs(NOON.0 - 60_000),
            template: 1,
            protected: true,
            notice: None,
        };
        let group =
            Group { name: "workers".into(), desired: 2, min: 0, max: 5, launches_failed: 0 };
        let snapshot = Snapshot {
            now: NOON,
            due: NOON,
            woken: false,
            group,
            instances: vec![machine(1), machine(2)],
            workers: vec![],
            demand: Demand { schedulable: 10, oldest_ms: 90_000, ..Demand::default() },
        };
        let policy = Policy::default();
        let plan = decide(&policy, &snapshot, &Memory::fresh());
        let explained = Some(Explanation::of(&policy, &snapshot, &plan));
        let value = Ledger { memory: plan.memory, explained, ..Ledger::default() };
        let stored = Stored { schema: 1, revision: 7, write_id: "w".into(), value };
        serde_json::to_vec(&stored).unwrap()
    }

    fn shown(json: bool, bytes: &[u8]) -> Result<String, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ledger.json");
        std::fs::write(&file, bytes).unwrap();
        let (out, kept) = Out::kept(json, NOON.plus_ms(40_000));
        run(&out, &Args { pool: None, bucket: None, ledger: Some(file) })?;
        let text = kept.lock().unwrap().stdout.clone();
        Ok(text)
    }

    #[test]
    fn it_says_what_was_decided_and_from_what() {
        let expect = "\
workers, decided 40 s ago: more is wanted than there is

2 wanted (0 to 5), 2 machines there, 2 of them booting; 0 slots open, 0 busy; 10 runs may start, \
the oldest for 1 min 30 s
  wanted: 2 -> 5
  not met: 5 slots, the group is at its maximum

MACHINE  IS       RUNS  AGE
i-1      booting  0     1 min
i-2      booting  0     1 min
";
        assert_eq!(shown(false, &ledger()).unwrap(), expect);
        let json: serde_json::Value =
            serde_json::from_str(&shown(true, &ledger()).unwrap()).unwrap();
        assert_eq!(json["why"]["why"], "grown");
        assert_eq!(json["unmet"]["cause"], "max");
    }

    #[test]
    fn what_is_no_decision_is_told_as_such() {
        let none =
            Stored { schema: 1, revision: 1, write_id: "w".into(), value: Ledger::default() };
        let none = serde_json::to_vec(&none).unwrap();
        assert_eq!(shown(false, &none).unwrap_err().exit, Exit::NotFound);
        assert_eq!(shown(false, b"[]").unwrap_err().exit, Exit::Usage);
    }
}
