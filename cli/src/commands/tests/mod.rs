//! Commands as they are typed, against the real router and the real actors over working fakes:
//! what they print is golden (`REGEN=1` rewrites it), what they exit with is a table.
mod golden;
mod refusals;
mod stage;
mod verbs;
