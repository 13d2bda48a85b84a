//! Stacks: the list with its facets, one of them with its surroundings, and what it has made.
use super::list::all;
use super::sight::Sight;
use super::summaries::{Row, nearest};
use super::{App, Error, is_slug, view};
use crate::auth::{Seen, Who};
use crate::v1::{
    EdgeView, Facets, OutputList, OutputView, ResourceList, ResourceView, RunRef, StackDetail,
    StackList, StatePart,
};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use windlass_core::access::ROOT_SPACE;
use windlass_core::changes::Resource;
use windlass_core::definition::Tool;
use windlass_core::id::{Digest, SpaceId, StackId};
use windlass_core::keys;
use windlass_core::stack::{Defined, StackHead, StackOutputs};
use windlass_core::summary::{Group, Summary};
use windlass_ports::{Fault, cas};

const LIMIT: usize = 50;
const LIMIT_MAX: usize = 200;
const RESOURCES_PER_PAGE: usize = 500;
/// Values of one answer together; the rest are left out and keep their digests.
const OUTPUT_BYTES_MAX: usize = 512 * 1024;
const STATE_PART_BYTES: usize = 512 * 1024;

/// Which stacks. Empty strings count as absent, so that a form can send all of its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct StackQuery {
    pub(crate) q: String,
    pub(crate) state: String,
    pub(crate) space: String,
    pub(crate) label: String,
    pub(crate) repository: String,
    pub(crate) group: String,
    pub(crate) limit: Option<usize>,
    pub(crate) after: String,
}

/// What a stack has to be, each of which may be left open.
struct Filter<'a> {
    search: String,
    query: &'a StackQuery,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Facet {
    Group,
    State,
    Space,
    Label,
    Repository,
}

impl Filter<'_> {
    /// Whether the row passes everything but the facet that is being counted.
    fn passes(&self, row: &Row, but: Option<Facet>) -> bool {
        let (s, q) = (&row.summary, self.query);
        let is = |facet, asked: &str, holds: bool| asked.is_empty() || holds || but == Some(facet);
        s.defined
            && is(Facet::State, &q.state, s.state() == q.state)
            && is(Facet::Space, &q.space, s.space.0 == q.space)
            && is(Facet::Label, &q.label, s.labels.contains(&q.label))
            && is(Facet::Repository, &q.repository, s.repository.0 == q.repository)
            && is(Facet::Group, &q.group, group_word(s.group()) == q.group)
            && row.matches(&self.search)
    }
}

pub(crate) fn group_word(group: Group) -> &'static str {
    match group {
        Group::NeedsAttention => "needs_attention",
        Group::Failed => "failed",
        Group::OnHold => "on_hold",
        Group::InProgress => "in_progress",
        Group::Finished => "finished",
    }
}

/// Where a stack stands in the list; also the cursor.
fn place(summary: &Summary) -> String {
    format!("{}:{}", summary.group() as u8, summary.stack)
}

pub(crate) async fn stacks(app: &App, who: &Who, query: &StackQuery) -> Result<StackList, Error> {
    let rows = app.summaries.all(app, who).await?;
    let filter = Filter { search: query.q.to_lowercase(), query };
    let mut hits: Vec<(String, &Arc<Row>)> = rows
        .iter()
        .filter(|row| filter.passes(row, None))
        .map(|row| (place(&row.summary), row))
        .collect();
    hits.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let limit = query.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
    let total = hits.len() as u64;
    let rest = hits.iter().filter(|(place, _)| place.as_str() > query.after.as_str());
    let page: Vec<_> = rest.take(limit + 1).collect();
    let next = page.get(limit).and_then(|_| page.get(limit - 1)).map(|(place, _)| place.clone());
    Ok(StackList {
        stacks: page.iter().take(limit).map(|(_, row)| view::stack(&row.summary)).collect(),
        total,
        facets: facets(&rows, &filter),
        next,
    })
}

fn facets(rows: &[Arc<Row>], filter: &Filter<'_>) -> Facets {
    let mut facets = Facets::default();
    let add = |map: &mut BTreeMap<String, u64>, key: &str| match map.get_mut(key) {
        Some(count) => *count += 1,
        None => drop(map.insert(key.to_owned(), 1)),
    };
    for row in rows {
        let s = &row.summary;
        if filter.passes(row, Some(Facet::Group)) {
            add(&mut facets.group, group_word(s.group()));
        }
        if filter.passes(row, Some(Facet::State)) {
            add(&mut facets.state, s.state());
        }
        if filter.passes(row, Some(Facet::Space)) {
            add(&mut facets.space, &s.space.0);
        }
        if filter.passes(row, Some(Facet::Repository)) {
            add(&mut facets.repository, &s.repository.0);
        }
        if filter.passes(row, Some(Facet::Label)) {
            for label in &s.labels {
                add(&mut facets.label, label);
            }
        }
    }
    facets
}

/// The head of a stack that was defined once, or who was meant. One that is hidden from the caller
/// is not there.
pub(crate) async fn head_of(app: &App, who: &Who, slug: &str) -> Result<Seen<StackHead>, Error> {
    if is_slug(slug) {
        let key = keys::head(&slug.into());
        let found = cas::load::<StackHead>(&*app.deps.docs, &key).await?;
        if let Some(head) = found.map(|found| found.value)
            && !matches!(head.defined, Defined::NotYet)
            && let Some(seen) = who.see(&space_of(app, &head).await?, head)
        {
            return Ok(seen);
        }
    }
    let hint = match nearest(app, who, slug).await? {
        Some(near) if near.0 != slug => format!("; did you mean {near}?"),
        _ => String::new(),
    };
    let shown: String = slug.chars().take(80).collect();
    Err(Error::NotFound(format!("there is no stack {shown}{hint}")))
}

/// The space of its definition, or of its last one; the root's if even that is forgotten.
pub(super) async fn space_of(app: &App, head: &StackHead) -> Result<SpaceId, Fault> {
    if let Some(def) = head.defined.def() {
        return Ok(def.space.clone());
    }
    let known = cas::load::<Summary>(&*app.deps.docs, &keys::summary(&head.stack)).await?;
    Ok(known.map_or_else(|| ROOT_SPACE.into(), |known| known.value.space))
}

pub(crate) async fn stack(app: &App, who: &Who, slug: &str) -> Result<StackDetail, Error> {
    let head = head_of(app, who, slug).await?;
    let sight = Sight::of(app, who).await?;
    let rows = app.summaries.all(app, who).await?;
    let known = rows.iter().find(|row| row.summary.stack == head.stack);
    let summary = Summary::of(&head, known.map(|row| &row.summary));
    let Some(summary) = summary else {
        return Err(Error::NotFound(format!("{slug} left the definitions")));
    };
    let state_of = |stack: &StackId| {
        let row = rows.iter().find(|row| row.summary.stack == *stack);
        row.map_or("NONE", |row| row.summary.state()).to_owned()
    };
    let edge = |stack: &StackId, references: &[windlass_core::definition::Reference]| EdgeView {
        stack: stack.0.clone(),
        state: state_of(stack),
        references: references.iter().map(view::reference).collect(),
    };
    let dependents = rows.iter().filter(|row| row.summary.defined).flat_map(|row| {
        let edges = row.summary.depends_on.iter().filter(|e| e.stack == head.stack);
        edges.map(|e| edge(&row.summary.stack, &e.references))
    });
    let def = head.defined.def();
    let run = |run: &windlass_core::run::Run| {
        let run = sight.blur(run.clone());
        let mut shown = view::run(&run);
        shown.note = shown.note.or_else(|| super::why::waiting(&run, &head));
        shown
    };
    let by_age = |runs: &[windlass_core::run::Run]| runs.iter().map(run).collect::<Vec<_>>();
    Ok(StackDetail {
        worker_pool: def.map(|def| def.worker_pool.0.clone()).unwrap_or_default(),
        workspace: def.map(|def| def.workspace.clone()).unwrap_or_default(),
        tool: def.map(|def| tool_word(def.tool)).unwrap_or_default().to_owned(),
        version: def.and_then(|def| def.version.clone()),
        manage_state: def.is_some_and(|def| def.manage_state),
        protect_from_deletion: def.is_some_and(|def| def.protect_from_deletion),
        defined_by: match &head.defined {
            Defined::Yes { commit, .. } => Some(commit.0.clone()),
            _ => None,
        },
        depends_on: summary
            .depends_on
            .iter()
            .filter(|e| sight.sees(&e.stack))
            .map(|e| edge(&e.stack, &e.references))
            .collect(),
        dependents: dependents.collect(),
        active: head.active.as_ref().map(run),
        queue: by_age(&head.queue),
        open_proposed: by_age(&head.proposed),
        outputs_from: head
            .outputs
            .as_ref()
            .map(|o| RunRef { id: o.run.0.clone(), stack: o.stack.0.clone() }),
        drift: super::drift::view(&head),
        stack: view::stack(&summary),
    })
}

fn tool_word(tool: Tool) -> &'static str {
    match tool {
        Tool::Auto => "auto",
        Tool::Terraform => "terraform",
        Tool::Opentofu => "opentofu",
        Tool::Windlass => "windlass",
    }
}

pub(crate) async fn resources(
    app: &App,
    who: &Who,
    slug: &str,
    after: Option<&str>,
) -> Result<ResourceList, Error> {
    let head = head_of(app, who, slug).await?.into_inner();
    let (known, found) = (head.outputs, head.drift.found);
    let drifted = |address: &String| {
        let found = found.as_ref().filter(|found| found.drifted.addresses.contains(address));
        found.map(|found| found.since.rfc3339())
    };
    let mut list = ResourceList {
        stack: slug.to_owned(),
        run: known.as_ref().map(|known| known.run.0.clone()),
        total: 0,
        resources: Vec::new(),
        next: None,
    };
    let Some(key) = known.and_then(|known| known.resources_key) else { return Ok(list) };
    let mut resources: Vec<Resource> = read_json(app, &key).await?.unwrap_or_default();
    resources.sort_unstable();
    list.total = resources.len() as u64;
    let beyond = |r: &Resource| after.is_none_or(|after| r.address.as_str() > after);
    let mut page: Vec<ResourceView> = resources
        .into_iter()
        .filter(beyond)
        .take(RESOURCES_PER_PAGE + 1)
        .map(|r| ResourceView {
            drifted: drifted(&r.address),
            address: r.address,
            kind: r.kind,
            name: r.name,
            provider: r.provider,
            module: r.module,
        })
        .collect();
    if page.len() > RESOURCES_PER_PAGE {
        page.truncate(RESOURCES_PER_PAGE);
        list.next = page.last().map(|r| r.address.clone());
    }
    list.resources = page;
    Ok(list)
}

/// A value of the outputs' blob. What else it says is for those who may see it.
#[derive(Deserialize)]
struct Valued {
    value: Value,
    #[serde(default)]
    sensitive: bool,
}

/// Sensitive by either account is sensitive: its value is not even kept in memory past this.
pub(crate) async fn outputs(app: &App, who: &Who, slug: &str) -> Result<OutputList, Error> {
    let Some(known) = head_of(app, who, slug).await?.into_inner().outputs else {
        return Ok(OutputList { stack: slug.to_owned(), run: None, outputs: Vec::new() });
    };
    let StackOutputs { run, outputs, .. } = known;
    let mut values: BTreeMap<String, Valued> = BTreeMap::new();
    if outputs.values.values().any(|info| !info.sensitive) && !outputs.key.is_empty() {
        values = read_json(app, &outputs.key).await?.unwrap_or_default();
    }
    let mut room = OUTPUT_BYTES_MAX;
    let shown = outputs.values.into_iter().map(|(name, info)| {
        let found = values.remove(&name);
        let sensitive = info.sensitive || found.as_ref().is_some_and(|found| found.sensitive);
        let value = found.filter(|_| !sensitive).map(|found| found.value).filter(|value| {
            let bytes = value.to_string().len();
            let fits = bytes <= room;
            room -= if fits { bytes } else { 0 };
            fits
        });
        // Short secrets can be guessed from what they hash to.
        let digest = if sensitive { String::new() } else { info.digest.0 };
        OutputView { name, sensitive, value, digest }
    });
    let outputs = shown.collect();
    Ok(OutputList { stack: slug.to_owned(), run: Some(run.0), outputs })
}

pub(super) async fn read_json<T: serde::de::DeserializeOwned>(
    app: &App,
    key: &str,
) -> Result<Option<T>, Fault> {
    let Some(body) = app.deps.blobs.get(key).await? else { return Ok(None) };
    let parsed = serde_json::from_slice(&body);
    // The parser's own words may quote what it read; the key is enough to find it.
    parsed.map(Some).map_err(|_| Fault::poison(format!("the blob {key} does not parse")))
}

/// A piece of the managed state, which holds secrets: for writers, and the first one is audited.
pub(crate) async fn state_part(
    app: &App,
    who: &Who,
    slug: &str,
    after: usize,
) -> Result<StatePart, Error> {
    let head = head_of(app, who, slug).await?;
    let by = who.writer(head.space())?;
    if head.defined.def().is_some_and(|def| !def.manage_state) {
        let why = format!("{slug} keeps its state in a backend of its own");
        return Err(Error::Refused(why));
    }
    let workspace = head.defined.def().map_or("default", |def| def.workspace.as_str());
    let state = app.deps.state.pull(&head.stack, workspace).await?;
    let state = state.ok_or_else(|| {
        Error::NotFound(match workspace {
            "" | "default" => format!("{slug} has no state yet"),
            other => format!("{slug} has no state in its workspace {other} yet"),
        })
    })?;
    let text = String::from_utf8(state)
        .map_err(|_| Fault::poison(format!("the state of {slug} is not UTF-8")))?;
    if after == 0 {
        super::audit::record_read(app, &by, &head.stack, "pull_state").await?;
    }
    let from = text.floor_char_boundary(after.min(text.len()));
    let to = text.floor_char_boundary((from + STATE_PART_BYTES).min(text.len()));
    Ok(StatePart {
        stack: slug.to_owned(),
        digest: Digest::of(text.as_bytes()).0,
        bytes: text.len() as u64,
        next: (to < text.len()).then_some(to as u64),
        text: text.get(from..to).unwrap_or_default().to_owned(),
    })
}

/// Slugs of all repositories' names, for lists that go through them.
pub(super) async fn repositories(app: &App) -> Result<Vec<String>, Fault> {
    let keys = all(&*app.deps.docs, keys::REPOS, None).await?;
    let name =
        |key: &String| Some(key.strip_prefix(keys::REPOS)?.strip_suffix(".json")?.to_owned());
    Ok(keys.iter().filter_map(name).collect())
}
