//! The program under test: built once per test process, in the same target folder and profile, so
//! after `cargo run` nothing compiles twice. `WINDLASS_TEST_PROGRAM` names another one to test,
//! `WINDLASS_TEST_PROGRAMS` a folder with those of the serverless form.
use std::collections::BTreeMap;
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
    let built = cargo(&["--package", "windlass", "--bin", "windlass"]);
    built.into_values().next_back().expect("cargo names the program that it built")
}

/// The same program with what a worker on AWS needs. Both are built to one place, so this one is
/// kept under another name.
pub fn windlass_on_aws() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        if let Some(program) = given("windlass-on-aws") {
            return program;
        }
        let built = &on_aws()["windlass"];
        let kept = built.with_file_name("windlass-on-aws");
        let _ = std::fs::remove_file(&kept);
        std::fs::hard_link(built, &kept).expect("another name for the program");
        kept
    })
}

/// A Lambda function's program.
pub fn function(name: &str) -> PathBuf {
    let built = given(name).or_else(|| on_aws().get(name).cloned());
    built.unwrap_or_else(|| panic!("no function is called {name}"))
}

/// All programs of the serverless form, built together: apart, each set of features would build the
/// SDKs anew.
fn on_aws() -> &'static BTreeMap<String, PathBuf> {
    static BUILT: OnceLock<BTreeMap<String, PathBuf>> = OnceLock::new();
    const NAMES: [&str; 7] =
        ["webhook", "scheduler", "api", "drift", "autoscaler", "drainer", "windlass"];
    BUILT.get_or_init(|| {
        let packages = NAMES.iter().flat_map(|name| ["--package", name, "--bin", name]);
        let words: Vec<&str> = packages.chain(["--features", "aws"]).collect();
        cargo(&words)
    })
}

fn given(name: &str) -> Option<PathBuf> {
    Some(PathBuf::from(std::env::var_os("WINDLASS_TEST_PROGRAMS")?).join(name))
}

/// Builds programs; where each is. `WINDLASS_TEST_PROFILE` names another profile than cargo's own.
fn cargo(words: &[&str]) -> BTreeMap<String, PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace around us");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet"]).args(words);
    if let Ok(profile) = std::env::var("WINDLASS_TEST_PROFILE") {
        command.args(["--profile", &profile]);
    }
    command.args(["--message-format", "json-render-diagnostics"]).current_dir(workspace);
    let built = command.output().expect("cargo can be started");
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "the programs do not build:\n{said}");
    let lines = built.stdout.split(|byte| *byte == b'\n');
    let messages = lines.filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
    let programs = messages.filter_map(|message| {
        let path = PathBuf::from(message["executable"].as_str()?);
        Some((message["target"]["name"].as_str()?.to_owned(), path))
    });
    programs.collect()
}
