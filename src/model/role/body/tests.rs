use super::super::*;
use super::*;

fn rules(text: &str) -> BodyRules {
    let spec = RoleSpec::from_toml(&format!("allow = ['ContainerCreate']\n[rules]\n{text}")).unwrap();
    let role = Role::check("r".parse().unwrap(), spec).unwrap();
    role.rules().unwrap().clone()
}

fn created(rules: &BodyRules, host: &str) -> Checked {
    let body = Json::read(format!("{{\"Image\":\"a\",\"HostConfig\":{{{host}}}}}").as_bytes()).unwrap();
    container::create(&body, rules)
}

/// Every rule: what it lists passes, and without it does not.
#[test]
fn what_a_rule_lists_passes_and_nothing_else() {
    for (rule, host) in [
        ("privileged = true", r#""Privileged":true"#),
        ("host_namespaces = ['pid']", r#""PidMode":"host""#),
        ("host_namespaces = ['ipc']", r#""IpcMode":"host""#),
        ("host_namespaces = ['net']", r#""NetworkMode":"host""#),
        ("host_namespaces = ['uts']", r#""UTSMode":"host""#),
        ("host_namespaces = ['userns']", r#""UsernsMode":"host""#),
        ("host_namespaces = ['cgroup']", r#""CgroupnsMode":"host""#),
        ("join_containers = true", r#""NetworkMode":"container:db""#),
        ("join_containers = true", r#""PidMode":"container:db""#),
        ("join_containers = true", r#""VolumesFrom":["db:ro"]"#),
        (
            "devices = ['/dev/fuse']",
            r#""Devices":[{"PathOnHost":"/dev/fuse"}]"#,
        ),
        ("devices = ['*']", r#""DeviceCgroupRules":["c 1:3 r"]"#),
        (
            "device_requests = ['nvidia']",
            r#""DeviceRequests":[{"Driver":"nvidia","Count":-1}]"#,
        ),
        (
            "device_requests = ['default']",
            r#""DeviceRequests":[{"Count":-1,"Capabilities":[["gpu"]]}]"#,
        ),
        ("capabilities = ['NET_ADMIN']", r#""CapAdd":["CAP_NET_ADMIN"]"#),
        (
            "security_opt = ['seccomp=unconfined']",
            r#""SecurityOpt":["seccomp=unconfined"]"#,
        ),
        (
            "security_opt = ['systempaths=unconfined']",
            r#""MaskedPaths":[],"ReadonlyPaths":[]"#,
        ),
        ("runtimes = ['nvidia']", r#""Runtime":"nvidia""#),
        ("volume_drivers = ['sshfs']", r#""VolumeDriver":"sshfs""#),
        ("binds = ['/srv/app']", r#""Binds":["/srv/app:/app"]"#),
        ("binds = ['/srv/app:ro']", r#""Binds":["/srv/app:/app:ro,z"]"#),
        (
            "binds = ['/srv/*:ro']",
            r#""Mounts":[{"Type":"bind","Source":"/srv/app","Target":"/a","ReadOnly":true}]"#,
        ),
        (
            "binds = ['/srv/**']",
            r#""Mounts":[{"Type":"volume","Source":"v","Target":"/a","VolumeOptions":{"DriverConfig":{"Name":"local","Options":{"type":"none","o":"bind,ro","device":"/srv/a/b"}}}}]"#,
        ),
    ] {
        assert_eq!(created(&rules(rule), host), Ok(()), "{rule}");
        assert!(
            created(&BodyRules::default(), host).is_err(),
            "{host} without a rule"
        );
    }
}

#[test]
fn a_read_only_bind_is_not_to_be_written() {
    let read_only = rules("binds = ['/srv/app:ro']");
    for host in [
        r#""Binds":["/srv/app:/app"]"#,
        r#""Binds":["/srv/app:/app:rw"]"#,
        r#""Binds":["/srv/app:/app:z"]"#,
        r#""Mounts":[{"Type":"bind","Source":"/srv/app","Target":"/a"}]"#,
        r#""Mounts":[{"Type":"bind","Source":"/srv/app","Target":"/a","ReadOnly":false}]"#,
    ] {
        assert!(created(&read_only, host).is_err(), "{host}");
    }
}

/// What `docker run` sends: every field it knows, empty.
#[test]
fn what_docker_sends_by_default_passes_the_strictest_rules() {
    let host = r#""Binds":null,"ContainerIDFile":"","LogConfig":{"Type":"","Config":{}},"NetworkMode":"default",
        "PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8080"}]},"RestartPolicy":{"Name":"no","MaximumRetryCount":0},
        "AutoRemove":false,"VolumeDriver":"","VolumesFrom":null,"ConsoleSize":[24,80],"CapAdd":null,"CapDrop":null,
        "CgroupnsMode":"","Dns":[],"DnsOptions":[],"DnsSearch":[],"ExtraHosts":null,"GroupAdd":null,"IpcMode":"",
        "Cgroup":"","Links":null,"OomScoreAdj":0,"PidMode":"","Privileged":false,"PublishAllPorts":false,
        "ReadonlyRootfs":false,"SecurityOpt":null,"UTSMode":"","UsernsMode":"","ShmSize":0,"Isolation":"","CpuShares":0,
        "Memory":0,"NanoCpus":0,"CgroupParent":"","BlkioWeight":0,"BlkioWeightDevice":[],"BlkioDeviceReadBps":[],
        "BlkioDeviceWriteBps":[],"BlkioDeviceReadIOps":[],"BlkioDeviceWriteIOps":[],"CpuPeriod":0,"CpuQuota":0,
        "CpuRealtimePeriod":0,"CpuRealtimeRuntime":0,"CpusetCpus":"","CpusetMems":"","Devices":[],
        "DeviceCgroupRules":null,"DeviceRequests":null,"MemoryReservation":0,"MemorySwap":0,"MemorySwappiness":-1,
        "OomKillDisable":false,"PidsLimit":0,"Ulimits":[],"CpuCount":0,"CpuPercent":0,"IOMaximumIOps":0,
        "IOMaximumBandwidth":0,"MaskedPaths":null,"ReadonlyPaths":null"#;
    assert_eq!(created(&BodyRules::default(), host), Ok(()));
}
