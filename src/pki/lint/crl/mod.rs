//! Rules every CRL of ours keeps, one per file. They look at the finished DER, just before it is signed. What is no
//! full version 2 list with a number and a nextUpdate does not even parse, so that no rule is needed for it.

mod authority_key_id;
mod dates;
mod extensions;
mod issuer;
mod number;
mod order;
mod reasons;
mod signature_algorithm;
mod time_encoding;

use super::Finding;
use crate::pki::cert::Certificate;
use crate::pki::crl::{CrlFacts, Subjects};

/// A CRL about to be signed, with what it must agree with.
#[derive(Clone, Copy, Debug)]
pub struct CrlCandidate<'a> {
    /// What it says.
    pub facts: &'a CrlFacts,
    /// What will sign it.
    pub issuer: &'a Certificate,
    /// What it lists.
    pub subjects: Subjects,
    /// The number of the list before it, of the same issuer; `None` for the first.
    pub predecessor: Option<u64>,
}

type Rule = fn(&CrlCandidate<'_>) -> Option<Finding>;

const RULES: &[Rule] = &[
    number::check,
    dates::check,
    time_encoding::check,
    issuer::check,
    authority_key_id::check,
    signature_algorithm::check,
    order::check,
    reasons::check,
    extensions::check,
];

/// Every broken rule, in a fixed order; empty when the list may be signed. Messages continue "the CRL ...".
pub fn check(candidate: &CrlCandidate<'_>) -> Vec<Finding> {
    RULES.iter().filter_map(|rule| rule(candidate)).collect()
}

#[cfg(test)]
mod tests;
