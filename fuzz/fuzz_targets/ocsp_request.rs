//! OCSP requests, as a POST body and as a GET path: never a panic; what is read is within its bounds.
#![no_main]

use dockwarden::base::limits::OCSP_CERT_IDS_MAX;
use dockwarden::pki::cert::Certificate;
use dockwarden::pki::ocsp::{IssuerId, OcspRequest, decode_get};
use libfuzzer_sys::fuzz_target;

const ISSUER: &[u8] = include_bytes!("../seeds/certificate/issuer.der");

fuzz_target!(|data: &[u8]| {
    let path = std::str::from_utf8(data)
        .ok()
        .and_then(|path| decode_get(path).ok());
    for body in [Some(data.to_vec()), path].into_iter().flatten() {
        let Ok(request) = OcspRequest::parse(&body) else {
            continue;
        };
        assert!((1..=OCSP_CERT_IDS_MAX).contains(&request.cert_ids.len()));
        assert!(
            request
                .nonce
                .as_ref()
                .is_none_or(|nonce| (1..=128).contains(&nonce.len()))
        );
        let issuer =
            IssuerId::of(&Certificate::parse(ISSUER).expect("a certificate")).expect("a key of ours");
        for id in &request.cert_ids {
            let _ = (issuer.is_issuer_of(id), id.hash());
            assert!(body.windows(id.der().len()).any(|window| window == id.der()));
        }
    }
});
