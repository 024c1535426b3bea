//! Whether people were told what was so, once, in time.

use std::collections::{BTreeMap, BTreeSet};

use dockwarden::base::{Id, Timestamp};
use dockwarden::model::problem::{Notification, NotificationEvent};

use super::{Host, STEP, Year};
use crate::support::pki::{DAY, t0};

impl Year {
    /// Whether the server was away or restarted around this time, and so may tell later.
    fn was_shaken(&self, from: Timestamp, until: Timestamp) -> bool {
        let outage = self.outages.iter().any(|(a, b)| *a < until && from < *b);
        let restart = self.restarts.iter().any(|number| {
            let at = t0() + STEP * *number;
            from <= at && at <= until
        });
        outage || restart
    }

    pub(super) fn judge(&self) {
        let taken = self.inbox.taken.lock().unwrap();
        let ids: BTreeSet<Id> = taken.iter().map(|n| n.id).collect();
        assert_eq!(
            ids.len(),
            taken.len(),
            "seed {}: nothing is said twice",
            self.seed
        );
        let mut about: BTreeMap<&str, Vec<&Notification>> = BTreeMap::new();
        for notification in taken.iter() {
            about
                .entry(&notification.problem.subject)
                .or_default()
                .push(notification);
        }
        let mut wrong = Vec::new();
        for host in &self.hosts {
            let said = about.remove(host.name.as_str()).unwrap_or_default();
            if let Some(what) = self.wrong(host, &said) {
                let said: Vec<_> = said
                    .iter()
                    .map(|n| (n.event, n.problem.kind, n.at.to_string()))
                    .collect();
                wrong.push(format!("{what}: {} {:?}: {said:?}", host.name, host.trouble));
            }
        }
        assert!(wrong.is_empty(), "seed {}:\n{}", self.seed, wrong.join("\n"));
        assert!(about.is_empty(), "seed {}: of nobody else: {about:?}", self.seed);
    }

    /// What is wrong with what was said of a host, if anything is.
    fn wrong(&self, host: &Host, said: &[&Notification]) -> Option<&'static str> {
        use NotificationEvent::{Escalated, Opened, Reminder, Resolved};
        let count = |event| said.iter().filter(|n| n.event == event).count();
        let Some((trouble, shows_at)) = host.trouble.and_then(|t| Some((t, t.shows_at?))) else {
            return (!said.is_empty()).then_some("false");
        };
        if (count(Opened), count(Resolved)) != (1, 1) || count(Escalated) > 1 {
            return Some("not once");
        }
        let (first, last) = (said[0], said[said.len() - 1]);
        if (first.event, last.event) != (Opened, Resolved) {
            return Some("not in order");
        }
        if first.problem.kind != trouble.way.kind() {
            return Some("not what it is");
        }
        let shaken = self.was_shaken(shows_at - DAY * 2, shows_at + DAY);
        let most = if shaken { DAY * 4 } else { STEP * 2 };
        if first.at + STEP < shows_at || first.at > shows_at + most {
            return Some("not in time");
        }
        let shaken = self.was_shaken(trouble.until, trouble.until + DAY);
        let most = if shaken { DAY * 3 } else { STEP * 2 };
        if last.at < trouble.until || last.at > trouble.until + most {
            return Some("its end not in time");
        }
        let days = last.at.since(first.at).as_secs() / 86_400;
        (count(Reminder) as u64 > days + 1).then_some("too often")
    }
}
