//! Takes GitHub deliveries: verify, store, queue, mark, answer.
