//! Use cases of the server; the only place that opens a transaction.
