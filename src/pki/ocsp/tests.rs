use super::*;
use crate::base::limits::{OCSP_CERT_IDS_MAX, OCSP_REQUEST_BYTES_MAX};
use crate::pki::der;
use data_encoding::{BASE64, BASE64_NOPAD};
use proptest::collection::vec;
use proptest::prelude::*;

const SHA1: &[u8] = &[0x2b, 0x0e, 3, 2, 0x1a];
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];

fn seq(parts: &[&[u8]]) -> Vec<u8> {
    der::write(der::SEQUENCE, parts)
}

fn cert_id(oid: &[u8], parameters: &[u8], hash: &[u8], serial: &[u8]) -> Vec<u8> {
    let algorithm = seq(&[&der::write(der::OID, &[oid]), parameters]);
    let hash = der::write(der::OCTET_STRING, &[hash]);
    seq(&[&algorithm, &hash, &hash, &der::write(der::INTEGER, &[serial])])
}

fn usual() -> Vec<u8> {
    cert_id(SHA1, &[5, 0], &[7; 20], &[0x4f; 16])
}

fn extension(oid: &[u8], critical: &[u8], value: &[u8]) -> Vec<u8> {
    seq(&[
        &der::write(der::OID, &[oid]),
        critical,
        &der::write(der::OCTET_STRING, &[value]),
    ])
}

fn nonce(bytes: &[u8]) -> Vec<u8> {
    extension(request::NONCE, &[], &der::write(der::OCTET_STRING, &[bytes]))
}

/// A request from its parts: what stands before the list, the certificates, the extensions, what stands behind.
fn request(before: &[u8], ids: &[Vec<u8>], extensions: &[Vec<u8>], behind: &[u8]) -> Vec<u8> {
    let singles: Vec<u8> = ids.iter().flat_map(|id| seq(&[id])).collect();
    let extensions = match extensions {
        [] => vec![],
        all => der::write(0xa2, &[&seq(&[&all.concat()])]),
    };
    seq(&[&seq(&[before, &seq(&[&singles]), &extensions]), behind])
}

fn parse(request: &[u8]) -> Result<OcspRequest, OcspError> {
    OcspRequest::parse(request)
}

#[test]
fn a_request_says_which_certificates_and_which_nonce() {
    let sha256 = cert_id(SHA256, &[], &[9; 32], &[0, 0x80]);
    let read = parse(&request(&[], &[usual(), sha256.clone()], &[nonce(&[3; 32])], &[])).unwrap();
    assert_eq!(read.nonce, Some(vec![3; 32]));
    let [first, second] = &read.cert_ids[..] else {
        panic!("two were asked about")
    };
    assert_eq!((first.hash(), &first.raw), (Some(CertIdHash::Sha1), &usual()));
    assert_eq!(first.serial, "4f".repeat(16).parse().ok());
    assert_eq!((second.hash(), &second.raw), (Some(CertIdHash::Sha256), &sha256));
    assert_eq!(second.serial, "80".parse().ok());
    assert_eq!(parse(&request(&[], &[usual()], &[], &[])).unwrap().nonce, None);
}

#[test]
fn what_some_clients_add_is_passed_over() {
    let version = der::write(0xa0, &[&[2, 1, 0]]);
    let name = der::write(0xa1, &[&der::write(0x82, &[b"me.example"])]);
    let signature = der::write(0xa0, &[&seq(&[&seq(&[]), &[3, 2, 0, 1]])]);
    let other = extension(&[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 4], &[], &[0x30, 0]);
    let read = parse(&request(
        &[version, name].concat(),
        &[usual()],
        &[other],
        &signature,
    ))
    .unwrap();
    assert_eq!((read.cert_ids.len(), read.nonce), (1, None));
}

#[test]
fn a_nonce_has_1_to_128_bytes() {
    for len in [1, 16, 32, 128] {
        let read = parse(&request(&[], &[usual()], &[nonce(&vec![1; len])], &[])).unwrap();
        assert_eq!(read.nonce, Some(vec![1; len]));
    }
    for bad in [
        vec![nonce(&[])],
        vec![nonce(&[1; 129])],
        vec![nonce(&[1]), nonce(&[1])],
        vec![extension(request::NONCE, &[], &[1; 16])],
    ] {
        assert_eq!(
            parse(&request(&[], &[usual()], &bad, &[])),
            Err(OcspError::MalformedRequest)
        );
    }
}

#[test]
fn bounds_hold_at_the_limit_and_one_past_it() {
    let of = |count: usize| parse(&request(&[], &vec![usual(); count], &[], &[]));
    assert_eq!(of(OCSP_CERT_IDS_MAX).unwrap().cert_ids.len(), OCSP_CERT_IDS_MAX);
    assert_eq!(of(OCSP_CERT_IDS_MAX + 1), Err(OcspError::MalformedRequest));
    assert_eq!(of(0), Err(OcspError::MalformedRequest));
    let padded = |len: usize| {
        let other = extension(&[0x2b, 1], &[], &vec![5; len]);
        request(&[], &[usual()], &[other], &[])
    };
    let overhead = padded(OCSP_REQUEST_BYTES_MAX - 200).len() - (OCSP_REQUEST_BYTES_MAX - 200);
    assert_eq!(
        padded(OCSP_REQUEST_BYTES_MAX - overhead).len(),
        OCSP_REQUEST_BYTES_MAX
    );
    assert!(parse(&padded(OCSP_REQUEST_BYTES_MAX - overhead)).is_ok());
    assert!(parse(&padded(OCSP_REQUEST_BYTES_MAX - overhead + 1)).is_err());
}

#[test]
fn what_is_not_understood_and_matters_is_refused() {
    let critical = extension(&[0x2b, 1], &[1, 1, 0xff], &[5, 0]);
    let version_2 = der::write(0xa0, &[&[2, 1, 1]]);
    for bad in [
        request(&[], &[usual()], &[critical], &[]),
        request(&version_2, &[usual()], &[], &[]),
        request(&[], &[usual()], &[], &[5, 0]),
        [request(&[], &[usual()], &[], &[]), vec![0]].concat(),
        request(&[], &[seq(&[])], &[], &[]),
        vec![],
    ] {
        assert_eq!(parse(&bad), Err(OcspError::MalformedRequest), "{bad:02x?}");
    }
}

#[test]
fn a_certificate_that_cannot_be_is_asked_about_in_vain() {
    let sha512 = [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3];
    let read = parse(&request(
        &[],
        &[cert_id(&sha512, &[5, 0], &[7; 64], &[5])],
        &[],
        &[],
    ))
    .unwrap();
    assert_eq!(read.cert_ids[0].hash(), None);
    for serial in [&[0][..], &[0x85], &[1; 21]] {
        let read = parse(&request(&[], &[cert_id(SHA1, &[], &[7; 20], serial)], &[], &[])).unwrap();
        assert_eq!(read.cert_ids[0].serial, None);
    }
}

#[test]
fn an_issuer_is_known_by_either_digest_of_both_its_name_and_key() {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
    let ca = Certificate::parse(params.self_signed(&key).unwrap().der()).unwrap();
    let issuer = IssuerId::of(&ca).unwrap();
    let id = |oid: &[u8], name: &[u8], key: &[u8]| {
        let algorithm = seq(&[&der::write(der::OID, &[oid]), &[5, 0]]);
        let [name, key] = [name, key].map(|hash| der::write(der::OCTET_STRING, &[hash]));
        let id = seq(&[&algorithm, &name, &key, &[2, 1, 5]]);
        parse(&request(&[], &[id], &[], &[])).unwrap().cert_ids.remove(0)
    };
    for (oid, algorithm) in [
        (SHA1, &digest::SHA1_FOR_LEGACY_USE_ONLY),
        (SHA256, &digest::SHA256),
    ] {
        let hash = |bytes: &[u8]| digest::digest(algorithm, bytes).as_ref().to_vec();
        let (name, key) = (hash(&ca.subject), hash(ca.public_key().unwrap().key_bytes()));
        assert!(issuer.is_issuer_of(&id(oid, &name, &key)));
        assert!(!issuer.is_issuer_of(&id(oid, &key, &name)));
        assert!(!issuer.is_issuer_of(&id(oid, &name, &hash(b"another key"))));
        assert!(!issuer.is_issuer_of(&id(oid, &hash(b"another name"), &key)));
        let other = if oid == SHA1 { SHA256 } else { SHA1 };
        assert!(!issuer.is_issuer_of(&id(other, &name, &key)));
    }
}

#[test]
fn a_refusal_is_five_bytes() {
    assert_eq!(OcspError::MalformedRequest.response(), [0x30, 3, 10, 1, 1]);
    assert_eq!(OcspError::Unauthorized.response(), [0x30, 3, 10, 1, 6]);
}

#[test]
fn the_path_is_read_escaped_or_not_padded_or_not() {
    let bytes = [0xfb, 0xff, 0xfe, 0x3e];
    let text = BASE64.encode(&bytes);
    assert_eq!(text, "+//+Pg==");
    let escaped = text.replace('+', "%2B").replace('/', "%2f").replace('=', "%3D");
    for form in [
        text.clone(),
        escaped.clone(),
        BASE64_NOPAD.encode(&bytes),
        escaped.replace("%3D", ""),
    ] {
        assert_eq!(decode_get(&form), Ok(bytes.to_vec()), "{form}");
    }
    for bad in ["+//+Pg=", "%", "%2", "%zz", "%+1", "a b=", "-__-Pg==", "é"] {
        assert_eq!(decode_get(bad), Err(OcspError::MalformedRequest), "{bad}");
    }
    assert!(decode_get(&"A".repeat(OCSP_REQUEST_BYTES_MAX / 3 * 12 + 4)).is_err());
}

proptest! {
    #[test]
    fn no_request_makes_reading_panic(data: Vec<u8>, at: prop::sample::Index, by in vec(any::<u8>(), 1..6), path: String) {
        let _ = (parse(&data), decode_get(&path));
        let mut good = request(&[], &[usual()], &[nonce(&[1; 16])], &[]);
        let at = at.index(good.len());
        let end = (at + by.len()).min(good.len());
        good.splice(at..end, by);
        let _ = parse(&good);
    }

    #[test]
    fn every_path_of_a_request_leads_back_to_it(bytes in vec(any::<u8>(), 0..400)) {
        let escaped: String = BASE64.encode(&bytes).bytes().map(|b| format!("%{b:02X}")).collect();
        prop_assert_eq!(decode_get(&escaped), Ok(bytes));
    }
}
