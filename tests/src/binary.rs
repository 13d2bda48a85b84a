//! The program under test: built once per test process, in the same target folder and profile, so
//! after `cargo run` nothing compiles twice. `WINDLASS_TEST_PROGRAM` names another one to test.
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The `windlass` program.
pub fn windlass() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build)
}

fn build() -> PathBuf {
    if let Some(program) = std::env::var_os("WINDLASS_TEST_PROGRAM") {
        return program.into();
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace around us");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--package", "windlass", "--bin", "windlass"])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(workspace)
        .output()
        .expect("cargo can be started");
    let words = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "the program does not build:\n{words}");
    let lines = built.stdout.split(|byte| *byte == b'\n');
    let messages = lines.filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
    messages
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .next_back()
        .expect("cargo names the program that it built")
}
