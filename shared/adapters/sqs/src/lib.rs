//! Queues on SQS; what is too large for a message lies beside it as a blob.
