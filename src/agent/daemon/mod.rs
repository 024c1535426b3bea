//! Mode `daemon`: dockerd serves the certificate itself. What is found of it ([`look`], [`facts`]), what it should be told
//! ([`arrangement`]), and how it gets there without a moment in which it could not be started.

pub mod arrangement;
pub mod engine;
pub mod facts;
pub mod look;
