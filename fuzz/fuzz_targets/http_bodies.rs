//! Bodies of the HTTP API: whatever arrives is refused or read; what is read and written again reads the same.
#![no_main]

use dockwarden::model::JoinToken;
use dockwarden::pki::{CsrDer, KeyAlgorithm, San, csr};
use dockwarden::wire::{EnrollRequest, Issued, Pending, Problem, RenewRequest, TokenRequest};
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    if let Some(request) = read::<EnrollRequest>(body) {
        let _ = request.token.parse::<JoinToken>();
        for name in request.names.iter().chain(&request.addresses) {
            let _ = name.parse::<San>();
        }
        verify(&request.csr);
    }
    if let Some(request) = read::<RenewRequest>(body) {
        verify(&request.csr);
    }
    read::<TokenRequest>(body);
    read::<Issued>(body);
    read::<Pending>(body);
    read::<Problem>(body);
});

fn read<T: DeserializeOwned + Serialize>(body: &[u8]) -> Option<T> {
    let value = serde_json::from_slice::<T>(body).ok()?;
    let written: Value = serde_json::to_value(&value).expect("what was read can be written");
    let again: T = serde_json::from_value(written.clone()).expect("what was written can be read");
    assert_eq!(serde_json::to_value(again).expect("and written again"), written);
    Some(value)
}

fn verify(pem: &str) {
    if let Ok(request) = CsrDer::from_pem(pem) {
        let _ = csr::verify(request, &KeyAlgorithm::ALL);
    }
}
