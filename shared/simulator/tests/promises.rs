//! What must hold on every trace, and that the simulator itself can be believed.
use windlass_core::fleet::Policy;
use windlass_simulator::ours::Ours;
use windlass_simulator::spacelift::{Settings, Spacelift};
use windlass_simulator::{Outcome, Trace, TraceError, simulate};

fn ours(trace: &Trace) -> Outcome {
    simulate(trace, &mut Ours::new(Policy::default()))
}

fn spacelift(trace: &Trace) -> Outcome {
    simulate(trace, &mut Spacelift { settings: Settings::default() })
}

#[test]
fn a_day_is_the_same_day_twice() {
    for trace in Trace::known() {
        assert_eq!(ours(&trace), ours(&trace), "{}", trace.name);
        assert_eq!(spacelift(&trace), spacelift(&trace), "{}", trace.name);
    }
}

#[test]
fn nobody_busy_is_ended_and_every_run_is_run() {
    for trace in Trace::known() {
        let outcome = ours(&trace);
        assert_eq!(outcome.busy_kills, 0, "{}", trace.name);
        assert_eq!(outcome.unstarted, 0, "{}", trace.name);
        assert_eq!(outcome.finished, trace.runs.len(), "{}", trace.name);
    }
}

/// Against Spacelift's defaults a run never waits longer in the 95th of a hundred.
#[test]
fn runs_wait_less_than_with_spacelifts_defaults() {
    for trace in Trace::known() {
        let (we, they) = (ours(&trace).p95_s(), spacelift(&trace).p95_s());
        assert!(we < they, "{}: {we} s against {they} s", trace.name);
    }
}

/// Where many come at once, half of its waits cost no more than its hours.
#[test]
fn frugal_settings_wait_half_as_long_at_spacelifts_hours() {
    for name in ["burst", "shortage"] {
        let trace = Trace::named(name).unwrap();
        let we = simulate(&trace, &mut Ours::new(Policy::frugal()));
        let they = spacelift(&trace);
        assert!(we.p95_s() <= 0.5 * they.p95_s(), "{name}: {} of {} s", we.p95_s(), they.p95_s());
        assert!(we.machine_ms <= they.machine_ms, "{name}: {we:?} {they:?}");
        assert_eq!(we.busy_kills, 0, "{name}");
    }
}

#[test]
fn a_trace_that_cannot_be_played_says_why() {
    let good = serde_json::to_value(Trace::named("burst").unwrap()).unwrap();
    assert!(Trace::parse(good.to_string().as_bytes()).is_ok());
    for (field, value, why) in [
        ("runs", serde_json::json!([]), "no runs"),
        ("group", serde_json::json!({"min": 3, "max": 2}), "no room"),
        ("boot_ms", serde_json::json!([5, 1]), "at most"),
        ("length_ms", serde_json::json!(0), "after its end"),
    ] {
        let mut wrong = good.clone();
        wrong[field] = value;
        let said = Trace::parse(wrong.to_string().as_bytes()).unwrap_err();
        assert!(matches!(said, TraceError::Wrong(text) if text.contains(why)), "{said}");
    }
    assert!(matches!(Trace::parse(b"{"), Err(TraceError::Json(_))));
}
