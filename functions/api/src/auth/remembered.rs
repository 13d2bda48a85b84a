//! What was read a moment ago, so that not every request reads it again.
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use windlass_core::time::{MINUTE_MS, UnixMs};

const REMEMBERED_MS: u64 = MINUTE_MS;
/// More are not kept at once: the oldest go.
const MOST: usize = 1_000;

pub(super) struct Remembered<V>(Mutex<BTreeMap<String, (UnixMs, V)>>);

impl<V> Default for Remembered<V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<V: Clone> Remembered<V> {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (UnixMs, V)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, name: &str, now: UnixMs) -> Option<V> {
        let all = self.lock();
        // A clock that went back makes it ask again, too.
        let fresh = |read_at: UnixMs| now >= read_at && now < read_at.plus_ms(REMEMBERED_MS);
        all.get(name).filter(|(read_at, _)| fresh(*read_at)).map(|(_, value)| value.clone())
    }

    pub(super) fn put(&self, name: &str, now: UnixMs, value: V) {
        let mut all = self.lock();
        if all.len() >= MOST {
            all.retain(|_, (read_at, _)| now < read_at.plus_ms(REMEMBERED_MS));
        }
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(name.to_owned(), (now, value));
    }

    pub(super) fn forget(&self, name: &str) {
        self.lock().remove(name);
    }
}
