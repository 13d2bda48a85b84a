//! Secrets in the Parameter Store.
