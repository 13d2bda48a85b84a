//! Wall clocks that do not agree: a process that is started with these variables reads another time.
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// So many milliseconds ahead, or back if it is negative.
pub(super) const VARIABLE: &str = "E2E_CLOCK_AHEAD_MS";

/// What sets a process's clock.
pub fn variables(ahead_ms: i64) -> [(&'static str, String); 2] {
    [("LD_PRELOAD", library().display().to_string()), (VARIABLE, ahead_ms.to_string())]
}

/// Built once, by the C compiler that cargo needs anyway.
fn library() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cloud/ahead.c");
        // Beside the tests' own programs; never changed while a process has it.
        let folder = std::env::current_exe().expect("a program").with_file_name("");
        let (library, fresh) =
            (folder.join("ahead.so"), folder.join(format!("ahead.{}", std::process::id())));
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-o"]).args([&fresh, &source]).arg("-ldl");
        assert!(cc.status().expect("cc can be started").success(), "{cc:?}");
        std::fs::rename(&fresh, &library).expect("a library");
        library
    })
}
