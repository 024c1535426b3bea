//! Our values in the form rcgen takes.

use rcgen::string::Ia5String;
use rcgen::{DistinguishedName, DnType, SanType};

use super::names::San;

/// A subject of one UTF8String CN.
pub(crate) fn common_name(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

/// A subject alternative name.
pub(crate) fn san(san: &San) -> SanType {
    match san {
        San::Dns(name) => SanType::DnsName(Ia5String::try_from(name.as_str()).expect("a DnsName is ASCII")),
        San::Ip(address) => SanType::IpAddress(*address),
    }
}
