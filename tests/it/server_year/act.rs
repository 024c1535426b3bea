//! What a host does in a step: joins, renews, reports, or is broken.

use std::collections::BTreeMap;

use dockwarden::base::Timestamp;
use dockwarden::model::enrollment::RequestState;
use dockwarden::model::{Approval, Certificate, HostReport, IssuerKind, Mode, PageRequest, SeenCertificate};
use dockwarden::pki::chain::{self, Purpose};
use dockwarden::service::{Application, Authority, Enrollment, Peer};
use dockwarden::store::HostStatus;

use super::{SILENT_AFTER, STEP, Trouble, Way, Year};
use crate::support::server::{csr_pem, key};

impl Year {
    /// Joins, or asks again whether it may.
    pub(super) async fn join(&mut self, host: usize, approval: Approval) {
        if self.hosts[host].asks.is_none() {
            let token = self.token(host, approval).await;
            let csr = csr_pem(&key(), &self.hosts[host].name, &[]);
            self.hosts[host].asks = Some((token, csr));
        }
        let (token, csr) = self.hosts[host].asks.clone().expect("it asks");
        let application = Application {
            token: &token,
            csr: &csr,
            names: &[],
            addresses: &[],
            labels: &BTreeMap::new(),
            profile: None,
            source: None,
        };
        match self.service.enroll(application).await.unwrap() {
            Enrollment::Issued(issuance) | Enrollment::Repeated(issuance) => {
                self.hosts[host].asks = None;
                // Who joins again stays who it was: that stands in the store alone.
                let certificate = self.store.certificate(&issuance.certificate.serial).await;
                self.take(host, certificate.unwrap().expect("it was issued"), true);
            }
            Enrollment::Pending(_) => {}
        }
    }

    /// Has a new certificate; whether it serves it, too.
    fn take(&mut self, host: usize, certificate: Certificate, serves: bool) {
        let life = certificate.not_after.since(certificate.issued_at);
        let renew_at = certificate.issued_at + life.mul_f64(self.between(0.6, 0.75));
        let host = &mut self.hosts[host];
        host.renew_at = renew_at;
        if serves {
            host.served = Some(seen(&certificate));
        }
        host.certificate = Some(certificate);
    }

    /// A step of a host.
    pub(super) async fn act(&mut self, host: usize) {
        let now = self.now();
        let trouble = self.hosts[host].trouble;
        let on = trouble.filter(|t| t.from <= now && now < t.until);
        let way = on.map(|t| t.way);
        if self.hosts[host].certificate.is_none() {
            return self.come(host, trouble, now).await;
        }
        if matches!(way, Some(Way::Dead | Way::Unreachable)) {
            self.shows(host, now + SILENT_AFTER);
            return;
        }
        if now >= self.hosts[host].renew_at && way != Some(Way::Stuck) {
            self.renew(host, way, now).await;
        }
        if way == Some(Way::Stuck) {
            let certificate = self.hosts[host].certificate.as_ref().expect("it has joined");
            let life = certificate.not_after.since(certificate.issued_at);
            self.shows(host, (certificate.issued_at + life.mul_f64(0.8)).max(now));
        }
        if way == Some(Way::ClockOff) {
            self.shows(host, now);
        }
        let mended = trouble.is_some_and(|t| t.way == Way::NotServed && t.until <= now);
        if mended {
            self.hosts[host].served = self.hosts[host].certificate.as_ref().map(seen);
        }
        self.report(host, way == Some(Way::ClockOff), now).await;
    }

    /// Before it has joined: at once, or when its time to wait for approval has come.
    async fn come(&mut self, host: usize, trouble: Option<Trouble>, now: Timestamp) {
        let Some(trouble) = trouble.filter(|t| t.way == Way::Waiting) else {
            return self.join(host, Approval::Auto).await;
        };
        if now < trouble.from {
            return;
        }
        self.shows(host, now + SILENT_AFTER);
        if now >= trouble.until {
            let operator = self.operator().await;
            let page = PageRequest {
                limit: 100,
                cursor: None,
            };
            let waiting = self.service.requests(&operator, false, page).await.unwrap().items;
            let name = &self.hosts[host].name;
            let request = waiting
                .iter()
                .find(|r| r.name.as_str() == name)
                .expect("it waits");
            let approved = RequestState::Approved;
            self.service
                .decide_request(&operator, request.id, approved)
                .await
                .unwrap();
        }
        self.join(host, Approval::Manual).await;
    }

    /// Somebody has to be told from this time on.
    fn shows(&mut self, host: usize, at: Timestamp) {
        let trouble = self.hosts[host].trouble.as_mut().expect("it is broken");
        trouble.shows_at.get_or_insert(at);
    }

    async fn renew(&mut self, host: usize, way: Option<Way>, now: Timestamp) {
        let certificate = self.hosts[host].certificate.clone().expect("it has joined");
        let grace = self.service.settings().host.renew_grace;
        if now > certificate.not_after + grace {
            return self.join(host, Approval::Auto).await;
        }
        let peer = peer(&self.authority, &certificate, Purpose::HostServer, now);
        let renewer = self.service.identify_for_renewal(&peer, None).await.unwrap();
        let csr = csr_pem(&key(), &self.hosts[host].name, &[]);
        let issuance = self.service.renew(renewer, &csr).await.unwrap();
        if self.hosts[host].trouble.is_none() {
            let life = certificate.not_after.since(certificate.issued_at).as_secs_f64();
            let share = now.since(certificate.issued_at).as_secs_f64() / life;
            let late = self
                .outages
                .iter()
                .map(|(from, until)| until.since(*from))
                .max()
                .unwrap()
                + STEP;
            let most = 0.75 + late.as_secs_f64() / life;
            assert!(
                (0.6..most).contains(&share),
                "seed {}: renewed at {share}",
                self.seed
            );
        }
        self.renewals += 1;
        let serves = way != Some(Way::NotServed);
        if !serves {
            self.shows(host, now + SILENT_AFTER);
            // It is mended some days after it began to show.
            let until = now + self.days(4.0, 8.0);
            self.hosts[host].trouble.as_mut().expect("it is broken").until = until;
        }
        self.take(host, issuance.certificate, serves);
    }

    async fn report(&self, host: usize, is_off: bool, now: Timestamp) {
        let host = &self.hosts[host];
        let certificate = host.certificate.as_ref().expect("it has joined");
        let report = HostReport {
            observed_generation: 1,
            mode: Mode::Gate,
            agent_version: "1".into(),
            engine_version: None,
            endpoints: Vec::new(),
            issued: Some(seen(certificate)),
            served: host.served.clone(),
            renew_at: Some(host.renew_at),
            clock_offset_ms: Some(if is_off { -150_000 } else { 40 }),
            conditions: Vec::new(),
            revocations: None,
        };
        let status = HostStatus {
            identity: certificate.identity,
            reported_at: now,
            source: None,
            report,
        };
        self.store.put_host_status(status).await.unwrap();
    }
}

fn seen(certificate: &Certificate) -> SeenCertificate {
    SeenCertificate {
        serial: certificate.serial.clone(),
        not_after: certificate.not_after,
    }
}

pub(super) fn peer(
    authority: &Authority,
    certificate: &Certificate,
    purpose: Purpose,
    now: Timestamp,
) -> Peer {
    let issuer = match purpose {
        Purpose::Client => IssuerKind::Clients,
        Purpose::HostServer => IssuerKind::Hosts,
    };
    let issuer = authority.issuer(issuer).certificate().der().to_vec();
    let chain = [certificate.der.clone().into(), issuer.into()];
    // Inside the grace the chain is judged by its last moment, as at the door.
    let at = now.min(certificate.not_after);
    Peer {
        verified: chain::verify(&chain, &authority.anchors(), purpose, at).unwrap(),
        leaf: certificate.der.clone(),
    }
}
