//! Mode `daemon`: a host whose dockerd serves the certificate itself, from its distribution's state to renewals.

use std::time::Duration;

use crate::support::agent::Bench;
use crate::support::dockerd::{CONFIG, Starter, drop_in};

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn dockerd_as_the_distribution_left_it_serves_after_one_restart_and_keeps_its_containers() {
    let mut bench = Bench::with_dockerd(Starter::Systemd, "");
    let before = bench.dockerd().containers();
    let mut agent = bench.start();
    let verdict = agent.pass().await;
    assert!(verdict.is_good(), "one pass is enough: {verdict:?}");
    let sim = bench.dockerd();
    assert_eq!(sim.served(), Some(bench.serial()));
    assert_eq!(sim.started(), 1);
    assert_eq!(sim.containers(), before, "live-restore was turned on first");
    let drop_in = String::from_utf8(bench.disk.peek(drop_in()).unwrap()).unwrap();
    assert!(
        drop_in.contains("-H fd://") && drop_in.contains("-H tcp://0.0.0.0:2376"),
        "{drop_in}"
    );
    let config = String::from_utf8(bench.disk.peek(CONFIG).unwrap()).unwrap();
    assert!(
        config.contains("live-restore") && !config.contains("tls"),
        "{config}"
    );
    assert!(
        drop_in.contains("--tlsverify")
            && drop_in.contains("--tlskey=/etc/docker/dockwarden/current/key.pem"),
        "what opens the port says whom it lets in: {drop_in}"
    );
}

#[tokio::test]
async fn what_an_earlier_agent_put_into_two_files_moves_with_the_next_renewal_and_no_restart_of_its_own() {
    let mut bench = Bench::with_dockerd(Starter::Systemd, "");
    let (mut agent, first) = bench.join().await;
    bench.as_an_earlier_agent_left_it();
    let (config, unit) = (bench.disk.peek(CONFIG), bench.disk.peek(drop_in()));
    let starts = bench.dockerd().started();
    for _ in 0..3 {
        let verdict = agent.pass().await;
        assert!(verdict.is_good(), "{verdict:?}");
        bench.clock.advance(DAY);
    }
    assert_eq!(
        (bench.disk.peek(CONFIG), bench.disk.peek(drop_in())),
        (config, unit),
        "nothing for that alone"
    );
    assert_eq!(bench.dockerd().started(), starts);
    let containers = bench.dockerd().containers();
    bench.clock.set(bench.current().unwrap().leaf.not_after - DAY * 5);
    let verdict = agent.pass().await;
    assert!(verdict.is_good(), "{verdict:?}");
    let sim = bench.dockerd();
    assert_ne!(sim.served(), Some(first));
    assert_eq!((sim.served(), sim.started()), (Some(bench.serial()), starts + 1));
    assert_eq!(sim.containers(), containers);
    let config = String::from_utf8(bench.disk.peek(CONFIG).unwrap()).unwrap();
    assert!(
        !config.contains("tls") && config.contains("live-restore"),
        "{config}"
    );
    bench.disk.plant(CONFIG, "{}");
    assert!(!bench.dockerd().would_be_exposed());
}

#[tokio::test]
async fn a_renewal_is_one_restart_without_a_change_of_files() {
    for starter in [Starter::Systemd, Starter::Plain] {
        let mut bench = Bench::with_dockerd(starter, "");
        let (mut agent, first) = bench.join().await;
        let (config, containers) = (bench.disk.peek(CONFIG), bench.dockerd().containers());
        bench.clock.set(bench.current().unwrap().leaf.not_after - DAY * 5);
        let verdict = agent.pass().await;
        assert!(verdict.is_good(), "{verdict:?}");
        let sim = bench.dockerd();
        assert_ne!(sim.served(), Some(first));
        assert_eq!(sim.served(), Some(bench.serial()));
        assert_eq!(sim.started(), 2);
        assert_eq!((bench.disk.peek(CONFIG), sim.containers()), (config, containers));
        agent.pass().await;
        assert_eq!(bench.dockerd().started(), 2, "nothing more is to be done");
    }
}
