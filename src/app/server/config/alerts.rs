//! `[alerts]` and `[[notify]]` of `server.toml`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::base::{Span, Windows};
use crate::jobs::{HttpForm, SmtpPlan, SmtpTls, Target};
use crate::model::problem::{AlertRules, ChannelRule, Severity};
use crate::service::Alerts;

/// Channels that can be configured.
const CHANNELS_MAX: usize = 32;
/// Hosts report once a minute.
const SILENT_MIN: Duration = Duration::from_secs(120);
/// Nobody reads what comes more often.
const REMIND_MIN: Duration = Duration::from_secs(3600);
/// What never makes a warning critical by its age.
const OFF: &str = "off";

/// `[alerts]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawAlerts {
    warn_at: Option<f64>,
    critical_at: Option<f64>,
    silent_after: Option<Span>,
    clock_off: Option<Span>,
    unwell_after: Option<Span>,
    waiting_after: Option<Span>,
    remind_every: Option<Span>,
    escalate_after: Option<String>,
    quiet: Windows,
}

/// `[[notify]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawChannel {
    name: String,
    #[serde(rename = "type")]
    kind: RawKind,
    least: Option<String>,
    url: Option<String>,
    url_file: Option<PathBuf>,
    secret_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    command: Option<Vec<String>>,
    smtp: Option<RawSmtp>,
}

/// `[notify.smtp]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSmtp {
    host: String,
    port: Option<u16>,
    tls: Option<String>,
    from: String,
    to: Vec<String>,
    user: Option<String>,
    password_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawKind {
    Webhook,
    Slack,
    Alertmanager,
    Smtp,
    Command,
}

/// Where a channel leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelPlan {
    /// A webhook.
    Http {
        /// What it reads.
        form: HttpForm,
        /// Where it is, or the file that says so.
        url: Result<Target, PathBuf>,
        /// The file with the key that requests are signed with.
        secret_file: Option<PathBuf>,
        /// The CA of its certificate.
        ca_file: Option<PathBuf>,
    },
    /// Mail.
    Smtp(SmtpPlan),
    /// A program.
    Command(Vec<String>),
}

/// A channel by its name.
pub type NamedChannel = (String, ChannelPlan);

impl RawAlerts {
    /// What is a problem, and who is told.
    pub fn check(self, channels: &[RawChannel]) -> anyhow::Result<(Alerts, Vec<NamedChannel>)> {
        let usual = AlertRules::default();
        let or = |value: Option<Span>, usual: Duration| value.map_or(usual, |span| span.0);
        let rules = AlertRules {
            warn_at: self.warn_at.unwrap_or(usual.warn_at),
            critical_at: self.critical_at.unwrap_or(usual.critical_at),
            silent_after: or(self.silent_after, usual.silent_after),
            clock_off: or(self.clock_off, usual.clock_off),
            unwell_after: or(self.unwell_after, usual.unwell_after),
            waiting_after: or(self.waiting_after, usual.waiting_after),
        };
        // Hosts renew at up to three quarters of a certificate's life.
        if !(0.76..1.0).contains(&rules.warn_at) || !(rules.warn_at..1.0).contains(&rules.critical_at) {
            bail!("alerts: 0.76 <= warn_at <= critical_at < 1 must hold: shares of a certificate's life");
        }
        if rules.silent_after < SILENT_MIN {
            bail!(
                "alerts.silent_after must be {} or more: hosts report once a minute",
                Span(SILENT_MIN)
            );
        }
        let mut alerts = Alerts {
            rules,
            quiet: self.quiet,
            ..Alerts::default()
        };
        alerts.remind_every = or(self.remind_every, alerts.remind_every);
        if alerts.remind_every < REMIND_MIN {
            bail!("alerts.remind_every must be {} or more", Span(REMIND_MIN));
        }
        alerts.escalate_after = match self.escalate_after.as_deref() {
            None | Some(OFF) => None,
            Some(text) => Some(text.parse::<Span>().context("alerts.escalate_after")?.0),
        };
        if channels.len() > CHANNELS_MAX {
            bail!("at most {CHANNELS_MAX} [[notify]] channels");
        }
        let mut plans: Vec<NamedChannel> = Vec::new();
        for channel in channels {
            let (rule, plan) = channel
                .check()
                .with_context(|| format!("[[notify]] {:?}", channel.name))?;
            if plans.iter().any(|(name, _)| *name == rule.name) {
                bail!("two [[notify]] channels are named {:?}", rule.name);
            }
            plans.push((rule.name.clone(), plan));
            alerts.channels.push(rule);
        }
        Ok((alerts, plans))
    }
}

impl RawChannel {
    fn check(&self) -> anyhow::Result<(ChannelRule, ChannelPlan)> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !(1..=40).contains(&self.name.len()) || !self.name.chars().all(plain) {
            bail!("a name is 1 to 40 of a-z, 0-9 and '-'");
        }
        let least = self
            .least
            .as_deref()
            .map_or(Ok(Severity::Warning), str::parse)
            .context("least")?;
        if self.smtp.is_some() != (self.kind == RawKind::Smtp) {
            bail!("smtp = {{ host, from, to, ... }} goes with type = \"smtp\", and only with it");
        }
        let plan = match self.kind {
            RawKind::Webhook => self.http(HttpForm::CloudEvents)?,
            RawKind::Slack => self.http(HttpForm::Slack)?,
            RawKind::Alertmanager => self.http(HttpForm::Alertmanager)?,
            RawKind::Command => self.program()?,
            RawKind::Smtp => ChannelPlan::Smtp(self.mail()?),
        };
        let name = self.name.clone();
        Ok((ChannelRule { name, least }, plan))
    }

    fn http(&self, form: HttpForm) -> anyhow::Result<ChannelPlan> {
        if self.command.is_some() {
            bail!("command is for type = \"command\"");
        }
        let url = match (&self.url, &self.url_file) {
            (Some(url), None) => Ok(url.parse().context("url")?),
            (None, Some(file)) => Err(file.clone()),
            _ => bail!("one of url and url_file must say where it goes; url_file when the URL is a secret"),
        };
        Ok(ChannelPlan::Http {
            form,
            url,
            secret_file: self.secret_file.clone(),
            ca_file: self.ca_file.clone(),
        })
    }

    fn mail(&self) -> anyhow::Result<SmtpPlan> {
        if self.url.is_some()
            || self.url_file.is_some()
            || self.secret_file.is_some()
            || self.command.is_some()
        {
            bail!("url, url_file, secret_file and command are not for mail");
        }
        let smtp = self.smtp.clone().context("smtp")?;
        let (tls, usual) = match smtp.tls.as_deref() {
            None | Some("starttls") => (SmtpTls::StartTls, 587),
            Some("implicit") => (SmtpTls::Implicit, 465),
            Some("none") => (SmtpTls::None, 25),
            Some(_) => bail!("smtp.tls is one of starttls, implicit, none"),
        };
        let login = match (smtp.user, smtp.password_file) {
            (Some(user), Some(file)) => Some((user, file)),
            (None, None) => None,
            _ => bail!("smtp.user and smtp.password_file go together"),
        };
        if login.is_some() && tls == SmtpTls::None {
            bail!("smtp.tls = \"none\" would send the password in the clear");
        }
        let to: Result<Vec<_>, _> = smtp.to.iter().map(|to| to.parse()).collect();
        let to = to.context("smtp.to")?;
        if to.is_empty() {
            bail!("smtp.to is empty: nobody would get the mail");
        }
        Ok(SmtpPlan {
            host: smtp.host,
            port: smtp.port.unwrap_or(usual),
            tls,
            from: smtp.from.parse().context("smtp.from")?,
            to,
            login,
            ca_file: self.ca_file.clone(),
        })
    }

    fn program(&self) -> anyhow::Result<ChannelPlan> {
        let words = self.command.clone().unwrap_or_default();
        match words.first() {
            Some(program) if program.starts_with('/') => {}
            _ => bail!("command must be a list that begins with the absolute path of a program"),
        }
        if self.url.is_some()
            || self.url_file.is_some()
            || self.secret_file.is_some()
            || self.ca_file.is_some()
        {
            bail!("url, url_file, secret_file and ca_file are for webhooks");
        }
        Ok(ChannelPlan::Command(words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    #[derive(Default)]
    struct Both {
        alerts: RawAlerts,
        notify: Vec<RawChannel>,
    }

    fn check(text: &str) -> Result<(Alerts, Vec<NamedChannel>), String> {
        let both: Both = toml::from_str(text).map_err(|e| e.to_string())?;
        both.alerts.check(&both.notify).map_err(|e| format!("{e:#}"))
    }

    #[test]
    fn what_could_not_work_is_refused_with_a_reason() {
        let channel = |rest: &str| format!("[[notify]]\nname = \"ops\"\n{rest}");
        let mail =
            "type = \"smtp\"\nsmtp = { host = \"mail\", from = \"a@b.example\", to = [\"c@d.example\"]";
        for (text, why) in [
            ("[alerts]\nwarn_at = 0.7".to_owned(), "0.76 <= warn_at"),
            ("[alerts]\nwarn_at = 0.95".to_owned(), "0.76 <= warn_at"),
            ("[alerts]\nwarn_at = nan".to_owned(), "0.76 <= warn_at"),
            ("[alerts]\nsilent_after = \"1m\"".to_owned(), "once a minute"),
            ("[alerts]\nremind_every = \"1m\"".to_owned(), "remind_every"),
            (channel("type = \"webhook\""), "one of url and url_file"),
            (channel("type = \"webhook\"\nurl = \"ftp://x/\""), "only https://"),
            (
                channel("type = \"command\"\ncommand = [\"page\"]"),
                "absolute path",
            ),
            (
                channel("type = \"slack\"\nurl = \"https://x/\"\nleast = \"bad\""),
                "none of notice",
            ),
            (
                channel(&format!("{mail} }}\nurl = \"https://x/\"")),
                "not for mail",
            ),
            (channel(&format!("{mail}, user = \"u\" }}")), "go together"),
            (
                channel(&format!(
                    "{mail}, tls = \"none\", user = \"u\", password_file = \"/p\" }}"
                )),
                "in the clear",
            ),
            (
                channel(&format!(
                    "type = \"webhook\"\nurl = \"https://x/\"\n{}",
                    channel("type = \"slack\"\nurl = \"https://x/\"")
                )),
                "two [[notify]] channels",
            ),
        ] {
            let said = check(&text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
        let (alerts, plans) = check(&channel(&format!("{mail} }}"))).unwrap();
        assert_eq!(alerts.channels[0].least, Severity::Warning);
        assert!(
            matches!(&plans[0].1, ChannelPlan::Smtp(plan) if plan.port == 587 && plan.tls == SmtpTls::StartTls)
        );
    }
}
