//! Must something be done? An ordered list of pure checks, each of which finds a reason or none. The reasons are what
//! people see after "because".

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::daemon::step::DaemonStep;
use super::desired::Desired;
use super::observed::{Current, Flaw, Observed};
use super::records::Purpose;
use super::step::{Served, join};
use crate::base::Timestamp;
use crate::model::Mode;
use crate::pki::{San, Serial};

/// Names that are new must have been there this long before they lead to a new certificate: addresses come one by
/// one while a machine boots.
pub const NEW_NAMES_SETTLE: Duration = Duration::from_secs(10);
/// Names that are gone must have been away this long: a certificate with a name too many does no harm, and an
/// interface that went down often comes back.
pub const GONE_NAMES_SETTLE: Duration = Duration::from_secs(300);
/// How long names that the server refused are left alone before they are tried again.
pub const REFUSED_NAMES_RETRY: Duration = Duration::from_secs(3600);

/// A reason to act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The host never joined.
    NotEnrolled,
    /// It joined, and its files are gone.
    CertificateMissing,
    /// A file is missing or not what it should be.
    CertificateUnreadable(String),
    /// The key is another certificate's.
    KeyMismatch,
    /// No client would accept the chain.
    ChainInvalid(String),
    /// The certificate's time has not come.
    NotYetValid(Timestamp),
    /// The certificate's time has passed.
    Expired(Timestamp),
    /// The renewal point has passed.
    RenewalDue {
        /// The point.
        at: Timestamp,
        /// How much of the lifetime has passed, in hundredths.
        percent_used: u8,
    },
    /// The host has other names or addresses than its certificate.
    SansChanged {
        /// Wanted, not in the certificate.
        new: Vec<San>,
        /// In the certificate, not wanted.
        gone: Vec<San>,
    },
    /// Nobody has drawn when this certificate is renewed.
    RenewalNotDrawn,
    /// A request is kept that nobody needs.
    RequestLeftOver,
    /// The gate has another certificate, or none.
    NotPublished,
    /// The hook has not run for the version in use.
    HookPending(u64),
    /// A change of what dockerd is told was begun and not ended.
    ChangeUnderWay,
    /// Files do not tell dockerd what they should.
    FilesDiffer {
        /// Which.
        paths: Vec<PathBuf>,
        /// Whether they did before: something else changed them.
        restores: bool,
        /// Why dockerd is down because of it, if it is.
        down: Option<String>,
    },
    /// dockerd lets clients in without a certificate.
    NotGuarded,
    /// dockerd does not ask the authorization plugin, and should.
    NotPlugged,
    /// It asks it, and should not.
    StillPlugged,
    /// A dial does not return the certificate in use.
    NotServed {
        /// What should be served.
        issued: Serial,
        /// What is.
        served: Result<Serial, String>,
    },
}

impl Reason {
    /// Whether only a new certificate helps.
    pub fn wants_certificate(&self) -> bool {
        match self {
            Self::NotEnrolled
            | Self::CertificateMissing
            | Self::CertificateUnreadable(_)
            | Self::KeyMismatch
            | Self::ChainInvalid(_)
            | Self::Expired(_)
            | Self::RenewalDue { .. }
            | Self::SansChanged { .. } => true,
            Self::NotYetValid(_)
            | Self::RenewalNotDrawn
            | Self::RequestLeftOver
            | Self::NotPublished
            | Self::HookPending(_)
            | Self::ChangeUnderWay
            | Self::FilesDiffer { .. }
            | Self::NotGuarded
            | Self::NotPlugged
            | Self::StillPlugged
            | Self::NotServed { .. } => false,
        }
    }

    /// One CamelCase word for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::NotEnrolled => "NotEnrolled",
            Self::CertificateMissing => "CertificateMissing",
            Self::CertificateUnreadable(_) => "CertificateUnreadable",
            Self::KeyMismatch => "KeyMismatch",
            Self::ChainInvalid(_) => "ChainInvalid",
            Self::NotYetValid(_) => "NotYetValid",
            Self::Expired(_) => "Expired",
            Self::RenewalDue { .. } => "RenewalDue",
            Self::SansChanged { .. } => "SansChanged",
            Self::RenewalNotDrawn => "RenewalNotDrawn",
            Self::RequestLeftOver => "RequestLeftOver",
            Self::NotPublished => "NotPublished",
            Self::HookPending(_) => "HookPending",
            Self::ChangeUnderWay => "ChangeUnderWay",
            Self::FilesDiffer { .. } => "FilesDiffer",
            Self::NotGuarded => "NotGuarded",
            Self::NotPlugged => "NotPlugged",
            Self::StillPlugged => "StillPlugged",
            Self::NotServed { .. } => "NotServed",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotEnrolled => f.write_str("this host has not joined yet"),
            Self::CertificateMissing => f.write_str("this host has joined, but its certificate is gone"),
            Self::CertificateUnreadable(why) => f.write_str(why),
            Self::KeyMismatch => f.write_str("key.pem does not belong to cert.pem"),
            Self::ChainInvalid(why) => f.write_str(why),
            Self::NotYetValid(from) => {
                write!(
                    f,
                    "the certificate is valid from {from} only: is this machine's clock right?"
                )
            }
            Self::Expired(at) => write!(f, "the certificate expired at {at}"),
            Self::RenewalDue { at, percent_used } => {
                write!(
                    f,
                    "the renewal point {at} has passed ({percent_used} % of the lifetime)"
                )
            }
            Self::SansChanged { new, gone } => write_changes(f, new, gone),
            Self::RenewalNotDrawn => f.write_str("the time of the next renewal is not drawn yet"),
            Self::RequestLeftOver => f.write_str("a request is left over that nobody needs"),
            Self::NotPublished => f.write_str("the gate does not have the certificate in use yet"),
            Self::HookPending(version) => write!(f, "the hook has not succeeded for version {version}"),
            Self::ChangeUnderWay => f.write_str("a change of what dockerd is told was begun and not ended"),
            Self::FilesDiffer { down: Some(why), .. } => f.write_str(why),
            Self::FilesDiffer { paths, restores, .. } => {
                let paths: Vec<_> = paths.iter().map(|path| path.display()).collect();
                let why = match (*restores, paths.len()) {
                    (true, 1) => "does not tell dockerd what it did: something else has changed it",
                    (true, _) => "do not tell dockerd what they did: something else has changed them",
                    (false, 1) => "does not tell dockerd to serve the certificate",
                    (false, _) => "do not tell dockerd to serve the certificate",
                };
                write!(f, "{} {why}", join(&paths))
            }
            Self::NotGuarded => f.write_str("dockerd lets clients in without a certificate"),
            Self::NotPlugged => f.write_str("dockerd does not ask who was revoked, nor who may do what"),
            Self::StillPlugged => f.write_str("dockerd is told to ask dockwarden, and should not"),
            Self::NotServed { issued, served } => match served {
                Ok(serial) => write!(f, "{} is served instead of {}", serial.short(), issued.short()),
                Err(why) => write!(f, "{} is not served: {why}", issued.short()),
            },
        }
    }
}

fn write_changes(f: &mut fmt::Formatter<'_>, new: &[San], gone: &[San]) -> fmt::Result {
    let are = |names: &[San]| if names.len() == 1 { "is" } else { "are" };
    f.write_str("SANs changed: ")?;
    if !gone.is_empty() {
        write!(f, "{} {} gone", join(gone), are(gone))?;
    }
    if !gone.is_empty() && !new.is_empty() {
        f.write_str(", ")?;
    }
    if !new.is_empty() {
        write!(f, "{} {} new", join(new), are(new))?;
    }
    Ok(())
}

/// A check: a reason to act, or none.
type Check = fn(&Observed, &Desired, Timestamp) -> Option<Reason>;

/// The checks in order. The first reason that wants a certificate is the one that gets it.
const CHECKS: [Check; 16] = [
    // Make sure that the host has joined.
    not_enrolled,
    // Make sure that what it joined with is still there.
    certificate_missing,
    // Make sure that a client would accept it.
    certificate_flawed,
    not_yet_valid,
    expired,
    // Make sure that it is replaced in time.
    renewal_due,
    // Make sure that it names what the host is reached by.
    sans_changed,
    renewal_not_drawn,
    request_left_over,
    // Make sure that what is on disk is in use.
    not_published,
    hook_pending,
    // Make sure that dockerd is told what it should.
    change_under_way,
    files_differ,
    // Make sure that it is what clients get.
    not_guarded,
    not_served,
    // Make sure that it asks whom to let in.
    plugged,
];

/// Every reason to act, in the order of the checks.
pub fn reasons(observed: &Observed, desired: &Desired, now: Timestamp) -> Vec<Reason> {
    CHECKS
        .iter()
        .filter_map(|check| check(observed, desired, now))
        .collect()
}

fn plugged(observed: &Observed, _: &Desired, now: Timestamp) -> Option<Reason> {
    let sight = observed.daemon.as_ref()?;
    match sight.plug_due(now)? {
        DaemonStep::Unplug(_) => Some(Reason::StillPlugged),
        _ => Some(Reason::NotPlugged),
    }
}

fn not_enrolled(observed: &Observed, _: &Desired, _: Timestamp) -> Option<Reason> {
    let never = observed.current == Current::Nothing && observed.memory.joined.is_none();
    never.then_some(Reason::NotEnrolled)
}

fn certificate_missing(observed: &Observed, _: &Desired, _: Timestamp) -> Option<Reason> {
    let gone = observed.current == Current::Nothing && observed.memory.joined.is_some();
    gone.then_some(Reason::CertificateMissing)
}

fn certificate_flawed(observed: &Observed, _: &Desired, _: Timestamp) -> Option<Reason> {
    let Current::Broken { flaw, .. } = &observed.current else {
        return None;
    };
    Some(match flaw {
        Flaw::Unreadable(why) => Reason::CertificateUnreadable(why.clone()),
        Flaw::KeyMismatch => Reason::KeyMismatch,
        Flaw::ChainInvalid(why) => Reason::ChainInvalid(why.clone()),
    })
}

fn not_yet_valid(observed: &Observed, _: &Desired, now: Timestamp) -> Option<Reason> {
    let pair = observed.pair()?;
    (now < pair.not_before).then_some(Reason::NotYetValid(pair.not_before))
}

fn expired(observed: &Observed, _: &Desired, now: Timestamp) -> Option<Reason> {
    let pair = observed.pair()?;
    (now.trunc_secs() > pair.not_after).then_some(Reason::Expired(pair.not_after))
}

fn renewal_due(observed: &Observed, _: &Desired, now: Timestamp) -> Option<Reason> {
    let pair = observed.pair()?;
    let point = observed
        .memory
        .renewal
        .as_ref()
        .filter(|point| point.serial == pair.serial)?;
    let due = (point.at..=pair.not_after).contains(&now);
    due.then(|| Reason::RenewalDue {
        at: point.at,
        percent_used: pair.percent_used(now),
    })
}

fn sans_changed(observed: &Observed, desired: &Desired, now: Timestamp) -> Option<Reason> {
    let pair = observed.pair()?;
    if desired.name.is_none() || observed.names_refused(desired, now) {
        return None;
    }
    let missing_from = |from: &[San], names: &[San]| -> Vec<San> {
        names
            .iter()
            .filter(|name| !from.contains(name))
            .cloned()
            .collect()
    };
    let new = missing_from(&pair.sans, &desired.sans);
    let gone = missing_from(&desired.sans, &pair.sans);
    let settle = if new.is_empty() {
        GONE_NAMES_SETTLE
    } else {
        NEW_NAMES_SETTLE
    };
    let settled = now >= observed.names_since + settle;
    (settled && !(new.is_empty() && gone.is_empty())).then_some(Reason::SansChanged { new, gone })
}

fn renewal_not_drawn(observed: &Observed, _: &Desired, _: Timestamp) -> Option<Reason> {
    let pair = observed.pair()?;
    let drawn = observed
        .memory
        .renewal
        .as_ref()
        .is_some_and(|point| point.serial == pair.serial);
    (!drawn).then_some(Reason::RenewalNotDrawn)
}

fn request_left_over(observed: &Observed, _: &Desired, _: Timestamp) -> Option<Reason> {
    let (pair, request) = (observed.pair()?, observed.request.as_ref()?);
    let installed = pair.spki_sha256 == request.spki_sha256;
    let outdated = request.purpose == Purpose::Enroll && observed.setbacks.refused_certificate.is_none();
    (installed || outdated).then_some(Reason::RequestLeftOver)
}

fn not_published(observed: &Observed, desired: &Desired, _: Timestamp) -> Option<Reason> {
    let pair = observed.pair()?;
    let published = observed.published.as_ref() == Some(&pair.serial);
    (desired.mode == Mode::Gate && !published).then_some(Reason::NotPublished)
}

fn hook_pending(observed: &Observed, desired: &Desired, _: Timestamp) -> Option<Reason> {
    let pair = observed.pair()?;
    let pending = desired.hook && observed.memory.hook_ran_for != Some(pair.version);
    pending.then_some(Reason::HookPending(pair.version))
}

fn change_under_way(observed: &Observed, _: &Desired, _: Timestamp) -> Option<Reason> {
    let open = observed.daemon.as_ref()?.open_attempt().is_some();
    open.then_some(Reason::ChangeUnderWay)
}

fn files_differ(observed: &Observed, _: &Desired, _: Timestamp) -> Option<Reason> {
    let sight = observed.daemon.as_ref()?;
    let paths = sight.changed_paths();
    let (restores, down) = (sight.memory.served.is_some(), sight.brought_down());
    (!paths.is_empty()).then_some(Reason::FilesDiffer {
        paths,
        restores,
        down,
    })
}

fn not_guarded(observed: &Observed, _: &Desired, _: Timestamp) -> Option<Reason> {
    observed.daemon.as_ref()?;
    let (served, guarded) = (observed.served.serial()?, observed.served.is_guarded());
    (!guarded && observed.pair()?.serial == *served).then_some(Reason::NotGuarded)
}

fn not_served(observed: &Observed, desired: &Desired, now: Timestamp) -> Option<Reason> {
    let pair = observed.pair()?;
    desired.dial?;
    // What the gate was not given yet it cannot serve; that has a reason of its own.
    if not_published(observed, desired, now).is_some() {
        return None;
    }
    let served = match &observed.served {
        Served::NotDialled => return None,
        Served::Certificate(seen) if seen.serial == pair.serial => return None,
        Served::Certificate(seen) => Ok(seen.serial.clone()),
        Served::Failed(why) => Err(why.clone()),
    };
    Some(Reason::NotServed {
        issued: pair.serial.clone(),
        served,
    })
}
