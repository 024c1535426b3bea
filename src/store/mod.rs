//! What the server remembers: one trait, implementations below, one conformance suite.
