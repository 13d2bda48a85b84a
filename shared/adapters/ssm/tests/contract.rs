//! The Parameter Store keeps the port's promises, over HTTP and through the SDK.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
use adapter_aws::Aws;
use adapter_ssm::{SsmSecrets, VALUE_BYTES_MAX};
use emulator::Emulator;
use std::sync::Arc;
use windlass_ports::Secrets;
use windlass_ports::contract::{self, Ground, RealTime};

fn aws(server: &Emulator) -> Aws {
    let vars = server.env("ssm-contract").into_iter().map(|(name, value)| (name.to_owned(), value));
    Aws::from_vars(&vars.collect()).unwrap()
}

#[tokio::test]
async fn secrets() {
    let server = Emulator::shared();
    let secrets = Arc::new(SsmSecrets::new(&aws(&server), "/contract/secrets/"));
    contract::secrets::all(&Ground::new(secrets, "t", RealTime)).await;
}

/// Two installations, and what lies beside them, do not see each other.
#[tokio::test]
async fn a_prefix_is_a_wall() {
    let server = Emulator::shared();
    let aws = aws(&server);
    let (here, there) = (SsmSecrets::new(&aws, "wall/a"), SsmSecrets::new(&aws, "/wall/ab/"));
    let all = SsmSecrets::absolute(&aws);
    for n in 0..23 {
        here.set(&format!("cluster/{n:02}"), "some-value").await.unwrap();
    }
    there.set("token", "another-value").await.unwrap();
    // Pages of ten.
    let expected: Vec<String> = (0..23).map(|n| format!("cluster/{n:02}")).collect();
    assert_eq!(here.names().await.unwrap(), expected);
    assert_eq!(there.names().await.unwrap(), ["token"]);
    assert_eq!(here.get("token").await.unwrap(), None);
    assert_eq!(all.get("/wall/ab/token").await.unwrap().as_deref(), Some("another-value"));
    assert_eq!(all.get("wall/ab/token").await.unwrap(), None);
    // One that is in no path has no slash, and nobody's prefix.
    all.set("wall-token", "a-third-value").await.unwrap();
    assert_eq!(all.fresh("wall-token").await.unwrap().as_deref(), Some("a-third-value"));
    assert_eq!(all.get("wall token").await.unwrap(), None);
}

#[tokio::test]
async fn a_value_is_kept_and_fresh_goes_past_it() {
    let server = Emulator::shared();
    let aws = aws(&server);
    let (ours, theirs) = (SsmSecrets::new(&aws, "/kept/"), SsmSecrets::new(&aws, "/kept/"));
    assert_eq!(ours.get("token").await.unwrap(), None);
    theirs.set("token", "first-value").await.unwrap();
    assert_eq!(ours.get("token").await.unwrap().as_deref(), Some("first-value"));
    theirs.set("token", "second-value").await.unwrap();
    assert_eq!(ours.get("token").await.unwrap().as_deref(), Some("first-value"));
    assert_eq!(ours.fresh("token").await.unwrap().as_deref(), Some("second-value"));
    assert_eq!(ours.get("token").await.unwrap().as_deref(), Some("second-value"));
    theirs.remove("token").await.unwrap();
    assert_eq!(ours.fresh("token").await.unwrap(), None);
    assert_eq!(ours.get("token").await.unwrap(), None);
}

#[tokio::test]
async fn names_and_values_have_limits() {
    let server = Emulator::shared();
    let secrets = SsmSecrets::new(&aws(&server), "/limits/");
    let (deep, long) = (vec!["a"; 15].join("/"), "a".repeat(900));
    for odd in ["", "a//b", "/a", "a/", "a b", "ä", "a:b", &deep, &long] {
        let fault = secrets.set(odd, "some-value").await.unwrap_err();
        assert!(!fault.is_retryable() && !fault.chain().contains("some-value"), "{odd}");
        assert_eq!(secrets.get(odd).await.unwrap(), None, "{odd}");
        assert!(!secrets.remove(odd).await.unwrap(), "{odd}");
    }
    secrets.set("a.b-c_D/9", &"x".repeat(VALUE_BYTES_MAX)).await.unwrap();
    let fault = secrets.set("a", &"x".repeat(VALUE_BYTES_MAX + 1)).await.unwrap_err();
    assert!(!fault.is_retryable());
}
