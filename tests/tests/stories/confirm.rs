//! Confirmations: of what was looked at, once, and only where something waits.
use e2e::http;
use e2e::proofs::Times;
use e2e::up::id;
use serde_json::json;

#[test]
fn of_two_people_who_confirm_at_once_exactly_one_does() {
    let world = crate::world("terraform");
    let sha = world.define(&[("one", "")]).code("one", "x").repo.commit("One stack");
    let up = world.up(1);
    let run = up.reaches("one", &sha, "UNCONFIRMED");
    let people = ["ada", "bob", "cleo", "dan"];
    let answers: Vec<http::Answer> = std::thread::scope(|scope| {
        let asked = people.map(|person| scope.spawn(|| up.confirm_as(person, &run)));
        asked.into_iter().map(|thread| thread.join().expect("an answer")).collect()
    });
    let won = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(won, 1, "{answers:#?}");
    // On AWS it is the key that all of them have.
    let by = up.ask(&format!("/runs/{}", id(&run)))["confirmed_by"].clone();
    let by = by.as_str().expect("who confirmed");
    for refusal in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert_eq!(refusal.status, 409, "{refusal:?}");
        let told = format!("already confirmed, by {by}");
        assert!(refusal.message.ends_with(&told), "{refusal:?}");
    }
    up.becomes(id(&run), "FINISHED");
    let audit = up.ask("/audit?limit=100");
    let entries = audit["entries"].as_array().cloned().unwrap_or_default();
    let confirms = entries.iter().filter(|entry| entry["action"] == "confirm");
    assert_eq!(confirms.count(), people.len(), "refusals are written down too: {audit}");
    world.prove(&up, Times::Peaceful);
}

#[test]
fn a_confirmation_is_of_what_was_looked_at() {
    let world = crate::world("terraform");
    let sha = world.define(&[("one", "")]).code("one", "x").repo.commit("One stack");
    let up = world.up(1);
    let run = up.reaches("one", &sha, "UNCONFIRMED");
    let path = format!("/runs/{}/confirm", id(&run));
    let version = run["version"].as_u64().expect("a version");
    let other_digest = "0".repeat(64);
    let digest = run["plan_digest"].as_str().expect("a digest");
    #[rustfmt::skip]
    let table = [
        ("another plan",    json!({ "plan_digest": other_digest, "version": version }),     409, "changed since you looked"),
        ("another version", json!({ "plan_digest": digest,       "version": version + 1 }), 409, "changed since you looked"),
        ("no plan",         json!({ "version": version }),                                  422, "not what this address takes"),
    ];
    for (name, body, status, words) in table {
        let refusal = up.api.post(&path, &body).expect_err(name);
        assert_eq!(refusal.status, status, "{name}: {refusal:?}");
        assert!(refusal.message.contains(words), "{name}: {refusal:?}");
    }
    assert_eq!(up.run(id(&run))["state"], "UNCONFIRMED", "nothing came of these");
    let digests: Vec<_> = world.tool.calls().into_iter().filter_map(|call| call.digest).collect();
    assert_eq!(digests, [digest], "the digest is the plan file's own");
    up.confirm(&run);
    up.becomes(id(&run), "FINISHED");

    // It waits no more, or it never existed.
    let refusal = up.confirm_as("bob", &run).expect_err("it has ended");
    assert_eq!(refusal.status, 409, "{refusal:?}");
    assert!(refusal.message.contains("FINISHED"), "it names the state: {refusal:?}");
    let (code, said) = world.refused(&["run", "confirm", id(&run), "--yes"]);
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("FINISHED"), "{said}");
    let nowhere = up.api.post(
        "/runs/01ARZ3NDEKTSV4RRFFQ69G5FAV/confirm",
        &json!({
            "plan_digest": digest, "version": 1
        }),
    );
    assert_eq!(nowhere.expect_err("no such run").status, 404);
    world.prove(&up, Times::Peaceful);
}
