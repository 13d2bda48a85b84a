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
    let (expect, revision) = match before {
        None => (Expect::Absent, 1),
        Some((version, revision)) => (Expect::At(version.clone()), revision + 1),
    };
    let body = encode(key, write_id, revision, value)?;
    match docs.put(key, expect, body).await {
        Ok(_) => Ok(true),
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
    Err(Fault::retryable(format!("{key} changed under {CAS_ATTEMPTS_MAX} attempts to write it")))
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

/// Writes a projection that carries `revision` unless a newer one is stored (rule A3).
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
    update(docs, key, write_id, |stored: Option<&T>| {
        Ok(match stored {
            Some(stored) if revision_of(stored) >= revision_of(value) => Change::Keep(()),
            _ => Change::Write(value.clone(), ()),
        })
    })
    .await
}

async fn landed(docs: &dyn Docs, key: &str, write_id: &str, revision: u64) -> Result<bool, Fault> {
    #[derive(Deserialize)]
    struct Mark {
        revision: u64,
        write_id: String,
    }
    let Some(found) = docs.get(key).await? else { return Ok(false) };
    let mark: Mark = decode(key, &found.body)?;
    Ok(mark.write_id == write_id && mark.revision == revision)
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
