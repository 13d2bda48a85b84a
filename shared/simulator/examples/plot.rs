//! Waits against machine hours on every trace, as an SVG picture: ours, and all settings of
//! Spacelift's autoscaler. `cargo run --release -p windlass-simulator --example plot > docs/fleet.svg`
use std::collections::BTreeSet;
use std::fmt::Write as _;
use windlass_core::fleet::Policy;
use windlass_simulator::ours::Ours;
use windlass_simulator::spacelift::{Settings, Spacelift};
use windlass_simulator::{Outcome, Trace, grid, simulate};

const COLUMNS: usize = 3;
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 220.0;
/// Room for a panel's title and the words along its axes.
const LEFT: f64 = 46.0;
const TOP: f64 = 26.0;
const RIGHT: f64 = 12.0;
const BOTTOM: f64 = 34.0;

/// Machine hours, and the wait that 95 of 100 runs had at most.
type Point = (f64, f64);

fn point(outcome: &Outcome) -> Point {
    (outcome.machine_hours(), outcome.p95_s())
}

struct Panel {
    name: String,
    ours: Point,
    frugal: Point,
    defaults: Point,
    tried: Vec<Point>,
}

fn measured(trace: &Trace) -> Panel {
    let ours = simulate(trace, &mut Ours::new(Policy::default()));
    let frugal = simulate(trace, &mut Ours::new(Policy::frugal()));
    let defaults = simulate(trace, &mut Spacelift { settings: Settings::default() });
    let tried = grid::search(trace).iter().map(|(_, outcome)| point(outcome)).collect();
    let (ours, frugal, defaults) = (point(&ours), point(&frugal), point(&defaults));
    Panel { name: trace.name.clone(), ours, frugal, defaults, tried }
}

/// Both axes begin at zero; the second is logarithmic, since waits differ by powers of ten.
struct Scale {
    hours_max: f64,
    wait_max: f64,
}

impl Scale {
    fn of(panel: &Panel) -> Self {
        let all = panel.tried.iter().chain([&panel.ours, &panel.frugal, &panel.defaults]);
        let (hours, waits) = all.fold((0.0_f64, 0.0_f64), |(h, w), p| (h.max(p.0), w.max(p.1)));
        Self { hours_max: hours * 1.05, wait_max: waits.max(10.0) * 1.3 }
    }

    fn x(&self, hours: f64) -> f64 {
        LEFT + hours / self.hours_max * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, wait_s: f64) -> f64 {
        let part = (1.0 + wait_s).ln() / (1.0 + self.wait_max).ln();
        HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)
    }
}

fn dot(svg: &mut String, scale: &Scale, at: Point, radius: f64, class: &str) {
    let (x, y) = (scale.x(at.0), scale.y(at.1));
    let _ = writeln!(svg, r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="{radius}"/>"#);
}

fn panel(svg: &mut String, panel: &Panel) {
    let scale = Scale::of(panel);
    let (right, floor) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let _ = writeln!(svg, r#"<text class="title" x="{LEFT}" y="16">{}</text>"#, panel.name);
    for wait_s in [0.0, 1.0, 10.0, 100.0, 1_000.0, 10_000.0] {
        if wait_s > scale.wait_max {
            break;
        }
        let y = scale.y(wait_s);
        let _ = writeln!(svg, r#"<path class="grid" d="M{LEFT} {y:.1}H{right}"/>"#);
        let (x, y) = (LEFT - 5.0, y + 3.0);
        let _ = writeln!(
            svg,
            r#"<text class="axis" text-anchor="end" x="{x}" y="{y:.1}">{wait_s}</text>"#
        );
    }
    for quarter in 0_u8..=4 {
        let hours = scale.hours_max * f64::from(quarter) / 4.0;
        let (x, y) = (scale.x(hours), floor + 13.0);
        let _ = writeln!(
            svg,
            r#"<text class="axis" text-anchor="middle" x="{x:.1}" y="{y}">{hours:.0}</text>"#
        );
    }
    // Many settings come to the same: each place is drawn once, as a stroke without a length.
    let places =
        panel.tried.iter().map(|at| format!("M{:.0} {:.0}h0", scale.x(at.0), scale.y(at.1)));
    let places: BTreeSet<String> = places.collect();
    let _ = write!(svg, r#"<path class="tried" d=""#);
    svg.extend(places);
    svg.push_str("\"/>\n");
    dot(svg, &scale, panel.defaults, 4.0, "defaults");
    dot(svg, &scale, panel.frugal, 4.5, "frugal");
    dot(svg, &scale, panel.ours, 4.5, "ours");
}

const STYLE: &str = "text{font:11px sans-serif;fill:#444}.title{font-weight:bold;fill:#222}\
.axis{font-size:9px}.grid{stroke:#e4e4e4;fill:none}.tried{stroke:#aaa;stroke-width:3;stroke-linecap:round;fill:none}\
.defaults{fill:#c2570c}.ours{fill:#0b6e4f}.frugal{fill:#6cb33f}";

fn main() {
    let panels: Vec<Panel> = Trace::known().iter().map(measured).collect();
    let rows = panels.len().div_ceil(COLUMNS);
    let columns = u32::try_from(COLUMNS).unwrap_or(1);
    let width = WIDTH * f64::from(columns);
    let height = HEIGHT * f64::from(u32::try_from(rows).unwrap_or(1)) + 40.0;
    let mut svg = String::new();
    let _ =
        writeln!(svg, r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">"#);
    let _ = writeln!(svg, "<style>{STYLE}</style>");
    let _ = writeln!(svg, r##"<rect width="{width}" height="{height}" fill="#fff"/>"##);
    let (mut x, mut y) = (0.0, 0.0);
    for (at, one) in panels.iter().enumerate() {
        let _ = writeln!(svg, r#"<g transform="translate({x} {y})">"#);
        panel(&mut svg, one);
        svg.push_str("</g>\n");
        x += WIDTH;
        if (at + 1) % COLUMNS == 0 {
            (x, y) = (0.0, y + HEIGHT);
        }
    }
    let y = height - 16.0;
    let words = [
        ("ours", "Windlass, defaults"),
        ("frugal", "Windlass, frugal"),
        ("defaults", "Spacelift's autoscaler, its module's defaults"),
        ("tried", "the same, every other setting tried"),
    ];
    let mut x = LEFT;
    for (class, said) in words {
        let _ = match class {
            "tried" => writeln!(svg, r#"<path class="{class}" d="M{x} {}h0"/>"#, y - 4.0),
            _ => writeln!(svg, r#"<circle class="{class}" cx="{x}" cy="{}" r="4"/>"#, y - 4.0),
        };
        let _ = writeln!(svg, r#"<text x="{}" y="{y}">{said}</text>"#, x + 8.0);
        x += if class == "defaults" { 260.0 } else { 150.0 };
    }
    let _ = writeln!(
        svg,
        r#"<text class="axis" x="{LEFT}" y="{}">across: machine hours; up: seconds that 95 of 100 runs waited at most (logarithmic)</text>"#,
        y - 20.0
    );
    svg.push_str("</svg>\n");
    print!("{svg}");
}
