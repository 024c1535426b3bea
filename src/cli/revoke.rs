//! What `cert revoke`, `client revoke` and `host revoke` share: asking, revoking, and waiting for who has applied it.

use std::io::{BufRead, IsTerminal};
use std::time::Duration;

use clap::Args;

use super::profile::Connection;
use super::waiting::{Count, Wait, and_more, applied_on};
use super::{Error, World, text};
use crate::base::Timestamp;
use crate::client::Client;
use crate::model::IdentityKind;
use crate::pki::RevocationReason;
use crate::wire::{Applied, AppliedQuery, MissingHost, RevokeRequest, Revoked};

/// Options of everything that revokes.
#[derive(Debug, Args)]
pub struct Options {
    /// Why: keyCompromise, affiliationChanged, superseded, cessationOfOperation, privilegeWithdrawn or unspecified
    #[arg(long, value_name = "REASON", default_value = "unspecified")]
    pub reason: RevocationReason,
    /// Do not ask. Without a terminal nobody is asked in any case: a script that revokes has decided
    #[arg(short, long)]
    pub yes: bool,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    pub connection: Connection,
}

impl Options {
    /// Asks on a terminal, unless `--yes`; goes ahead where nobody could answer.
    pub fn confirm(&self, what: &str) -> Result<(), Error> {
        let input = std::io::stdin();
        if self.yes || !input.is_terminal() || !std::io::stderr().is_terminal() {
            return Ok(());
        }
        eprint!("Revoke {what}? There is no way back. [y/N] ");
        let mut answer = String::new();
        input.lock().read_line(&mut answer)?;
        if matches!(answer.trim(), "y" | "Y" | "yes") {
            return Ok(());
        }
        Err(Error::Found("nothing was revoked".to_owned()))
    }

    /// Revokes all certificates of a host or client.
    pub async fn revoke(&self, name: &str, profile: IdentityKind, world: &mut World) -> Result<u8, Error> {
        self.confirm(&format!("all certificates of the {profile} {name}"))?;
        let client = self.connection.client(world).await?;
        let request = RevokeRequest {
            reason: self.reason,
            profile: Some(profile),
        };
        let revoked = client.revoke_identity(name, &request).await?;
        self.report(&client, &revoked, world).await?;
        Ok(0)
    }

    /// Says what was revoked, waits for the hosts, and says who has applied it.
    pub async fn report(&self, client: &Client, revoked: &Revoked, world: &mut World) -> Result<(), Error> {
        world.say(summary(revoked))?;
        let number = Some(revoked.feed);
        // No answer when this caller has just revoked itself, or is no viewer.
        let ask = async |seconds| {
            let wait = Some(seconds);
            client.applied(&AppliedQuery { number, wait }).await.ok()
        };
        let waited = self.wait.until_applied(world, "refuse it", ask, count).await;
        let Some((applied, took)) = waited else {
            let before = &revoked.applied;
            world.say(format!(
                "  {} of {} hosts had applied it",
                before.applied, before.hosts
            ))?;
            world.note("  This certificate may not ask any further: a viewer can (dockwarden cert inspect).");
            return Ok(());
        };
        for line in outcome(&applied, took, world.clock.now()) {
            world.say(line)?;
        }
        Ok(())
    }
}

fn count(applied: &Applied) -> Count {
    Count {
        applied: applied.applied,
        hosts: applied.hosts,
    }
}

fn summary(revoked: &Revoked) -> String {
    let count = revoked.revoked.len();
    let noun = if count == 1 { "certificate" } else { "certificates" };
    match revoked.repeated {
        true => format!("{count} {noun} had been revoked before (feed {})", revoked.feed),
        false => format!("revoked {count} {noun} (feed {})", revoked.feed),
    }
}

fn outcome(applied: &Applied, took: Duration, now: Timestamp) -> Vec<String> {
    let mut first = applied_on(count(applied), took);
    match applied.cut {
        0 => {}
        1 => first.push_str("; 1 open connection cut"),
        cut => first.push_str(&format!("; {cut} open connections cut")),
    }
    let mut lines = vec![first];
    lines.extend(applied.missing.iter().map(|host| missing(host, now)));
    lines.extend(and_more(count(applied), applied.missing.len()));
    lines
}

fn missing(host: &MissingHost, now: Timestamp) -> String {
    let name = &host.name;
    let seen = match host.last_seen {
        Some(seen) => format!("last heard of {}", text::relative(seen, now)),
        None => "was never heard of".to_owned(),
    };
    let then = match (host.applied, host.denies_from) {
        (Some(_), _) if !host.refuses => {
            "its agent knows of it and nothing there refuses anybody: it goes on accepting".to_owned()
        }
        (None, _) => "its agent does not follow revocations, it goes on accepting".to_owned(),
        (_, Some(from)) if from <= now => "refuses every remote client until it is back".to_owned(),
        (_, Some(from)) => format!("refuses every remote client from {from} on"),
        (_, None) => "goes on accepting until it is back (on_stale = allow)".to_owned(),
    };
    format!("  {name} {seen}: {then}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, applied: Option<u64>, denies_from: Option<i64>) -> MissingHost {
        MissingHost {
            name: name.to_owned(),
            applied,
            last_seen: Some(Timestamp::from_secs(1_000_000)),
            denies_from: denies_from.map(Timestamp::from_secs),
            refuses: true,
        }
    }

    #[test]
    fn who_has_not_applied_it_is_named_with_what_it_does_meanwhile() {
        let now = Timestamp::from_secs(1_000_000 + 3 * 3600);
        let applied = Applied {
            number: 319,
            hosts: 46,
            applied: 41,
            cut: 3,
            missing: vec![
                host("web-17", Some(7), Some(1_000_000 + 4 * 3600)),
                host("web-18", Some(7), Some(1_000_000 + 3600)),
                host("web-19", None, None),
                MissingHost {
                    refuses: false,
                    ..host("web-20", Some(319), None)
                },
            ],
        };
        let lines = outcome(&applied, Duration::from_millis(213), now);
        assert_eq!(
            lines[0],
            "  applied on 41 of 46 hosts (0.21 s); 3 open connections cut"
        );
        assert!(
            lines[1].contains("web-17") && lines[1].contains("from 1970-01-12T17:46:40Z on"),
            "{}",
            lines[1]
        );
        assert!(lines[2].contains("until it is back"), "{}", lines[2]);
        assert!(lines[3].contains("does not follow"), "{}", lines[3]);
        assert!(lines[4].contains("nothing there refuses"), "{}", lines[4]);
        assert_eq!(lines[5], "  and 1 more");
    }
}
