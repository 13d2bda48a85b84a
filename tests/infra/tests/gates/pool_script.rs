//! What real Terraform makes of the module's inputs: refusals, and the machines' scripts. Neither
//! needs a provider.
use crate::pool_module::{folder, terraform};
use crate::root;
use e2e::cloud::template::translate;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use windlass_core::job::{Attempt, JobId, Phase};
use windlass_core::keys;

const SPACELIFT: &str = "01HCC6QZ932J7WDF4FTVM9QMEP";

/// A folder with the module's inputs and what follows from them alone.
fn inputs(probe: &str) -> tempfile::TempDir {
    let made = tempfile::tempdir().unwrap();
    std::fs::create_dir(made.path().join("templates")).unwrap();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.starts_with("variables") || name == "locals.tf" {
            std::fs::copy(folder().join(&name), made.path().join(&name)).unwrap();
        }
    }
    for kind in ["spacelift", "windlass"] {
        let name = format!("templates/{kind}.sh.tftpl");
        std::fs::copy(folder().join(&name), made.path().join(&name)).unwrap();
    }
    std::fs::write(made.path().join("probe.tf"), probe).unwrap();
    let ready = terraform()
        .current_dir(&made)
        .args(["init", "-input=false", "-no-color"])
        .output()
        .unwrap();
    assert!(ready.status.success(), "{}", String::from_utf8_lossy(&ready.stderr));
    made
}

/// Whether these inputs are taken, and what is said if not.
fn apply(inputs: &Path, given: &Value) -> Result<(), String> {
    std::fs::write(inputs.join("given.tfvars.json"), given.to_string()).unwrap();
    let arguments =
        ["apply", "-auto-approve", "-input=false", "-no-color", "-var-file=given.tfvars.json"];
    let output = terraform().current_dir(inputs).args(arguments).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    let words: Vec<&str> =
        words.split_whitespace().filter(|word| !["│", "╵", "╷"].contains(word)).collect();
    if output.status.success() { Ok(()) } else { Err(words.join(" ")) }
}

fn output(inputs: &Path, name: &str) -> String {
    let output = terraform().current_dir(inputs).args(["output", "-raw", name]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn with(base: &Value, more: Value) -> Value {
    let mut all = base.as_object().unwrap().clone();
    all.extend(more.as_object().unwrap().clone());
    Value::Object(all)
}

fn spacelift() -> Value {
    json!({ "worker_pool_id": SPACELIFT, "vpc_subnets": ["subnet-1"], "security_groups": ["sg-1"],
        "secure_env_vars": { "SPACELIFT_TOKEN": "t", "SPACELIFT_POOL_PRIVATE_KEY": "k" } })
}

fn windlass() -> Value {
    json!({ "kind": "windlass", "worker_pool_id": "default", "vpc_subnets": ["subnet-1"],
        "security_groups": ["sg-1"], "windlass_configuration": { "bucket": "b",
        "queue_url_prefix": "https://sqs.eu-west-1.amazonaws.com/1/windlass-", "secrets_prefix": "/windlass/secrets/",
        "worker_policy_arn": "arn:aws:iam::1:policy/w", "binary_s3_uri": "s3://b/windlass",
        "tool_url": "https://example.com/t.zip", "tool_sha256": "00" } })
}

#[test]
fn what_excludes_each_other_is_refused_with_a_sentence() {
    let inputs = inputs("");
    let (s, w) = (spacelift(), windlass());
    let zip = json!({ "s3_package": { "bucket": "b", "key": "a.zip" } });
    let api = json!({ "api_key_id": "i", "api_key_endpoint": "https://a.app.spacelift.io", "api_key_secret": "x" });
    let secret = json!({ "name": "n", "arn": "a", "keys": ["SPACELIFT_TOKEN"] });
    let functions = json!({ "autoscaling_configuration": zip, "drainer_configuration": zip, "spacelift_api_credentials": api });
    let rows: Vec<(Value, Option<&str>)> = vec![
        (s.clone(), None),
        (w.clone(), None),
        (with(&s, functions.clone()), None),
        (with(&w, json!({ "autoscaling_configuration": zip, "drainer_configuration": zip })), None),
        (with(&s, json!({ "worker_pool_id": "default" })), Some("has to be the ULID")),
        (with(&w, json!({ "worker_pool_id": SPACELIFT })), Some("name of a pool in windlass.yaml")),
        (
            with(&w, json!({ "kind": "spacelift", "worker_pool_id": SPACELIFT })),
            Some("windlass_configuration is required for kind"),
        ),
        (
            with(&s, json!({ "byo_secretsmanager": secret })),
            Some("byo_secretsmanager and secure_env_vars exclude each other"),
        ),
        (with(&s, json!({ "byo_secretsmanager": secret, "secure_env_vars": {} })), None),
        (with(&s, json!({ "secure_env_vars": {} })), Some("needs its token and key")),
        (
            with(&s, json!({ "secure_env_vars": { "A-B": "x" } })),
            Some("a name that no shell exports"),
        ),
        (
            with(&s, json!({ "autoscaling_configuration": zip })),
            Some("give spacelift_api_credentials"),
        ),
        (
            with(&with(&s, functions.clone()), json!({ "byo_ssm": { "name": "/n", "arn": "a" } })),
            Some("either from spacelift_api_credentials.api_key_secret or from byo_ssm"),
        ),
        (
            with(&s, json!({ "autoscaling_configuration": {}, "spacelift_api_credentials": api })),
            Some("autoscaler's code comes either"),
        ),
        (
            with(
                &s,
                json!({ "autoscaling_configuration": { "s3_package": zip["s3_package"], "local_package": "a.zip" }, "spacelift_api_credentials": api }),
            ),
            Some("autoscaler's code comes either"),
        ),
        (
            with(&w, json!({ "spacelift_api_credentials": api })),
            Some("means nothing for a Windlass pool"),
        ),
        (
            with(
                &w,
                json!({ "autoscaling_configuration": { "local_package": "a.zip", "policy": "[]" } }),
            ),
            Some("policy is a JSON object"),
        ),
        (
            with(
                &w,
                json!({ "autoscaling_configuration": { "local_package": "a.zip", "policy": "{}" } }),
            ),
            None,
        ),
        (
            with(
                &w,
                json!({ "autoscaling_configuration": { "local_package": "a.zip", "schedule_expression": "rate(5 minutes)" } }),
            ),
            Some("a slower one would never act"),
        ),
        (
            with(
                &w,
                json!({ "autoscaling_configuration": { "local_package": "a.zip", "schedule_expression": "rate(4 minutes)" } }),
            ),
            None,
        ),
        (
            with(&w, json!({ "documents_bucket": "b" })),
            Some("documents_bucket is for Spacelift pools"),
        ),
        (
            with(&s, json!({ "create_iam_role": false })),
            Some("custom_iam_role_name names the role"),
        ),
        (
            with(&s, json!({ "custom_iam_role_name": "r" })),
            Some("custom_iam_role_name names the role"),
        ),
        (
            with(
                &s,
                json!({ "create_iam_role": false, "custom_iam_role_name": "r", "extra_iam_statements": ["{}"] }),
            ),
            Some("add them to your own"),
        ),
        (
            with(&s, json!({ "instance_refresh": {} })),
            Some("instance_refresh needs drainer_configuration"),
        ),
        (
            with(&s, json!({ "max_instance_lifetime": 86400 })),
            Some("max_instance_lifetime needs drainer_configuration"),
        ),
        (with(&s, json!({ "suspended_processes": [] })), Some("AZRebalance may only go on")),
        (with(&s, json!({ "lifecycle_hook_timeout": 179 })), Some("180 to 7200 s")),
        (
            with(
                &s,
                json!({ "mixed_instances_policy": { "instance_types": ["m7i.large"] }, "instance_market_options": { "market_type": "spot" } }),
            ),
            Some("exclude each other"),
        ),
        (
            with(&s, json!({ "volume_encryption": false, "volume_encryption_kms_key_id": "k" })),
            Some("has no key"),
        ),
        (
            with(
                &s,
                json!({ "launch_template_default_version": 1, "launch_template_update_default_version": true }),
            ),
            Some("exclude each other"),
        ),
        (
            with(&s, json!({ "autoscaling_vpc_subnets": ["subnet-1"] })),
            Some("given together, or neither"),
        ),
        (with(&s, json!({ "min_size": 11 })), Some("not above max_size")),
        (
            with(&s, json!({ "additional_tags": { "WorkerPoolID": "x" } })),
            Some("can't set WorkerPoolID"),
        ),
        (
            with(&w, json!({ "selfhosted_configuration": { "s3_uri": "s3://b/l" } })),
            Some("names Spacelift's launcher"),
        ),
    ];
    for (given, expect) in rows {
        match (apply(inputs.path(), &given), expect) {
            (Ok(()), None) => {}
            (Err(words), Some(part)) => {
                assert!(
                    words.contains(part),
                    "{given}\nis refused, but not with {part:?}:\n{words}"
                );
            }
            (Ok(()), Some(part)) => panic!("{given}\nis taken, and should be refused: {part}"),
            (Err(words), None) => panic!("{given}\nis refused: {words}"),
        }
    }
}

const PROBE: &str = r#"
output "user_data" {
  value = templatefile(local.user_data_template, merge(local.user_data_common, local.user_data_kind, {
    region     = "eu-west-1"
    secret_arn = local.has_secret ? "arn:aws:secretsmanager:eu-west-1:1:secret:s" : ""
  }))
}
"#;

const WAKES: &str = r#"
output "wakes" {
  value = jsonencode({ for name, wake in local.wakes : name => { pattern = jsondecode(wake.pattern), retries = wake.retries } })
}
"#;

/// Module and template wake the autoscaler by the same events, and neither by any that can't come.
#[test]
fn both_wake_the_autoscaler_by_the_same_events() {
    let inputs = inputs(WAKES);
    let zip = json!({ "s3_package": { "bucket": "b", "key": "a.zip" } });
    let api = json!({ "api_key_id": "i", "api_key_endpoint": "https://a.app.spacelift.io", "api_key_secret": "x" });
    let functions = json!({ "autoscaling_configuration": zip });
    let spot = json!({ "instance_market_options": { "market_type": "spot" } });
    let mixed = |percent: u32| {
        json!({ "mixed_instances_policy": { "instance_types": ["m7i.large"],
        "on_demand_percentage_above_base_capacity": percent } })
    };
    let s =
        with(&with(&spacelift(), functions.clone()), json!({ "spacelift_api_credentials": api }));
    let w = with(&windlass(), functions);
    let yaml = translate(&root().join("infra/worker-pool.yaml")).unwrap();
    let written = |names: &[&str]| -> Value {
        let of = |name: &&str| {
            let resource = match *name {
                "work" => "AutoscalerWork",
                _ => "AutoscalerNotices",
            };
            let rule = &yaml["Resources"][resource]["Properties"];
            let mut pattern = rule["EventPattern"].clone();
            if *name == "work" {
                assert_eq!(pattern["detail"]["bucket"]["name"], json!([{ "Ref": "Bucket" }]));
                pattern["detail"]["bucket"]["name"] = json!(["b"]);
            }
            let retries = &rule["Targets"][0]["RetryPolicy"]["MaximumRetryAttempts"];
            ((*name).to_owned(), json!({ "pattern": pattern, "retries": retries }))
        };
        Value::Object(names.iter().map(of).collect())
    };
    for (given, expect) in [
        (windlass(), vec![]),
        (w.clone(), vec!["work"]),
        (with(&w, mixed(100)), vec!["work"]),
        (with(&w, mixed(50)), vec!["notices", "work"]),
        (with(&w, spot.clone()), vec!["notices", "work"]),
        (s.clone(), vec![]),
        (with(&s, spot), vec!["notices"]),
    ] {
        apply(inputs.path(), &given).unwrap();
        let wakes: Value = serde_json::from_str(&output(inputs.path(), "wakes")).unwrap();
        assert_eq!(wakes, written(&expect), "{given}");
    }
    // Only what core calls so is such a document.
    let job = JobId { run: "r".into(), phase: Phase::Plan, round: 0, attempt: Attempt::FIRST };
    let key = keys::job_spec(&job);
    assert!(key.starts_with("jobs/") && key.ends_with("/spec"), "{key}");
}

fn is_shell(script: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("user-data.sh");
    std::fs::write(&path, script).unwrap();
    let parsed = Command::new("bash").arg("-n").arg(&path).output().unwrap();
    assert!(parsed.status.success(), "{}\n{script}", String::from_utf8_lossy(&parsed.stderr));
    if let Ok(checked) = Command::new("shellcheck").arg("--severity=warning").arg(&path).output() {
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    }
}

#[test]
fn scripts_are_shell_whatever_is_asked_for() {
    let inputs = inputs(PROBE);
    let pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----";
    let everything = json!({ "selfhosted_configuration": { "s3_uri": "s3://b/launcher", "http_proxy_config": "http://p:3128",
        "https_proxy_config": "http://p:3128", "no_proxy_config": "169.254.169.254", "ca_certificates": [pem, pem],
        "power_off_on_error": false }, "configuration": "A=\"$(hostname)\"\nB=${A}\nexport A B" });
    let mut w_everything = everything.clone();
    w_everything["selfhosted_configuration"].as_object_mut().unwrap().remove("s3_uri");
    let w_everything = with(&w_everything, json!({ "secure_env_vars": { "TOKEN": "t" } }));
    for (given, has, has_not) in [
        (spacelift(), "https://downloads.spacelift.io/spacelift-launcher", "S3_URI=\"s3:"),
        (with(&spacelift(), everything), "setpriv", "ca-trust/source/anchors/pool-2.crt"),
        (windlass(), "ExecStart=/usr/local/bin/windlass worker", "secretsmanager"),
        (with(&windlass(), w_everything), "secretsmanager get-secret-value", "SPACELIFT"),
    ] {
        apply(inputs.path(), &given).unwrap();
        let script = output(inputs.path(), "user_data");
        is_shell(&script);
        assert!(script.starts_with("#!/bin/bash\n"), "{script}");
        assert!(script.contains(has), "{has}\n{script}");
        assert!(!script.contains(has_not), "{has_not}\n{script}");
        assert!(script.len() < 12 * 1024, "EC2 takes 16 KiB");
    }
}

/// Lines of a function of a script.
fn function(script: &str, name: &str) -> String {
    let start = script.find(&format!("\n{name}() {{\n")).expect("the script has that function");
    let end = script[start..].find("\n}\n").expect("it ends") + "\n}\n".len();
    script[start..start + end].to_owned()
}

#[test]
fn fedramp_has_a_launcher_of_its_own() {
    let inputs = inputs(PROBE);
    // As Spacelift makes it: JSON in base64, with the broker's address.
    let (usual, fedramp) = (
        "eyJicm9rZXIiOnsidXJsIjoid3NzOi8vYTEuaW90LmV1LXdlc3QtMS5hbWF6b25hd3MuY29tIn19",
        "eyJicm9rZXIiOnsidXJsIjoid3NzOi8vYTEuaW90LnVzLWdvdi13ZXN0LTEuYW1hem9uYXdzLmNvbSJ9fQ==",
    );
    for (launcher, token, expect) in [
        ("auto", usual, ""),
        ("auto", fedramp, "-fedramp\n"),
        ("auto", "", ""),
        ("standard", fedramp, ""),
        ("fedramp", usual, "-fedramp\n"),
    ] {
        apply(inputs.path(), &with(&spacelift(), json!({ "launcher": launcher }))).unwrap();
        let flavour = function(&output(inputs.path(), "user_data"), "flavour");
        let script = format!("set -eo pipefail\nLAUNCHER={launcher}\n{flavour}\nflavour");
        let told =
            Command::new("bash").arg("-c").arg(script).env("SPACELIFT_TOKEN", token).output();
        let told = told.unwrap();
        assert!(told.status.success(), "{launcher}");
        assert_eq!(String::from_utf8_lossy(&told.stdout), expect, "{launcher} {token}");
    }
}

/// What `Fn::Sub` of infra/worker-pool.yaml fills in, in the place of the module's values.
const CLOUDFORMATION: &str = r#"
locals {
  both = {
    pool          = "@{WorkerPoolId}"
    group         = "@{AWS::StackName}-workers"
    region        = "@{AWS::Region}"
    configuration = "@{Configuration}"
    s3_uri        = "@{S3Uri}"
    http_proxy    = ""
    https_proxy   = ""
    no_proxy      = ""
    certificates  = []
    power_off     = true
    delay         = 15
  }
}
output "spacelift" {
  value = templatefile("templates/spacelift.sh.tftpl", merge(local.both, {
    secret_keys  = ["@{SecretKeys}"]
    secret_arn   = "@{SecretArn}"
    domain       = "spacelift.io"
    launcher     = "@{Launcher}"
    as_spacelift = "@{AsSpacelift}"
  }))
}
output "windlass" {
  value = templatefile("templates/windlass.sh.tftpl", merge(local.both, {
    secret_keys      = []
    secret_arn       = ""
    bucket           = "@{Bucket}"
    queue_url_prefix = "@{QueueUrlPrefix}"
    secrets_prefix   = "@{SecretsPrefix}"
    slots            = "@{Slots}"
    tool_url         = ""
    tool_sha256      = ""
  }))
}
"#;

/// The lines of the block scalar that begins with this line, and the text around them.
fn scalar<'t>(text: &'t str, head: &str) -> (&'t str, &'t str, &'t str) {
    let start = text.find(head).expect("the template has that script") + head.len() + 1;
    let indent = text[..start].lines().next_back().unwrap();
    let indent = indent.len() - indent.trim_start().len();
    let mut end = start;
    for line in text[start..].split_inclusive('\n') {
        if !line.trim().is_empty() && line.len() - line.trim_start().len() <= indent {
            break;
        }
        end += line.len();
    }
    (&text[..start], &text[start..end], &text[end..])
}

/// The machines' scripts in CloudFormation's template are the module's. `REGEN=1` rewrites them.
#[test]
fn cloudformation_starts_machines_with_the_same_scripts() {
    let inputs = inputs(CLOUDFORMATION);
    apply(inputs.path(), &spacelift()).unwrap();
    let path = root().join("infra/worker-pool.yaml");
    for kind in ["spacelift", "windlass"] {
        let script = output(inputs.path(), kind);
        is_shell(&script.replace("@{Configuration}", ":").replace("@{", "_{"));
        let script = script.replace("${", "${!").replace("@{", "${");
        let line = |line: &str| {
            if line.is_empty() { "\n".to_owned() } else { format!("                  {line}\n") }
        };
        let expect: String = script.trim_end().lines().map(line).collect();
        let text = std::fs::read_to_string(&path).unwrap();
        let (before, found, after) = scalar(&text, &format!("- | # templates/{kind}.sh.tftpl"));
        if std::env::var_os("REGEN").is_some() {
            std::fs::write(&path, format!("{before}{expect}{after}")).unwrap();
        } else {
            assert_eq!(found, expect, "{kind}");
        }
    }
}
