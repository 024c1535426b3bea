//! Mail, by SMTP: one message a notification, on a connection of its own. TLS by rustls and aws-lc-rs, as everywhere.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use lettre::message::Mailbox;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use super::Channel;
use super::message::title;
use crate::base::limits::{NOTIFY_TIMEOUT, PEM_BYTES_MAX, SECRET_BYTES_MAX};
use crate::model::problem::{Notification, NotificationEvent};
use crate::sys::Files;

/// How a connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// `STARTTLS`, and nothing without it. Port 587.
    StartTls,
    /// From the first byte on. Port 465.
    Implicit,
    /// Not at all: to a program on this machine, or through a tunnel. Port 25.
    None,
}

/// An SMTP server, and who gets mail through it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpPlan {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: SmtpTls,
    /// Who the mail is from.
    pub from: Mailbox,
    /// Who gets it.
    pub to: Vec<Mailbox>,
    /// Who logs in, and the file with the password.
    pub login: Option<(String, PathBuf)>,
    /// The file with the CA that the server's certificate comes from; without it, those the system trusts.
    pub ca_file: Option<PathBuf>,
}

/// Mail.
pub struct SmtpChannel {
    /// Its name.
    pub name: String,
    /// Where it goes.
    pub plan: SmtpPlan,
    /// What this server is called in events.
    pub source: String,
    /// The disk.
    pub files: Files,
}

#[async_trait]
impl Channel for SmtpChannel {
    fn name(&self) -> &str {
        &self.name
    }

    async fn send(&self, notification: &Notification) -> Result<(), String> {
        let message = self.message(notification)?;
        let transport = self.transport()?;
        let at = format!("{}:{}", self.plan.host, self.plan.port);
        let sent = transport.send(message).await.map_err(|e| format!("{at}: {e}"))?;
        match sent.is_positive() {
            true => Ok(()),
            false => Err(format!("{at} answered {}", sent.code())),
        }
    }
}

impl SmtpChannel {
    fn message(&self, notification: &Notification) -> Result<Message, String> {
        let problem = &notification.problem;
        let id = notification.id;
        // The same however often it is sent: mail programs show it once.
        let at = Duration::from_millis(u64::try_from(notification.at.as_millis()).unwrap_or(0));
        let mut message = Message::builder()
            .from(self.plan.from.clone())
            .date(SystemTime::UNIX_EPOCH + at)
            .message_id(Some(format!("<{id}@dockwarden>")))
            .subject(one_line(&title(notification)))
            .header(ContentType::TEXT_PLAIN);
        for to in &self.plan.to {
            message = message.to(to.clone());
        }
        if notification.event != NotificationEvent::Test {
            // What is said of one problem stands together.
            message = message.references(format!("<problem-{}@dockwarden>", problem.number));
        }
        let text = format!(
            "{}\n\nseverity   {}\nproblem    {} {}\nfirst seen {}\nlast seen  {}\nserver     {}\n",
            problem.message,
            problem.severity,
            problem.number,
            problem.key,
            problem.first_seen,
            problem.last_seen,
            self.source
        );
        let mut message = message
            .body(text)
            .map_err(|e| format!("the mail cannot be written: {e}"))?;
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        message
            .headers_mut()
            .insert_raw(HeaderValue::new(automatic, "auto-generated".to_owned()));
        Ok(message)
    }

    fn transport(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
        let plan = &self.plan;
        let tls = match plan.tls {
            SmtpTls::None => Tls::None,
            SmtpTls::StartTls => Tls::Required(self.parameters()?),
            SmtpTls::Implicit => Tls::Wrapper(self.parameters()?),
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&plan.host)
            .port(plan.port)
            .tls(tls)
            .hello_name(ClientId::Domain("dockwarden".to_owned()))
            .timeout(Some(NOTIFY_TIMEOUT.saturating_sub(Duration::from_secs(1))));
        if let Some((user, file)) = &plan.login {
            let password = self
                .files
                .read_text(file, SECRET_BYTES_MAX)
                .map_err(|e| e.to_string())?;
            transport = transport.credentials(Credentials::new(user.clone(), password.trim().to_owned()));
        }
        Ok(transport.build())
    }

    fn parameters(&self) -> Result<TlsParameters, String> {
        let mut parameters = TlsParameters::builder(self.plan.host.clone());
        if let Some(file) = &self.plan.ca_file {
            let pem = self.files.read(file, PEM_BYTES_MAX).map_err(|e| e.to_string())?;
            let certificate = Certificate::from_pem(&pem).map_err(|e| format!("{}: {e}", file.display()))?;
            parameters = parameters
                .certificate_store(CertificateStore::None)
                .add_root_certificate(certificate);
        }
        parameters.build_rustls().map_err(|e| e.to_string())
    }
}

fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::notify::message::tests::notification;

    #[test]
    fn a_mail_says_what_is_wrong_and_a_host_cannot_add_headers_to_it() {
        let channel = SmtpChannel {
            name: "mail".into(),
            plan: SmtpPlan {
                host: "localhost".into(),
                port: 25,
                tls: SmtpTls::None,
                from: "dockwarden <dw@fleet.example>".parse().unwrap(),
                to: vec!["ops@fleet.example".parse().unwrap()],
                login: None,
                ca_file: None,
            },
            source: "/dockwarden/ca".into(),
            files: Files::system(),
        };
        let mut hostile = notification(
            NotificationEvent::Opened,
            "late\r\nBcc: x@evil.example\r\n.\r\nQUIT",
        );
        hostile.problem.subject = "web\r\nBcc: x@evil.example".into();
        let mail = String::from_utf8(channel.message(&hostile).unwrap().formatted()).unwrap();
        let (headers, body) = mail.split_once("\r\n\r\n").unwrap();
        assert!(!headers.lines().any(|line| line.starts_with("Bcc")), "{headers}");
        assert!(
            headers.contains("Subject: [CRITICAL] renewal-missed web"),
            "{headers}"
        );
        assert!(
            headers.contains(&format!("Message-ID: <{}@dockwarden>", hostile.id)),
            "{headers}"
        );
        assert!(headers.contains("Date: Fri, 15 Jan 2027 08:00:00"), "{headers}");
        assert!(body.contains("severity   critical"), "{body}");
    }
}
