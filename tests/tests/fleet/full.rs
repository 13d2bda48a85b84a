//! Autoscaler and drainer in our own module: lifecycle hooks, a store, workers of ours.
