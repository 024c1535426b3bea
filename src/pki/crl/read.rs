//! TBSCertList (RFC 5280 §5.1.2), read once from front to back.

use super::{CrlError, CrlFacts, entry};
use crate::pki::cert::ExtensionFact;
use crate::pki::dates::{self, Date};
use crate::pki::der;

/// id-ce-cRLNumber.
const CRL_NUMBER: &[u8] = &[0x55, 0x1d, 20];
/// id-ce-deltaCRLIndicator.
const DELTA: &[u8] = &[0x55, 0x1d, 27];
/// id-ce-issuingDistributionPoint.
const DISTRIBUTION_POINT: &[u8] = &[0x55, 0x1d, 28];
/// id-ce-authorityKeyIdentifier.
const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 35];
/// More extensions than RFC 5280 knows for CRLs.
const EXTENSIONS_MAX: usize = 16;

pub(super) fn facts(tbs: &[u8]) -> Result<CrlFacts, CrlError> {
    let contents = der::only(der::SEQUENCE, tbs).ok_or(CrlError::Malformed)?;
    let mut fields = der::Reader::new(contents);
    let mut next = || fields.next().ok_or(CrlError::Malformed);
    let version = next()?;
    if version.tag != der::INTEGER || version.value != [1] {
        return Err(CrlError::Version);
    }
    let (algorithm, issuer) = (next()?, next()?);
    if (algorithm.tag, issuer.tag) != (der::SEQUENCE, der::SEQUENCE) {
        return Err(CrlError::Malformed);
    }
    let this_update = date(next()?).ok_or(CrlError::Malformed)?;
    let next_update = fields
        .clone()
        .next()
        .and_then(date)
        .ok_or(CrlError::NoNextUpdate)?;
    fields.next();
    if next_update.time <= this_update.time {
        return Err(CrlError::Dates {
            this_update: this_update.time,
            next_update: next_update.time,
        });
    }
    let mut facts = CrlFacts {
        number: 0,
        this_update: this_update.time,
        next_update: next_update.time,
        issuer: issuer.raw.to_vec(),
        signature_algorithm: algorithm.raw.to_vec(),
        authority_key_id: None,
        extensions: Vec::new(),
        entry_count: 0,
        is_sorted: true,
        dates_in_right_form: true,
        reason_bits: 0,
        entries: 0..0,
    };
    facts.note(this_update);
    facts.note(next_update);
    let mut tail = fields.next();
    if let Some(list) = tail.filter(|tlv| tlv.tag == der::SEQUENCE) {
        let start = list.value.as_ptr().addr() - tbs.as_ptr().addr();
        facts.entries = start..start + list.value.len();
        read_entries(&mut facts, list.value)?;
        tail = fields.next();
    }
    let extensions = tail.filter(|tlv| tlv.tag == 0xa0 && fields.is_empty());
    read_extensions(&mut facts, extensions.ok_or(CrlError::Malformed)?.value)?;
    Ok(facts)
}

fn date(tlv: der::Tlv<'_>) -> Option<Date> {
    dates::read(tlv.tag, tlv.value)
}

fn read_entries(facts: &mut CrlFacts, contents: &[u8]) -> Result<(), CrlError> {
    // revokedCertificates is absent, not empty, when there are none (RFC 5280 §5.1.2.6); empty is let pass, because
    // OpenSSL writes it.
    let mut entries = der::Reader::new(contents);
    let mut previous: &[u8] = &[];
    while !entries.is_empty() {
        let damaged = || CrlError::Entry(facts.entry_count + 1);
        let tlv = entries.expect(der::SEQUENCE).ok_or_else(damaged)?;
        let read = entry::read(tlv.value).ok_or_else(damaged)?;
        facts.is_sorted &= previous < read.entry.serial;
        previous = read.entry.serial;
        facts.note(read.date);
        facts.reason_bits |= read.entry.reason_code.map_or(0, |code| 1 << code);
        facts.entry_count += 1;
    }
    Ok(())
}

fn read_extensions(facts: &mut CrlFacts, contents: &[u8]) -> Result<(), CrlError> {
    let list = der::only(der::SEQUENCE, contents).ok_or(CrlError::Malformed)?;
    let mut extensions = der::Reader::new(list);
    let mut number = None;
    while !extensions.is_empty() {
        let fields = extensions.expect(der::SEQUENCE).ok_or(CrlError::Malformed)?.value;
        let (oid, critical, value) = der::extension(fields).ok_or(CrlError::Malformed)?;
        let fact = ExtensionFact {
            oid: der::oid_text(oid),
            critical,
        };
        let is_repeated = facts.extensions.iter().any(|e| e.oid == fact.oid);
        let refused = || CrlError::Extension(der::oid_text(oid));
        if is_repeated || facts.extensions.len() == EXTENSIONS_MAX {
            return Err(refused());
        }
        match oid {
            CRL_NUMBER => number = der::only(der::INTEGER, value).and_then(der::unsigned),
            AUTHORITY_KEY_ID => facts.authority_key_id = key_id(value).ok_or_else(refused)?,
            DELTA | DISTRIBUTION_POINT => return Err(refused()),
            _ if critical => return Err(refused()),
            _ => {}
        }
        facts.extensions.push(fact);
    }
    facts.number = number.ok_or(CrlError::Number)?;
    Ok(())
}

/// The keyIdentifier of AuthorityKeyIdentifier, if it names the key that way.
fn key_id(value: &[u8]) -> Option<Option<Vec<u8>>> {
    let mut fields = der::Reader::new(der::only(der::SEQUENCE, value)?);
    let mut id = None;
    while !fields.is_empty() {
        let field = fields.next()?;
        if field.tag == 0x80 {
            id = Some(field.value.to_vec());
        }
    }
    Some(id)
}
