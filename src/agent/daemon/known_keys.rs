//! What stands in for `dockerd --validate` where the engine has none (before 23.0): the keys that such an engine knows.
//! One that it does not know keeps it from starting. Everything else that `--validate` looks at was looked at before:
//! JSON and the types of our keys, settings in two places, and the certificates by the peer's rules.

use serde_json::Value;

/// The keys of 20.10 (`daemon/config/config.go`, `config_linux.go`, the runtime's included).
const KNOWN: &[&str] = &[
    "allow-nondistributable-artifacts",
    "api-cors-header",
    "authorization-plugins",
    "bip",
    "bridge",
    "builder",
    "cgroup-parent",
    "cluster-advertise",
    "cluster-store",
    "cluster-store-opts",
    "config-file",
    "containerd",
    "containerd-namespace",
    "containerd-plugins-namespace",
    "cpu-rt-period",
    "cpu-rt-runtime",
    "cri-containerd",
    "data-root",
    "debug",
    "default-address-pools",
    "default-cgroupns-mode",
    "default-gateway",
    "default-gateway-v6",
    "default-ipc-mode",
    "default-runtime",
    "default-shm-size",
    "default-ulimits",
    "deprecated-key-path",
    "disable-legacy-registry",
    "dns",
    "dns-opts",
    "dns-search",
    "exec-opts",
    "exec-root",
    "experimental",
    "features",
    "fixed-cidr",
    "fixed-cidr-v6",
    "graph",
    "group",
    "host-gateway-ip",
    "hosts",
    "icc",
    "init",
    "init-path",
    "insecure-registries",
    "ip",
    "ip-forward",
    "ip-masq",
    "ip6tables",
    "iptables",
    "ipv6",
    "labels",
    "live-restore",
    "log-driver",
    "log-level",
    "log-opts",
    "max-concurrent-downloads",
    "max-concurrent-uploads",
    "max-download-attempts",
    "metrics-addr",
    "mtu",
    "network-control-plane-mtu",
    "network-diagnostic-port",
    "no-new-privileges",
    "node-generic-resources",
    "oom-score-adjust",
    "pidfile",
    "raw-logs",
    "registry-mirrors",
    "rootless",
    "runtimes",
    "seccomp-profile",
    "selinux-enabled",
    "shutdown-timeout",
    "storage-driver",
    "storage-opts",
    "swarm-default-advertise-addr",
    "tls",
    "tlscacert",
    "tlscert",
    "tlskey",
    "tlsverify",
    "userland-proxy",
    "userland-proxy-path",
    "userns-remap",
];

/// Whether an engine without `--validate` knows every key of this configuration.
///
/// # Errors
/// Names the first one that it does not know.
pub fn check(config: &[u8]) -> Result<(), String> {
    let Ok(Value::Object(map)) = serde_json::from_slice(config) else {
        // Empty, or with a mark of its encoding: what dockerd makes of it was looked at when it was read.
        return Ok(());
    };
    match map.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        Some(key) => Err(format!(
            "the following directives don't match any configuration option: {key}"
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_the_engine_does_not_know_is_named() {
        assert!(check(b"").is_ok());
        assert!(check(br#"{"hosts": [], "live-restore": true, "runtimes": {"x": {}}}"#).is_ok());
        let why = check(br#"{"debug": true, "bogus": 1}"#).unwrap_err();
        assert!(why.ends_with(": bogus"), "{why}");
    }
}
