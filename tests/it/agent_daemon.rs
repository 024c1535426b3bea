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
        config.contains("live-restore") && config.contains("/etc/docker/dockwarden/current/key.pem"),
        "{config}"
    );
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
