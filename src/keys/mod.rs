//! Where the CA's private keys are: one trait, implementations below.
