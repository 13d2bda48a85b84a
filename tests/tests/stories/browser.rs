//! The console in a real browser: in by the one-time link, to the waiting run, Confirm, applied.
use e2e::browser::Browser;
use e2e::proofs::Times;
use e2e::{LONG, until, up};

/// None, and said so, if this part is left out; fails if it should run and can't.
fn browser() -> Option<&'static str> {
    let skipped = std::env::var("WINDLASS_TEST_SKIP").unwrap_or_default();
    if skipped.split(',').any(|part| part.trim() == "browser") {
        println!("left out: WINDLASS_TEST_SKIP says browser");
        return None;
    }
    let found = Browser::installed();
    assert!(found.is_some(), "install Chromium, or leave this out with WINDLASS_TEST_SKIP=browser");
    found
}

#[test]
fn a_person_logs_in_by_the_link_confirms_the_plan_and_sees_it_applied() {
    let Some(program) = browser() else { return };
    let world = crate::world("terraform");
    let sha = world.define(&[("shop", "")]).code("shop", "first").repo.commit("Open the shop");
    let up = world.up(1);
    let run = up.reaches("shop", &sha, "UNCONFIRMED");

    let mut page = Browser::open(program, &world.folder().join("profile"));
    let link = up.login_link();
    page.go(&link);
    page.wait("the list of stacks", "document.body.innerText.includes('shop')");
    page.go(&up.api.url(&format!("/runs/{}", up::id(&run))));
    page.wait("the plan", "document.body.innerText.includes('terraform_data.it')");
    page.click("Confirm");
    page.wait("the end", "/\\bfinished\\b/i.test(document.querySelector('main').innerText)");

    let run = up.becomes(up::id(&run), "FINISHED");
    let applies = world.tool.calls();
    let applies: Vec<_> = applies.iter().filter(|call| call.verb() == "apply").collect();
    assert_eq!(applies.len(), 1);
    until("the page to offer nothing more to confirm", LONG, || {
        let offered = page.eval(
            "[...document.querySelectorAll('button')].some(b => b.innerText.includes('Confirm'))",
        );
        if offered == false { Ok(()) } else { Err(page.text()) }
    });
    assert_eq!(run["state"], "FINISHED");
    world.prove(&up, Times::Peaceful);

    // The link was good once.
    let mut stranger = Browser::open(program, &world.folder().join("stranger"));
    stranger.go(&link);
    stranger.wait("an explanation", "/login|link/i.test(document.body.innerText)");
    stranger.go(&up.api.url("/"));
    assert!(!stranger.text().contains("shop"), "{}", stranger.text());
}
