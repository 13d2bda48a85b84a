//! The server's own promises: calls are written down under their caller's name, faults strike what
//! they were set for, before or after the effect.
use emulator::{Emulator, Fault, Price, REGION, When};

struct Client<'a> {
    server: &'a Emulator,
    agent: ureq::Agent,
}

impl Client<'_> {
    /// The status of one S3 request; 0 when the connection was cut.
    fn s3(&self, method: &str, path: &str) -> u16 {
        self.asked(method, path).map_or(0, |answer| answer.status().as_u16())
    }
    fn modified(&self, path: &str) -> String {
        let answer = self.asked("GET", path).expect("an answer");
        answer.headers()["last-modified"].to_str().expect("a time").to_owned()
    }
    fn asked(
        &self,
        method: &str,
        path: &str,
    ) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        let credential = format!("Credential=fn-tester/20260101/{REGION}/s3/aws4_request");
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}/{path}", self.server.endpoint()))
            .header("authorization", format!("AWS4-HMAC-SHA256 {credential}, Signature=0"))
            .body(if path.contains('/') && method == "PUT" { "body" } else { "" })
            .expect("a request");
        self.agent.run(request)
    }
}

#[test]
fn faults_strike_what_they_were_set_for_and_every_call_is_written_down() {
    let server = Emulator::start().unwrap();
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    let client = Client { server: &server, agent: config.into() };
    assert_eq!(client.s3("PUT", "bucket"), 200);
    server.forget_calls().unwrap();

    let put = |when, status| Fault {
        service: Some("s3".into()),
        action: Some("PutObject".into()),
        when,
        status: Some(status),
        times: Some(1),
        ..Fault::default()
    };
    // What the caller sees, and whether it happened.
    for (key, when, status, happened) in [
        ("a", When::Before, 503, false),
        ("b", When::After, 500, true),
        ("c", When::Before, 0, false),
        ("d", When::After, 0, true),
    ] {
        server.set_faults(&[put(when, status)]).unwrap();
        assert_eq!(client.s3("PUT", &format!("bucket/{key}")), status, "{key}");
        assert_eq!(server.struck().unwrap(), [1], "{key}");
        let there = client.s3("GET", &format!("bucket/{key}")) == 200;
        assert_eq!(there, happened, "{key}");
        assert_eq!(client.s3("PUT", &format!("bucket/{key}")), 200, "{key}: only once");
    }

    let calls = server.calls().unwrap();
    let first = &calls[0];
    assert_eq!((first.caller.as_str(), first.service.as_str()), ("fn-tester", "s3"));
    assert_eq!((first.action.as_str(), first.resource.as_str()), ("PutObject", "bucket/a"));
    assert_eq!((first.status, first.price), (503, Price::Put));
    let gets = calls.iter().filter(|call| call.action == "GetObject");
    assert!(gets.clone().all(|call| call.price == Price::Get) && gets.count() == 4);
}

#[test]
fn objects_grow_older_when_a_test_says_so() {
    let server = Emulator::start().unwrap();
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    let client = Client { server: &server, agent: config.into() };
    for path in ["bucket", "bucket/a/1", "bucket/b"] {
        assert_eq!(client.s3("PUT", path), 200);
    }
    let (a, b) = (client.modified("bucket/a/1"), client.modified("bucket/b"));
    server.make_older("bucket", "a/", 90_000_000).unwrap();
    assert_ne!(client.modified("bucket/a/1"), a);
    assert_eq!(client.modified("bucket/b"), b);
    assert!(server.make_older("nobody", "", 1).is_err());
}

/// Whoever lists or reads objects can't tell which were put and which were seeded.
#[test]
fn seeded_objects_are_as_if_put() {
    let server = Emulator::start().unwrap();
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    let client = Client { server: &server, agent: config.into() };
    assert_eq!(client.s3("PUT", "bucket"), 200);
    let names = ["a", "b", "c"].map(str::to_owned);
    for name in &names {
        assert_eq!(client.s3("PUT", &format!("bucket/put/{name}/it")), 200);
    }
    server.forget_calls().unwrap();
    let objects = [("seed/@/it".to_owned(), "body".to_owned())];
    server.seed("bucket", &objects, "@", &names).unwrap();
    assert!(server.calls().unwrap().is_empty());
    // All that may differ is when, and the request's own id.
    let others = ["last-modified", "date", "x-amzn-requestid"];
    let told = |path: &str| {
        let mut answer = client.asked("GET", path).expect("an answer");
        let mut headers: Vec<String> = (answer.headers().iter())
            .filter(|(name, _)| !others.contains(&name.as_str()))
            .map(|(name, value)| format!("{name}: {value:?}"))
            .collect();
        headers.sort();
        let text = answer.body_mut().read_to_string().unwrap();
        let text = without(&without(&text, "LastModified"), "NextContinuationToken");
        (headers, text.replace("seed/", "put/").replace(">seed", ">put"))
    };
    for path in ["bucket/?/a/it", "bucket/?/c/it"] {
        let (put, seeded) = (path.replace('?', "put"), path.replace('?', "seed"));
        assert_eq!(told(&seeded), told(&put), "{path}");
    }
    for list in ["", "&max-keys=2", "&start-after=?/a/it", "&delimiter=%2F"] {
        let of = |name| format!("bucket?list-type=2&prefix={name}%2F{}", list.replace('?', name));
        let ((seeded_headers, seeded), (put_headers, put)) = (told(&of("seed")), told(&of("put")));
        assert!(put.contains("put/"), "{put}");
        let lengthless = |headers: Vec<String>| -> Vec<String> {
            headers.into_iter().filter(|line| !line.starts_with("content-length")).collect()
        };
        assert_eq!(lengthless(seeded_headers), lengthless(put_headers), "{list}");
        assert_eq!(seeded, put, "{list}");
    }
    // What comes and goes afterwards is seen, too.
    assert_eq!(client.s3("PUT", "bucket/seed/d/it"), 200);
    assert_eq!(client.s3("DELETE", "bucket/seed/b/it"), 204);
    let (_, listed) = told("bucket?list-type=2&prefix=seed%2F");
    let here = |name: &str| listed.contains(&format!("put/{name}/it"));
    assert_eq!(["a", "b", "c", "d"].map(here), [true, false, true, true], "{listed}");
    assert!(server.seed("nobody", &objects, "@", &names).is_err());
}

/// The text without what stands in such elements.
fn without(text: &str, tag: &str) -> String {
    let rest = |part: &str| match part.split_once(&format!("</{tag}>")) {
        Some((_, rest)) => rest.to_owned(),
        None => part.to_owned(),
    };
    text.split(&format!("<{tag}>")).map(rest).collect()
}
