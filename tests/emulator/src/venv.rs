//! Python environments from pinned requirements: made once per machine, in the user's cache.
use anyhow::{Context as _, Result, bail};
use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of programs of an environment with what `file` (of `tests/`) lists. The first call
/// on a machine installs it, which takes a minute; others wait for it.
///
/// # Errors
/// When there is no Python 3 with `venv`, or the packages can't be had.
pub fn ensure(file: &str) -> Result<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    let wanted = fs::read_to_string(&path).with_context(|| format!("{file} can't be read"))?;
    let mut hash = DefaultHasher::new();
    wanted.hash(&mut hash);
    let cache = cache_folder()?;
    fs::create_dir_all(&cache).context("the cache folder can't be made")?;
    let home = cache.join(format!("venv-{:016x}", hash.finish()));
    let (bin, done) = (home.join("bin"), home.join("complete"));
    let lock = File::create(home.with_extension("lock")).context("no lock in the cache folder")?;
    lock.lock().context("the cache folder can't be locked")?;
    if done.exists() {
        return Ok(bin);
    }
    let _ = fs::remove_dir_all(&home);
    eprintln!("installing what {file} lists, once on this machine …");
    run(Command::new("python3").args(["-m", "venv"]).arg(&home), "python3 -m venv")?;
    let mut pip = Command::new(bin.join("pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(&path);
    run(&mut pip, "pip install")?;
    File::create(done).context("the environment can't be marked as complete")?;
    Ok(bin)
}

fn cache_folder() -> Result<PathBuf> {
    let named = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")));
    Ok(cache.context("there is no HOME to keep Python packages in")?.join("windlass"))
}

fn run(command: &mut Command, what: &str) -> Result<()> {
    let output = command.output().with_context(|| format!("{what} can't be started"))?;
    if !output.status.success() {
        bail!("{what} failed:\n{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
