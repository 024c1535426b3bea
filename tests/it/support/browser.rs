//! A browser as far as the dashboard meets one: it keeps cookies, follows nothing by itself, and sends forms with the headers that
//! browsers send.

use http::Request;
use http_body_util::Full;

use super::server::{Answer, Credentials, TestServer, send};

/// A browser.
pub struct Browser<'s> {
    server: &'s TestServer,
    certificate: Option<Credentials>,
    pub cookies: Vec<(String, String)>,
}

impl<'s> Browser<'s> {
    /// With a certificate, or without one.
    pub fn new(server: &'s TestServer, certificate: Option<&Credentials>) -> Self {
        Self {
            server,
            certificate: certificate.cloned(),
            cookies: Vec::new(),
        }
    }

    async fn send(&mut self, request: http::request::Builder, body: String) -> Answer {
        let mut request = request.header("host", "localhost").header("accept", "text/html");
        if !self.cookies.is_empty() {
            let pairs: Vec<String> = self.cookies.iter().map(|(k, v)| format!("{k}={v}")).collect();
            request = request.header("cookie", pairs.join("; "));
        }
        let mut connection = self.server.connect(self.certificate.as_ref()).await.unwrap();
        let answer = send(&mut connection, request.body(Full::from(body)).unwrap())
            .await
            .unwrap();
        for value in answer.headers.get_all("set-cookie") {
            let pair = value.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        answer
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::builder().uri(path), String::new()).await
    }

    /// A form, sent from a page of the server itself.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.post_from("https://localhost", path, fields).await
    }

    /// A form, sent from a page of another site.
    pub async fn post_from(&mut self, origin: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let escape = |text: &str| {
            let bytes = text.bytes().map(|b| match b.is_ascii_alphanumeric() {
                true => char::from(b).to_string(),
                false => format!("%{b:02X}"),
            });
            bytes.collect::<String>()
        };
        let body: Vec<String> = fields
            .iter()
            .map(|(k, v)| format!("{}={}", escape(k), escape(v)))
            .collect();
        let request = Request::builder()
            .method("POST")
            .uri(path)
            .header("origin", origin)
            .header("content-type", "application/x-www-form-urlencoded");
        self.send(request, body.join("&")).await
    }
}

/// The mark that a page carries in its forms.
pub fn mark(page: &str) -> String {
    let start = "name=\"mark\" value=\"";
    let from = page.find(start).unwrap_or_else(|| panic!("no form in {page}")) + start.len();
    page[from..].split('"').next().unwrap().to_owned()
}
