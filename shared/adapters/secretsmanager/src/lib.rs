//! Secrets in Secrets Manager, by name or ARN.
