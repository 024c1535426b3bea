//! Typed client of the HTTP API, over the types of wire.
