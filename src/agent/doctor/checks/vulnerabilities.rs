//! Engines with known holes. The table says what was fixed where upstream; a distribution's build may have the fix in
//! an older version, and only its changelog knows.

use super::super::examined::Examined;
use super::super::{Finding, Says, Severity};

/// When the table was last gone over.
pub(super) const TABLE_DATE: &str = "2026-11-22";

type Version = [u32; 3];

/// A known vulnerability of the engine.
pub(super) struct Vulnerability {
    id: &'static str,
    published: &'static str,
    what: &'static str,
    /// The first version that has it; `None`: all before the fix.
    since: Option<Version>,
    /// The first fixed version of each branch that has one. Branches between them were never fixed.
    fixed: &'static [Version],
    /// Whether it needs an authorization plugin to matter.
    with_plugins: bool,
}

/// What is known, newest first. Sources: the advisories of moby/moby and the release notes of the fixed versions.
pub(super) const KNOWN: &[Vulnerability] = &[
    Vulnerability {
        id: "CVE-2026-41567",
        published: "2026-05-18",
        what: "an archive copied into a container makes dockerd run the container's own unpacker as root on the host",
        since: None,
        fixed: &[[25, 0, 17], [29, 5, 1]],
        with_plugins: false,
    },
    Vulnerability {
        id: "CVE-2026-42306",
        published: "2026-05-18",
        what: "a container that races docker cp has a mount put anywhere on the host",
        since: None,
        fixed: &[[25, 0, 17], [29, 5, 1]],
        with_plugins: false,
    },
    Vulnerability {
        id: "CVE-2026-41568",
        published: "2026-05-18",
        what: "a container that races docker cp has files made anywhere on the host",
        since: None,
        fixed: &[[25, 0, 17], [29, 5, 1]],
        with_plugins: false,
    },
    Vulnerability {
        id: "CVE-2026-34040",
        published: "2026-03-27",
        what: "a request with a large body passes authorization plugins unseen",
        since: None,
        fixed: &[[25, 0, 16], [29, 3, 1]],
        with_plugins: true,
    },
    Vulnerability {
        id: "CVE-2026-33997",
        published: "2026-03-27",
        what: "a plugin gets privileges that were not granted when it was installed",
        since: None,
        fixed: &[[25, 0, 16], [29, 3, 1]],
        with_plugins: false,
    },
    Vulnerability {
        id: "CVE-2024-41110",
        published: "2024-07-23",
        what: "a request without a length passes authorization plugins unseen",
        since: Some([19, 3, 0]),
        fixed: &[[23, 0, 15], [25, 0, 6], [26, 1, 5], [27, 1, 1]],
        with_plugins: true,
    },
    Vulnerability {
        id: "CVE-2024-32473",
        published: "2024-04-18",
        what: "containers on IPv4-only networks are reached over IPv6",
        since: Some([26, 0, 0]),
        fixed: &[[26, 0, 2]],
        with_plugins: false,
    },
    Vulnerability {
        id: "CVE-2024-29018",
        published: "2024-03-20",
        what: "names looked up on internal networks leak to outside resolvers",
        since: None,
        fixed: &[[23, 0, 11], [25, 0, 5], [26, 0, 0]],
        with_plugins: false,
    },
    Vulnerability {
        id: "CVE-2024-24557",
        published: "2024-02-01",
        what: "the classic builder's cache can be poisoned by an image",
        since: None,
        fixed: &[[24, 0, 9], [25, 0, 2]],
        with_plugins: false,
    },
];

impl Vulnerability {
    fn affects(&self, version: Version) -> bool {
        if self.since.is_some_and(|since| version < since) {
            return false;
        }
        let of_branch = self.fixed.iter().find(|fixed| fixed[..2] == version[..2]);
        match of_branch {
            Some(fixed) => version < *fixed,
            None => self.fixed.iter().max().is_some_and(|newest| version < *newest),
        }
    }
}

/// `28.5.2` of `28.5.2`, `20.10.24+dfsg1`, `28.2.2-0ubuntu1`, `29.0.0-rc.1`; and whether it is not upstream's own.
fn parse(text: &str) -> Option<(Version, bool)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let mut parts = text[..end].split('.').map(str::parse::<u32>);
    let version = [
        parts.next()?.ok()?,
        parts.next()?.ok()?,
        parts.next().unwrap_or(Ok(0)).ok()?,
    ];
    let suffix = &text[end..];
    let upstreams = suffix.is_empty()
        || ["-rc", "-beta", "-alpha", "-ce", "-ee"]
            .iter()
            .any(|s| suffix.starts_with(s));
    Some((version, !upstreams))
}

fn shown(version: Version) -> String {
    // 19.03 and 18.09 are written with their zero.
    let [major, minor, patch] = version;
    match major {
        ..=19 => format!("{major}.{minor:02}.{patch}"),
        _ => format!("{major}.{minor}.{patch}"),
    }
}

/// The engine's version against the table.
pub(super) fn vulnerabilities(examined: &Examined) -> Vec<Finding> {
    let says = Says("vulnerabilities");
    let Some(docker) = &examined.docker else {
        return Vec::new();
    };
    let program = docker
        .facts
        .program
        .as_ref()
        .and_then(|program| program.version.as_deref());
    let Some(text) = docker.facts.engine.version.as_deref().or(program) else {
        return Vec::new();
    };
    // The program alone does not say whose build it is.
    let unknown_build = docker.facts.engine.version.is_none();
    let Some((version, distributions)) = parse(text).map(|(v, d)| (v, d || unknown_build)) else {
        return vec![says.notice(
            format!(
                "{text} is no version of dockerd that is known: nothing can be said about its vulnerabilities"
            ),
            "ask whoever built it",
        )];
    };
    let plugins = docker
        .settings
        .as_ref()
        .is_ok_and(|settings| !settings.authorization_plugins.is_empty());
    let affecting: Vec<&Vulnerability> = KNOWN.iter().filter(|known| known.affects(version)).collect();
    if affecting.is_empty() {
        return vec![says.ok(format!(
            "dockerd {text} has none of the vulnerabilities known on {TABLE_DATE}"
        ))];
    }
    if distributions {
        return vec![of_distribution(text, &affecting)];
    }
    let (idle, open): (Vec<&Vulnerability>, Vec<_>) =
        affecting.iter().partition(|known| known.with_plugins && !plugins);
    let open = (!open.is_empty()).then(|| tell(text, &open, Severity::Warning, ""));
    let idle = (!idle.is_empty()).then(|| {
        let why = " that need an authorization plugin, of which there is none here";
        tell(text, &idle, Severity::Notice, why)
    });
    open.into_iter().chain(idle).collect()
}

/// One line for each.
fn list(all: &[&Vulnerability]) -> String {
    let line = |known: &&Vulnerability| format!("\n{} ({}): {}", known.id, known.published, known.what);
    all.iter().map(line).collect()
}

fn how_many(all: &[&Vulnerability]) -> String {
    match all.len() {
        1 => "a known vulnerability".to_owned(),
        count => format!("{count} known vulnerabilities"),
    }
}

/// The first version of each branch that has all of the fixes, of those that are no step back.
fn fixed_in(all: &[&Vulnerability], from: Version) -> String {
    let mut versions: Vec<Version> = all.iter().flat_map(|known| known.fixed.iter().copied()).collect();
    versions.retain(|version| *version > from && all.iter().all(|known| !known.affects(*version)));
    versions.sort_unstable();
    versions.dedup_by_key(|version| version[0]);
    let shown: Vec<String> = versions.into_iter().map(shown).collect();
    shown.join(" or ")
}

fn of_distribution(version: &str, all: &[&Vulnerability]) -> Finding {
    let ids: Vec<&str> = all.iter().map(|known| known.id).collect();
    let seen = format!(
        "dockerd {version} is a distribution's build, older than upstream's fixes of {}; the distribution may have added them:{}",
        how_many(all),
        list(all)
    );
    let fix = format!(
        "zgrep -oE '{}' /usr/share/doc/docker.io/changelog.Debian.gz | sort -u (rpm -q --changelog docker) names those it has; upstream: {}",
        ids.join("|"),
        fixed_in(all, parse(version).map_or([0; 3], |(version, _)| version))
    );
    Says("vulnerabilities").notice(seen, fix)
}

fn tell(version: &str, all: &[&Vulnerability], severity: Severity, which: &str) -> Finding {
    let seen = format!("dockerd {version} has {}{which}:{}", how_many(all), list(all));
    let fix = format!(
        "update to {}",
        fixed_in(all, parse(version).map_or([0; 3], |(version, _)| version))
    );
    Says("vulnerabilities").finding(severity, seen, Some(fix))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use super::*;

    fn ids(version: &str) -> Vec<&'static str> {
        let (version, _) = parse(version).unwrap();
        let affecting = KNOWN.iter().filter(|known| known.affects(version));
        affecting.map(|known| &known.id[4..]).collect()
    }

    const CP: [&str; 3] = ["2026-41567", "2026-42306", "2026-41568"];
    const MARCH: [&str; 2] = ["2026-34040", "2026-33997"];

    #[test]
    fn a_branch_is_fixed_from_its_own_version_on() {
        let with = |lists: &[&[&'static str]]| lists.concat();
        for (version, expected) in [
            ("29.7.2", vec![]),
            ("29.5.1", vec![]),
            ("29.5.0", with(&[&CP])),
            ("29.3.0", with(&[&CP, &MARCH])),
            ("28.5.2", with(&[&CP, &MARCH])),
            ("25.0.17", vec![]),
            ("25.0.16", with(&[&CP])),
            ("27.1.1", with(&[&CP, &MARCH])),
            ("27.0.3", with(&[&CP, &MARCH, &["2024-41110"]])),
            ("26.1.4", with(&[&CP, &MARCH, &["2024-41110"]])),
            ("26.0.1", with(&[&CP, &MARCH, &["2024-41110", "2024-32473"]])),
            ("25.0.5", with(&[&CP, &MARCH, &["2024-41110"]])),
            ("24.0.9", with(&[&CP, &MARCH, &["2024-41110", "2024-29018"]])),
            ("18.09.1", with(&[&CP, &MARCH, &["2024-29018", "2024-24557"]])),
        ] {
            assert_eq!(ids(version), expected, "{version}");
        }
    }

    #[test]
    fn versions_are_read_with_whatever_builders_append() {
        for (text, expected) in [
            ("28.5.2", Some(([28, 5, 2], false))),
            ("20.10.24+dfsg1", Some(([20, 10, 24], true))),
            ("28.2.2-0ubuntu1~24.04.1", Some(([28, 2, 2], true))),
            ("29.0.0-rc.1", Some(([29, 0, 0], false))),
            ("18.09.1-ce", Some(([18, 9, 1], false))),
            ("26.1", Some(([26, 1, 0], false))),
            ("dev", None),
            ("", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
        assert_eq!(shown([18, 9, 1]), "18.09.1");
    }

    #[test]
    fn a_distributions_build_is_not_accused() {
        let of = |version: &str, plugins: &[&str]| {
            let mut examined = examined();
            let docker = examined.docker.as_mut().unwrap();
            docker.facts.engine.version = Some(version.to_owned());
            docker.settings.as_mut().unwrap().authorization_plugins =
                plugins.iter().map(|p| (*p).to_owned()).collect();
            vulnerabilities(&examined)
        };
        let found = one(of("20.10.24+dfsg1", &["opa"]));
        assert_eq!(found.severity, Severity::Notice);
        assert!(found.seen.contains("may have added") && found.fix.unwrap().contains("CVE-2024-41110"));
        let found = one(of("29.5.0", &[]));
        assert_eq!(
            (found.severity, found.fix.as_deref()),
            (Severity::Warning, Some("update to 29.5.1"))
        );
        let found = of("29.3.0", &[]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].severity == Severity::Warning && !found[0].seen.contains("CVE-2026-34040"));
        assert!(found[1].severity == Severity::Notice && found[1].seen.contains("CVE-2026-34040"));
        assert_eq!(one(of("29.3.0", &["opa"])).severity, Severity::Warning);
        assert_eq!(
            one(of("24.0.9", &["opa"])).fix.as_deref(),
            Some("update to 25.0.17 or 29.5.1")
        );
        assert_eq!(one(of("29.7.2", &[])).severity, Severity::Ok);
    }
}
