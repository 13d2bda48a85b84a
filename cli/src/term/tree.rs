//! Stacks as a tree: each below the deepest stack that it waits for.
use super::{Style, Tone};
use std::collections::BTreeMap;

/// Room for most states, so that what stands beside them does not jump about.
const STATE_COLUMNS: usize = 12;

/// One line of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) name: String,
    /// Those that it waits for. Names that no node has are passed over.
    pub(crate) after: Vec<String>,
    /// One word, and how to paint it.
    pub(crate) state: String,
    pub(crate) tone: Tone,
    /// What there is to say beside it.
    pub(crate) note: String,
}

struct Placed<'n> {
    node: &'n Node,
    /// The branches that lead to it.
    lead: String,
}

/// The nodes as lines, parents above their children, otherwise in the order given.
#[must_use]
pub(crate) fn lines(nodes: &[Node], style: Style) -> Vec<String> {
    let mut children: BTreeMap<Option<usize>, Vec<usize>> = BTreeMap::new();
    let depths = depths(nodes);
    for (at, node) in nodes.iter().enumerate() {
        let parents = nodes.iter().enumerate().filter(|(_, n)| node.after.contains(&n.name));
        let nearest = parents.map(|(at, _)| at).max_by_key(|at| (depths[*at], *at));
        children.entry(nearest.filter(|_| depths[at] > 0)).or_default().push(at);
    }
    let mut placed = Vec::with_capacity(nodes.len());
    for root in children.get(&None).into_iter().flatten() {
        place(nodes, &children, *root, "", "", &mut placed);
    }
    let name_columns = placed.iter().map(|p| columns(&p.lead) + columns(&p.node.name)).max();
    let state_columns = nodes.iter().map(|node| columns(&node.state)).max().unwrap_or(0);
    let state_columns = state_columns.max(STATE_COLUMNS);
    placed
        .iter()
        .map(|Placed { node, lead }| {
            let used = columns(lead) + columns(&node.name);
            let gap = " ".repeat(name_columns.unwrap_or(0).saturating_sub(used) + 2);
            let state = format!("{:state_columns$}", node.state);
            let line = format!(
                "{}{}{gap}{}  {}",
                style.paint(Tone::Quiet, lead),
                node.name,
                style.paint(node.tone, &state),
                style.paint(Tone::Quiet, &node.note)
            );
            line.trim_end().to_owned()
        })
        .collect()
}

fn place<'n>(
    nodes: &'n [Node],
    children: &BTreeMap<Option<usize>, Vec<usize>>,
    at: usize,
    lead: &str,
    below: &str,
    placed: &mut Vec<Placed<'n>>,
) {
    placed.push(Placed { node: &nodes[at], lead: lead.to_owned() });
    let own = children.get(&Some(at)).map_or(&[][..], Vec::as_slice);
    for (n, child) in own.iter().enumerate() {
        let (branch, rest) =
            if n + 1 == own.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let (lead, deeper) = (format!("{below}{branch}"), format!("{below}{rest}"));
        place(nodes, children, *child, &lead, &deeper, placed);
    }
}

/// The longest way from a node that waits for none. With a circle (there should be none) all are
/// drawn as if they waited for none.
fn depths(nodes: &[Node]) -> Vec<usize> {
    let mut depths = vec![0; nodes.len()];
    for _ in 0..nodes.len() {
        for (at, node) in nodes.iter().enumerate() {
            let parents = nodes.iter().zip(&depths).filter(|(n, _)| node.after.contains(&n.name));
            depths[at] = parents.map(|(_, depth)| depth + 1).max().unwrap_or(0);
        }
    }
    let circle = depths.iter().any(|depth| *depth >= nodes.len());
    if circle { vec![0; nodes.len()] } else { depths }
}

fn columns(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, after: &[&str], state: &str, note: &str) -> Node {
        Node {
            name: name.into(),
            after: after.iter().map(|a| (*a).to_owned()).collect(),
            state: state.into(),
            tone: Tone::Good,
            note: note.into(),
        }
    }

    fn draw(nodes: &[Node]) -> String {
        lines(nodes, Style::plain()).join("\n")
    }

    #[test]
    fn draws_a_chain_and_a_fork() {
        let nodes = [
            node("network", &[], "FINISHED", "+2 ~0 -0"),
            node("cluster", &["network"], "APPLYING", ""),
            node("app-a", &["cluster", "network"], "QUEUED", "waits"),
            node("app-b", &["cluster"], "QUEUED", "waits"),
        ];
        let expect = "\
network      FINISHED      +2 ~0 -0
└─ cluster   APPLYING
   ├─ app-a  QUEUED        waits
   └─ app-b  QUEUED        waits";
        assert_eq!(draw(&nodes), expect);
    }

    #[test]
    fn draws_whatever_it_is_given() {
        let elsewhere = [node("a", &["not-here"], "QUEUED", "")];
        assert_eq!(draw(&elsewhere), "a  QUEUED");
        let circle = [node("a", &["b"], "QUEUED", ""), node("b", &["a"], "READY", "")];
        assert_eq!(draw(&circle), "a  QUEUED\nb  READY");
        assert_eq!(draw(&[]), "");
    }
}
