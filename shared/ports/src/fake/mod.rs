//! Working in-memory ports.
