//! Load → decide → conditional write → on a lost race load and decide again. Nobody else puts.
use crate::docs::{Docs, Expect, Found, PutError, Version};
use crate::fault::Fault;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Attempts before a conflict becomes a retryable fault; the queue then redelivers.
pub const CAS_ATTEMPTS_MAX: u32 = 4;

/// Every stored document. `revision` rises by one per write and `write_id` is new per write, so a
/// body never repeats (an S3 ETag is a content hash: no ABA) and a lost reply is recognised.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stored<T> {
    pub schema: u32,
    pub revision: u64,
    pub write_id: String,
    pub value: T,
}

/// A document with what is needed to swap it.
#[derive(Clone, Debug)]
pub struct Loaded<T> {
    pub version: Version,
    pub revision: u64,
    pub age_ms: u64,
    pub value: T,
}

/// What a decision wants done with the document.
#[derive(Clone, Debug)]
pub enum Change<T, R> {
    Keep(R),
    Write(T, R),
}

/// The document, or None. A body that does not parse is `Poison`.
pub async fn load<T: DeserializeOwned>(
    docs: &dyn Docs,
    key: &str,
) -> Result<Option<Loaded<T>>, Fault> {
    let Some(found) = docs.get(key).await? else { return Ok(None) };
    let stored: Stored<T> = decode(key, &found.body)?;
    let Found { version, age_ms, .. } = found;
    Ok(Some(Loaded { version, revision: stored.revision, age_ms, value: stored.value }))
}

/// Where a document stands: what it takes to swap it without reading it first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    pub version: Version,
    pub revision: u64,
}

impl<T> Loaded<T> {
    #[must_use]
    pub fn at(&self) -> At {
        At { version: self.version.clone(), revision: self.revision }
    }

    /// Of a projection that carries such a revision.
    #[must_use]
    pub fn raised(&self, revision_of: impl Fn(&T) -> u64) -> Raised {
        Raised { at: self.at(), to: revision_of(&self.value) }
    }
}

/// One conditional write of what was decided on `before`. `Ok(true)`: it landed, now or by our own
/// earlier try; `Ok(false)`: somebody else was first. When the read-back fails too the answer stays
/// unknown, which is retryable: never "not mine".
pub async fn commit<T: Serialize>(
    docs: &dyn Docs,
    key: &str,
    before: Option<(&Version, u64)>,
    value: &T,
    write_id: &str,
) -> Result<bool, Fault> {
    let before = before.map(|(version, revision)| At { version: version.clone(), revision });
    Ok(swap(docs, key, before.as_ref(), value, write_id).await?.is_some())
}

/// As [`commit`], and says where the document stands now. None: somebody else was first.
pub async fn swap<T: Serialize>(
    docs: &dyn Docs,
    key: &str,
    before: Option<&At>,
    value: &T,
    write_id: &str,
) -> Result<Option<At>, Fault> {
    let (expect, revision) = match before {
        None => (Expect::Absent, 1),
        Some(at) => (Expect::At(at.version.clone()), at.revision + 1),
    };
    let body = encode(key, write_id, revision, value)?;
    match docs.put(key, expect, body).await {
        Ok(version) => Ok(Some(At { version, revision })),
        Err(PutError::Fault(fault)) => Err(fault),
        Err(PutError::Conflict) => landed(docs, key, write_id, revision).await,
    }
}

/// The bounded loop around [`load`], `decide` (pure, may run several times) and [`commit`].
pub async fn update<T, R>(
    docs: &dyn Docs,
    key: &str,
    write_id: &str,
    mut decide: impl FnMut(Option<&T>) -> Result<Change<T, R>, Fault> + Send,
) -> Result<R, Fault>
where
    T: Serialize + DeserializeOwned + Send + Sync,
    R: Send,
{
    for _ in 0..CAS_ATTEMPTS_MAX {
        let before = load::<T>(docs, key).await?;
        let (value, reply) = match decide(before.as_ref().map(|b| &b.value))? {
            Change::Keep(reply) => return Ok(reply),
            Change::Write(value, reply) => (value, reply),
        };
        let at = before.as_ref().map(|b| (&b.version, b.revision));
        if commit(docs, key, at, &value, write_id).await? {
            return Ok(reply);
        }
    }
    Err(moved(key))
}

/// Creates the document unless it exists: `None` if it was created (by this or an earlier try under
/// the same write id), else what is stored.
pub async fn create<T>(
    docs: &dyn Docs,
    key: &str,
    write_id: &str,
    value: &T,
) -> Result<Option<T>, Fault>
where
    T: Serialize + DeserializeOwned,
{
    let body = encode(key, write_id, 1, value)?;
    match docs.put(key, Expect::Absent, body).await {
        Ok(_) => return Ok(None),
        Err(PutError::Fault(fault)) => return Err(fault),
        Err(PutError::Conflict) => {}
    }
    let Some(found) = docs.get(key).await? else {
        return Err(Fault::retryable(format!("{key} was there and is gone")));
    };
    let stored: Stored<T> = decode(key, &found.body)?;
    Ok((stored.write_id != write_id).then_some(stored.value))
}

/// Writes a projection that carries a revision unless a newer one is stored (rule A3).
pub async fn raise<T>(
    docs: &dyn Docs,
    key: &str,
    write_id: &str,
    revision_of: impl Fn(&T) -> u64 + Send + Sync,
    value: &T,
) -> Result<(), Fault>
where
    T: Serialize + DeserializeOwned + Clone + Send + Sync,
{
    raise_from(docs, key, write_id, revision_of, value, None).await.map(drop)
}

/// A projection as it was last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raised {
    pub at: At,
    /// The revision that it carries.
    pub to: u64,
}

/// As [`raise`], and says how the document stands then.
///
/// `known` is how it stood when it was last seen, `Some(None)` if it was not there. If that is older
/// it is not read first; if it has moved since, it is.
pub async fn raise_from<T>(
    docs: &dyn Docs,
    key: &str,
    write_id: &str,
    revision_of: impl Fn(&T) -> u64 + Send + Sync,
    value: &T,
    known: Option<Option<Raised>>,
) -> Result<Raised, Fault>
where
    T: Serialize + DeserializeOwned + Clone + Send + Sync,
{
    let to = revision_of(value);
    let older = |before: &Option<Raised>| before.as_ref().is_none_or(|before| before.to < to);
    if let Some(before) = known.filter(older) {
        let at = before.map(|before| before.at);
        if let Some(at) = swap(docs, key, at.as_ref(), value, write_id).await? {
            return Ok(Raised { at, to });
        }
    }
    for _ in 0..CAS_ATTEMPTS_MAX {
        let before = load::<T>(docs, key).await?;
        let before = before.map(|before| before.raised(&revision_of));
        if let Some(newer) = before.as_ref().filter(|before| before.to >= to) {
            return Ok(newer.clone());
        }
        let at = before.map(|before| before.at);
        if let Some(at) = swap(docs, key, at.as_ref(), value, write_id).await? {
            return Ok(Raised { at, to });
        }
    }
    Err(moved(key))
}

fn moved(key: &str) -> Fault {
    Fault::retryable(format!("{key} changed under {CAS_ATTEMPTS_MAX} attempts to write it"))
}

async fn landed(
    docs: &dyn Docs,
    key: &str,
    write_id: &str,
    revision: u64,
) -> Result<Option<At>, Fault> {
    #[derive(Deserialize)]
    struct Mark {
        revision: u64,
        write_id: String,
    }
    let Some(found) = docs.get(key).await? else { return Ok(None) };
    let mark: Mark = decode(key, &found.body)?;
    let ours = mark.write_id == write_id && mark.revision == revision;
    Ok(ours.then_some(At { version: found.version, revision }))
}

fn decode<T: DeserializeOwned>(key: &str, body: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(body)
        .map_err(|e| Fault::poison_from(format!("the stored document {key} does not parse"), e))
}

fn encode<T: Serialize>(
    key: &str,
    write_id: &str,
    revision: u64,
    value: &T,
) -> Result<Vec<u8>, Fault> {
    let stored = Stored { schema: 1, revision, write_id: write_id.to_owned(), value };
    serde_json::to_vec(&stored)
        .map_err(|e| Fault::poison_from(format!("the document {key} does not serialise"), e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{FakeClock, Faults, Faulty, MemDocs, Strike};
    use std::sync::Arc;

    const KEY: &str = "count.json";

    fn faulty(faults: &Faults) -> Faulty<MemDocs> {
        Faulty::new(Arc::new(MemDocs::new(FakeClock::default().shared())), faults)
    }

    async fn count(docs: &dyn Docs, write_id: &str) -> Result<u64, Fault> {
        update(docs, KEY, write_id, |n: Option<&u64>| {
            let n = n.copied().unwrap_or(0) + 1;
            Ok(Change::Write(n, n))
        })
        .await
    }

    async fn stored(docs: &Faulty<MemDocs>) -> Option<(u64, u64)> {
        let loaded = load::<u64>(&**docs.inner(), KEY).await.unwrap();
        loaded.map(|loaded| (loaded.value, loaded.revision))
    }

    /// The first write of a document and a later one, with every way in which a call can fail:
    /// what the caller hears, and that one call never counts twice.
    #[tokio::test]
    async fn a_lost_reply_counts_once() {
        for earlier in [0, 1] {
            // Calls: get, put and, after a conflict, the read-back.
            for (call, strike, hears, counted) in [
                (1, Strike::Before, None, 0),
                (2, Strike::Before, None, 0),
                (2, Strike::After, None, 1),
                (2, Strike::Repeated, Some(1), 1),
            ] {
                let faults = Faults::none();
                let docs = faulty(&faults);
                for n in 0..earlier {
                    count(&docs, &format!("earlier {n}")).await.unwrap();
                }
                let before = faults.calls();
                faults.replan(move |n, _| (n == before + call).then_some(strike));
                let heard = count(&docs, "w").await;
                let case = format!("{call} {strike:?} after {earlier}");
                match (&heard, hears) {
                    (Ok(n), Some(more)) => assert_eq!(*n, earlier + more, "{case}"),
                    (Err(fault), None) => assert!(fault.is_retryable(), "{case}"),
                    _ => panic!("{case}: {heard:?}"),
                }
                let total = earlier + counted;
                assert_eq!(stored(&docs).await.unwrap_or_default(), (total, total), "{case}");
            }
        }
    }

    #[tokio::test]
    async fn an_unknown_outcome_stays_retryable() {
        // The put landed, its reply was lost, and so is the read-back.
        let faults = Faults::by(|n, _| match n {
            2 => Some(Strike::Repeated),
            3 => Some(Strike::Before),
            _ => None,
        });
        let docs = faulty(&faults);
        assert!(count(&docs, "w").await.unwrap_err().is_retryable());
        assert_eq!(stored(&docs).await, Some((1, 1)));
        let faults = Faults::by(|n, _| match n {
            1 => Some(Strike::Repeated),
            2 => Some(Strike::Before),
            _ => None,
        });
        let docs = faulty(&faults);
        assert!(create(&docs, KEY, "w", &1_u64).await.unwrap_err().is_retryable());
        assert_eq!(create(&docs, KEY, "w", &1_u64).await.unwrap(), None);
    }

    /// Somebody writes between every load and its commit.
    #[tokio::test]
    async fn gives_up_after_so_many_lost_races() {
        for (races, succeeds) in [(CAS_ATTEMPTS_MAX - 1, true), (CAS_ATTEMPTS_MAX, false)] {
            let faults = Faults::none();
            let docs = faulty(&faults);
            let (mut rival, mut decided) = (0_u64, 0);
            let store = docs.inner().clone();
            let outcome = update(&docs, KEY, "w", |n: Option<&u64>| {
                decided += 1;
                if rival < u64::from(races) {
                    rival += 1;
                    overtake(&store, rival);
                }
                Ok(Change::Write(n.copied().unwrap_or(0) + 100, ()))
            })
            .await;
            assert_eq!(outcome.is_ok(), succeeds);
            assert!(outcome.is_ok() || outcome.is_err_and(|fault| fault.is_retryable()));
            assert_eq!(decided, CAS_ATTEMPTS_MAX);
            let ours = if succeeds { 100 } else { 0 };
            let (value, _) = stored(&docs).await.unwrap();
            assert_eq!(value, u64::from(races) + ours, "the rival's writes are all there");
        }
    }

    /// The memory store never really waits, so its futures end at the first poll.
    fn overtake(store: &MemDocs, value: u64) {
        let write = async {
            let before = load::<u64>(store, KEY).await.unwrap();
            let at = before.as_ref().map(|b| (&b.version, b.revision));
            assert!(commit(store, KEY, at, &value, &format!("rival {value}")).await.unwrap());
        };
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(std::pin::pin!(write).as_mut().poll(&mut context).is_ready());
    }

    #[tokio::test]
    async fn create_recognises_its_own_earlier_try() {
        for (strike, first) in
            [(None, true), (Some(Strike::Repeated), true), (Some(Strike::After), false)]
        {
            let faults = Faults::by(move |n, _| strike.filter(|_| n == 1));
            let docs = faulty(&faults);
            let heard = create(&docs, KEY, "mine", &1_u64).await;
            assert_eq!(matches!(heard, Ok(None)), first, "{strike:?}: {heard:?}");
            assert_eq!(create(&docs, KEY, "mine", &1_u64).await.unwrap(), None, "{strike:?}");
            assert_eq!(create(&docs, KEY, "other", &2_u64).await.unwrap(), Some(1), "{strike:?}");
            assert_eq!(stored(&docs).await, Some((1, 1)), "{strike:?}");
        }
    }

    #[tokio::test]
    async fn raise_never_lowers() {
        let docs = faulty(&Faults::none());
        for (write, expected) in [(3, 3), (2, 3), (3, 3), (5, 5), (4, 5)] {
            raise(&docs, KEY, &format!("w{write}"), |n: &u64| *n, &write).await.unwrap();
            assert_eq!(stored(&docs).await.map(|(value, _)| value), Some(expected), "{write}");
        }
        let (_, revision) = stored(&docs).await.unwrap();
        assert_eq!(revision, 2, "what is not newer is not written");
    }

    /// What is known of where a document stands saves the read, and is only ever a hint: (known,
    /// stored, raised to, calls, then stored).
    #[tokio::test]
    async fn raise_reads_only_what_has_moved() {
        enum Known {
            Nothing,
            Absent,
            Right,
            Moved,
        }
        use Known::{Absent, Moved, Nothing, Right};
        for (known, before, value, calls, expected) in [
            (Nothing, None, 1, 2, 1),
            (Absent, None, 1, 1, 1),
            (Nothing, Some(1), 2, 2, 2),
            (Right, Some(1), 2, 1, 2),
            // Not newer than what is known: it is looked at, and left.
            (Right, Some(3), 2, 1, 3),
            (Right, Some(2), 2, 1, 2),
            // The put, its read-back, and the load that tells that nothing is to be written …
            (Moved, Some(3), 2, 3, 3),
            // … or that it is.
            (Moved, Some(1), 2, 4, 2),
            (Absent, Some(3), 2, 3, 3),
        ] {
            let faults = Faults::none();
            let docs = faulty(&faults);
            let mut at = None;
            if let Some(before) = before {
                let first = raise_from(&docs, KEY, "w1", |n: &u64| *n, &0, Some(None)).await;
                let first = first.unwrap();
                let to = Some(Some(first.clone()));
                let second = raise_from(&docs, KEY, "w2", |n: &u64| *n, &before, to).await;
                at = Some((first, second.unwrap()));
            }
            let known = match (known, at) {
                (Nothing, _) => None,
                (Right, Some((_, second))) => Some(Some(second)),
                (Moved, Some((first, _))) => Some(Some(first)),
                (Absent | Right | Moved, _) => Some(None),
            };
            let made = faults.calls();
            let at = raise_from(&docs, KEY, "w3", |n: &u64| *n, &value, known).await.unwrap();
            let case = format!("{before:?} to {value}");
            assert_eq!(faults.calls() - made, calls, "{case}");
            let found = load::<u64>(&docs, KEY).await.unwrap().unwrap();
            assert_eq!(Raised { at: found.at(), to: found.value }, at, "{case}");
            assert_eq!(found.value, expected, "{case}");
        }
    }

    #[tokio::test]
    async fn keeping_writes_nothing_and_a_refusal_passes_through() {
        let docs = faulty(&Faults::none());
        let keep = |_: Option<&u64>| Ok(Change::Keep("kept"));
        assert_eq!(update(&docs, KEY, "w", keep).await.unwrap(), "kept");
        let refuse = |_: Option<&u64>| Err::<Change<u64, ()>, _>(Fault::poison("no"));
        assert!(!update(&docs, KEY, "w", refuse).await.unwrap_err().is_retryable());
        assert_eq!(docs.inner().writes(), 0);
    }

    #[tokio::test]
    async fn what_does_not_parse_is_poison() {
        for body in
            [&b"not json"[..], b"{}", br#"{"schema":1,"revision":1,"write_id":"w","value":"x"}"#]
        {
            let docs = faulty(&Faults::none());
            docs.put(KEY, crate::Expect::Absent, body.into()).await.unwrap();
            assert!(!count(&docs, "w").await.unwrap_err().is_retryable());
            assert!(!load::<u64>(&docs, KEY).await.unwrap_err().is_retryable());
        }
    }
}
