//! `GET /`: what needs a person now, and then how the fleet is.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::super::Api;
use super::certificates;
use super::chart::{Bar, Chart};
use super::hosts::{HostState, Row as Host};
use super::moment::Moment;
use super::page::{Refusal, Section, Shell};
use super::person::Person;
use crate::base::limits::OVERVIEW_DAYS;
use crate::model::{ChangeKind, IdentityKind};
use crate::service::{HostCounts, Overview, Viewer};

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    shell: Shell,
    needs: Vec<Need>,
    is_empty: bool,
    expiry: Chart,
    due: Chart,
    late: u64,
    late_more: bool,
    due_today: u64,
    due_week: u64,
    in_use: [(&'static str, u64); 2],
    states: Vec<(HostState, u64)>,
    revoked: Vec<Revoked>,
    feed: u64,
    lists: Vec<(String, Moment, bool)>,
    runway: Vec<(String, Moment, bool)>,
}

/// Something that somebody should do, worst first.
struct Need {
    class: &'static str,
    word: &'static str,
    subject: String,
    link: String,
    text: String,
}

struct Revoked {
    serial: String,
    name: String,
    reason: String,
    by: String,
    at: Moment,
}

/// The page.
pub(super) async fn show(State(api): State<Api>, person: Person<Viewer>) -> Result<Response, Refusal> {
    let overview = api.service().overview(&person.caller).await;
    let overview = overview.map_err(|e| person.refusal(e.into()))?;
    let shell = person.shell(Section::Overview, "Overview");
    super::page::show(&page(&api, shell, &overview))
}

fn page(api: &Api, shell: Shell, overview: &Overview) -> OverviewPage {
    let now = shell.now;
    let troubled: Vec<Host> = overview
        .troubled
        .iter()
        .map(|host| Host::new(host, now))
        .collect();
    let states = [
        HostState::Healthy,
        HostState::Unhealthy,
        HostState::Behind,
        HostState::Silent,
        HostState::Unheard,
    ];
    let states = states.map(|state| (state, count(&overview.hosts, state)));
    let total = |kind| {
        let of = overview.expiry.iter().filter(|counts| counts.kind == kind);
        of.flat_map(|counts| &counts.counts).sum::<u64>()
    };
    let in_use = [
        ("hosts", total(IdentityKind::Host)),
        ("clients", total(IdentityKind::Client)),
    ];
    let revoked = overview.changes.iter().filter_map(|change| match &change.kind {
        ChangeKind::Revoked(revocation) => Some(Revoked {
            serial: revocation.serial.to_string(),
            name: revocation.name.to_string(),
            reason: revocation.reason.to_string(),
            by: revocation.by.clone(),
            at: shell.moment(revocation.revoked_at),
        }),
        ChangeKind::Restored => None,
    });
    let lists = crate::model::IssuerKind::ALL.into_iter().filter_map(|issuer| {
        let published = api.service().crl(issuer)?;
        let stale = published.crl.is_stale_at(now) || api.service().crl_trouble(issuer).is_some();
        Some((issuer.to_string(), shell.moment(published.signed_at), stale))
    });
    let runway = overview.runway.iter();
    OverviewPage {
        needs: needs(overview, &troubled, &shell),
        is_empty: overview.hosts.joined == 0 && in_use.iter().all(|(_, count)| *count == 0),
        expiry: expiry(overview),
        due: due(overview),
        late: overview.overdue.count,
        late_more: overview.overdue.count > overview.overdue.first.len() as u64,
        due_today: overview.due.first().copied().unwrap_or_default(),
        due_week: overview.due.iter().take(7).sum(),
        in_use,
        states: states.into_iter().filter(|(_, count)| *count > 0).collect(),
        revoked: revoked.collect(),
        feed: overview.feed,
        lists: lists.collect(),
        runway: runway
            .map(|(issuer, end, low)| (issuer.to_string(), shell.moment(*end), *low))
            .collect(),
        shell,
    }
}

/// How many hosts are in this state.
fn count(hosts: &HostCounts, state: HostState) -> u64 {
    match state {
        HostState::Healthy => hosts.well,
        HostState::Unhealthy => hosts.unhealthy,
        HostState::Behind => hosts.behind,
        HostState::Silent => hosts.silent,
        HostState::Unheard => {
            let heard = hosts.well + hosts.unhealthy + hosts.behind + hosts.silent;
            hosts.joined.saturating_sub(heard)
        }
    }
}

/// Worst first; of each kind no more than a few, and a way to the rest.
fn needs(overview: &Overview, troubled: &[Host], shell: &Shell) -> Vec<Need> {
    let mut needs = Vec::new();
    for reason in &overview.reasons {
        needs.push(need("bad", "server", "this server", "/ca", reason.clone()));
    }
    for (issuer, end, _) in overview.runway.iter().filter(|(_, _, low)| *low) {
        let text = format!(
            "ends {}: what it signs is cut short soon",
            shell.moment(*end).words()
        );
        needs.push(need("bad", "CA", &format!("issuer of {issuer}"), "/ca", text));
    }
    for (state, class, word) in [
        (HostState::Behind, "bad", "not served"),
        (HostState::Unhealthy, "bad", "unhealthy"),
        (HostState::Silent, "late", "silent"),
    ] {
        let of_state = troubled.iter().filter(|host| host.state == state);
        let mut rest = count(&overview.hosts, state);
        for host in of_state {
            rest = rest.saturating_sub(1);
            needs.push(need(
                class,
                word,
                &host.name,
                &format!("/hosts/{}", host.name),
                trouble(host),
            ));
        }
        if rest > 0 {
            needs.push(need(
                class,
                word,
                &format!("{rest} more hosts"),
                "/hosts",
                state.words().to_owned(),
            ));
        }
    }
    for certificate in &overview.overdue.first {
        let row = certificates::Row::new(certificate, shell.now);
        let due = shell.moment(certificate.renew_after).words();
        let text = format!(
            "{} ends {}; its renewal was due {due}",
            row.profile,
            row.not_after.words()
        );
        let class = if row.is_urgent { "bad" } else { "late" };
        let link = format!("/certificates/{}", row.serial);
        needs.push(need(class, "not renewed", &row.name, &link, text));
    }
    if overview.waiting > 0 && shell.may_act {
        let more = if overview.waiting_more { "more than " } else { "" };
        let (noun, verb) = if overview.waiting == 1 {
            ("request", "waits")
        } else {
            ("requests", "wait")
        };
        let subject = format!("{more}{} {noun}", overview.waiting);
        let text = format!("{verb} to be approved or denied");
        needs.push(need("pending", "approval", &subject, "/requests", text));
    }
    needs
}

fn need(class: &'static str, word: &'static str, subject: &str, link: &str, text: String) -> Need {
    Need {
        class,
        word,
        subject: subject.to_owned(),
        link: link.to_owned(),
        text,
    }
}

fn trouble(host: &Host) -> String {
    let seen = host.seen.map(|seen| seen.words()).unwrap_or_default();
    let wrong = host
        .conditions
        .iter()
        .find(|(_, status, _)| *status == crate::model::ConditionStatus::False);
    match (host.state, wrong, host.served, host.issued) {
        (HostState::Silent, ..) => format!("last heard of {seen}"),
        (_, Some((kind, _, message)), _, _) if !message.is_empty() => format!("{kind}: {message}"),
        (HostState::Behind, _, Some(served), Some(issued)) => {
            format!(
                "serves a certificate that ends {}; the one on record ends {}",
                served.words(),
                issued.words()
            )
        }
        (HostState::Behind, ..) => "its new certificate is not served".to_owned(),
        _ => host.why.clone(),
    }
}

fn day(index: usize) -> String {
    match index {
        0 => "within a day".to_owned(),
        1 => "in 1 to 2 days".to_owned(),
        _ => format!("in {index} to {} days", index + 1),
    }
}

fn expiry(overview: &Overview) -> Chart {
    let of = |kind, at: usize| {
        let counts = overview.expiry.iter().find(|counts| counts.kind == kind);
        counts
            .and_then(|counts| counts.counts.get(at))
            .copied()
            .unwrap_or_default()
    };
    let bars = (0..OVERVIEW_DAYS).map(|at| {
        let (hosts, clients) = (of(IdentityKind::Host, at), of(IdentityKind::Client, at));
        Bar {
            parts: vec![("host", hosts), ("client", clients)],
            title: format!("{}: {hosts} of hosts, {clients} of clients end", day(at)),
            link: Some(format!("/certificates?status=valid&within={}d", at + 1)),
        }
    });
    Chart::of(bars.collect())
}

fn due(overview: &Overview) -> Chart {
    let bars = overview.due.iter().enumerate().map(|(at, count)| Bar {
        parts: vec![("due", *count)],
        title: format!("{}: {count} to be renewed", day(at)),
        link: None,
    });
    Chart::of(bars.collect())
}
