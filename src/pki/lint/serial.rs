//! Serial numbers are 16 bytes, positive, in their shortest form (RFC 5280 §4.1.2.2).

use super::{Candidate, Finding};

pub(super) fn check(candidate: &Candidate<'_>) -> Option<Finding> {
    let contents = candidate.certificate.serial_contents.as_slice();
    let positive = contents.first().is_some_and(|b| (1..0x80).contains(b));
    if positive && contents.len() == 16 {
        return None;
    }
    let message = format!(
        "serial number has {} bytes, must be a positive one of 16",
        contents.len()
    );
    Some(Finding::new("serial", message))
}
