use super::*;
use crate::model::job::JobName;

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
fn the_schedule_the_retention_and_backups_are_read() {
    let config = check(
        "[schedule]\nzone = \"Europe/Amsterdam\"\n[schedule.jobs]\nprune = \"5 4 * * 0\"\nbackup = \"off\"\n\
         [retention]\ncertificates = \"400d\"\naudit = \"forever\"\n[backup]\ndirectory = \"/var/backups/dw\"\n",
    )
    .unwrap();
    let plan = |job| config.settings.plans.of(job).unwrap().to_string();
    assert_eq!(plan(JobName::Prune), "5 4 * * 0 Europe/Amsterdam");
    assert_eq!(plan(JobName::Database), "47 3 * * * Europe/Amsterdam");
    assert_eq!(plan(JobName::Backup), "off");
    let retention = config.settings.retention;
    assert_eq!(retention.certificates.unwrap().as_secs(), 400 * 86_400);
    assert_eq!(
        (retention.audit, retention.tokens.unwrap().as_secs()),
        (None, 30 * 86_400)
    );
    assert_eq!(config.backups.unwrap().keep, 7);
    let long = check("[profiles.host]\nrenew_grace = \"90d\"").unwrap();
    assert_eq!(
        long.settings.retention.certificates.unwrap().as_secs(),
        91 * 86_400
    );
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
        ("[schedule]\nzone = \"Mars/Olympus\"", "schedule.zone"),
        ("[schedule.jobs]\nreboot = \"0 3 * * *\"", "there is no job"),
        ("[schedule.jobs]\nprune = \"61 * * * *\"", "schedule.jobs.prune"),
        ("[schedule.jobs]\ncrl = \"0 3 * * *\"", "runs all the time"),
        (
            "[retention]\ncertificates = \"1h\"",
            "retention.certificates must be",
        ),
        ("[retention]\naudit = \"1d\"", "must be 30d or more"),
        ("[retention]\ntokens = \"soon\"", "is not a duration"),
        ("[backup]\nkeep = 3", "backup.directory"),
        ("[backup]\ndirectory = \"backups\"", "absolute"),
        ("[backup]\ndirectory = \"/b\"\nkeep = 0", "backup.keep"),
    ] {
        let error = format!("{:#}", check(text).unwrap_err());
        assert!(error.contains(expected), "{text}: {error}");
    }
}
