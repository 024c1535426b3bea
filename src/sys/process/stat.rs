//! Reading what `/proc` says of a process (proc(5)).

use crate::base::Timestamp;

/// Ticks in a second, in everything that `/proc` tells: `USER_HZ`, 100 on every platform this is built for.
const TICKS_PER_SECOND: u64 = 100;

/// Of `/proc/PID/stat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// The kernel's name.
    pub name: String,
    /// The parent's number.
    pub parent: u32,
    /// Ticks between the boot and its start.
    pub start_ticks: u64,
}

/// The name stands in parentheses and may hold anything, parentheses too.
pub(super) fn parse(stat: &str) -> Option<Stat> {
    let (head, tail) = stat.rsplit_once(") ")?;
    let (_, name) = head.split_once(" (")?;
    // The first of these is field 3 of the file.
    let fields: Vec<&str> = tail.split(' ').collect();
    Some(Stat {
        name: name.to_owned(),
        parent: fields.get(1)?.parse().ok()?,
        start_ticks: fields.get(19)?.trim().parse().ok()?,
    })
}

/// When a process was started, from `/proc/stat`, which has the boot in whole seconds.
pub(super) fn started_at(proc_stat: &str, start_ticks: u64) -> Option<Timestamp> {
    let boot = proc_stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    let boot: i64 = boot.trim().parse().ok()?;
    let millis = i64::try_from(start_ticks * 1000 / TICKS_PER_SECOND).ok()?;
    Some(Timestamp::from_millis(
        boot.saturating_mul(1000).saturating_add(millis),
    ))
}

/// The effective user, from `/proc/PID/status`.
pub(super) fn uid(status: &str) -> Option<u32> {
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    users.split_whitespace().nth(1)?.parse().ok()
}

/// Strings that end in NUL: a command line, or an environment.
pub(super) fn strings(bytes: &[u8]) -> Vec<String> {
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    let each = bytes.split(|byte| *byte == 0);
    each.map(|text| String::from_utf8_lossy(text).into_owned())
        .collect()
}

/// The variables of these names.
pub(super) fn variables(environment: &[u8], names: &[&str]) -> Vec<(String, String)> {
    let all = strings(environment);
    let pairs = all.iter().filter_map(|entry| entry.split_once('='));
    pairs
        .filter(|(name, _)| names.contains(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The paths of `/proc/PID/cgroup`: `0::/system.slice/docker.service`. The root says nothing and is left out.
pub(super) fn cgroups(text: &str) -> Vec<String> {
    let paths = text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let mut paths: Vec<String> = paths.filter(|path| *path != "/").map(str::to_owned).collect();
    paths.dedup();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_whatever_the_name() {
        let tail = "S 1 62 62 0 -1 4194560 7559 7545 0 0 4 5 7 1 20 0 8 0 1317892 1342787584 19563 18446744073709551615";
        for name in ["dockerd", "tmux: server", "a) S 7 (b", ""] {
            let stat = parse(&format!("62 ({name}) {tail}\n")).unwrap();
            assert_eq!((stat.name.as_str(), stat.parent), (name, 1));
            assert_eq!(stat.start_ticks, 1_317_892);
        }
        for broken in ["", "62 (dockerd)", "62 (dockerd) S x", "62 (dockerd) S 1 2 3"] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn the_start_is_counted_from_the_boot() {
        let proc_stat = "cpu  1 2 3\nintr 4\nbtime 1795344178\nprocesses 9\n";
        let started = started_at(proc_stat, 1_317_892).unwrap();
        assert_eq!(started.to_string(), "2026-11-22T14:22:36.92Z");
        assert_eq!(started_at("cpu 1\n", 5), None);
    }

    #[test]
    fn the_user_it_acts_as_counts() {
        let status = "Name:\tdockerd\nUid:\t1000\t1001\t1002\t1003\nGid:\t7\t7\t7\t7\n";
        assert_eq!(uid(status), Some(1001));
        assert_eq!(uid("Name:\tx\n"), None);
    }

    #[test]
    fn command_lines_keep_their_empty_words() {
        let rows: [(&[u8], &[&str]); 4] = [
            (b"", &[]),
            (b"dockerd\0-H\0fd://\0", &["dockerd", "-H", "fd://"]),
            (b"dockerd\0--label\0\0", &["dockerd", "--label", ""]),
            (b"rewritten title", &["rewritten title"]),
        ];
        for (bytes, expected) in rows {
            assert_eq!(strings(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn of_an_environment_only_what_was_asked_for_is_kept() {
        let environment =
            b"HTTP_PROXY=http://me:secret@proxy\0DOCKER_CERT_PATH=/a=b\0DOCKER_TLS_VERIFY=\0odd\0";
        let found = variables(
            environment,
            &["DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "DOCKER_HOST"],
        );
        let expected = [("DOCKER_CERT_PATH", "/a=b"), ("DOCKER_TLS_VERIFY", "")];
        assert_eq!(found, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
    }

    #[test]
    fn control_groups_are_read_from_both_kinds_of_hierarchy() {
        let hybrid = "9:name=systemd:/\n8:pids:/\n1:cpu:/\n0::/system.slice/docker.service\n";
        assert_eq!(cgroups(hybrid), ["/system.slice/docker.service"]);
        let old = "12:pids:/system.slice/docker.service\n1:name=systemd:/system.slice/docker.service\n";
        assert_eq!(cgroups(old), ["/system.slice/docker.service"]);
        let odd = "0::/user.slice/a:b.scope\nnonsense\n";
        assert_eq!(cgroups(odd), ["/user.slice/a:b.scope"]);
    }
}
