//! One row for each kind of fault: what is written, and every line of the answer.
use crate::{file, read};
use std::collections::{BTreeMap, BTreeSet};
use windlass_core::id::RepoName;
use windlass_core::index::Left;
use windlass_definitions::{OtherPool, OtherSpace, OtherStack, World, parse};

/// A world with a second repository, which owns a stack, a space and an edge back to `a`.
fn world() -> World {
    let other = RepoName::from("apps");
    let stack = |parents: &[&str]| OtherStack {
        repository: other.clone(),
        space: "theirs".into(),
        depends_on: parents.iter().map(|parent| (*parent).into()).collect(),
    };
    World {
        left: BTreeMap::from([
            ("old".into(), Left { owner: other.clone(), space: "apps".into() }),
            ("mine".into(), Left { owner: "infra".into(), space: "root".into() }),
        ]),
        stacks: BTreeMap::from([("shop".into(), stack(&["a"])), ("web".into(), stack(&[]))]),
        spaces: BTreeMap::from([(
            "apps".into(),
            OtherSpace { repository: other.clone(), parent: "root".into() },
        )]),
        granted: BTreeSet::from(["root".into()]),
        vouched: BTreeSet::new(),
        shared: BTreeSet::new(),
        beside: BTreeSet::new(),
        pools: BTreeMap::from([
            ("big".into(), OtherPool { repository: None, space: "root".into() }),
            ("theirs".into(), OtherPool { repository: Some(other.clone()), space: "apps".into() }),
        ]),
        secrets: Some(BTreeSet::from(["cluster/token".to_owned()])),
        repositories: Some(BTreeMap::from([
            (RepoName::from("infra"), "main".to_owned()),
            (other, "trunk".to_owned()),
        ])),
    }
}

fn told(text: &str) -> Vec<String> {
    match read(text, &world()) {
        Ok(_) => Vec::new(),
        Err(problems) => problems
            .iter()
            .map(|one| format!("{}:{}: {}", one.line, one.column, one.sentence()))
            .collect(),
    }
}

#[rustfmt::skip]
const TABLE: &[(&str, &str, &[&str])] = &[
    ("nothing wrong", "version: 1\nstacks: [{ name: a }]", &[]),
    // The text itself.
    ("not YAML", "version: 1\nstacks: [{ name: a ]", &[
        "2:10: not valid YAML: mismatched bracket '{' closed by ']'",
    ]),
    ("not YAML, indentation", "version: 1\nstacks:\n  - name: a\n   branch: b", &[
        "4:4: not valid YAML: while parsing a block collection, did not find expected '-' indicator",
    ]),
    ("a tab", "version: 1\nstacks:\n\t- name: a", &[
        "3:2: not valid YAML: tabs disallowed within this context (block indentation)",
    ]),
    ("empty", "# nothing\n", &[
        "0:0: the file is empty — it starts with `version: 1`; `windlass schema` describes the rest",
    ]),
    ("not a mapping", "- a", &[
        "1:1: the file must be a mapping, found a list — its keys are `version`, `include`, `spaces`, …",
    ]),
    ("duplicate key", "version: 1\nversion: 1", &[
        "2:1: duplicate key `version`",
    ]),
    ("merge key", "version: 1\nstacks:\n  - &x { name: a }\n  - { <<: *x, name: b }", &[
        "4:7: merge keys are not read — share values with a context, or repeat the whole value with an alias",
    ]),
    ("tag", "version: 1\nstacks: [{ name: !secret a }]", &[
        "2:26: tags are not read: `!secret`",
    ]),
    ("second document", "version: 1\n---\nversion: 1", &[
        "2:1: a second document: one file holds one",
    ]),
    ("key that is no text", "version: 1\n? [a]\n: 1", &[
        "2:3: a key must be text, found a list",
    ]),
    ("unknown alias", "version: 1\nstacks: *all", &[
        "2:9: not valid YAML: while parsing node, found unknown anchor",
    ]),
    // Keys.
    ("no version", "stacks: []", &[
        "1:1: missing key `version` — start the file with `version: 1`",
    ]),
    ("another version", "version: 2", &[
        "1:10: `version` must be `1`, found `2`",
    ]),
    ("unknown key, near", "version: 1\nstacks:\n  - name: a\n    brnach: b", &[
        "4:5: unknown key `brnach` — did you mean `branch`?",
    ]),
    ("unknown key, far", "version: 1\nfoo: 1", &[
        "2:1: unknown key `foo`",
    ]),
    ("missing key", "version: 1\nstacks:\n  - branch: b", &[
        "3:5: missing key `name`",
    ]),
    ("missing key of a reference", "version: 1\nstacks: [{ name: a, depends_on: [{ stack: web, references: [{ output: x }] }] }]", &[
        "2:63: missing key `input`",
    ]),
    // Types.
    ("a flag in YAML 1.1", "version: 1\nstacks: [{ name: a, autodeploy: yes }]", &[
        "2:33: `autodeploy` must be true or false, found `yes` — YAML 1.2 reads that as text: write true",
    ]),
    ("another flag in YAML 1.1", "version: 1\nstacks: [{ name: a, autodeploy: Off }]", &[
        "2:33: `autodeploy` must be true or false, found `Off` — YAML 1.2 reads that as text: write false",
    ]),
    ("a flag of YAML 1.1 in quotes", "version: 1\nstacks: [{ name: a, autodeploy: 'no' }]", &[
        "2:33: `autodeploy` must be true or false, found the text `no` — write false, without quotes",
    ]),
    ("a flag in quotes", "version: 1\nstacks: [{ name: a, autodeploy: \"true\" }]", &[
        "2:33: `autodeploy` must be true or false, found the text `true` — write true, without quotes",
    ]),
    ("a flag that is a list", "version: 1\nstacks: [{ name: a, autodeploy: [] }]", &[
        "2:33: `autodeploy` must be true or false, found a list",
    ]),
    ("a number that is not", "version: 1\ncontexts: [{ name: c, priority: high }]", &[
        "2:33: `priority` must be a whole number, found `high`",
    ]),
    ("a number for octal readers", "version: 1\ncontexts: [{ name: c, priority: 010 }]", &[
        "2:33: `priority` must be a whole number, found `010`",
    ]),
    ("a text that is a list", "version: 1\nstacks: [{ name: [a] }]", &[
        "2:18: `name` must be text, found a list",
    ]),
    ("a list that is a text", "version: 1\nstacks: [{ name: a, labels: aws }]", &[
        "2:29: `labels` must be a list, found `aws` — write `[aws]`",
    ]),
    ("a mapping that is a list", "version: 1\nstacks: [{ name: a, hooks: [x] }]", &[
        "2:28: `hooks` must be a mapping, found a list — its keys are `before_init`, `after_init`, `before_plan`, …",
    ]),
    ("no value", "version: 1\nstacks:\n  - name: a\n    branch:\n", &[
        "4:5: `branch` has no value — give it one, or leave the key out",
    ]),
    ("no value for a variable", "version: 1\nstacks: [{ name: a, env: [{ name: X, value: ~ }] }]", &[
        "2:38: `value` has no value — write \"\" for an empty text",
    ]),
    ("a word that is none of", "version: 1\nstacks: [{ name: a, tool: teraform }]", &[
        "2:27: `tool` must be one of `auto`, `terraform`, `opentofu`, found `teraform` — did you mean `terraform`?",
    ]),
    ("neither value nor secret", "version: 1\nstacks: [{ name: a, env: [{ name: X }] }]", &[
        "2:29: missing key `value` or `secret`",
    ]),
    ("both value and secret", "version: 1\nstacks: [{ name: a, env: [{ name: X, value: 1, secret: cluster/token }] }]", &[
        "2:48: only one of `value` or `secret` may be given",
    ]),
    // Forms.
    ("absolute root", "version: 1\nstacks: [{ name: a, project_root: /etc }]", &[
        "2:35: `project_root` must be a folder inside of the repository, not an absolute path, found `/etc`",
    ]),
    ("root outside", "version: 1\nstacks: [{ name: a, project_root: x/../../y }]", &[
        "2:35: `project_root` must be a folder inside of the repository, without `..`, found `x/../../y`",
    ]),
    ("glob", "version: 1\nstacks: [{ name: a, additional_project_globs: [\"a/{b\"] }]", &[
        "2:48: an item of `additional_project_globs` must be a glob (unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)), found `a/{b`",
    ]),
    ("include", "version: 1\ninclude: [\"/x/*.yaml\", \"a[\"]", &[
        "2:11: an item of `include` must be a glob from the root of the repository, such as `modules/eks/**`, found `/x/*.yaml`",
        "2:24: an item of `include` must be a glob (unclosed character class; missing ']'), found `a[`",
    ]),
    ("cron, fields", "version: 1\nstacks: [{ name: a, drift: { schedule: [\"0 7 * *\"] } }]", &[
        "2:41: an item of `schedule` must be a cron line of five fields (minute, hour, day of month, month, day of week), not 4, found `0 7 * *`",
    ]),
    ("cron, hour", "version: 1\nstacks: [{ name: a, drift: { schedule: [\"0 24 * * *\"] } }]", &[
        "2:41: an item of `schedule` must be a cron line whose hour is within 0-23 (`*`, `1,2`, `1-5`, `*/5`), found `0 24 * * *`",
    ]),
    ("cron, never", "version: 1\nstacks: [{ name: a, drift: { schedule: [\"0 7 30 2 *\"] } }]", &[
        "2:41: an item of `schedule` must be a cron line that names a day which some month has, found `0 7 30 2 *`",
    ]),
    ("drift budget", "version: 1\nworker_pools: [{ name: p, drift_budget: -1 }]", &[
        "2:27: `drift_budget` is within 0-1000, not -1",
    ]),
    ("cron, none", "version: 1\nstacks: [{ name: a, drift: { schedule: [] } }]", &[
        "2:30: `schedule` needs at least one cron line",
    ]),
    ("time zone", "version: 1\nstacks: [{ name: a, drift: { schedule: [\"0 7 * * *\"], timezone: Europe/Berln } }]", &[
        "2:65: `timezone` must be an IANA time zone such as `Europe/Berlin`, found `Europe/Berln` — did you mean `Europe/Berlin`?",
    ]),
    ("duration", "version: 1\nstacks: [{ name: a, timeouts: { run: 70 min } }]", &[
        "2:38: `run` must be a duration such as `70m`, `1h30m` or `90s`, found `70 min`",
    ]),
    ("duration too long", "version: 1\nstacks: [{ name: a, timeouts: { run: 200h } }]", &[
        "2:38: `run` must be a duration between one second and seven days, found `200h`",
    ]),
    ("version requirement", "version: 1\nstacks: [{ name: a, version: latest }]", &[
        "2:30: `version` must be a version requirement such as `>= 1.6, < 2`, found `latest`",
    ]),
    ("variable name", "version: 1\nstacks: [{ name: a, env: [{ name: MY-VAR, value: x }] }]", &[
        "2:35: `name` must be a variable's name of letters, digits and `_`, found `MY-VAR`",
    ]),
    ("only the prefix", "version: 1\nstacks: [{ name: a, env: [{ name: ro_, value: x }] }]", &[
        "2:35: `name` must be a variable's name of letters, digits and `_`, found `ro_`",
    ]),
    ("empty names of a reference", "version: 1\nstacks: [{ name: a, depends_on: [{ stack: web, references: [{ output: \"\", input: \"\" }] }] }]", &[
        "2:71: `output` must be the name of an output, found `\"\"`",
        "2:82: `input` must be a variable's name of letters, digits and `_`, found `\"\"`",
    ]),
    ("a hook of two lines", "version: 1\nstacks:\n  - name: a\n    hooks:\n      before_plan:\n        - |\n          a\n          b", &[
        "7:11: an item of `before_plan` must be a shell command in one line (join with `&&`, or list several), found `a\\nb\\n`",
    ]),
    ("a name without letters", "version: 1\nstacks: [{ name: \"--\" }]", &[
        "2:18: `name` must be a name with letters or digits of `a-z0-9`, found `--`",
    ]),
    ("an escape in a value", "version: 1\nstacks: [{ name: \"\\e[31mx\" }]", &[
        "2:18: `name` must be a name in one line, without space around it, found `\\u{1b}[31mx`",
    ]),
    ("file mount outside", "version: 1\nstacks: [{ name: a, files: [{ path: ../x, source: /y }] }]", &[
        "2:37: `path` must be a file inside of the repository, without `..`, found `../x`",
        "2:51: `source` must be a file inside of the repository, not an absolute path, found `/y`",
    ]),
    ("workspace", "version: 1\nstacks: [{ name: a, workspace: \"a b\" }]", &[
        "2:32: `workspace` must be a workspace, such as `default`, found `a b`",
    ]),
    ("branch", "version: 1\nstacks: [{ name: a, branch: \"a..b\" }]", &[
        "2:29: `branch` must be a branch, such as `main`, found `a..b`",
    ]),
    // Twice.
    ("duplicate stack", "version: 1\nstacks:\n  - name: a\n  - name: a", &[
        "4:11: duplicate stack `a`: first declared at windlass.yaml:3 — rename one of them",
    ]),
    ("duplicate slug", "version: 1\nstacks:\n  - name: a-b\n  - name: A b", &[
        "4:11: duplicate stack: `A b` has the slug `a-b`, first declared at windlass.yaml:3 — rename one of them",
    ]),
    ("stack of another repository", "version: 1\nstacks: [{ name: Shop }]", &[
        "2:18: stack `shop` belongs to repository `apps` — choose another name",
    ]),
    ("a stack that left another repository", "version: 1\nstacks: [{ name: Old }]", &[
        "2:18: stack `old` was repository `apps`'s, and what it left is kept — choose another name, or let `apps` declare it, with `repository: infra` for its code",
    ]),
    ("a stack that left and comes back", "version: 1\nstacks: [{ name: mine }]", &[]),
    ("administrative stack", "version: 1\nstacks: [{ name: infra-definitions }]", &[
        "2:18: stack `infra-definitions` is this repository's administrative stack — choose another name",
    ]),
    ("space of another repository", "version: 1\nspaces: [{ name: apps }]", &[
        "2:18: space `apps` belongs to repository `apps` — choose another name",
    ]),
    ("the root space", "version: 1\nspaces: [{ name: root }]", &[
        "2:18: the space `root` always exists — leave it out",
    ]),
    ("duplicate pool", "version: 1\nworker_pools: [{ name: p }, { name: p }]", &[
        "2:37: duplicate worker pool `p`: first declared at windlass.yaml:2 — rename one of them",
    ]),
    ("duplicate context", "version: 1\ncontexts: [{ name: c }, { name: C }]", &[
        "2:33: duplicate context: `C` has the slug `c`, first declared at windlass.yaml:2 — rename one of them",
    ]),
    ("duplicate variable", "version: 1\nstacks: [{ name: a, env: [{ name: X, value: 1 }, { name: X, value: 2 }] }]", &[
        "2:58: duplicate variable `X`: first on line 2",
    ]),
    ("duplicate mount", "version: 1\nstacks: [{ name: a, files: [{ path: x, source: y }, { path: ./x, source: z }] }]", &[
        "2:61: duplicate file `x`: first on line 2",
    ]),
    ("duplicate input", "version: 1\nstacks: [{ name: a, depends_on: [{ stack: web, references: [{ output: x, input: I }, { output: y, input: I }] }] }]", &[
        "2:106: duplicate input `I`: first on line 2",
    ]),
    ("duplicate edge", "version: 1\nstacks: [{ name: a, depends_on: [{ stack: web }, { stack: web }] }]", &[
        "2:59: stack `web` is depended on twice — put its references into one entry",
    ]),
    ("context named twice", "version: 1\ncontexts: [{ name: c }]\nstacks: [{ name: a, contexts: [c, c] }]", &[
        "3:35: context `c` is named twice",
    ]),
    // Unknown.
    ("unknown stack, near", "version: 1\nstacks: [{ name: cluster }, { name: b, depends_on: [{ stack: cluser }] }]", &[
        "2:62: unknown stack `cluser` — did you mean `cluster`?",
    ]),
    ("unknown stack, far", "version: 1\nstacks: [{ name: b, depends_on: [{ stack: xxxxxx }] }]", &[
        "2:43: unknown stack `xxxxxx`",
    ]),
    ("unknown space", "version: 1\nstacks: [{ name: a, space: app }]", &[
        "2:28: unknown space `app` — did you mean `apps`?",
    ]),
    ("unknown pool", "version: 1\nstacks: [{ name: a, worker_pool: defualt }]", &[
        "2:34: unknown worker pool `defualt` — did you mean `default`?",
    ]),
    ("unknown context", "version: 1\ncontexts: [{ name: common }]\nstacks: [{ name: a, contexts: [comon] }]", &[
        "3:32: unknown context `comon` — did you mean `common`?",
    ]),
    ("unknown secret, near", "version: 1\nstacks: [{ name: a, env: [{ name: X, secret: cluster/tokn }] }]", &[
        "2:46: unknown secret `cluster/tokn` — did you mean `cluster/token`?",
    ]),
    ("unknown secret, far", "version: 1\ncontexts: [{ name: c, env: [{ name: X, secret: other }] }]", &[
        "2:48: unknown secret `other` — store it with `windlass secret set other`",
    ]),
    ("unknown repository", "version: 1\nstacks: [{ name: a, repository: ap }]", &[
        "2:33: unknown repository `ap`",
    ]),
    // Between things.
    ("itself", "version: 1\nstacks: [{ name: b, depends_on: [{ stack: b }] }]", &[
        "2:43: stack `b` depends on itself",
    ]),
    ("circle", "version: 1\nstacks:\n  - { name: x, depends_on: [{ stack: y }] }\n  - { name: y, depends_on: [{ stack: z }] }\n  - { name: z, depends_on: [{ stack: x }] }", &[
        "3:38: stacks wait for each other: x → y → z → x",
    ]),
    ("circle through another repository", "version: 1\nstacks: [{ name: a, depends_on: [{ stack: shop }] }]", &[
        "2:43: stacks wait for each other: a → shop → a",
    ]),
    ("spaces in each other", "version: 1\nspaces: [{ name: p, parent: q }, { name: q, parent: p }]", &[
        "2:18: spaces lie in each other: p → q → p",
    ]),
    ("control pool", "version: 1\nworker_pools: [{ name: control }]", &[
        "2:24: the pool `control` is the control plane's own — choose another name",
    ]),
    ("jobs for the control pool", "version: 1\nstacks: [{ name: a, worker_pool: control }]", &[
        "2:34: the pool `control` runs the control plane's own jobs only",
    ]),
    ("a pool of another space", "version: 1\nspaces: [{ name: p }, { name: q }]\nworker_pools: [{ name: w, space: p }]\nstacks: [{ name: a, space: q, worker_pool: w }]", &[
        "4:44: worker pool `w` is for space `p`, the stack is in `q`",
    ]),
    ("another repository's pool", "version: 1\nstacks: [{ name: a, worker_pool: theirs }, { name: b, space: apps, worker_pool: theirs }]", &[
        "2:34: worker pool `theirs` is for space `apps`, the stack is in `root`",
    ]),
    ("a pool that is another's", "version: 1\nworker_pools: [{ name: theirs }, { name: big }]", &[
        "2:24: worker pool `theirs` is declared by apps already — choose another name",
    ]),
    ("a context of another space", "version: 1\nspaces: [{ name: p }, { name: q }]\ncontexts: [{ name: c, space: p }]\nstacks: [{ name: a, space: q, contexts: [c] }]", &[
        "4:42: context `c` is for space `p`, the stack is in `q`",
    ]),
    ("all at once", "version: 1\nstacks:\n  - name: a\n    brnach: b\n    autodeploy: yes\n    space: app\n    depends_on: [{ stack: a }]\n    drift: {}\n", &[
        "4:5: unknown key `brnach` — did you mean `branch`?",
        "5:17: `autodeploy` must be true or false, found `yes` — YAML 1.2 reads that as text: write true",
        "6:12: unknown space `app` — did you mean `apps`?",
        "7:27: stack `a` depends on itself",
        "8:12: missing key `schedule`",
    ]),
];

#[test]
fn every_kind_of_fault() {
    let mut wrong = String::new();
    for (name, text, expect) in TABLE {
        let seen = told(text);
        if seen != *expect {
            wrong += &format!("{name:?}: {seen:#?}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_fault_shows_its_line() {
    let root = file("windlass.yaml", "version: 1\ninclude: [\"stacks/**/windlass.yaml\"]\n");
    let text = "stacks:\n  - name: a\n    brnach: main\n    drift: {schedule: [\"0 7 * *\"]}\n";
    let part = file("stacks/a/windlass.yaml", text);
    let problems =
        parse(&RepoName::from("infra"), "main", &[part, root], &World::default()).unwrap_err();
    let expect = "\
stacks/a/windlass.yaml:3:5: unknown key `brnach` — did you mean `branch`?
  |
3 |     brnach: main
  |     ^^^^^^

stacks/a/windlass.yaml:4:24: an item of `schedule` must be a cron line of five fields (minute, hour, day of month, month, day of week), not 4, found `0 7 * *`
  |
4 |     drift: {schedule: [\"0 7 * *\"]}
  |                        ^^^^^^^^^

2 faults";
    assert_eq!(windlass_definitions::render(&problems), expect);
}

#[test]
fn faults_across_files() {
    let files = [
        file("windlass.yaml", "version: 1\ninclude: [\"s/*.yaml\"]\nstacks: [{ name: a }]"),
        file("s/2.yaml", "include: [x]\nstacks: [{ name: b }]"),
        file("s/1.yaml", "stacks: [{ name: a }, { name: b }]"),
        file("s/3.yaml", "# nothing yet\n"),
    ];
    let problems = parse(&RepoName::from("infra"), "main", &files, &World::default()).unwrap_err();
    let seen: Vec<String> =
        problems.iter().map(|one| one.to_string().lines().next().unwrap().to_owned()).collect();
    let expect = [
        "s/1.yaml:1:18: duplicate stack `a`: first declared at windlass.yaml:3 — rename one of them",
        "s/2.yaml:1:1: only the root file may include others",
        "s/2.yaml:2:18: duplicate stack `b`: first declared at s/1.yaml:1 — rename one of them",
    ];
    assert_eq!(seen, expect);
}

#[test]
fn a_file_that_cannot_be_read_makes_no_name_unknown() {
    let files = [
        file("windlass.yaml", "version: 1\nstacks: [{ name: a, depends_on: [{ stack: b }] }]"),
        file("s/1.yaml", "stacks: [{ name: b }"),
    ];
    let problems = parse(&RepoName::from("infra"), "main", &files, &World::default()).unwrap_err();
    assert_eq!(problems.len(), 1, "{}", windlass_definitions::render(&problems));
    assert_eq!((problems[0].path.as_str(), problems[0].line), ("s/1.yaml", 1));
}

#[test]
fn a_repository_defines_only_where_it_may() {
    let world = World { granted: BTreeSet::from(["apps".into()]), ..world() };
    let text = "version: 1\nspaces: [{ name: mine, parent: apps }, { name: top }]\n\
                stacks: [{ name: one, space: mine }, { name: two }, { name: three, space: apps }, \
                { name: mine, space: apps }]\n\
                worker_pools: [{ name: w }]";
    let seen: Vec<String> = read(text, &world)
        .unwrap_err()
        .iter()
        .map(|one| format!("{}:{}: {}", one.line, one.column, one.sentence()))
        .collect();
    let expect = [
        "2:48: space `top` is in a space where repository `infra` may not define — it was granted `apps`",
        "3:46: stack `two` is in a space where repository `infra` may not define — it was granted `apps`",
        "3:91: what stack `mine` left is in a space where repository `infra` may not define — it was granted `apps`",
        "4:24: pool `w` is in a space where repository `infra` may not define — it was granted `apps`",
    ];
    assert_eq!(seen, expect);
}

/// What another repository than the root space's owner may name: what is its own, and what was given.
#[test]
fn a_repository_names_only_what_was_given_to_it() {
    let stack = |what: &str| format!("version: 1\nstacks: [{{ name: one, space: team, {what} }}]");
    let secret = |name: &str| stack(&format!("env: [{{ name: X, secret: {name} }}]"));
    let edge = |to: &str| stack(&format!("depends_on: [{{ stack: {to} }}]"));
    let code = |of: &str| stack(&format!("repository: {of}"));
    let own_space = "version: 1\nspaces: [{ name: cluster, parent: team }]\nstacks: [{ name: one, \
                     space: cluster, env: [{ name: X, secret: cluster/token }] }]";
    let other = |space: &str| OtherStack {
        repository: "apps".into(),
        space: space.into(),
        depends_on: vec![],
    };
    let space = |parent: &str| OtherSpace { repository: "apps".into(), parent: parent.into() };
    let spaces = ["team", "platform", "closed", "lent"].map(|slug| (slug.into(), space("root")));
    let world = |granted: &str| World {
        // Somebody else than the root space's owner lets it define in `lent`.
        granted: BTreeSet::from([granted.into(), "lent".into()]),
        vouched: BTreeSet::from([granted.into()]),
        shared: BTreeSet::from(["platform".into()]),
        beside: BTreeSet::from(["lib".into()]),
        spaces: spaces.clone().into_iter().chain([("deep".into(), space("platform"))]).collect(),
        stacks: ["team", "platform", "deep", "closed", "root"]
            .map(|space| (format!("in-{space}").as_str().into(), other(space)))
            .into(),
        secrets: Some(["team/token", "cluster/token", "lent/token"].map(str::to_owned).into()),
        repositories: Some(
            ["infra", "lib", "apps"].map(|name| (name.into(), "main".to_owned())).into(),
        ),
        ..World::default()
    };
    #[rustfmt::skip]
    let table = [
        (secret("team/token"),    None),
        (secret("cluster/token"), Some("secret `cluster/token` is not for repository `infra` — store it under a name that begins with `team/`")),
        (secret("lent/token"),    Some("secret `lent/token` is not for repository `infra` — store it under a name that begins with `team/`")),
        (secret("team/tokn"),     Some("unknown secret `team/tokn` — did you mean `team/token`?")),
        (own_space.to_owned(),    Some("secret `cluster/token` is not for repository `infra` — store it under a name that begins with `team/`")),
        (edge("in-team"),         None),
        (edge("in-platform"),     None),
        (edge("in-deep"),         None),
        (edge("in-closed"),       Some("stack `in-closed` lies in space `closed`, which is not shared with repository `infra` — name the repository in the `shared_with` of a space that holds `in-closed`")),
        (edge("in-root"),         Some("stack `in-root` lies in space `root`, which is not shared with repository `infra` — name the repository in the `shared_with` of a space that holds `in-root`")),
        (code("infra"),           None),
        (code("lib"),             None),
        (code("apps"),            Some("repository `apps` shares no space with `infra` — name both in the `repositories` of one space")),
    ];
    for (text, expect) in table {
        let told = |granted: &str| -> Vec<String> {
            let problems = read(&text, &world(granted)).err().unwrap_or_default();
            problems.iter().map(windlass_definitions::Problem::sentence).collect()
        };
        assert_eq!(
            told("team"),
            expect.map(str::to_owned).into_iter().collect::<Vec<_>>(),
            "{text}"
        );
        let unknown = text.contains("tokn");
        assert_eq!(told("root").is_empty(), !unknown, "the root space's owner: {text}");
    }
}

#[test]
fn without_a_root_file() {
    let problems = parse(&RepoName::from("infra"), "main", &[], &World::default()).unwrap_err();
    let expect = "windlass.yaml: there is no such file — `windlass up --repo .` proposes one, \
                  `--write` writes it";
    assert_eq!(problems[0].to_string(), expect);
}
