//! A year of two hundred hosts on one server, with the clock moved six hours at a time: restarts, outages, a receiver of
//! notifications that is down for days, and hosts that are broken on purpose, each in one of six ways.
//!
//! Fails when a host is told of that is not broken (false), when one that is broken is not told of in time with the right
//! kind (missed), when anything is said twice, when an end is not said, or is said before it is so, when a certificate is
//! not renewed in its window, and when more is said than beginnings, ends, one worsening each and a reminder a day.
//!
//! What is drawn comes from `DOCKWARDEN_YEAR_SEED`, or a seed that is fixed; a failure names it. The hosts are played: they
//! renew with real keys and requests, and report as agents do. The server, its CA and its store are the real ones.

mod act;
mod judge;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dockwarden::base::{Clock, ManualClock, Random, SeededRandom, SystemRandom, Timestamp};
use dockwarden::jobs::{Channel, Deliver, Job};
use dockwarden::model::problem::{ChannelRule, Notification, ProblemKind, Severity};
use dockwarden::model::{
    Approval, Certificate, IdentityKind, Labels, NameRules, PageRequest, Permission, SeenCertificate,
};
use dockwarden::pki::chain::Purpose;
use dockwarden::pki::{IdentityName, KeyAlgorithm, csr};
use dockwarden::service::{Authority, Authorized, NewToken, Operator, Peer, Service, Settings};
use dockwarden::store::Store;
use dockwarden::store::memory::MemoryStore;

use crate::support::pki::{DAY, t0};
use crate::support::server::{authority, key};

const HOSTS: usize = 200;
/// Of each of the ways.
const BROKEN: usize = 12;
const STEP: Duration = Duration::from_secs(6 * 3600);
/// Two reports may be lost.
const SILENT_AFTER: Duration = Duration::from_secs(13 * 3600);
const DAYS: u32 = 365;
/// Time for everything to end in.
const EPILOGUE_DAYS: u32 = 40;

/// How a host is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Its agent does nothing.
    Dead,
    /// Its agent cannot reach the server.
    Unreachable,
    /// Its agent reports, and cannot renew.
    Stuck,
    /// What it renewed is not served.
    NotServed,
    /// Its clock is off.
    ClockOff,
    /// It waits for approval.
    Waiting,
}

impl Way {
    const ALL: [Way; 6] = [
        Way::Dead,
        Way::Unreachable,
        Way::Stuck,
        Way::NotServed,
        Way::ClockOff,
        Way::Waiting,
    ];

    fn kind(self) -> ProblemKind {
        match self {
            Self::Dead | Self::Unreachable => ProblemKind::HostSilent,
            Self::Stuck => ProblemKind::RenewalMissed,
            Self::NotServed => ProblemKind::NotServed,
            Self::ClockOff => ProblemKind::ClockOff,
            Self::Waiting => ProblemKind::ApprovalWaiting,
        }
    }
}

/// What is wrong with a host, from when on until when.
#[derive(Clone, Copy, Debug)]
struct Trouble {
    way: Way,
    from: Timestamp,
    until: Timestamp,
    /// Since when it is late for a person to be told: known once it is.
    shows_at: Option<Timestamp>,
}

struct Host {
    name: String,
    /// What it has on disk; none before it has joined.
    certificate: Option<Certificate>,
    served: Option<SeenCertificate>,
    renew_at: Timestamp,
    trouble: Option<Trouble>,
    /// What it joins with as long as it waits: token, request, and the key's PEM request.
    asks: Option<(String, String)>,
}

/// Who is told: takes nothing while it is down, and writes down the rest.
#[derive(Clone)]
struct Inbox {
    random: Arc<SeededRandom>,
    is_down: Arc<Mutex<bool>>,
    taken: Arc<Mutex<Vec<Notification>>>,
}

#[async_trait]
impl Channel for Inbox {
    fn name(&self) -> &str {
        "ops"
    }

    async fn send(&self, notification: &Notification) -> Result<(), String> {
        let random: &dyn Random = &*self.random;
        if *self.is_down.lock().unwrap() || random.unit() < 0.1 {
            return Err("not now".to_owned());
        }
        self.taken.lock().unwrap().push(notification.clone());
        Ok(())
    }
}

struct Year {
    seed: u64,
    random: Arc<SeededRandom>,
    clock: ManualClock,
    store: Arc<dyn Store>,
    authority: Arc<Authority>,
    service: Arc<Service>,
    admin: Peer,
    inbox: Inbox,
    hosts: Vec<Host>,
    /// Steps at which the server restarts.
    restarts: BTreeSet<u32>,
    /// Times during which the server, and the receiver, are away.
    outages: Vec<(Timestamp, Timestamp)>,
    deaf: Vec<(Timestamp, Timestamp)>,
    renewals: u64,
}

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.client.lifetime = DAY * 800;
    let alerts = &mut settings.alerts;
    alerts.rules.silent_after = SILENT_AFTER;
    alerts.rules.unwell_after = SILENT_AFTER;
    alerts.rules.waiting_after = SILENT_AFTER;
    alerts.channels = vec![ChannelRule {
        name: "ops".to_owned(),
        least: Severity::Warning,
    }];
    settings
}

fn service(store: &Arc<dyn Store>, authority: &Arc<Authority>, clock: &ManualClock) -> Arc<Service> {
    Arc::new(Service::new(
        Arc::clone(store),
        Arc::clone(authority),
        settings(),
        Arc::new(clock.clone()),
        Arc::new(SystemRandom),
    ))
}

impl Year {
    async fn new(seed: u64) -> Self {
        let random = Arc::new(SeededRandom::new(seed));
        let clock = ManualClock::new(t0());
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let authority = Arc::new(authority());
        let service = service(&store, &authority, &clock);
        let inbox = Inbox {
            random: Arc::clone(&random),
            is_down: Arc::default(),
            taken: Arc::default(),
        };
        let key = key();
        let name: IdentityName = "admin".parse().unwrap();
        let request = csr::verify(csr::make(&key, &name, &[]), &KeyAlgorithm::ALL).unwrap();
        let admin = service
            .adopt_client(name, Permission::Admin, &request)
            .await
            .unwrap();
        let admin = act::peer(&authority, &admin, Purpose::Client, t0());
        let mut year = Self {
            seed,
            random,
            clock,
            store,
            authority,
            service,
            admin,
            inbox,
            hosts: Vec::new(),
            restarts: BTreeSet::new(),
            outages: Vec::new(),
            deaf: Vec::new(),
            renewals: 0,
        };
        year.draw();
        year
    }

    fn between(&self, low: f64, high: f64) -> f64 {
        let random: &dyn Random = &*self.random;
        random.between(low..high)
    }

    fn days(&self, low: f64, high: f64) -> Duration {
        DAY.mul_f64(self.between(low, high))
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What will happen in this year.
    fn draw(&mut self) {
        let day = f64::from(DAYS);
        self.restarts = (0..30).map(|_| self.between(1.0, day * 4.0) as u32).collect();
        let away = |count: u32, least: f64, most: f64, year: &Self| -> Vec<_> {
            let from = (0..count).map(|n| t0() + year.days(40.0, 60.0) + DAY * (n * 60));
            from.map(|from| (from, from + year.days(least, most))).collect()
        };
        self.outages = away(5, 0.3, 2.0, self);
        self.deaf = away(5, 1.0, 4.0, self);
        for number in 0..HOSTS {
            let way = Way::ALL.get(number / BROKEN).copied();
            let trouble = way.map(|way| {
                let from = t0() + self.days(35.0, day - 5.0);
                let lasts = match way {
                    Way::Dead | Way::Unreachable => self.days(7.0, 25.0),
                    // Whatever its certificate's age is, it becomes late.
                    Way::Stuck => self.days(26.0, 30.0),
                    // Until some days after its next renewal.
                    Way::NotServed => DAY * 60,
                    Way::ClockOff | Way::Waiting => self.days(6.0, 10.0),
                };
                Trouble {
                    way,
                    from,
                    until: from + lasts,
                    shows_at: None,
                }
            });
            self.hosts.push(Host {
                name: format!("host-{number}.fleet"),
                certificate: None,
                served: None,
                renew_at: t0(),
                trouble,
                asks: None,
            });
        }
    }

    async fn operator(&self) -> Authorized<Operator> {
        let caller = self.service.identify(&self.admin, None).await.unwrap();
        caller.authorize().unwrap()
    }

    async fn token(&self, host: usize, approval: Approval) -> String {
        let new = NewToken {
            kind: IdentityKind::Host,
            rules: NameRules {
                names: vec![self.hosts[host].name.parse().unwrap()],
                addresses: Vec::new(),
            },
            sources: Vec::new(),
            uses: 1,
            lifetime: DAY * 30,
            labels: Labels::default(),
            role: None,
            permission: None,
            approval,
            replace: true,
            reason: String::new(),
        };
        let (token, _) = self
            .service
            .create_token(&self.operator().await, new)
            .await
            .unwrap();
        token.expose().to_string()
    }
}

/// A step of the world.
impl Year {
    fn restart(&mut self) {
        self.service = service(&self.store, &self.authority, &self.clock);
    }

    async fn step(&mut self, number: u32, is_over: bool) {
        self.clock.advance(STEP);
        let now = self.now();
        let within = |times: &[(Timestamp, Timestamp)]| times.iter().any(|(a, b)| (*a..*b).contains(&now));
        *self.inbox.is_down.lock().unwrap() = within(&self.deaf);
        if within(&self.outages) {
            // Nobody is heard and nothing is looked at; when it is back, it first looks.
            self.restarts.insert(number + 1);
            return;
        }
        if self.restarts.contains(&number) {
            self.restart();
            self.service.scan_hosts().await.unwrap();
        }
        for host in 0..self.hosts.len() {
            if is_over {
                self.hosts[host].trouble = self.hosts[host].trouble.filter(|t| t.shows_at.is_some());
            }
            self.act(host).await;
        }
        self.service.scan_hosts().await.unwrap();
        let deliver = Deliver::new(Arc::clone(&self.service), vec![Arc::new(self.inbox.clone())]);
        deliver.run().await.unwrap();
    }
}

#[tokio::test]
async fn a_year_of_two_hundred_hosts_is_told_as_it_was() {
    let seed = std::env::var("DOCKWARDEN_YEAR_SEED").map_or(2376, |seed| seed.parse().unwrap());
    let mut year = Year::new(seed).await;
    let steps = (DAYS + EPILOGUE_DAYS) * 4;
    for number in 1..=steps {
        year.step(number, number > DAYS * 4).await;
    }
    year.judge();
    let page = PageRequest {
        limit: 100,
        cursor: None,
    };
    let open = year.store.problems(false, page.clone()).await.unwrap().items;
    assert!(open.is_empty(), "seed {seed}: {open:?}");
    let waiting = year.store.notifications(true, page).await.unwrap().items;
    assert!(waiting.is_empty(), "seed {seed}: {waiting:?}");
    let told = year
        .hosts
        .iter()
        .filter(|h| h.trouble.is_some_and(|t| t.shows_at.is_some()))
        .count();
    assert!(told >= 5 * BROKEN, "seed {seed}: {told} hosts were broken");
    assert!(year.renewals >= 2500, "seed {seed}: {} renewals", year.renewals);
}
