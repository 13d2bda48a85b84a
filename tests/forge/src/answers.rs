//! What each route answers, made from the repository. Fields that nobody here reads are left out.
use crate::git::{self, Changed, Commit, Refused};
use crate::serve::{Answer, Asked};
use crate::state::{NewStatus, Shared, Status};
use serde_json::{Map, Value, json};
use std::path::Path;

const PAGE_DEFAULT: usize = 30;
const PAGE_MAX: usize = 100;
/// GitHub shows so many commits of a comparison that nobody pages through.
const COMPARE_COMMITS: usize = 250;

/// A repository's `GET` routes; None for one that is not known.
pub(crate) fn get(
    shared: &Shared,
    repo: &str,
    dir: &Path,
    rest: &[&str],
    asked: &Asked,
) -> Option<Answer> {
    let answer = match rest {
        [] => Ok(repository(shared, repo, dir)),
        ["branches"] => branches(shared, dir, asked),
        ["commits", name @ ..] if !name.is_empty() => {
            one_commit(shared, repo, dir, &name.join("/"), asked)
        }
        ["git", "commits", sha] => git_commit(shared, repo, dir, sha),
        ["git", "trees", name @ ..] if !name.is_empty() => {
            tree(shared, dir, &name.join("/"), asked)
        }
        ["compare", pair @ ..] if !pair.is_empty() => {
            compare(shared, repo, dir, &pair.join("/"), asked)
        }
        ["contents", path @ ..] => contents(dir, &path.join("/"), asked),
        ["tarball", name @ ..] if !name.is_empty() => {
            Ok(tarball(shared, repo, dir, &name.join("/")))
        }
        _ => return None,
    };
    Some(answer.unwrap_or_else(|Refused(said)| Answer::refuse(500, said)))
}

/// Seconds since 1970 as GitHub writes them.
pub(crate) fn moment(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Howard Hinnant's civil-from-days, for days since 1970.
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest % 3_600 / 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

pub(crate) fn default_branch(dir: &Path) -> String {
    git::text(dir, &["symbolic-ref", "--short", "HEAD"]).unwrap_or_else(|_| "main".to_owned())
}

fn repository(shared: &Shared, repo: &str, dir: &Path) -> Answer {
    Answer::json(200, &repository_json(shared, repo, dir))
}

pub(crate) fn repository_json(shared: &Shared, repo: &str, dir: &Path) -> Value {
    let (owner, name) = repo.split_once('/').unwrap_or((repo, ""));
    let id = repo.bytes().fold(7_u64, |sum, byte| sum * 31 % 900_000_007 + u64::from(byte));
    json!({
        "id": id,
        "name": name,
        "full_name": repo,
        "private": true,
        "owner": { "login": owner, "name": owner, "email": null, "id": 1, "type": "Organization" },
        "html_url": format!("{}/{repo}", shared.url),
        "url": format!("{}/repos/{repo}", shared.url),
        "clone_url": format!("{}/{repo}.git", shared.url),
        "fork": false,
        "default_branch": default_branch(dir),
    })
}

/// The `Link` header of page `page` of `pages`, and the slice of `all` on it.
fn page<'a, T>(shared: &Shared, asked: &Asked, all: &'a [T]) -> (&'a [T], Option<String>) {
    let per_page = asked.number("per_page", PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let (at, pages) = (asked.number("page", 1).max(1), all.len().div_ceil(per_page).max(1));
    let from = ((at - 1) * per_page).min(all.len());
    let slice = &all[from..(from + per_page).min(all.len())];
    let others = asked.query.iter().filter(|(name, _)| name != "page" && name != "per_page");
    let others: String = others.map(|(name, value)| format!("{name}={value}&")).collect();
    let link = |n: usize, rel: &str| {
        let path = &asked.path;
        format!("<{}{path}?{others}per_page={per_page}&page={n}>; rel=\"{rel}\"", shared.url)
    };
    let mut links = Vec::new();
    if at > 1 {
        links.extend([link(at - 1, "prev"), link(1, "first")]);
    }
    if at < pages {
        links.extend([link(at + 1, "next"), link(pages, "last")]);
    }
    (slice, (!links.is_empty()).then(|| links.join(", ")))
}

fn paged(answer: Answer, link: Option<String>) -> Answer {
    match link {
        Some(link) => answer.with("link", link),
        None => answer,
    }
}

fn branches(shared: &Shared, dir: &Path, asked: &Asked) -> Result<Answer, Refused> {
    let format = "--format=%(objectname) %(refname:strip=2)";
    let said = git::text(dir, &["for-each-ref", format, "refs/heads/"])?;
    let all: Vec<(&str, &str)> = said.lines().filter_map(|line| line.split_once(' ')).collect();
    let (slice, link) = page(shared, asked, &all);
    let entry = |(sha, name): &(&str, &str)| {
        let url =
            format!("{}{}/commits/{sha}", shared.url, asked.path.trim_end_matches("/branches"));
        json!({ "name": name, "commit": { "sha": sha, "url": url }, "protected": false })
    };
    Ok(paged(Answer::json(200, &slice.iter().map(entry).collect()), link))
}

fn no_commit(name: &str) -> Answer {
    Answer::refuse(422, format!("No commit found for SHA: {name}"))
}

/// What stands under `commit` wherever a commit is shown.
fn inner(commit: &Commit) -> Value {
    let person = |p: &git::Person| json!({ "name": p.name, "email": p.email, "date": p.at });
    json!({
        "author": person(&commit.author),
        "committer": person(&commit.committer),
        "message": commit.message,
        "tree": { "sha": commit.tree },
        "comment_count": 0,
    })
}

fn commit_json(shared: &Shared, repo: &str, commit: &Commit) -> Value {
    let parents = commit.parents.iter().map(|sha| json!({ "sha": sha })).collect::<Vec<_>>();
    json!({
        "sha": commit.sha,
        "url": format!("{}/repos/{repo}/commits/{}", shared.url, commit.sha),
        "html_url": format!("{}/{repo}/commit/{}", shared.url, commit.sha),
        "commit": inner(commit),
        // No account here has this address.
        "author": null,
        "committer": null,
        "parents": parents,
    })
}

fn one_commit(
    shared: &Shared,
    repo: &str,
    dir: &Path,
    name: &str,
    asked: &Asked,
) -> Result<Answer, Refused> {
    if let Some(sha) = name.strip_suffix("/statuses") {
        return Ok(statuses(shared, repo, sha));
    }
    // `heads/x` and `tags/x` name references; an empty repository has no commit at all.
    let Some(sha) = git::resolve(dir, name) else {
        return Ok(match git::text(dir, &["rev-parse", "--verify", "--quiet", "HEAD"]) {
            Ok(_) => no_commit(name),
            Err(_) => Answer::refuse(409, "Git Repository is empty."),
        });
    };
    if asked.accepts("vnd.github.sha") {
        let kind = "application/vnd.github.sha; charset=utf-8".to_owned();
        return Ok(Answer {
            status: 200,
            headers: vec![("content-type", kind)],
            body: sha.into_bytes(),
        });
    }
    let commit = git::commit(dir, &sha)?;
    let changed = git::own_changes(dir, &commit)?;
    let (slice, link) = page(shared, asked, &changed);
    let mut value = commit_json(shared, repo, &commit);
    value["files"] = slice.iter().map(file_json).collect();
    Ok(paged(Answer::json(200, &value), link))
}

fn is_sha(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn git_commit(shared: &Shared, repo: &str, dir: &Path, sha: &str) -> Result<Answer, Refused> {
    if !is_sha(sha) || git::resolve(dir, sha).is_none() {
        return Ok(Answer::not_found());
    }
    let commit = git::commit(dir, sha)?;
    let mut value = inner(&commit);
    value["sha"] = json!(commit.sha);
    value["parents"] = commit.parents.iter().map(|sha| json!({ "sha": sha })).collect();
    value["html_url"] = json!(format!("{}/{repo}/commit/{sha}", shared.url));
    Ok(Answer::json(200, &value))
}

fn file_json(changed: &Changed) -> Value {
    let status = match changed.status {
        'A' => "added",
        'D' => "removed",
        'R' => "renamed",
        'C' => "copied",
        'T' => "changed",
        _ => "modified",
    };
    let mut value = json!({ "sha": changed.blob, "filename": changed.path, "status": status });
    if let Some(before) = &changed.before {
        value["previous_filename"] = json!(before);
    }
    value
}

fn compare(
    shared: &Shared,
    repo: &str,
    dir: &Path,
    pair: &str,
    asked: &Asked,
) -> Result<Answer, Refused> {
    let Some((base, head)) = pair.split_once("...") else { return Ok(Answer::not_found()) };
    let (Some(base), Some(head)) = (git::resolve(dir, base), git::resolve(dir, head)) else {
        return Ok(Answer::not_found());
    };
    let Ok(fork) = git::text(dir, &["merge-base", &base, &head]) else {
        return Ok(Answer::refuse(404, format!("No common ancestor between {base} and {head}.")));
    };
    let count = |range: String| {
        let said = git::text(dir, &["rev-list", "--count", &range])?;
        Ok(said.parse::<usize>().unwrap_or(0))
    };
    let (ahead, behind) = (count(format!("{base}..{head}"))?, count(format!("{head}..{base}"))?);
    let status = match (ahead, behind) {
        (0, 0) => "identical",
        (_, 0) => "ahead",
        (0, _) => "behind",
        _ => "diverged",
    };
    let range = format!("{base}..{head}");
    let said = git::text(dir, &["rev-list", "--reverse", &range])?;
    let all: Vec<&str> = said.lines().collect();
    let by_page = asked.query("page").is_some() || asked.query("per_page").is_some();
    let (slice, link) = match by_page {
        true => page(shared, asked, &all),
        false => (&all[..all.len().min(COMPARE_COMMITS)], None),
    };
    let mut commits = Vec::new();
    for sha in slice {
        commits.push(commit_json(shared, repo, &git::commit(dir, sha)?));
    }
    let mut value = json!({
        "status": status,
        "ahead_by": ahead,
        "behind_by": behind,
        "total_commits": all.len(),
        "base_commit": commit_json(shared, repo, &git::commit(dir, &base)?),
        "merge_base_commit": commit_json(shared, repo, &git::commit(dir, &fork)?),
        "commits": commits,
        "html_url": format!("{}/{repo}/compare/{pair}", shared.url),
    });
    // Only the first page lists files, and so many for the whole comparison.
    if asked.number("page", 1) <= 1 {
        let files = git::diff(dir, &fork, &head, true)?;
        let max = shared.known().limits.compare_files;
        value["files"] = files.iter().take(max).map(file_json).collect();
    }
    Ok(paged(Answer::json(200, &value), link))
}

fn tree(shared: &Shared, dir: &Path, name: &str, asked: &Asked) -> Result<Answer, Refused> {
    // A commit's name, or the id of a tree itself.
    let folder =
        || git::text(dir, &["rev-parse", "--verify", "--quiet", &format!("{name}^{{tree}}")]);
    let Some(sha) = git::resolve(dir, name).or_else(|| folder().ok()) else {
        return Ok(Answer::not_found());
    };
    // Any value of `recursive` means yes.
    let deep = asked.query("recursive").is_some();
    let options =
        if deep { &["ls-tree", "-r", "-t", "-z", "-l"][..] } else { &["ls-tree", "-z", "-l"] };
    let out = git::git(dir, &[options, &["--full-tree", &sha]].concat())?;
    let said = String::from_utf8_lossy(&out);
    let entry = |line: &str| {
        let (facts, path) = line.split_once('\t')?;
        let mut facts = facts.split_whitespace();
        let (mode, kind, sha) = (facts.next()?, facts.next()?, facts.next()?);
        let mut value = Map::new();
        for (name, text) in [("path", path), ("mode", mode), ("type", kind), ("sha", sha)] {
            value.insert(name.to_owned(), json!(text));
        }
        if let Some(size) = facts.next().and_then(|size| size.parse::<u64>().ok()) {
            value.insert("size".to_owned(), json!(size));
        }
        Some(Value::Object(value))
    };
    let all: Vec<Value> = said.split('\0').filter_map(entry).collect();
    let max = shared.known().limits.tree_entries;
    let (truncated, shown) = (all.len() > max, &all[..all.len().min(max)]);
    Ok(Answer::json(200, &json!({ "sha": sha, "tree": shown, "truncated": truncated })))
}

fn contents(dir: &Path, path: &str, asked: &Asked) -> Result<Answer, Refused> {
    let name = asked.query("ref").map_or_else(|| default_branch(dir), str::to_owned);
    let Some(sha) = git::resolve(dir, &name) else {
        return Ok(Answer::refuse(404, format!("No commit found for the ref {name}")));
    };
    let Some(kind) = entry(dir, &sha, path)? else { return Ok(Answer::not_found()) };
    let place = format!("{sha}:{path}");
    match kind.as_str() {
        "tree" => {
            let said = git::text(dir, &["ls-tree", "--name-only", &place])?;
            let list: Vec<Value> = said.lines().map(|name| json!({ "name": name })).collect();
            Ok(Answer::json(200, &Value::Array(list)))
        }
        "commit" => Ok(Answer::json(200, &json!({ "type": "submodule", "path": path }))),
        _ if asked.accepts("vnd.github.raw") => {
            let body = git::git(dir, &["cat-file", "blob", &place])?;
            let kind = "application/vnd.github.raw+json; charset=utf-8".to_owned();
            Ok(Answer { status: 200, headers: vec![("content-type", kind)], body })
        }
        _ => Ok(Answer::json(200, &json!({ "type": "file", "path": path, "encoding": "none" }))),
    }
}

/// `blob`, `tree` or `commit`; None where there is nothing.
fn entry(dir: &Path, sha: &str, path: &str) -> Result<Option<String>, Refused> {
    if path.is_empty() {
        return Ok(Some("tree".to_owned()));
    }
    let said =
        git::text(dir, &["ls-tree", "-z", "--full-tree", sha, "--", &format!(":(literal){path}")])?;
    Ok(said.split_whitespace().nth(1).map(str::to_owned))
}

fn tarball(shared: &Shared, repo: &str, dir: &Path, name: &str) -> Answer {
    let Some(sha) = git::resolve(dir, name) else { return Answer::not_found() };
    let ticket = {
        let mut known = shared.known();
        let ticket = format!("TICKET{:06}", known.codeload_tickets.len() + 1);
        known.codeload_tickets.insert(ticket.clone());
        ticket
    };
    let location = format!("{}/{repo}/legacy.tar.gz/{sha}?token={ticket}", shared.codeload);
    Answer { status: 302, headers: vec![("location", location)], body: Vec::new() }
}

pub(crate) fn archive(dir: &Path, owner: &str, name: &str, sha: &str) -> Answer {
    let short = sha.get(..7).unwrap_or(sha);
    let prefix = format!("--prefix={owner}-{name}-{short}/");
    match git::git(dir, &["archive", "--format=tar.gz", &prefix, sha]) {
        Ok(body) => {
            let kind = "application/x-gzip".to_owned();
            Answer { status: 200, headers: vec![("content-type", kind)], body }
        }
        Err(Refused(said)) => Answer::refuse(404, said),
    }
}

pub(crate) fn status(
    shared: &Shared,
    repo: &str,
    dir: &Path,
    sha: &str,
    asked: &Asked,
) -> Option<Answer> {
    let new: NewStatus = match serde_json::from_slice(&asked.body) {
        Ok(new) => new,
        Err(error) => {
            // GitHub ignores a field that it does not know; here it is somebody's mistake.
            shared.known().mistakes.push(format!("a status that is none: {error}"));
            return Some(Answer::refuse(422, "Invalid request."));
        }
    };
    if !is_sha(sha) || git::resolve(dir, sha).is_none() {
        return Some(no_commit(sha));
    }
    let long = new.description.as_deref().is_some_and(|text| text.chars().count() > 140);
    let link = |url: &str| url.starts_with("http://") || url.starts_with("https://");
    let said = match &new {
        NewStatus { state, .. }
            if !["error", "failure", "pending", "success"].contains(&state.as_str()) =>
        {
            "Validation Failed: State is not included in the list"
        }
        _ if long => "Validation Failed: description is too long (maximum is 140 characters)",
        NewStatus { target_url: Some(url), .. } if !link(url) => {
            "Validation Failed: target_url must use http(s) scheme"
        }
        _ => "",
    };
    if !said.is_empty() {
        return Some(Answer::refuse(422, said));
    }
    let context = new.context.unwrap_or_else(|| "default".to_owned());
    let NewStatus { state, description, target_url, .. } = new;
    let status = Status { sha: sha.to_owned(), context, state, description, target_url };
    let mut known = shared.known();
    let max = known.limits.statuses;
    let list = known.statuses.entry(repo.to_owned()).or_default();
    let same = |old: &&Status| old.sha == status.sha && old.context == status.context;
    if list.iter().filter(same).count() >= max {
        let text =
            "Validation Failed: This SHA and context has reached the maximum number of statuses.";
        return Some(Answer::refuse(422, text));
    }
    let shown = json!(status);
    list.push(status);
    Some(Answer::json(201, &shown))
}

/// Newest first, as GitHub lists them.
fn statuses(shared: &Shared, repo: &str, sha: &str) -> Answer {
    let known = shared.known();
    let all = known.statuses.get(repo).into_iter().flatten().rev();
    let here: Vec<Value> = all.filter(|s| s.sha == sha).map(|s| json!(s)).collect();
    Answer::json(200, &Value::Array(here))
}
