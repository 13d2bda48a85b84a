//! What every controller makes of every trace.
use windlass_core::fleet::Policy;
use windlass_simulator::ours::Ours;
use windlass_simulator::spacelift::{Settings, Spacelift};
use windlass_simulator::{Trace, grid, simulate};

fn main() {
    for trace in Trace::known() {
        let show = |who: &str, o: &windlass_simulator::Outcome| {
            println!(
                "{:12} {who:40} p50 {:7.1} p95 {:7.1} s  {:6.2} h  unstarted {} kills {} interrupted {}",
                trace.name,
                o.wait_s(50),
                o.p95_s(),
                o.machine_hours(),
                o.unstarted,
                o.busy_kills,
                o.interrupted
            );
        };
        let ours = simulate(&trace, &mut Ours::new(Policy::default()));
        show("ours", &ours);
        show(
            "spacelift defaults",
            &simulate(&trace, &mut Spacelift { settings: Settings::default() }),
        );
        let tried = grid::search(&trace);
        let worse = tried
            .iter()
            .filter(|(_, o)| o.p95_s() <= ours.p95_s() && o.machine_hours() <= ours.machine_hours())
            .count();
        let best = tried
            .iter()
            .min_by(|a, b| {
                a.1.p95_s()
                    .total_cmp(&b.1.p95_s())
                    .then(a.1.machine_hours().total_cmp(&b.1.machine_hours()))
            })
            .unwrap();
        show(
            &format!("best p95 {:?}", best.0)
                .replace("Settings ", "")
                .chars()
                .take(160)
                .collect::<String>(),
            &best.1,
        );
        let cheap = tried
            .iter()
            .filter(|(_, o)| o.machine_hours() <= ours.machine_hours())
            .min_by(|a, b| a.1.p95_s().total_cmp(&b.1.p95_s()));
        if let Some(c) = cheap {
            show("best p95 at <= our hours", &c.1);
        }
        println!("{} of {} settings are at least as good in both\n", worse, tried.len());
    }
}
