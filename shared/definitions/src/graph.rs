//! Circles in who waits for whom, each reported once with every name in it.
use std::collections::BTreeMap;

/// Circles reported at most; whoever has more will see the rest after these.
const CIRCLES_MAX: usize = 20;

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    New,
    Open,
    Done,
}

/// The circles among these edges: each starts at the node that was met first and does not repeat
/// it at the end. Linear; no recursion, so a chain of any length is fine.
pub(crate) fn circles<'a>(edges: &BTreeMap<&'a str, Vec<&'a str>>) -> Vec<Vec<&'a str>> {
    let mut marks: BTreeMap<&str, Mark> = edges.keys().map(|node| (*node, Mark::New)).collect();
    let mut found = Vec::new();
    for start in edges.keys() {
        if marks.get(start) != Some(&Mark::New) {
            continue;
        }
        marks.insert(start, Mark::Open);
        // The path from `start`, and how many edges of each node were followed.
        let mut path: Vec<(&str, usize)> = vec![(start, 0)];
        while let Some((node, followed)) = path.last_mut() {
            let node = *node;
            let Some(next) = edges.get(node).and_then(|all| all.get(*followed)).copied() else {
                marks.insert(node, Mark::Done);
                path.pop();
                continue;
            };
            *followed += 1;
            match marks.get(next) {
                Some(Mark::New) => {
                    marks.insert(next, Mark::Open);
                    path.push((next, 0));
                }
                Some(Mark::Open) if found.len() < CIRCLES_MAX => {
                    let from = path.iter().position(|(name, _)| *name == next).unwrap_or(0);
                    found.push(path[from..].iter().map(|(name, _)| *name).collect());
                }
                _ => {}
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_circle_once() {
        #[rustfmt::skip]
        let table: &[(&str, &[&str])] = &[
            ("a>b b>c",              &[]),
            ("a>a",                  &["a"]),
            ("a>b b>a",              &["a b"]),
            ("a>b b>c c>a d>a",      &["a b c"]),
            ("a>b b>c c>b",          &["b c"]),
            ("a>b b>a c>d d>c",      &["a b", "c d"]),
            ("a>b a>c b>d c>d",      &[]),
            ("a>gone",               &[]),
        ];
        for (text, expect) in table {
            let mut edges: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for (from, to) in text.split(' ').filter_map(|edge| edge.split_once('>')) {
                edges.entry(from).or_default().push(to);
                edges.entry(to).or_default();
            }
            edges.remove("gone");
            let seen: Vec<String> = circles(&edges).iter().map(|circle| circle.join(" ")).collect();
            assert_eq!(&seen, expect, "{text}");
        }
    }

    #[test]
    fn a_long_chain_needs_no_stack() {
        let names: Vec<String> = (0..100_000).map(|n| format!("s{n:06}")).collect();
        let mut edges: BTreeMap<&str, Vec<&str>> =
            names.windows(2).map(|pair| (&*pair[0], vec![&*pair[1]])).collect();
        edges.insert(names.last().unwrap(), vec![&names[0]]);
        assert_eq!(circles(&edges).len(), 1);
    }
}
