//! Docs and Blobs in one bucket: conditional writes.
