//! What every AWS adapter shares: credentials, region, endpoints, one HTTP client, which failures may pass.
