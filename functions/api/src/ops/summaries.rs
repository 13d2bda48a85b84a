//! All stacks' summaries, kept between requests by the version that a list names: what did not
//! change is not read again.
use super::App;
use super::list::load_many;
use crate::auth::Who;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use windlass_core::access::Role;
use windlass_core::id::StackId;
use windlass_core::keys;
use windlass_core::summary::Summary;
use windlass_ports::docs::LIST_MAX;
use windlass_ports::{Fault, Version};

/// One stack's summary with what a search looks at.
pub(crate) struct Row {
    pub(crate) summary: Summary,
    haystack: String,
}

impl Row {
    fn new(summary: Summary) -> Self {
        let labels = summary.labels.iter().cloned().collect::<Vec<_>>().join("\n");
        let (name, slug) = (&summary.name, &summary.stack);
        let (root, about) = (&summary.project_root, &summary.description);
        let haystack = format!("{slug}\n{name}\n{root}\n{labels}\n{about}").to_lowercase();
        Self { summary, haystack }
    }
    /// Every word of the (lower case) search occurs somewhere.
    pub(crate) fn matches(&self, search: &str) -> bool {
        search.split_whitespace().all(|word| self.haystack.contains(word))
    }
}

type Rows = BTreeMap<String, (Version, Arc<Row>)>;

#[derive(Default)]
pub(crate) struct Summaries(Mutex<Arc<Rows>>);

impl Summaries {
    fn known(&self) -> Arc<Rows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All that the caller may see, fresh, by slug.
    pub(crate) async fn all(&self, app: &App, who: &Who) -> Result<Vec<Arc<Row>>, Fault> {
        let mut rows = self.everything(app).await?;
        rows.retain(|row| who.may(Role::Reader, &row.summary.space));
        Ok(rows)
    }

    async fn everything(&self, app: &App) -> Result<Vec<Arc<Row>>, Fault> {
        let (docs, known) = (&*app.deps.docs, self.known());
        let (mut rows, mut after): (Rows, Option<String>) = (BTreeMap::new(), None);
        let mut moved = false;
        loop {
            let page = docs.list(keys::SUMMARIES, after.as_deref(), LIST_MAX).await?;
            let more = page.len() == LIST_MAX;
            after = page.last().map(|listed| listed.key.clone());
            let mut news: Vec<String> = Vec::new();
            for listed in page {
                match known.get(&listed.key) {
                    Some((version, row)) if *version == listed.version => {
                        rows.insert(listed.key, (listed.version, row.clone()));
                    }
                    _ => news.push(listed.key),
                }
            }
            moved |= !news.is_empty();
            let found = load_many::<Summary>(docs, &news).await?;
            for (key, found) in news.into_iter().zip(found) {
                // Gone between the list and the read: it is not there.
                if let Some(found) = found {
                    rows.insert(key, (found.version, Arc::new(Row::new(found.value))));
                }
            }
            if !more {
                break;
            }
        }
        let all = rows.values().map(|(_, row)| row.clone()).collect();
        if moved || rows.len() != known.len() {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(rows);
        }
        Ok(all)
    }
}

/// The slug that somebody may have meant.
pub(super) async fn nearest(app: &App, who: &Who, slug: &str) -> Result<Option<StackId>, Fault> {
    let rows = app.summaries.all(app, who).await?;
    let near = rows.iter().map(|row| {
        let likeness = strsim::jaro_winkler(&row.summary.stack.0, slug);
        (likeness, &row.summary.stack)
    });
    let best = near.max_by(|a, b| a.0.total_cmp(&b.0));
    Ok(best.filter(|(likeness, _)| *likeness > 0.8).map(|(_, stack)| stack.clone()))
}
