//! What a role's rules must list so that one request passes.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::model::role::body::checks;
use crate::model::role::decide::{Body, Held, Request, hold};
use crate::model::role::image;
use crate::model::role::operations::Operation;
use crate::model::role::rules::{
    BodyRules, Namespace, bare_capability, is_capability, is_clean, is_some, is_word,
};
use crate::model::role::spec::ROLE_CHARS_MAX;
use crate::model::role::wanted::{Limits, Wanted};

/// A rule of a role, as it is named in its file; and [`Rule::AnyImage`], which is an empty list of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// `privileged`
    Privileged,
    /// `host_namespaces`
    HostNamespaces,
    /// `join_containers`
    JoinContainers,
    /// `devices`
    Devices,
    /// `device_requests`
    DeviceRequests,
    /// `capabilities`
    Capabilities,
    /// `security_opt`
    SecurityOpt,
    /// `binds`
    Binds,
    /// `volume_drivers`
    VolumeDrivers,
    /// `runtimes`
    Runtimes,
    /// `images`
    Images,
    /// No list of images would do.
    AnyImage,
}

/// Rules with the entry that each must have; that of a flag is empty.
pub type Needs = BTreeSet<(Rule, String)>;

/// Whether rules look at the bodies of an operation.
pub fn looks_at_body(operation: &Operation) -> bool {
    checks(operation).body.is_some()
}

/// The least that rules must list so that a request passes.
///
/// # Errors
/// What no rule can list, in words: reads on after "ContainerCreate with".
pub fn needs(request: &Request<'_>, body: Body<'_>) -> Result<Needs, String> {
    match try_needs(request, body, false) {
        Ok(needs) => Ok(needs),
        // An image by id, or from a file: rules without a list of images may admit it.
        Err(why) => try_needs(request, body, true).map_err(|_| why),
    }
}

fn try_needs(request: &Request<'_>, body: Body<'_>, any_image: bool) -> Result<Needs, String> {
    let seen = Seen {
        any_image,
        needs: RefCell::default(),
    };
    words(hold(request, body, &seen))?;
    let needs = seen.needs.into_inner();
    // INVARIANT: what is remembered admits what was seen, whatever else is in the list.
    words(hold(request, body, &rules(&needs)))?;
    Ok(needs)
}

fn words(held: Held) -> Result<(), String> {
    match held {
        Held::Inside => Ok(()),
        Held::NeedsBody => Err("a body that was not seen".to_owned()),
        Held::Beyond(beyond) => Err(beyond.0),
        Held::Unreadable(error) => Err(error.to_string()),
    }
}

/// Rules that list exactly this. What another entry lists already is left out.
pub(super) fn rules<'a>(needs: impl IntoIterator<Item = &'a (Rule, String)>) -> BodyRules {
    let mut rules = BodyRules::default();
    let mut any_image = false;
    for (rule, entry) in needs {
        let list = match rule {
            Rule::Privileged => {
                rules.privileged = true;
                continue;
            }
            Rule::JoinContainers => {
                rules.join_containers = true;
                continue;
            }
            Rule::AnyImage => {
                any_image = true;
                continue;
            }
            Rule::HostNamespaces => {
                rules.host_namespaces.extend(Namespace::parse(entry));
                continue;
            }
            Rule::Devices => &mut rules.devices,
            Rule::DeviceRequests => &mut rules.device_requests,
            Rule::Capabilities => &mut rules.capabilities,
            Rule::SecurityOpt => &mut rules.security_opt,
            Rule::Binds => &mut rules.binds,
            Rule::VolumeDrivers => &mut rules.volume_drivers,
            Rule::Runtimes => &mut rules.runtimes,
            Rule::Images => &mut rules.images,
        };
        list.push(entry.clone());
    }
    if any_image {
        rules.images.clear();
    }
    if rules.devices.iter().any(|device| device == "*") {
        rules.devices = vec!["*".to_owned()];
    }
    let written = rules.binds.clone();
    let is_covered = |bind: &String| {
        let path = bind.strip_suffix(":ro");
        path.is_some_and(|path| written.iter().any(|other| other == path))
    };
    rules.binds.retain(|bind| !is_covered(bind));
    rules
}

/// Says yes to whatever an entry of a rule can say exactly, and remembers the entry.
struct Seen {
    any_image: bool,
    needs: RefCell<Needs>,
}

impl Seen {
    fn entry(&self, wanted: Wanted<'_>) -> Option<(Rule, String)> {
        // A star or a question mark in an entry would list more than what was asked for.
        let plain = |text: &str, is_entry: fn(&str) -> bool| {
            let fits = is_entry(text) && !text.contains(['*', '?']) && text.chars().count() <= ROLE_CHARS_MAX;
            fits.then(|| text.to_owned())
        };
        Some(match wanted {
            Wanted::Privileged => (Rule::Privileged, String::new()),
            Wanted::Namespace(namespace) => (Rule::HostNamespaces, namespace.as_str().to_owned()),
            Wanted::JoinContainers => (Rule::JoinContainers, String::new()),
            Wanted::Device(path) => (Rule::Devices, plain(path, is_clean)?),
            Wanted::AnyDevice => (Rule::Devices, "*".to_owned()),
            Wanted::DeviceRequest(driver) => (Rule::DeviceRequests, plain(driver, is_word)?),
            Wanted::Capability(name) => (Rule::Capabilities, plain(&bare_capability(name), is_capability)?),
            Wanted::SecurityOption(option) => (Rule::SecurityOpt, plain(option, is_some)?),
            Wanted::Bind { path, .. } if path.contains(':') => return None,
            Wanted::Bind {
                path,
                read_only: true,
            } => (Rule::Binds, format!("{}:ro", plain(path, is_clean)?)),
            Wanted::Bind {
                path,
                read_only: false,
            } => (Rule::Binds, plain(path, is_clean)?),
            Wanted::VolumeDriver(name) => (Rule::VolumeDrivers, plain(name, is_word)?),
            Wanted::Runtime(name) => (Rule::Runtimes, plain(name, is_word)?),
            Wanted::Image(_) | Wanted::AnyImage if self.any_image => (Rule::AnyImage, String::new()),
            Wanted::Image(name) => (Rule::Images, plain(&image::exactly(name)?, is_some)?),
            Wanted::AnyImage => return None,
        })
    }
}

impl Limits for Seen {
    fn list(&self, wanted: Wanted<'_>) -> bool {
        let entry = self.entry(wanted);
        let known = entry.is_some();
        self.needs.borrow_mut().extend(entry);
        known
    }
}
