//! Mode `daemon`: dockerd serves the certificate itself. What is found of it ([`facts`]), what it should be told
//! ([`arrangement`]), and how it gets there without a moment in which it could not be started.

pub mod arrangement;
pub mod facts;
