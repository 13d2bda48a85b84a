//! Queues in memory.
use super::lock;
use crate::clock::Clock;
use crate::fault::Fault;
use crate::queues::{
    DEDUP_WINDOW_MS, DELAY_MAX_MS, Delivery, Outgoing, Queues, RECEIVE_MAX, RECEIVES_MAX,
    dead_letters,
};
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use windlass_core::time::UnixMs;

/// [`Queues`] in memory. Visibility goes by the clock that it was made with.
pub struct MemQueues {
    clock: Arc<dyn Clock>,
    /// False: the clock moves only when a test moves it, so waiting for it would never end.
    waits: bool,
    sent: Notify,
    state: Mutex<State>,
}

#[derive(Clone)]
struct State {
    receives_max: u32,
    messages: u64,
    queues: BTreeMap<String, Queue>,
}

#[derive(Clone, Default)]
struct Queue {
    /// By the order in which they were sent.
    messages: BTreeMap<u64, Message>,
    /// When each deduplication id was last accepted.
    accepted: BTreeMap<String, UnixMs>,
}

#[derive(Clone)]
struct Message {
    id: u64,
    body: Vec<u8>,
    group: Option<String>,
    visible_at: UnixMs,
    receives: u32,
}

impl MemQueues {
    /// A `receive` that finds nothing returns at once, whatever its `wait_ms`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let state = State { receives_max: RECEIVES_MAX, messages: 0, queues: BTreeMap::new() };
        Self { clock, waits: false, sent: Notify::new(), state: Mutex::new(state) }
    }
    /// A `receive` waits for real: for a clock that moves by itself.
    #[must_use]
    pub fn waiting(clock: Arc<dyn Clock>) -> Self {
        Self { waits: true, ..Self::new(clock) }
    }
    /// An independent copy, messages in flight included.
    #[must_use]
    pub fn fork(&self) -> Self {
        let state = Mutex::new(lock(&self.state).clone());
        Self { clock: self.clock.clone(), waits: self.waits, sent: Notify::new(), state }
    }
    /// As [`Self::fork`], going by a clock of its own from here on.
    #[must_use]
    pub fn fork_at(&self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self.fork() }
    }
    /// Lowers [`RECEIVES_MAX`].
    pub fn set_receives_max(&self, receives_max: u32) {
        lock(&self.state).receives_max = receives_max;
    }
    /// Names of the queues that hold a message, visible or not.
    #[must_use]
    pub fn busy(&self) -> Vec<String> {
        let state = lock(&self.state);
        let holding = state.queues.iter().filter(|(_, queue)| !queue.messages.is_empty());
        holding.map(|(name, _)| name.clone()).collect()
    }
    /// Group and body of every message of a queue, in flight or not, in the order of sending.
    #[must_use]
    pub fn peek(&self, queue: &str) -> Vec<(Option<String>, Vec<u8>)> {
        let state = lock(&self.state);
        let messages = state.queues.get(queue).map(|queue| queue.messages.values());
        messages.into_iter().flatten().map(|m| (m.group.clone(), m.body.clone())).collect()
    }
    /// Makes everything in flight or delayed visible: its receivers died a visibility time ago.
    pub fn release_all(&self) {
        let now = self.clock.now();
        let mut state = lock(&self.state);
        for message in state.queues.values_mut().flat_map(|queue| queue.messages.values_mut()) {
            message.visible_at = message.visible_at.min(now);
        }
        drop(state);
        self.sent.notify_waiters();
    }
}

impl State {
    fn accept(&mut self, queue: &str, message: Outgoing, now: UnixMs) -> Result<(), Fault> {
        let fifo = queue.ends_with(".fifo");
        if fifo && (message.group.is_none() || message.dedup.is_none()) {
            return Err(Fault::poison(format!(
                "a message to {queue} needs a group and a dedup id"
            )));
        }
        if !fifo && message.delay_ms > DELAY_MAX_MS {
            return Err(Fault::poison(format!("a delay is at most {DELAY_MAX_MS} ms")));
        }
        let id = self.messages + 1;
        let into = self.queues.entry(queue.to_owned()).or_default();
        into.accepted.retain(|_, at| now.since_ms(*at) < DEDUP_WINDOW_MS);
        if let (true, Some(dedup)) = (fifo, message.dedup) {
            if into.accepted.contains_key(&dedup) {
                return Ok(());
            }
            into.accepted.insert(dedup, now);
        }
        let visible_at = if fifo { now } else { now.plus_ms(message.delay_ms) };
        let Outgoing { body, group, .. } = message;
        into.messages.insert(id, Message { id, body, group, visible_at, receives: 0 });
        self.messages = id;
        Ok(())
    }

    fn take(&mut self, queue: &str, max: usize, now: UnixMs, visibility_ms: u64) -> Vec<Delivery> {
        let (fifo, dead) = (queue.ends_with(".fifo"), dead_letters(queue));
        // Dead letters of dead letters would be out of reach.
        let last = queue.strip_suffix(".fifo").unwrap_or(queue).ends_with("-dead");
        let receives_max = if last { u32::MAX } else { self.receives_max };
        let Some(from) = self.queues.get_mut(queue) else { return Vec::new() };
        let locked: BTreeSet<String> = from
            .messages
            .values()
            .filter(|message| fifo && message.visible_at > now)
            .filter_map(|message| message.group.clone())
            .collect();
        let (mut taken, mut given_up) = (Vec::new(), Vec::new());
        for message in from.messages.values_mut() {
            let group_locked = message.group.as_ref().is_some_and(|group| locked.contains(group));
            if taken.len() == max.min(RECEIVE_MAX) || message.visible_at > now || group_locked {
                continue;
            }
            if message.receives >= receives_max {
                given_up.push(message.id);
                continue;
            }
            message.receives += 1;
            message.visible_at = now.plus_ms(visibility_ms);
            taken.push(Delivery {
                body: message.body.clone(),
                group: message.group.clone(),
                receipt: format!("{}.{}", message.id, message.receives),
                receives: message.receives,
                message_id: format!("m{}", message.id),
            });
        }
        let moved: Vec<_> = given_up.iter().filter_map(|id| from.messages.remove(id)).collect();
        if !moved.is_empty() {
            let into = self.queues.entry(dead).or_default();
            into.messages.extend(moved.into_iter().map(|m| (m.id, Message { receives: 0, ..m })));
        }
        taken
    }

    /// The message that this receipt still holds: it was not delivered again meanwhile, and, on a
    /// FIFO queue, is still invisible.
    fn held(&mut self, queue: &str, receipt: &str, now: UnixMs) -> Option<&mut Message> {
        let (id, receives) = receipt.split_once('.')?;
        let message = self.queues.get_mut(queue)?.messages.get_mut(&id.parse().ok()?)?;
        let expired = queue.ends_with(".fifo") && message.visible_at <= now;
        (message.receives.to_string() == receives && !expired).then_some(message)
    }

    fn next_visible(&self, queue: &str, now: UnixMs) -> Option<u64> {
        let messages = self.queues.get(queue)?.messages.values();
        messages.filter(|m| m.visible_at > now).map(|m| m.visible_at.since_ms(now)).min()
    }
}

/// A day from now at most: far more does not fit a timer.
fn in_ms(ms: u64) -> Instant {
    Instant::now() + Duration::from_millis(ms.min(86_400_000))
}

#[async_trait]
impl Queues for MemQueues {
    async fn send(&self, queue: &str, message: Outgoing) -> Result<(), Fault> {
        lock(&self.state).accept(queue, message, self.clock.now())?;
        self.sent.notify_waiters();
        Ok(())
    }

    async fn receive(
        &self,
        queue: &str,
        max: usize,
        wait_ms: u64,
        visibility_ms: u64,
    ) -> Result<Vec<Delivery>, Fault> {
        let deadline = in_ms(wait_ms);
        loop {
            let mut sent = std::pin::pin!(self.sent.notified());
            // Registered before looking, so that no send falls between the look and the wait.
            sent.as_mut().enable();
            let now = self.clock.now();
            let (taken, next_ms) = {
                let mut state = lock(&self.state);
                let taken = state.take(queue, max, now, visibility_ms);
                (taken, state.next_visible(queue, now))
            };
            if !taken.is_empty() || !self.waits || Instant::now() >= deadline {
                return Ok(taken);
            }
            let until = next_ms.map_or(deadline, |ms| in_ms(ms).min(deadline));
            tokio::select! {
                () = sent => {}
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }

    async fn delete(&self, queue: &str, receipt: &str) -> Result<(), Fault> {
        let mut state = lock(&self.state);
        let Some(id) = state.held(queue, receipt, self.clock.now()).map(|held| held.id) else {
            return Ok(());
        };
        if let Some(queue) = state.queues.get_mut(queue) {
            queue.messages.remove(&id);
        }
        drop(state);
        // Its group is free for whoever waits.
        self.sent.notify_waiters();
        Ok(())
    }

    async fn extend(&self, queue: &str, receipt: &str, visibility_ms: u64) -> Result<(), Fault> {
        let now = self.clock.now();
        match lock(&self.state).held(queue, receipt, now).filter(|held| held.visible_at > now) {
            Some(held) => held.visible_at = now.plus_ms(visibility_ms),
            None if visibility_ms == 0 => {}
            None => {
                return Err(Fault::retryable(format!("a receipt of {queue} has expired")));
            }
        }
        self.sent.notify_waiters();
        Ok(())
    }

    async fn depth(&self, queue: &str) -> Result<u64, Fault> {
        let now = self.clock.now();
        let state = lock(&self.state);
        let messages = state.queues.get(queue).map(|queue| queue.messages.values());
        Ok(messages.into_iter().flatten().filter(|m| m.visible_at <= now).count() as u64)
    }
}
