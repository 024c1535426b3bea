//! `client env`: the variables that every Docker client understands.

use clap::Args;

use super::super::{Error, World};
use super::home::KnownHost;
use super::{Which, contexts};

/// Arguments of `client env`.
#[derive(Debug, Args)]
pub struct Env {
    #[command(flatten)]
    which: Which,
    /// The host [default: the only one that can be reached]
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
}

/// Runs `client env`.
pub async fn run(args: Env, world: &mut World) -> Result<u8, Error> {
    let home = args.which.home(world)?;
    let mut state = home.state(world)?;
    if find(&state.hosts, args.host.as_deref()).is_none() {
        let client = home.profile(world)?.client(world)?;
        state.hosts = contexts::fetch(&client, world).await?;
        home.save(world, &state)?;
    }
    let Some(host) = find(&state.hosts, args.host.as_deref()) else {
        return Err(not_found(&state.hosts, args.host.as_deref()));
    };
    let directory = home.docker_cert_path();
    world.say(format!("export DOCKER_HOST={}", quote(&host.endpoint)))?;
    world.say("export DOCKER_TLS_VERIFY=1")?;
    world.say(format!(
        "export DOCKER_CERT_PATH={}",
        quote(&directory.display().to_string())
    ))?;
    Ok(0)
}

/// By whole name, by the part before the first dot when only one has it, or the only one.
fn find<'a>(hosts: &'a [KnownHost], wanted: Option<&str>) -> Option<&'a KnownHost> {
    let Some(wanted) = wanted else {
        return hosts.first().filter(|_| hosts.len() == 1);
    };
    let short = |host: &&KnownHost| host.name.split('.').next() == Some(wanted);
    hosts.iter().find(|host| host.name == wanted).or_else(|| {
        let mut fits = hosts.iter().filter(short);
        fits.next().filter(|_| fits.next().is_none())
    })
}

fn not_found(hosts: &[KnownHost], wanted: Option<&str>) -> Error {
    let names: Vec<&str> = hosts.iter().map(|h| h.name.as_str()).take(10).collect();
    match wanted {
        _ if hosts.is_empty() => {
            Error::Found("no host can be reached yet: does one run dockwarden agent?".into())
        }
        Some(wanted) => Error::Found(format!(
            "no host {wanted:?} can be reached; there are {}",
            names.join(", ")
        )),
        None => Error::Usage(format!("which host? --host {}", names.join(" | "))),
    }
}

/// As one word for a POSIX shell.
pub fn quote(text: &str) -> String {
    let plain =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'-' | b'_' | b':' | b'@' | b'+');
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for (text, quoted) in [
            ("tcp://web-01:2376", "tcp://web-01:2376"),
            ("tcp://[::1]:2376", "'tcp://[::1]:2376'"),
            ("/home/a b/$x", "'/home/a b/$x'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(quote(text), quoted);
        }
    }

    #[test]
    fn a_host_is_found_by_its_name_or_its_only_short_form() {
        let host = |name: &str| KnownHost {
            name: name.into(),
            endpoint: "tcp://x:1".into(),
        };
        let hosts = [host("web.eu"), host("web.us"), host("db.eu")];
        let name = |wanted| find(&hosts, Some(wanted)).map(|h| h.name.as_str());
        assert_eq!(
            (name("web.us"), name("db"), name("web"), name("x")),
            (Some("web.us"), Some("db.eu"), None, None)
        );
        assert!(find(&hosts, None).is_none() && find(&hosts[..1], None).is_some());
    }
}
