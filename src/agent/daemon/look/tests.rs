mod bench;

use std::path::Path;

use super::*;
use crate::base::Timestamp;
use crate::sys::fake::{FakeUnits, MemoryDisk};
use crate::sys::units::JournalLine;
use bench::{Bench, Machine, SOCKET};

fn docker_service() -> Layout {
    Layout::Systemd {
        unit: DOCKER_SERVICE.into(),
        scope: Scope::System,
    }
}

fn why(facts: &DaemonFacts) -> &str {
    match &facts.layout {
        Layout::Unrecognised(why) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_distributions_docker_is_seen_whole() {
    let bench = Bench::debian();
    bench.disk.plant("/etc/docker/daemon.json", "{}");
    let facts = bench.look().await;
    assert_eq!(
        (facts.layout, facts.state),
        (docker_service(), DaemonState::Running)
    );
    let process = facts.process.unwrap();
    assert_eq!(
        (process.pid, process.argv.join(" ").as_str()),
        (62, "/usr/sbin/dockerd -H fd://")
    );
    let variables = [("DOCKER_TLS_VERIFY".to_owned(), "1".to_owned())];
    assert_eq!(process.environment, variables, "nothing else is kept");
    let program = facts.program.unwrap();
    assert_eq!(
        (program.version.as_deref(), program.validates),
        (Some("28.5.2"), true)
    );
    assert_eq!(facts.config_file.contents.as_deref(), Some(&b"{}"[..]));
    assert!(!facts.config_file.named_by_flag);
    let unit = facts.unit.unwrap();
    assert!(unit.fragment.contents.contains("ExecStart="));
    assert_eq!(
        unit.drop_in_directory,
        Path::new("/etc/systemd/system/docker.service.d")
    );
    assert_eq!(unit.sockets[0].listen, [SOCKET, "[::]:2375"]);
    assert!(!unit.needs_reload);
    let options: Vec<_> = facts.options_files.iter().map(|file| &file.path).collect();
    assert_eq!(
        options,
        [Path::new("/etc/default/docker")],
        "what does not exist is left out"
    );
    assert_eq!(facts.engine.version.as_deref(), Some("28.5.2"));
    let listeners: Vec<_> = facts
        .listeners
        .iter()
        .map(|l| (l.address.to_string(), l.pid))
        .collect();
    let expected = [
        ("127.0.0.1:2376".to_owned(), Some(62)),
        ("[::]:2375".to_owned(), None),
    ];
    assert_eq!(listeners, expected);
}

#[tokio::test]
async fn the_program_is_asked_once_a_run_and_again_when_its_file_was_replaced() {
    let bench = Bench::debian();
    let (processes, machine) = (bench.processes.clone(), Arc::clone(&bench.machine));
    let look = bench.real_look();
    let asked = || {
        machine
            .asked
            .lock()
            .unwrap()
            .iter()
            .filter(|what| **what == "program")
            .count()
    };
    look.look().await;
    look.look().await;
    assert_eq!(asked(), 1);
    processes.change(62, |each| each.process.program_replaced = true);
    look.look().await;
    assert_eq!(asked(), 2);
    processes.change(62, |each| each.process.id.start_ticks += 1);
    let facts = look.look().await;
    assert_eq!((asked(), facts.program.unwrap().validates), (3, true));
}

#[tokio::test]
async fn a_drop_in_that_systemd_has_not_read_is_noticed() {
    for (path, expected) in [
        ("/etc/systemd/system/docker.service.d/50-dockwarden.conf", true),
        ("/run/systemd/system/docker.service.d/50-x.conf", true),
        ("/etc/systemd/system/docker.service.d/README", false),
        ("/etc/systemd/system/other.service.d/50-x.conf", false),
    ] {
        let bench = Bench::debian();
        bench.disk.plant(path, "[Service]\n");
        assert_eq!(bench.look().await.unit.unwrap().needs_reload, expected, "{path}");
    }
    let bench = Bench::debian();
    let id = UnitId::system(DOCKER_SERVICE);
    bench.units.change(&id, |unit| {
        unit.drop_ins = vec!["/etc/systemd/system/docker.service.d/gone.conf".into()]
    });
    assert!(bench.look().await.unit.unwrap().needs_reload, "it was removed");
}

#[tokio::test]
async fn a_dockerd_that_does_not_run_is_not_spoken_to() {
    for (activity, sub, expected) in [
        (Activity::Inactive, "dead", DaemonState::Stopped),
        (Activity::Deactivating, "stop-sigterm", DaemonState::Stopped),
        (Activity::Activating, "auto-restart", DaemonState::Starting),
    ] {
        let bench = Bench::stopped(activity, sub);
        let machine = Arc::clone(&bench.machine);
        let facts = bench.look().await;
        assert_eq!((&facts.layout, &facts.state), (&docker_service(), &expected));
        assert_eq!(facts.starts_on_use(), expected == DaemonState::Stopped);
        let asked = machine.asked.lock().unwrap().clone();
        assert_eq!(asked, ["program"], "a connection would start it");
        assert!(facts.engine.error.is_some() && facts.process.is_none());
        assert_eq!(facts.program.unwrap().path, Path::new("/usr/sbin/dockerd"));
    }
}

#[tokio::test]
async fn a_failure_comes_with_what_dockerd_said() {
    let bench = Bench::stopped(Activity::Failed, "failed");
    let id = UnitId::system(DOCKER_SERVICE);
    let line = |program: &str, message: &str| JournalLine {
        at: Timestamp::from_secs(990),
        program: program.into(),
        message: message.into(),
    };
    bench.units.log(
        &id,
        line("dockerd", "unable to configure the Docker daemon with file"),
    );
    bench.units.log(
        &id,
        line("systemd", "docker.service: Failed with result 'exit-code'."),
    );
    let DaemonState::Failed(why) = bench.look().await.state else {
        panic!("it failed");
    };
    assert_eq!(
        why,
        "docker.service failed (exit-code); it said: unable to configure the Docker daemon with file"
    );
}

#[tokio::test]
async fn a_masked_unit_is_a_dockerd_that_somebody_stopped() {
    let bench = Bench::stopped(Activity::Inactive, "dead");
    bench.units.change(&UnitId::system(DOCKER_SERVICE), |unit| {
        unit.load = "masked".into()
    });
    assert_eq!(bench.look().await.state, DaemonState::Stopped);
}

#[tokio::test]
async fn a_dockerd_that_answers_no_socket_is_found_through_its_unit() {
    let bench = Bench::stopped(Activity::Active, "running");
    bench
        .units
        .change(&UnitId::system(DOCKER_SERVICE), |unit| unit.main_pid = Some(63));
    bench.process(
        63,
        "dockerd",
        "/usr/sbin/dockerd --tls",
        "/system.slice/docker.service",
        &[],
    );
    let facts = bench.look().await;
    assert_eq!((facts.layout, facts.process.unwrap().pid), (docker_service(), 63));
}

#[tokio::test]
async fn of_several_dockerds_the_one_that_answers_is_the_one() {
    let mut bench = Bench::new();
    bench.units = FakeUnits::absent();
    bench.restart = Some("/srv/restart");
    bench.process(
        70,
        "dockerd",
        "dockerd -H unix:///run/docker.sock",
        "/",
        &[SOCKET],
    );
    bench.process(
        71,
        "dockerd",
        "dockerd -H unix:///run/docker.sock",
        "/",
        &[SOCKET],
    );
    bench.process(
        72,
        "dockerd",
        "dockerd -H unix:///run/other.sock",
        "/",
        &["/run/other.sock"],
    );
    let look = RealLook {
        engines: Arc::new(Machine {
            peer: Some(70),
            ..Machine::default()
        }),
        ..bench.real_look()
    };
    let facts = look.look().await;
    assert_eq!(facts.process.unwrap().pid, 70);
    let restart = vec!["/srv/restart".to_owned()];
    assert_eq!(facts.layout, Layout::Plain { restart });
    let without_peer = RealLook {
        engines: Arc::new(Machine::default()),
        ..look
    };
    let newest = without_peer.look().await.process.unwrap().pid;
    assert_eq!(newest, 71, "the later one bound the path");
}

#[tokio::test]
async fn the_unit_of_another_dockerd_is_left_alone() {
    let bench = Bench::debian();
    let mut look = bench.real_look();
    look.sought.docker_socket = "/run/other.sock".into();
    let facts = look.look().await;
    assert!(why(&facts).contains("dockerd runs (process 62"), "{facts:?}");
    look.sought.restart = Some(vec!["/srv/restart".to_owned()]);
    let facts = look.look().await;
    assert!(matches!(facts.layout, Layout::Plain { .. }), "{facts:?}");
    assert_eq!(
        (facts.state, facts.process, facts.unit),
        (DaemonState::Stopped, None, None)
    );
}

#[tokio::test]
async fn who_cannot_be_restarted_is_refused_with_what_to_do() {
    let by_hand = Bench::new();
    by_hand.process(
        70,
        "dockerd",
        "dockerd",
        "/user.slice/user-0.slice/session-1.scope",
        &[SOCKET],
    );
    let facts = by_hand.look().await;
    assert!(
        why(&facts).contains("process 70") && why(&facts).contains("set restart_command"),
        "{}",
        why(&facts)
    );
    assert_eq!(facts.state, DaemonState::Running);

    let supervised = Bench::new();
    supervised.units.plant(
        UnitId::system("supervisor.service"),
        UnitState {
            load: "loaded".into(),
            main_pid: Some(60),
            command: vec!["/usr/bin/supervisord".into()],
            ..UnitState::default()
        },
    );
    supervised.process(
        70,
        "dockerd",
        "dockerd",
        "/system.slice/supervisor.service",
        &[SOCKET],
    );
    let facts = supervised.look().await;
    assert!(
        why(&facts).contains("supervisor.service, which is not"),
        "{}",
        why(&facts)
    );

    let podman = Bench::new();
    podman.process(50, "podman", "podman system service", "/", &[SOCKET]);
    assert!(why(&podman.look().await).contains("podman (process 50), which is not dockerd"));

    let elsewhere = Bench::new();
    elsewhere.process(
        70,
        "dockerd",
        "dockerd -H unix:///run/other.sock",
        "/",
        &["/run/other.sock"],
    );
    assert!(why(&elsewhere.look().await).contains("set docker_socket"));

    let nothing = Bench::new().look().await;
    assert!(why(&nothing).contains("install Docker") && nothing.process.is_none());
}

#[tokio::test]
async fn a_service_script_is_believed_only_about_its_own_dockerd() {
    for (line, says, expected) in [
        ("dockerd -p /var/run/docker.pid", ServiceState::Running, true),
        ("dockerd", ServiceState::Running, true),
        ("dockerd -p /tmp/d.pid", ServiceState::Running, false),
        ("dockerd", ServiceState::Stopped, false),
    ] {
        let mut bench = Bench::new();
        bench.units = FakeUnits::absent();
        bench.services.manager = Some(ServiceManager::OpenRc);
        *bench.services.state.get_mut().unwrap() = Some(says);
        bench.disk.plant("/etc/conf.d/docker", "DOCKER_OPTS=\"\"\n");
        bench.process(70, "dockerd", line, "/", &[SOCKET]);
        let facts = bench.look().await;
        assert_eq!(
            facts.layout == script(ServiceManager::OpenRc),
            expected,
            "{line}: {facts:?}"
        );
        assert_eq!(facts.options_files.len(), usize::from(expected));
    }
}

#[tokio::test]
async fn without_a_running_dockerd_its_script_or_the_restart_command_stands_for_it() {
    let mut bench = Bench::new();
    bench.units = FakeUnits::absent();
    bench.services.manager = Some(ServiceManager::SysV);
    *bench.services.state.get_mut().unwrap() = Some(ServiceState::Failed("its script exited with 1".into()));
    let facts = bench.look().await;
    assert_eq!(facts.layout, script(ServiceManager::SysV));
    assert!(matches!(facts.state, DaemonState::Failed(_)));

    let mut bench = Bench::new();
    bench.restart = Some("/srv/restart");
    bench.process(70, "dockerd", "dockerd -H unix:///var/run/docker.sock", "/", &[]);
    let facts = bench.look().await;
    assert_eq!(
        (facts.state, facts.process.unwrap().pid),
        (DaemonState::Starting, 70)
    );
}

/// The first user's Docker, below rootlesskit; `parent` is who started dockerd.
fn rootless(scope: &Scope, parent: u32) -> RealLook {
    let cgroup = "/user.slice/user-1000.slice/user@1000.service/app.slice/docker.service";
    let fragment = "/home/me/.config/systemd/user/docker.service";
    let bench = Bench::new();
    bench
        .disk
        .plant("/etc/passwd", "me:x:1000:1000::/home/me:/bin/sh\n");
    bench.disk.plant(fragment, "[Service]\n");
    let id = UnitId {
        name: DOCKER_SERVICE.into(),
        scope: scope.clone(),
    };
    let unit = UnitState {
        id: DOCKER_SERVICE.into(),
        load: "loaded".into(),
        activity: Activity::Active,
        main_pid: Some(69),
        fragment: Some(fragment.into()),
        command: vec!["/usr/bin/dockerd-rootless.sh".into()],
        ..UnitState::default()
    };
    bench.units.plant(id, unit);
    bench.process(69, "rootlesskit", "rootlesskit dockerd", cgroup, &[]);
    bench.process(70, "dockerd", "dockerd", cgroup, &["/run/user/1000/docker.sock"]);
    bench.processes.change(70, |each| {
        each.process.parent = parent;
        each.environment = vec![("HOME".into(), "/home/me".into())];
        each.listening.tcp.clear();
    });
    let mut look = bench.real_look();
    look.sought.docker_socket = "/run/user/1000/docker.sock".into();
    look
}

#[tokio::test]
async fn a_rootless_dockerd_is_its_users() {
    let scope = Scope::User {
        uid: 1000,
        runtime_directory: "/run/user/1000".into(),
    };
    let facts = rootless(&scope, 69).look().await;
    let (unit, scope_seen) = (DOCKER_SERVICE.to_owned(), scope.clone());
    let expected = Layout::Systemd {
        unit,
        scope: scope_seen,
    };
    assert_eq!(facts.layout, expected);
    let config = Path::new("/home/me/.config/docker/daemon.json");
    assert_eq!(facts.config_file.path, config);
    let directory = facts.unit.unwrap().drop_in_directory;
    assert_eq!(
        directory,
        Path::new("/home/me/.config/systemd/user/docker.service.d")
    );
    assert_eq!(
        facts.listeners[0].pid,
        Some(69),
        "the port driver in front of it listens"
    );
    // Not below the unit's main process: the unit is not believed to be its own.
    let stray = rootless(&scope, 1).look().await;
    assert!(
        why(&stray).contains("docker.service, which is not"),
        "{}",
        why(&stray)
    );
}

#[tokio::test]
async fn work_that_a_restart_would_cut_off_is_named() {
    let bench = Bench::debian();
    bench
        .disk
        .plant("/srv/docker/tmp/docker-builder17/Dockerfile", "");
    let look = bench.real_look();
    let facts = look.look().await;
    assert_eq!(look.busy(&facts).await, ["an image is being built"]);
    let building = RealLook {
        engines: Arc::new(Machine {
            in_use: Some(3),
            ..Machine::default()
        }),
        files: Files::on(Arc::new(MemoryDisk::new())),
        ..look
    };
    assert!(building.busy(&facts).await[0].contains("3 records"));
}
