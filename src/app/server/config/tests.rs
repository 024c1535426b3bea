use super::*;

fn check(text: &str) -> anyhow::Result<Config> {
    let raw: Raw = toml::from_str(text)?;
    raw.check(Flags::default(), "/data".into())
}

#[test]
fn an_empty_file_means_the_defaults() {
    let config = check("").unwrap();
    assert_eq!(config.listen, ["[::]:8443".parse().unwrap()]);
    assert_eq!(config.http_listen, Some("[::]:8080".parse().unwrap()));
    assert_eq!(config.settings.host, Profile::default_for(IdentityKind::Host));
    assert_eq!(config.settings.client, Profile::default_for(IdentityKind::Client));
}

#[test]
fn every_key_is_read() {
    let config = check(
        "listen = \"127.0.0.1:1,:2\"\nhttp_listen = \"off\"\nnames = [\"ca.fleet\", \"10.0.0.1\"]\n\
         public_url = \"http://ca.fleet:8080\"\npassphrase_file = \"/p\"\nlog_format = \"json\"\nlog_level = \"debug\"\n\
         [profiles.host]\nlifetime = \"7d\"\nbackdate = \"5m\"\nrenew_grace = \"1d\"\nkey_algorithms = [\"rsa-2048\"]\n\
         [profiles.client]\nlifetime = \"12h\"\n",
    )
    .unwrap();
    assert_eq!(
        config.listen,
        ["127.0.0.1:1".parse().unwrap(), "[::]:2".parse().unwrap()]
    );
    assert_eq!((config.http_listen, config.settings.names.len()), (None, 2));
    assert_eq!(config.settings.host.lifetime.as_secs(), 7 * 86_400);
    assert_eq!(config.settings.host.key_algorithms, [KeyAlgorithm::Rsa2048]);
    assert_eq!(config.settings.client.lifetime.as_secs(), 43_200);
}

#[test]
fn what_cannot_work_is_refused_with_the_fix() {
    for (text, expected) in [
        ("listen = \"8443\"", "ADDRESS:PORT"),
        ("http_listen = \"localhost:8080\"", "ADDRESS:PORT"),
        ("names = [\"a b\"]", "is not a DNS name"),
        ("[profiles.host]\nlifetime = \"1s\"", "lifetime"),
        (
            "[profiles.host]\nkey_algorithms = [\"dsa\"]",
            "unknown key algorithm",
        ),
        ("[profiles.host]\nrenew_grace = \"400d\"", "renew_grace"),
        ("[profiles.server]\n", "unknown field"),
        ("bogus = 1", "unknown field"),
    ] {
        let error = format!("{:#}", check(text).unwrap_err());
        assert!(error.contains(expected), "{text}: {error}");
    }
}
