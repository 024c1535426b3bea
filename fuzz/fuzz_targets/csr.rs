//! Certificate requests, as DER and as PEM: never a panic; what passes is within its limits and survives its PEM form.
#![no_main]

use dockwarden::base::limits::SANS_MAX;
use dockwarden::pki::{CsrDer, KeyAlgorithm, csr};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for request in [CsrDer::from_der(data), CsrDer::from_pem(data)]
        .into_iter()
        .flatten()
    {
        if !request.as_der().is_empty() {
            assert_eq!(CsrDer::from_pem(request.to_pem()).as_ref(), Ok(&request));
        }
        if let Ok(verified) = csr::verify(request, &KeyAlgorithm::ALL) {
            assert!(verified.sans().len() <= SANS_MAX);
        }
    }
});
