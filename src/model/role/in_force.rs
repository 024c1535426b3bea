//! Who has which roles on one host, and what is in force there now.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};

use super::built_in::built_in;
use super::decide::{Body, Decision, Request, decide_by};
use super::digest::RolesDigest;
use super::spec::{Role, RoleName, RoleSpec};

/// What the server says about one host: clients with their roles, and the roles that are not built in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct HostRoles {
    /// Roles that somebody wrote, by name, each as in a role file. Kept unread until it is put in force: one that a
    /// newer server knows and this program does not must not stand in the way of the others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "server", schema(value_type = BTreeMap<String, RoleSpec>))]
    pub roles: BTreeMap<String, serde_json::Value>,
    /// The names of each client's roles. Who is not here has none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub clients: BTreeMap<String, BTreeSet<String>>,
}

/// Roles that were read, by client.
#[derive(Debug)]
struct Known {
    clients: HashMap<String, Vec<Arc<Role>>>,
    digest: RolesDigest,
}

#[derive(Debug)]
enum State {
    /// Roles are not looked at.
    NotEnforced,
    /// Nobody has said who may do what.
    Unknown,
    Known(Known),
}

/// The roles that a host enforces. Shared by who learns them, the follower of the feed, and who enforces them, the gate;
/// look-ups take no lock.
#[derive(Debug)]
pub struct RolesInForce(ArcSwap<State>);

/// What is to become of a client's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Roles are not looked at here.
    NotEnforced,
    /// It is not known who may do what: nobody may.
    Unknown,
    /// What the client's roles say.
    Decided(Decision),
}

/// What came into force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Clients that have lost a role, or one of whose roles was changed: their open connections are to be cut.
    pub lost: BTreeSet<String>,
    /// Roles that this program cannot read, with the reason. They give nothing.
    pub unread: Vec<(String, String)>,
}

impl RolesInForce {
    /// Roles are not looked at: every client may do everything.
    pub fn not_enforced() -> Self {
        Self(ArcSwap::from_pointee(State::NotEnforced))
    }

    /// Nobody may do anything until [`RolesInForce::publish`].
    pub fn unknown() -> Self {
        Self(ArcSwap::from_pointee(State::Unknown))
    }

    /// Puts roles in force, from the next look-up on.
    pub fn publish(&self, roles: &HostRoles) -> Published {
        let mut unread = Vec::new();
        let mut written = BTreeMap::new();
        for (name, spec) in &roles.roles {
            match read(name, spec) {
                Ok(role) => drop(written.insert(name.as_str(), Arc::new(role))),
                Err(why) => unread.push((name.clone(), why)),
            }
        }
        let find = |name: &String| match written.get(name.as_str()) {
            Some(role) => Some(Arc::clone(role)),
            None => built_in(&name.parse().ok()?).map(|role| Arc::new(role.clone())),
        };
        let of_client = |(client, names): (&String, &BTreeSet<String>)| {
            let roles: Vec<Arc<Role>> = names.iter().filter_map(find).collect();
            (client.clone(), roles)
        };
        let now = Known {
            clients: roles.clients.iter().map(of_client).collect(),
            digest: RolesDigest::of(roles),
        };
        let lost = match &**self.0.load() {
            State::Known(before) => before.lost(&now),
            State::NotEnforced | State::Unknown => BTreeSet::new(),
        };
        self.0.store(Arc::new(State::Known(now)));
        Published { lost, unread }
    }

    /// What is to become of a request of `client`.
    pub fn decide(&self, client: &str, request: &Request<'_>, body: Body<'_>) -> Verdict {
        self.judge(client, request, body).0
    }

    /// The same, with the name of the role that allows it.
    pub fn judge(&self, client: &str, request: &Request<'_>, body: Body<'_>) -> (Verdict, Option<RoleName>) {
        match &**self.0.load() {
            State::NotEnforced => (Verdict::NotEnforced, None),
            State::Unknown => (Verdict::Unknown, None),
            State::Known(known) => {
                let roles = known.clients.get(client).map(Vec::as_slice).unwrap_or_default();
                let (decision, by) = decide_by(roles.iter().map(Arc::as_ref), request, body);
                (Verdict::Decided(decision), by.map(|role| role.name().clone()))
            }
        }
    }

    /// What was told, in short; `None` where roles are not looked at.
    pub fn digest(&self) -> Option<RolesDigest> {
        match &**self.0.load() {
            State::NotEnforced => None,
            State::Unknown => Some(RolesDigest::NOTHING),
            State::Known(known) => Some(known.digest),
        }
    }

    /// Whether roles are looked at.
    pub fn is_enforced(&self) -> bool {
        !matches!(**self.0.load(), State::NotEnforced)
    }

    /// The names of a client's roles; empty where roles are not looked at.
    pub fn names(&self, client: &str) -> Vec<RoleName> {
        match &**self.0.load() {
            State::Known(known) => {
                let roles = known.clients.get(client).into_iter().flatten();
                roles.map(|role| role.name().clone()).collect()
            }
            State::NotEnforced | State::Unknown => Vec::new(),
        }
    }
}

impl Known {
    /// Who had a role that is not as it was.
    fn lost(&self, now: &Self) -> BTreeSet<String> {
        let has_all = |(client, roles): &(&String, &Vec<Arc<Role>>)| {
            let kept = now.clients.get(*client).map(Vec::as_slice).unwrap_or_default();
            !roles.iter().all(|role| kept.contains(role))
        };
        self.clients
            .iter()
            .filter(has_all)
            .map(|(client, _)| client.clone())
            .collect()
    }
}

fn read(name: &str, spec: &serde_json::Value) -> Result<Role, String> {
    let spec = RoleSpec::deserialize(spec).map_err(|error| error.to_string())?;
    let name: RoleName = name
        .parse()
        .map_err(|error: super::RoleError| error.to_string())?;
    // What is built in means the same everywhere.
    match built_in(&name) {
        Some(_) => Err("it has the name of a built-in role".to_owned()),
        None => Role::check(name, spec).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> HostRoles {
        serde_json::from_str(text).unwrap()
    }

    fn may(roles: &RolesInForce, client: &str, method: &str, target: &str) -> bool {
        let request = Request::classify(method, target).unwrap();
        roles.decide(client, &request, Body::Whole(b"")) == Verdict::Decided(Decision::Allowed)
    }

    #[test]
    fn nobody_may_anything_before_it_is_known_who_may_what() {
        let roles = RolesInForce::unknown();
        let request = Request::classify("GET", "/_ping").unwrap();
        assert_eq!(roles.decide("alice", &request, Body::Unread), Verdict::Unknown);
        assert_eq!(
            RolesInForce::not_enforced().decide("alice", &request, Body::Unread),
            Verdict::NotEnforced
        );
    }

    #[test]
    fn a_role_counts_from_the_next_request_on_and_who_loses_one_is_named() {
        let roles = RolesInForce::unknown();
        let first = host(
            r#"{"roles":{"stopper":{"allow":["ContainerStop"]}},
                "clients":{"alice":["operator"],"bob":["stopper","viewer"],"carol":["viewer"],"dave":["stopper"]}}"#,
        );
        assert_eq!(roles.publish(&first), Published::default());
        assert!(may(&roles, "bob", "POST", "/containers/a/stop") && may(&roles, "bob", "GET", "/info"));
        assert!(!may(&roles, "erin", "GET", "/_ping"));
        let second = host(
            r#"{"roles":{"stopper":{"allow":["ContainerStop","ContainerKill"]}},
                "clients":{"bob":["viewer"],"carol":["viewer","operator"],"dave":["stopper"]}}"#,
        );
        let lost: Vec<String> = roles.publish(&second).lost.into_iter().collect();
        assert_eq!(lost, ["alice", "bob", "dave"]);
        assert!(!may(&roles, "alice", "GET", "/_ping") && may(&roles, "carol", "POST", "/containers/a/stop"));
    }

    #[test]
    fn a_role_that_cannot_be_read_gives_nothing_and_harms_no_other() {
        let roles = RolesInForce::unknown();
        let published = roles.publish(&host(
            r#"{"roles":{"new":{"allow":["ContainerTeleport"]},"newer":{"allow":["@read"],"when":"noon"},"admin":{"allow":["@read"]}},
                "clients":{"alice":["new","newer","viewer"],"bob":["new"],"carol":["nobody-knows"],"root":["admin"]}}"#,
        ));
        let unread: Vec<&str> = published.unread.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(unread, ["admin", "new", "newer"]);
        assert!(may(&roles, "alice", "GET", "/info") && !may(&roles, "bob", "GET", "/info"));
        assert!(!may(&roles, "carol", "GET", "/info") && may(&roles, "root", "POST", "/plugins/pull"));
    }
}
