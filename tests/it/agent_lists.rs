//! Mode `files`: `crl.pem` names everybody who was revoked, whatever the server says and whenever the process ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dockwarden::agent::Pair;
use dockwarden::agent::config::Hook;
use dockwarden::agent::feed::{FeedState, Kept, Place, directory};
use dockwarden::agent::lists::{Keeper, List, ListServer, ListsState, Parts};
use dockwarden::base::{Clock, Id, ManualClock, SeededRandom, SystemRandom, Timestamp};
use dockwarden::ca::{
    CRL_VALIDITY, CrlOrder, Grant, IssuedCert, Issuer, IssuerUrls, ROOT_CRL_VALIDITY, Root, approve,
    make_issuer, make_root, prepare, sign, verify,
};
use dockwarden::client::{Error, FetchedCrl};
use dockwarden::keys::{IssuerKey, MemoryKey};
use dockwarden::model::{Enforced, IdentityKind, IssuerKind, Profile, Seal};
use dockwarden::pki::crl::{Crl, EntryBuffer, Revoked, Subjects};
use dockwarden::pki::{KeyAlgorithm, LeafKey, RevocationReason, Serial, csr};
use dockwarden::sys::fake::{Fault, MemoryDisk};
use dockwarden::sys::{Access, CommandLine, Ending, Files, Outcome, Programs, VersionFile, Versions};
use dockwarden::wire::feed::{FeedChange, FeedChangeKind, FeedRevoked};

use crate::support::pki::{DAY, t0};

const FILES: &str = "/etc/docker/dockwarden";
const CRL_PEM: &str = "/etc/docker/dockwarden/crl.pem";
const STATE: &str = "/var/lib/dockwarden/agent";
const HOUR: Duration = Duration::from_secs(3600);

fn draw() -> Serial {
    Serial::draw(&SystemRandom)
}

/// A CA whose lists say what they are told to.
struct Authority {
    root: Root,
    clients: Issuer,
    hosts: Issuer,
}

impl Authority {
    fn new() -> Self {
        let made = t0() - DAY * 3;
        let key = || Arc::new(MemoryKey::generate(KeyAlgorithm::EcdsaP256).unwrap());
        let root = make_root("Fleet", key(), &draw(), made).unwrap();
        let issuer = |kind| {
            let key = key();
            let certificate =
                make_issuer(&root, kind, "Fleet", IssuerKey::public_key(&*key), &draw(), made).unwrap();
            Issuer::new(certificate, key, kind, IssuerUrls::none()).unwrap()
        };
        let (clients, hosts) = (issuer(IssuerKind::Clients), issuer(IssuerKind::Hosts));
        Self { root, clients, hosts }
    }

    fn of(&self, list: List) -> Option<&Issuer> {
        match list {
            List::Clients => Some(&self.clients),
            List::Hosts => Some(&self.hosts),
            List::Root => None,
        }
    }

    fn list(&self, list: List, number: u64, at: Timestamp, revoked: &[Serial]) -> Crl {
        let subjects = if list == List::Root {
            Subjects::Issuers
        } else {
            Subjects::Leaves
        };
        let mut entries = EntryBuffer::new(subjects);
        for serial in revoked {
            entries.insert(&Revoked {
                serial: serial.clone(),
                revoked_at: at,
                reason: RevocationReason::KeyCompromise,
                not_after: at + DAY * 30,
            });
        }
        match self.of(list) {
            Some(issuer) => issuer
                .sign_crl(&entries, CrlOrder::new(number, None, at, CRL_VALIDITY))
                .unwrap(),
            None => self
                .root
                .sign_crl(&entries, CrlOrder::new(number, None, at, ROOT_CRL_VALIDITY))
                .unwrap(),
        }
    }

    fn host(&self) -> (IssuedCert, LeafKey) {
        let key = LeafKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let name = "web-01.fleet.internal";
        let sans = [name.parse().unwrap()];
        let request = verify(csr::make(&key, &name.parse().unwrap(), &sans), &KeyAlgorithm::ALL).unwrap();
        let grant = Grant {
            common_name: name.parse().unwrap(),
            sans: sans.to_vec(),
        };
        let approved = approve(request, grant, &Profile::default_for(IdentityKind::Host)).unwrap();
        let leaf = sign(
            prepare(approved, &self.hosts, &draw(), t0()).unwrap(),
            &self.hosts,
        )
        .unwrap();
        (leaf, key)
    }
}

/// A server that gives out whatever lists it is given.
struct Shown {
    authority: Authority,
    lists: Mutex<BTreeMap<List, Vec<u8>>>,
    down: Mutex<bool>,
}

impl Shown {
    fn show(&self, list: List, der: impl Into<Vec<u8>>) {
        self.lists.lock().unwrap().insert(list, der.into());
    }

    fn closed(&self) -> Result<(), Error> {
        match *self.down.lock().unwrap() {
            true => Err(Error::Closed {
                server: "https://ca:8443".parse().unwrap(),
                reason: "it is down".into(),
            }),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl ListServer for Shown {
    async fn list(&self, _: &Pair, list: List, etag: Option<&str>) -> Result<Option<FetchedCrl>, Error> {
        self.closed()?;
        let der = self.lists.lock().unwrap()[&list].clone();
        let tag = dockwarden::base::encoding::hex(&dockwarden::base::encoding::sha256(&der));
        Ok((etag != Some(&tag)).then(|| FetchedCrl {
            etag: Some(tag),
            der: der.into(),
        }))
    }

    async fn issuer(&self, _: &Pair, list: List) -> Result<Vec<u8>, Error> {
        self.closed()?;
        let issuer = self.authority.of(list).unwrap();
        Ok(issuer.certificate().der().to_vec())
    }
}

/// Keeps what the hook was told, and how it ends.
#[derive(Default)]
struct Told {
    calls: Mutex<Vec<BTreeMap<String, String>>>,
    fails: Mutex<bool>,
}

#[async_trait]
impl Programs for Told {
    async fn run(&self, command: &CommandLine) -> Outcome {
        self.calls.lock().unwrap().push(command.environment.clone());
        Outcome {
            ending: Ending::Exited(i32::from(*self.fails.lock().unwrap())),
            output_tail: "nginx is out of order".into(),
        }
    }
}

/// A host in mode `files`.
struct Site {
    disk: MemoryDisk,
    clock: ManualClock,
    server: Arc<Shown>,
    hook: Arc<Told>,
    feed: Arc<FeedState>,
    state: Arc<ListsState>,
    keeper: Option<Keeper>,
    /// What the feed has told, and its numbers.
    revoked: Vec<Serial>,
    number: u64,
}

impl Site {
    fn new() -> Self {
        let authority = Authority::new();
        let disk = MemoryDisk::new();
        let files = Files::on(Arc::new(disk.clone()));
        files.service_directory(STATE.as_ref()).unwrap();
        let (leaf, key) = authority.host();
        let chain = leaf.pem() + authority.hosts.pem();
        let contents = [
            ("ca.pem", authority.root.certificate().pem()),
            ("cert.pem", chain),
            ("key.pem", key.to_pkcs8_pem().to_string()),
        ];
        let contents = contents.each_ref().map(|(name, text)| VersionFile {
            name,
            contents: text.as_bytes(),
            access: Access::Private,
        });
        let versions = Versions::new(files, FILES);
        versions.activate(versions.write(&contents).unwrap()).unwrap();
        let mut site = Self {
            disk,
            clock: ManualClock::new(t0()),
            server: Arc::new(Shown {
                authority,
                lists: Mutex::default(),
                down: Mutex::new(false),
            }),
            hook: Arc::default(),
            feed: Arc::new(FeedState::new(Arc::new(Enforced::nothing()))),
            state: Arc::default(),
            keeper: None,
            revoked: Vec::new(),
            number: 100,
        };
        for list in List::ALL {
            site.publish(list, &[]);
        }
        site.start();
        site
    }

    /// A new process: it knows what is on the disk.
    fn start(&mut self) {
        self.disk.restart();
        let files = Files::on(Arc::new(self.disk.clone()));
        let enforced = Enforced::new(Some(DAY));
        let (kept, contact) = Kept::open(files.clone(), directory(STATE.as_ref()), self.clock.now()).unwrap();
        enforced.begin(kept.set().clone(), contact);
        // What was heard and not kept is heard again.
        enforced.revoke(self.revoked.iter().map(|serial| (IssuerKind::Clients, serial)));
        self.feed = Arc::new(FeedState::new(Arc::new(enforced)).with_others());
        self.state = Arc::default();
        self.keeper = Keeper::begin(Parts {
            server: self.server.clone(),
            files,
            directory: FILES.into(),
            state_directory: STATE.into(),
            feed: self.feed.clone(),
            state: self.state.clone(),
            hook: Some(Hook::Shell("reload".into())),
            hook_timeout: HOUR,
            programs: self.hook.clone(),
            clock: Arc::new(self.clock.clone()),
            random: Arc::new(SeededRandom::new(3)),
        })
        .ok();
    }

    async fn pass(&mut self) -> bool {
        match &mut self.keeper {
            Some(keeper) => keeper.pass().await,
            None => false,
        }
    }

    fn publish(&mut self, list: List, revoked: &[Serial]) -> Crl {
        self.number += 1;
        let crl = self
            .server
            .authority
            .list(list, self.number, self.clock.now(), revoked);
        self.server.show(list, crl.der().to_vec());
        crl
    }

    /// The feed tells of it.
    fn hear(&mut self, serial: &Serial) {
        self.revoked.push(serial.clone());
        self.feed.enforced().revoke([(IssuerKind::Clients, serial)]);
    }

    fn file(&self) -> Vec<Crl> {
        let text = self.disk.peek(CRL_PEM).unwrap_or_default();
        Crl::parse_bundle(&text).expect("the file is whole at every moment")
    }

    fn names(&self, serial: &Serial) -> bool {
        self.file().iter().any(|crl| crl.find(serial).is_some())
    }

    fn failure(&self) -> (&'static str, String) {
        self.state.view().failure.expect("something failed")
    }

    fn calls(&self) -> usize {
        self.hook.calls.lock().unwrap().len()
    }
}

#[tokio::test]
async fn the_file_holds_every_list_and_the_hook_is_told_once() {
    let mut site = Site::new();
    assert!(site.pass().await, "{:?}", site.state.view());
    assert_eq!(site.file().len(), 3);
    assert!(site.pass().await);
    assert_eq!(site.calls(), 1, "nothing has changed");
    let told = site.hook.calls.lock().unwrap()[0].clone();
    assert_eq!(
        (
            told["DOCKWARDEN_CHANGED"].as_str(),
            told["DOCKWARDEN_CRL"].as_str()
        ),
        ("revocations", CRL_PEM)
    );
    assert_eq!(site.state.view().in_use.len(), 3);
    // A new process does not tell it again.
    site.start();
    assert!(site.pass().await);
    assert_eq!(site.calls(), 1);
}

#[tokio::test]
async fn a_revocation_counts_once_the_list_names_it_and_the_hook_was_told() {
    let mut site = Site::new();
    assert!(site.pass().await);
    let mallory = draw();
    site.hear(&mallory);
    assert!(!site.pass().await, "the feed is faster than the list");
    site.publish(List::Clients, std::slice::from_ref(&mallory));
    *site.hook.fails.lock().unwrap() = true;
    assert!(!site.pass().await && site.names(&mallory));
    let (word, said) = site.failure();
    assert!(
        word == "ReloadFailed" && said.contains("nginx is out of order"),
        "{word}: {said}"
    );
    *site.hook.fails.lock().unwrap() = false;
    assert!(site.pass().await && site.feed.refuses());
    let calls = site.hook.calls.lock().unwrap().clone();
    assert_eq!(
        calls.last().unwrap()["DOCKWARDEN_REVOKED"],
        "1",
        "what a failed hook was told is told again"
    );
    assert!(site.pass().await);
    assert_eq!(site.calls(), 3);
}

#[tokio::test]
async fn a_list_that_is_older_other_stale_damaged_or_names_less_is_not_taken() {
    let mut site = Site::new();
    let (mallory, trudy) = (draw(), draw());
    site.hear(&mallory);
    site.publish(List::Clients, std::slice::from_ref(&mallory));
    assert!(site.pass().await);
    let before = site.file();
    let now = site.clock.now();
    let other = Authority::new();
    let ours = &site.server.authority;
    let mut damaged = ours
        .list(List::Clients, 900, now, std::slice::from_ref(&mallory))
        .der()
        .to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    let rows: [(&str, Vec<u8>, &str); 7] = [
        (
            "a lower number",
            ours.list(List::Clients, 50, now, std::slice::from_ref(&mallory))
                .der()
                .to_vec(),
            "number 50",
        ),
        (
            "a list that un-revokes",
            ours.list(List::Clients, 900, now, std::slice::from_ref(&trudy))
                .der()
                .to_vec(),
            "names",
        ),
        (
            "an empty list",
            ours.list(List::Clients, 900, now, &[]).der().to_vec(),
            "restored from a backup",
        ),
        (
            "another CA's",
            other
                .list(List::Clients, 900, now, std::slice::from_ref(&mallory))
                .der()
                .to_vec(),
            "is not from",
        ),
        (
            "the hosts'",
            ours.list(List::Hosts, 900, now, std::slice::from_ref(&mallory))
                .der()
                .to_vec(),
            "is not from",
        ),
        (
            "a stale one",
            ours.list(List::Clients, 900, now - DAY * 2, std::slice::from_ref(&mallory))
                .der()
                .to_vec(),
            "should have been replaced",
        ),
        ("a damaged one", damaged, "not to be believed"),
    ];
    for (what, der, expected) in rows {
        site.server.show(List::Clients, der);
        assert!(!site.pass().await, "{what}");
        let (word, said) = site.failure();
        assert!(
            word == "ListsRefused" && (expected == "names" || said.contains(expected)),
            "{what}: {word}: {said}"
        );
        assert!(
            site.file().iter().map(Crl::der).eq(before.iter().map(Crl::der)),
            "{what}"
        );
    }
    site.publish(List::Clients, &[mallory.clone(), trudy.clone()]);
    assert!(site.pass().await && site.names(&trudy));
}

#[tokio::test]
async fn more_than_before_is_taken_though_it_is_not_all() {
    let mut site = Site::new();
    assert!(site.pass().await);
    let (mallory, trudy) = (draw(), draw());
    site.hear(&mallory);
    site.hear(&trudy);
    site.publish(List::Clients, std::slice::from_ref(&mallory));
    assert!(!site.pass().await && site.names(&mallory));
    assert!(!site.feed.refuses() || site.feed.applied().is_none());
}

#[tokio::test]
async fn a_list_signed_anew_comes_into_the_file_when_the_old_one_is_half_over() {
    let mut site = Site::new();
    assert!(site.pass().await);
    let before = site.file();
    let number = |site: &Site| site.file().iter().map(|crl| crl.number).collect::<Vec<_>>();
    site.clock.advance(HOUR * 11);
    site.publish(List::Clients, &[]);
    assert!(site.pass().await);
    assert_eq!(
        number(&site),
        before.iter().map(|crl| crl.number).collect::<Vec<_>>(),
        "every change is a reload"
    );
    site.clock.advance(HOUR * 2);
    assert!(site.pass().await);
    assert!(number(&site).contains(&site.number) && site.calls() == 2);
}

#[tokio::test]
async fn yesterdays_file_is_replaced_and_its_numbers_do_not_count() {
    let mut site = Site::new();
    assert!(site.pass().await);
    let yesterday = site.disk.peek(CRL_PEM).unwrap();
    let mallory = draw();
    site.hear(&mallory);
    site.publish(List::Clients, std::slice::from_ref(&mallory));
    assert!(site.pass().await && site.names(&mallory));
    site.disk
        .plant(CRL_PEM, String::from_utf8(yesterday.clone()).unwrap());
    assert!(site.pass().await && site.names(&mallory), "while it runs");
    site.disk.plant(CRL_PEM, String::from_utf8(yesterday).unwrap());
    site.start();
    assert!(site.pass().await && site.names(&mallory), "and when it begins");
    // A server that goes back with it is not followed, also by a process that finds no file.
    let old = site
        .server
        .authority
        .list(List::Clients, 1, site.clock.now(), std::slice::from_ref(&mallory));
    site.server.show(List::Clients, old.der().to_vec());
    site.disk.plant(CRL_PEM, "");
    site.start();
    assert!(!site.pass().await);
    assert_eq!(site.failure().0, "ListsRefused");
}

#[tokio::test]
async fn a_host_that_hears_nothing_for_too_long_holds_the_lists_back_and_gives_them_again() {
    let mut site = Site::new();
    assert!(site.pass().await);
    site.feed.enforced().heard(site.clock.now());
    site.feed.enforced().lost(site.clock.now());
    *site.server.down.lock().unwrap() = true;
    site.clock.advance(HOUR * 23);
    assert!(!site.pass().await && site.file().len() == 3);
    // The clock goes back, the silence does not.
    site.feed.enforced().pass(DAY);
    site.clock.set(t0() - DAY);
    assert!(!site.pass().await);
    let names: Vec<String> = site.file().iter().map(Crl::issuer_text).collect();
    assert!(names.len() == 1 && names[0].contains("root"), "{names:?}");
    assert!(site.state.view().holds_back && site.calls() == 2);
    // A new process without the server goes on so.
    site.clock.set(t0() + DAY * 2);
    site.start();
    assert!(!site.pass().await && site.file().len() == 1);
    *site.server.down.lock().unwrap() = false;
    for list in List::ALL {
        site.publish(list, &[]);
    }
    site.feed.enforced().heard(site.clock.now());
    assert!(site.pass().await, "{:?}", site.state.view());
    assert_eq!(site.file().len(), 3);
}

#[tokio::test]
async fn what_ended_long_ago_need_not_be_named() {
    let mut site = Site::new();
    let files = Files::on(Arc::new(site.disk.clone()));
    let (mut kept, _) = Kept::open(files, directory(STATE.as_ref()), t0()).unwrap();
    let feed = Id::from_bytes([7; 16]);
    let place = Place {
        feed,
        number: 0,
        seal: None,
    };
    kept.finish(place, dockwarden::pki::RevokedSet::new(), t0())
        .unwrap();
    let serials = [draw(), draw()];
    for (number, (serial, end)) in serials.iter().zip([t0() - DAY * 4, t0() - DAY * 2]).enumerate() {
        let change = FeedChange {
            number: number as u64 + 1,
            previous: number as u64,
            seal: Seal::from_bytes([7; 16]),
            at: t0(),
            kind: FeedChangeKind::Revoked(FeedRevoked {
                issuer: IssuerKind::Clients,
                serial: serial.clone(),
                name: "bob".into(),
                not_after: end,
                reason: RevocationReason::KeyCompromise,
            }),
        };
        kept.apply(feed, &[change]).unwrap();
    }
    drop(kept);
    site.start();
    assert!(!site.pass().await, "one ended two days ago");
    site.clock.advance(DAY + HOUR);
    for list in List::ALL {
        site.publish(list, &[]);
    }
    assert!(site.pass().await, "{:?}", site.state.view());
}

#[tokio::test]
async fn a_process_that_is_killed_at_any_step_leaves_a_file_that_un_revokes_nobody() {
    let mallory = draw();
    let trudy = draw();
    for step in 1.. {
        let mut site = Site::new();
        site.hear(&mallory);
        site.publish(List::Clients, std::slice::from_ref(&mallory));
        assert!(site.pass().await);
        let begun = site.disk.steps();
        site.hear(&trudy);
        site.publish(List::Clients, &[mallory.clone(), trudy.clone()]);
        site.disk.fail_at(begun + step, Fault::Stop);
        site.pass().await;
        assert!(site.names(&mallory), "step {step}");
        let stopped = site.disk.stopped();
        site.start();
        assert!(site.names(&mallory), "step {step}");
        let (told, named) = (site.calls(), site.names(&trudy));
        assert!(site.pass().await, "step {step}: {:?}", site.state.view());
        assert!(site.names(&mallory) && site.names(&trudy), "step {step}");
        assert!(
            site.calls() > 1,
            "step {step}: somebody was told of trudy ({told}, {named})"
        );
        if !stopped {
            assert!(step > 4, "it writes to the disk");
            return;
        }
    }
}
