//! The `windlass` program: one frame around `up`, `demo` and every operator's command.
#[cfg(feature = "aws")]
mod agent;
mod bench;
mod browser;
mod client;
mod commands;
mod demo;
mod exit;
mod frame;
mod lab;
mod output;
mod remote;
mod term;
mod up;
mod worker;

use exit::Exit;

fn main() -> Exit {
    let cli = frame::parse();
    let verbose = cli.global.verbose || std::env::var_os("RUST_LOG").is_some();
    match frame::run(cli) {
        Ok(exit) => exit,
        Err(failure) => {
            // Whoever closed stderr does not want to read this.
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("{}\n", failure.render(verbose)).as_bytes(),
            );
            failure.exit
        }
    }
}
