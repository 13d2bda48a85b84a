//! Lambda glue: configuration, logs and metrics, a batch with one fate per message.
