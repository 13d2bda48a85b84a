//! The cloud in a box for people who want to look: a sample repository, the control plane as AWS would
//! run it, and two workers, until Ctrl-C.
use anyhow::Result;
use e2e::World;
use e2e::world::resource;
use std::io::BufRead as _;
use std::sync::mpsc::{Receiver, channel};

const USES_NETWORK: &str =
    "depends_on: [{ stack: network, references: [{ output: it, input: TF_VAR_network }] }]";
const USES_CLUSTER: &str =
    "depends_on: [{ stack: cluster, references: [{ output: it, input: TF_VAR_cluster }] }]";

fn main() -> Result<()> {
    eprintln!("building the functions and the worker (minutes, the first time) …");
    let world = World::cloud("terraform");
    sample(&world);
    let up = world.up(2);
    let repo = world.repo.folder.display();
    println!("console     {}", up.login_link());
    println!("            (the link works once, within a minute; Enter prints another)");
    println!("webhook     {}", up.api.url("/webhooks/github"));
    println!("repository  {repo}");
    println!(
        "            (a commit there is pushed to a GitHub of this machine, which tells the webhook)"
    );
    println!("everything  {}", world.folder().display());
    println!("            (logs of functions and workers; it goes at the end)");
    println!();
    println!(
        "Try: cd {repo} && sed -i s/10.0/10.1/ stacks/network/main.tf && git commit -qam Renumber"
    );
    println!("Ctrl-C ends it.");
    for event in events()? {
        match event {
            Event::Enter => println!("console     {}", up.login_link()),
            Event::End => break,
        }
    }
    eprintln!("ending …");
    Ok(())
}

/// What the person at the terminal does.
enum Event {
    Enter,
    End,
}

fn sample(world: &World) {
    world.define(&[
        ("network", ""),
        ("cluster", USES_NETWORK),
        ("app", &format!("autodeploy: true\n{USES_CLUSTER}")),
    ]);
    let using = |what: &str| {
        format!(
            "variable \"{what}\" {{ type = string }}\n{}",
            resource(&format!("on ${{var.{what}}}"))
        )
    };
    world.repo.write("stacks/network/main.tf", resource("10.0.0.0/16"));
    world.repo.write("stacks/cluster/main.tf", using("network"));
    world.repo.write("stacks/app/main.tf", using("cluster"));
    world.repo.commit("A network, a cluster on it, and an application");
}

/// A thread waits for each, because neither can be called off.
fn events() -> Result<Receiver<Event>> {
    let (event, events) = channel();
    let ends = event.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        let _ = runtime.block_on(tokio::signal::ctrl_c());
        let _ = ends.send(Event::End);
    });
    std::thread::spawn(move || {
        for _ in std::io::stdin().lock().lines().map_while(Result::ok) {
            if event.send(Event::Enter).is_err() {
                return;
            }
        }
    });
    Ok(events)
}
