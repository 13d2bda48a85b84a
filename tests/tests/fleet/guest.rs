//! The autoscaler as a guest in Spacelift's own module: its role, its environment, no store.
