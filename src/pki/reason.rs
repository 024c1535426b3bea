//! Why a certificate was revoked: CRLReason, RFC 5280 §5.3.1.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A reason that may be given for a leaf. `cACompromise` is for CAs, `certificateHold` and `removeFromCRL` would
/// un-revoke, `aACompromise` is for attribute authorities: none of them is here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub enum RevocationReason {
    /// None given; left out of CRLs, as RFC 5280 recommends.
    #[default]
    Unspecified,
    /// The key is, or may be, in other hands.
    KeyCompromise,
    /// The name in it is not right any more.
    AffiliationChanged,
    /// Another certificate took its place.
    Superseded,
    /// It is not needed any more.
    CessationOfOperation,
    /// What it allowed was taken away.
    PrivilegeWithdrawn,
}

/// A word that is no reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a reason: use one of {list}", list = RevocationReason::ALL.map(|reason| reason.to_string()).join(", "))]
pub struct ReasonError(String);

impl RevocationReason {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::PrivilegeWithdrawn,
    ];

    /// Its number in ASN.1.
    pub fn code(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
            Self::PrivilegeWithdrawn => 9,
        }
    }

    /// The reason with this number; `None` for those that are not given here.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }
}

impl fmt::Display for RevocationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
        })
    }
}

impl FromStr for RevocationReason {
    type Err = ReasonError;

    /// As RFC 5280 writes it, in any case; with or without `-` and `_`.
    fn from_str(text: &str) -> Result<Self, ReasonError> {
        let plain = |text: &str| text.replace(['-', '_'], "").to_ascii_lowercase();
        let wanted = plain(text);
        let found = Self::ALL
            .into_iter()
            .find(|reason| plain(&reason.to_string()) == wanted);
        found.ok_or_else(|| ReasonError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_read_as_people_write_them() {
        for text in [
            "keyCompromise",
            "KeyCompromise",
            "key-compromise",
            "key_compromise",
        ] {
            assert_eq!(text.parse(), Ok(RevocationReason::KeyCompromise));
        }
        for reason in RevocationReason::ALL {
            assert_eq!(reason.to_string().parse(), Ok(reason));
            assert_eq!(RevocationReason::from_code(reason.code()), Some(reason));
            let json = serde_json::to_string(&reason).unwrap();
            assert_eq!(json, format!("\"{reason}\""));
        }
    }

    #[test]
    fn what_would_un_revoke_is_no_reason() {
        for text in ["certificateHold", "removeFromCRL", "cACompromise", ""] {
            let error = text.parse::<RevocationReason>().unwrap_err().to_string();
            assert!(error.contains("cessationOfOperation"), "{error}");
        }
        assert_eq!([2, 6, 7, 8, 10].map(RevocationReason::from_code), [None; 5]);
    }
}
