//! The schedule of the server: when jobs run, what is seen of them, and what becomes of one that is cut short.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dockwarden::jobs::{Job, JobError, KeepDatabase, Prune, Scheduler};
use dockwarden::model::Permission;
use dockwarden::model::job::{JobName, JobOutcome, JobRun, JobState};
use dockwarden::service::Service;
use dockwarden::store::Store;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::metrics::{judge, read};
use crate::support::pki::DAY;
use crate::support::server::{PATIENCE, Setup, TestServer};

/// A job that waits for a permit, and says how often it began and how many ran at once.
#[derive(Clone)]
struct Slow {
    name: JobName,
    begun: Arc<AtomicU32>,
    beside: Arc<AtomicU32>,
    permits: Arc<Semaphore>,
    fails: bool,
}

impl Slow {
    fn new(name: JobName) -> Self {
        Self {
            name,
            begun: Arc::default(),
            beside: Arc::default(),
            permits: Arc::new(Semaphore::new(0)),
            fails: false,
        }
    }

    async fn begun(&self, times: u32) {
        until(|| self.begun.load(Ordering::SeqCst) >= times).await;
        assert_eq!(self.begun.load(Ordering::SeqCst), times);
    }
}

#[async_trait]
impl Job for Slow {
    fn name(&self) -> JobName {
        self.name
    }

    async fn run(&self) -> Result<String, JobError> {
        assert_eq!(
            self.beside.fetch_add(1, Ordering::SeqCst),
            0,
            "never beside itself"
        );
        self.begun.fetch_add(1, Ordering::SeqCst);
        let permit = self.permits.acquire().await.unwrap();
        permit.forget();
        self.beside.fetch_sub(1, Ordering::SeqCst);
        match self.fails {
            true => Err(JobError::Other("no room".to_owned())),
            false => Ok("done".to_owned()),
        }
    }
}

async fn until(mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it happens");
}

fn schedule(service: &Arc<Service>, jobs: Vec<Arc<dyn Job>>, stop: &CancellationToken) -> JoinHandle<()> {
    let scheduler = Scheduler::new(Arc::clone(service), jobs).look_every(Duration::from_millis(10));
    tokio::spawn(scheduler.run(stop.clone()))
}

fn state(server: &TestServer, job: JobName) -> JobState {
    server.service.job_state(job).expect("it runs here")
}

async fn planned(server: &TestServer, job: JobName) {
    until(|| {
        server
            .service
            .job_state(job)
            .is_some_and(|state| state.next_at.is_some())
    })
    .await;
}

async fn listed(server: &TestServer, job: &str) -> Value {
    let answer = server.get(Some(&server.admin), "/v1/jobs").await;
    let items = answer.json()["items"].as_array().unwrap().clone();
    items
        .into_iter()
        .find(|item| item["name"] == job)
        .expect("every job is listed")
}

#[tokio::test]
async fn a_job_runs_at_its_time_and_what_came_of_it_is_seen() {
    let server = TestServer::sqlite().await;
    let job = Slow::new(JobName::Backup);
    schedule(&server.service, vec![Arc::new(job.clone())], &server.stop);
    planned(&server, JobName::Backup).await;
    assert_eq!(job.begun.load(Ordering::SeqCst), 0, "not before its time");
    assert_eq!(listed(&server, "backup").await["last"], Value::Null);

    let due = state(&server, JobName::Backup).next_at.unwrap();
    server.clock.set(due);
    job.begun(1).await;
    assert!(listed(&server, "backup").await["running_since"].is_string());
    server.clock.advance(Duration::from_secs(7));
    job.permits.add_permits(1);
    until(|| state(&server, JobName::Backup).last.is_some()).await;
    let seen = listed(&server, "backup").await;
    let last = &seen["last"];
    assert_eq!(
        (&last["outcome"], &last["detail"], &last["cause"]),
        (&"ok".into(), &"done".into(), &"schedule".into())
    );
    assert_eq!(seen["schedule"], "29 2 * * * UTC");
    assert_eq!(seen["configured"], true);
    let next = state(&server, JobName::Backup).next_at.unwrap();
    assert!(next > due + DAY / 2 && next < due + DAY * 2, "{next}");
    assert_eq!(
        listed(&server, "prune").await["configured"],
        false,
        "it does not run in this test"
    );

    let metrics = server.get(None, "/metrics").await;
    judge(metrics.text());
    let samples = read(metrics.text());
    assert_eq!(
        samples["dockwarden_job_runs_total{name=\"backup\",result=\"ok\"}"],
        1.0
    );
    assert_eq!(samples["dockwarden_job_failures{name=\"backup\"}"], 0.0);
    assert_eq!(
        samples["dockwarden_job_next_run_timestamp_seconds{name=\"backup\"}"],
        next.as_millis() as f64 / 1000.0
    );
    server.stop().await;
}

#[tokio::test]
async fn days_that_were_missed_are_caught_up_once_and_a_failure_is_tried_again_soon() {
    let server = TestServer::sqlite().await;
    let mut job = Slow::new(JobName::Backup);
    job.fails = true;
    job.permits.add_permits(100);
    schedule(&server.service, vec![Arc::new(job.clone())], &server.stop);
    planned(&server, JobName::Backup).await;
    server.clock.advance(DAY * 20);
    until(|| state(&server, JobName::Backup).failures == 1).await;
    let first = state(&server, JobName::Backup);
    assert_eq!(listed(&server, "backup").await["last"]["cause"], "missed");
    let wait = first.next_at.unwrap().since(server.clock_now());
    assert_eq!((wait.as_secs(), first.retries), (60, true));
    server.clock.advance(wait);
    until(|| state(&server, JobName::Backup).failures == 2).await;
    assert_eq!(listed(&server, "backup").await["last"]["cause"], "retry");
    assert_eq!(
        job.begun.load(Ordering::SeqCst),
        2,
        "twenty days, one run, one repetition"
    );
    server.stop().await;
}

#[tokio::test]
async fn who_asks_for_a_job_gets_one_run_and_stands_in_the_audit_log() {
    let server = TestServer::sqlite().await;
    let job = Slow::new(JobName::Backup);
    schedule(&server.service, vec![Arc::new(job.clone())], &server.stop);
    planned(&server, JobName::Backup).await;
    let operator = server.person("olga", Permission::Operator).await;
    let ask = async |path: &str| server.call(Some(&operator), "POST", path, None).await.status;
    assert_eq!(ask("/v1/jobs/backup/run").await, 202);
    job.begun(1).await;
    // Once more while it runs: once more afterwards, and not beside it.
    assert_eq!(
        (ask("/v1/jobs/backup/run").await, ask("/v1/jobs/backup/run").await),
        (202, 202)
    );
    job.permits.add_permits(1);
    job.begun(2).await;
    job.permits.add_permits(5);
    until(|| state(&server, JobName::Backup).running.is_none()).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    job.begun(2).await;
    assert_eq!(ask("/v1/jobs/prune/run").await, 409, "it does not run here");
    assert_eq!(ask("/v1/jobs/reboot/run").await, 400);
    let log = server
        .get(Some(&server.admin), "/v1/audit?subject=backup")
        .await
        .json();
    let actors: Vec<&str> = log["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["actor"].as_str().unwrap())
        .collect();
    assert_eq!(actors, ["client:olga"; 3]);
    server.stop().await;
}

/// As after `kill -9`: nothing is written down any more, and another process reads what was.
async fn killed(setup: (Arc<dyn Store>, Setup), cut: JobName, asked: bool) {
    let (store, setup) = setup;
    let server = setup.start().await;
    let job = Slow::new(cut);
    let first = schedule(&server.service, vec![Arc::new(job.clone())], &server.stop);
    planned(&server, cut).await;
    if asked {
        let path = format!("/v1/jobs/{cut}/run");
        assert_eq!(
            server.call(Some(&server.admin), "POST", &path, None).await.status,
            202
        );
    } else {
        server.clock.set(state(&server, cut).next_at.unwrap());
    }
    job.begun(1).await;
    first.abort();
    let _ = first.await;
    let kept = store.jobs().await.unwrap();
    assert!(kept[0].running.is_some(), "nobody wrote its end");

    let again = Slow::new(cut);
    again.permits.add_permits(1);
    schedule(&server.service, vec![Arc::new(again.clone())], &server.stop);
    again.begun(1).await;
    until(|| state(&server, cut).succeeded_at.is_some()).await;
    let after = state(&server, cut);
    assert_eq!((after.failures, after.last.unwrap().outcome), (0, JobOutcome::Ok));
    tokio::time::sleep(Duration::from_millis(50)).await;
    again.begun(1).await;
    let samples = read(server.get(None, "/metrics").await.text());
    let interrupted = format!("dockwarden_job_runs_total{{name=\"{cut}\",result=\"interrupted\"}}");
    assert_eq!(samples[interrupted.as_str()], 1.0);
    server.stop().await;
}

#[tokio::test]
async fn a_run_that_was_killed_is_done_again_once() {
    for asked in [false, true] {
        let setup = Setup::sqlite().await;
        killed((setup.store.clone(), setup), JobName::Backup, asked).await;
    }
}

#[tokio::test]
async fn a_server_that_is_stopped_in_the_middle_of_a_job_does_it_again() {
    let server = TestServer::sqlite().await;
    let job = Slow::new(JobName::Backup);
    let stop = CancellationToken::new();
    let running = schedule(&server.service, vec![Arc::new(job.clone())], &stop);
    planned(&server, JobName::Backup).await;
    server.clock.set(state(&server, JobName::Backup).next_at.unwrap());
    job.begun(1).await;
    stop.cancel();
    tokio::time::timeout(PATIENCE, running).await.unwrap().unwrap();
    let kept = state(&server, JobName::Backup);
    assert_eq!(kept.last.as_ref().unwrap().outcome, JobOutcome::Interrupted);
    let again = Slow::new(JobName::Backup);
    schedule(&server.service, vec![Arc::new(again.clone())], &server.stop);
    again.begun(1).await;
    server.stop().await;
}

#[tokio::test]
async fn what_is_old_is_removed_at_the_second_look_and_the_audit_log_can_still_be_verified() {
    let server = TestServer::sqlite().await;
    let jobs: Vec<Arc<dyn Job>> = vec![
        Arc::new(Prune::new(Arc::clone(&server.service))),
        Arc::new(KeepDatabase::new(Arc::clone(&server.service))),
    ];
    schedule(&server.service, jobs, &server.stop);
    planned(&server, JobName::Prune).await;
    let web = server.join("host", "web-1.fleet").await;
    let end = server.service.settings().host.lifetime;
    let jump = async |by: Duration| {
        server.clock.advance(by);
        let now = server.clock_now();
        let renewed = || {
            state(&server, JobName::OwnCertificate)
                .last
                .is_some_and(|last| last.ended_at >= now)
        };
        until(renewed).await;
    };
    jump(end + DAY * 500).await;
    until(|| state(&server, JobName::Prune).last.is_some()).await;
    let first = state(&server, JobName::Prune).last.unwrap().detail;
    assert!(
        first.contains("nothing is removed before the next one"),
        "{first}"
    );
    jump(DAY).await;
    let removed = |last: JobRun| last.detail.starts_with("removed ");
    until(|| state(&server, JobName::Prune).last.is_some_and(removed)).await;
    let admin = server.person("olga", Permission::Admin).await;
    let gone = format!("/v1/certificates/{}", web.serial);
    assert_eq!(server.get(Some(&admin), &gone).await.status, 404);
    let log = server.get(Some(&admin), "/v1/audit?after=0").await.json();
    let begin = log["begins_after"]["seq"].as_u64().unwrap();
    assert_eq!(log["items"][0]["seq"].as_u64().unwrap(), begin + 1);
    let told = log["items"]
        .as_array()
        .unwrap()
        .iter()
        .any(|r| r["action"] == "audit.prune");
    assert!(told);
    server.stop().await;
}
