//! What every controller makes of every trace: `cargo run --release -p windlass-simulator --example
//! table`.
use windlass_core::fleet::Policy;
use windlass_simulator::ours::Ours;
use windlass_simulator::spacelift::{Settings, Spacelift};
use windlass_simulator::{Outcome, Trace, grid, simulate};

fn show(trace: &Trace, who: &str, outcome: &Outcome) {
    let (p50, p95, hours) = (outcome.wait_s(50), outcome.p95_s(), outcome.machine_hours());
    println!("{:12} {who:28} p50 {p50:7.1} s  p95 {p95:7.1} s  {hours:6.2} h", trace.name);
}

fn main() {
    for trace in Trace::known() {
        let ours = simulate(&trace, &mut Ours::new(Policy::default()));
        show(&trace, "windlass", &ours);
        let frugal = simulate(&trace, &mut Ours::new(Policy::frugal()));
        show(&trace, "windlass, frugal", &frugal);
        let defaults = simulate(&trace, &mut Spacelift { settings: Settings::default() });
        show(&trace, "spacelift, defaults", &defaults);
        let tried = grid::search(&trace);
        let by_wait = |a: &&(Settings, Outcome), b: &&(Settings, Outcome)| {
            a.1.p95_s().total_cmp(&b.1.p95_s()).then(a.1.machine_ms.cmp(&b.1.machine_ms))
        };
        if let Some((settings, best)) = tried.iter().min_by(by_wait) {
            show(&trace, "spacelift, shortest waits", best);
            println!("{:12} {settings:?}", "");
        }
        let no_dearer = tried.iter().filter(|(_, o)| o.machine_ms <= ours.machine_ms);
        if let Some((_, best)) = no_dearer.min_by(by_wait) {
            show(&trace, "spacelift, at our hours", best);
        }
        let better = tried
            .iter()
            .filter(|(_, o)| o.p95_s() <= ours.p95_s() && o.machine_ms <= ours.machine_ms);
        println!("{:12} {} of {} settings are as good in both\n", "", better.count(), tried.len());
    }
}
