//! Identities, tokens, profiles, certificates, audit records, host status: what the words mean, apart from SQL and JSON.
