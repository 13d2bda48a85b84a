//! Finds the stacks whose drift detection is due.
