//! The script that overhead is measured against: for each stack in turn, the very tool calls that
//! a tracked run makes, each phase in a fresh copy of its code, and nothing else.
use super::sample::{LEAVES, ROOT, leaf};
use crate::exit::Failure;
use std::path::Path;
use std::process::{Command, Stdio};

/// Arguments: the repository, the folder of states, a folder for copies, the tool.
const SCRIPT: &str = r#"set -eu
repo=$1 states=$2 work=$3 tool=$4
shift 4
export TF_IN_AUTOMATION=1 TF_INPUT=0
run() {
  stack=$1
  copy=$work/$stack
  rm -rf "$copy"
  mkdir -p "$states/$stack"
  cp -R "$repo/$stack" "$copy"
  cd "$copy"
  printf '{"terraform":{"backend":{"local":{"path":"%s"}}}}' \
    "$states/$stack/terraform.tfstate" >windlass_override.tf.json
  "$tool" init -input=false
  "$tool" plan -input=false -out=windlass.plan
  "$tool" show -json windlass.plan >show.json
  "$tool" init -input=false -lockfile=readonly
  "$tool" apply -input=false windlass.plan
  "$tool" output -json >outputs.json
}
for stack in "$@"; do
  run "$stack"
  if [ "$stack" = root ]; then
    TF_VAR_parent=$(sed -n 's/.*"value": "\(.*\)".*/\1/p' outputs.json)
    export TF_VAR_parent
  fi
done
"#;

/// Runs the script to its end.
pub(crate) fn run(repo: &Path, states: &Path, work: &Path, tool: &str) -> Result<(), Failure> {
    std::fs::create_dir_all(work)
        .map_err(|e| Failure::missing("no folder for copies can be made").because(e))?;
    let output = Command::new("/bin/sh")
        .args(["-c", SCRIPT, "script"])
        .args([repo, states, work])
        .arg(tool)
        .arg(ROOT)
        .args((1..=LEAVES).map(leaf))
        .env_remove("TF_CLI_CONFIG_FILE")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| Failure::missing("/bin/sh can't be started").because(e))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let end = said.trim().lines().last().unwrap_or_default().to_owned();
    Err(Failure::failed(format!("the script that is compared with failed: {end}")))
}
