//! GitHub over HTTP: commits and what they change, archives, commit statuses.
