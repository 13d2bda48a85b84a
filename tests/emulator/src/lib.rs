//! A real AWS API server on this machine, with corrections, faults and a record of every call.
