//! Services of a swarm: what their tasks may do on every host they are put on.

use super::{Beyond, Checked, container, list, listed, mount, only, shown, text, texts};
use crate::model::role::json::Json;
use crate::model::role::rules::Namespace;
use crate::model::role::wanted::{Limits, Wanted};

const SERVICE: &[&str] = &[
    "Name",
    "Labels",
    "TaskTemplate",
    "Mode",
    "UpdateConfig",
    "RollbackConfig",
    "Networks",
    "EndpointSpec",
];
const TASK: &[&str] = &[
    "ContainerSpec",
    "Resources",
    "RestartPolicy",
    "Placement",
    "Networks",
    "LogDriver",
    "ForceUpdate",
    "Runtime",
];
const CONTAINER: &[&str] = &[
    "Image",
    "Labels",
    "Command",
    "Args",
    "Hostname",
    "Env",
    "Dir",
    "User",
    "Groups",
    "Privileges",
    "Init",
    "StopSignal",
    "TTY",
    "OpenStdin",
    "ReadOnly",
    "Mounts",
    "StopGracePeriod",
    "Healthcheck",
    "Hosts",
    "DNSConfig",
    "Secrets",
    "Configs",
    "Isolation",
    "Sysctls",
    "CapabilityAdd",
    "CapabilityDrop",
    "Ulimits",
    "OomScoreAdj",
];
/// The length of the ids that a swarm draws, from a-z and 0-9.
const SWARM_ID_CHARS: usize = 25;

/// `POST /services/create`, `POST /services/{id}/update`.
pub(super) fn spec(body: &Json, rules: &dyn Limits) -> Checked {
    only(body, "service", &[SERVICE])?;
    networks(body, rules)?;
    let task = body.get("TaskTemplate");
    only(task, "TaskTemplate", &[TASK])?;
    networks(task, rules)?;
    if !matches!(text(task, "Runtime")?, "" | "container") {
        return Err(Beyond("another runtime of tasks".to_owned()));
    }
    let container = task.get("ContainerSpec");
    only(container, "ContainerSpec", &[CONTAINER])?;
    listed(text(container, "Image")?, rules)?;
    mount::mounts(container, rules)?;
    for capability in texts(container, "CapabilityAdd")? {
        if !rules.list(Wanted::Capability(capability)) {
            return Err(Beyond(format!("CapabilityAdd {}", shown(capability))));
        }
    }
    only(container.get("Privileges"), "Privileges", &[&["NoNewPrivileges"]])
}

/// Networks by name. The host's own has an id like any other, so that only a name says which it is.
fn networks(object: &Json, rules: &dyn Limits) -> Checked {
    for attachment in list(object, "Networks")? {
        let target = text(attachment, "Target")?;
        container::network(target, rules)?;
        let is_id = target.len() == SWARM_ID_CHARS
            && target
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if is_id && !rules.list(Wanted::Namespace(Namespace::Net)) {
            return Err(Beyond(format!(
                "network {}, which has to be named, not given by id",
                shown(target)
            )));
        }
    }
    Ok(())
}
