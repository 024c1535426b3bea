//! Reading the kernel's tables of sockets: `/proc/net/tcp`, `tcp6` and `unix`, and which process has which of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// `TCP_LISTEN`.
const LISTEN: &str = "0A";
/// `__SO_ACCEPTCON`: a unix socket that is listened on.
const ACCEPTS: u32 = 0x0001_0000;

/// A socket with its number: what a process has of it is `socket:[NUMBER]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Numbered<T> {
    /// Where it is bound.
    pub address: T,
    /// Its inode.
    pub inode: u64,
}

/// The sockets of `/proc/net/tcp` or `tcp6` that are listened on.
pub(super) fn tcp(table: &str) -> Vec<Numbered<SocketAddr>> {
    table.lines().skip(1).filter_map(tcp_line).collect()
}

fn tcp_line(line: &str) -> Option<Numbered<SocketAddr>> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    if *fields.get(3)? != LISTEN {
        return None;
    }
    let (address, port) = fields.get(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(Numbered {
        address: SocketAddr::new(ip(address)?, port),
        inode: fields.get(9)?.parse().ok()?,
    })
}

/// The kernel prints addresses as 32-bit numbers in its own byte order.
fn ip(hex: &str) -> Option<IpAddr> {
    let word = |from: usize| u32::from_str_radix(hex.get(from..from + 8)?, 16).ok();
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?.to_ne_bytes()).into()),
        32 => {
            let mut bytes = [0; 16];
            for (index, four) in bytes.chunks_mut(4).enumerate() {
                four.copy_from_slice(&word(index * 8)?.to_ne_bytes());
            }
            Some(Ipv6Addr::from(bytes).into())
        }
        _ => None,
    }
}

/// The sockets of `/proc/net/unix` that are listened on and have a path.
pub(super) fn unix(table: &str) -> Vec<Numbered<PathBuf>> {
    table.lines().skip(1).filter_map(unix_line).collect()
}

/// `Num RefCount Protocol Flags Type St Inode Path`; the path may hold blanks.
fn unix_line(line: &str) -> Option<Numbered<PathBuf>> {
    let mut rest = line;
    let mut fields = [""; 7];
    for field in &mut fields {
        let (word, after) = rest.trim_start().split_once(' ')?;
        (*field, rest) = (word, after);
    }
    let [.., flags, _, _, inode] = fields;
    let listens = u32::from_str_radix(flags, 16).ok()? & ACCEPTS != 0;
    let path = Path::new(rest);
    (listens && path.is_absolute()).then_some(Numbered {
        address: path.to_owned(),
        inode: inode.parse().ok()?,
    })
}

/// The number in `socket:[1867651]`.
pub(super) fn inode(open_file: &Path) -> Option<u64> {
    let name = open_file.to_str()?.strip_prefix("socket:[")?;
    name.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TCP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0948 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1970061 1 000000006ac66aa2 100
   1: 00000000:0947 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 501 1 00000000cb8d99bc 100 0 0
   2: 0B004D0A:0948 0B004D0A:D431 01 00000000:00000000 00:00000000 00000000     0        0 502 1 00000000cb8d99bd 100 0 0
";
    const TCP6: &str = "\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when
   0: 00000000000000000000000000000000:0947 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1881870 1 00000000c9679669 100 0 0 10 0
   1: B80D0120000000000000000009000000:0948 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1881871 1 00000000c9679669 100 0 0 10 0
";
    const UNIX: &str = "\
Num       RefCount Protocol Flags    Type St Inode Path
00000000b45d49eb: 00000002 00000000 00010000 0001 01 1867651 /run/docker.sock
000000003404399f: 00000003 00000000 00000000 0001 03 1961682
000000005614d1e4: 00000003 00000000 00000000 0001 03 1866664 /run/docker.sock
000000005614d1e5: 00000002 00000000 00010000 0001 01  1234 /tmp/a b/docker.sock
000000005614d1e6: 00000002 00000000 00010000 0001 01 1235 @/containerd-shim/x.sock
";

    #[test]
    fn only_what_is_listened_on_is_found() {
        let shown = |table| -> Vec<String> {
            let found = tcp(table).into_iter();
            found.map(|s| format!("{} {}", s.address, s.inode)).collect()
        };
        assert_eq!(shown(TCP), ["127.0.0.1:2376 1970061", "0.0.0.0:2375 501"]);
        assert_eq!(shown(TCP6), ["[::]:2375 1881870", "[2001:db8::9]:2376 1881871"]);
        let found: Vec<String> = unix(UNIX)
            .into_iter()
            .map(|s| format!("{} {}", s.address.display(), s.inode))
            .collect();
        assert_eq!(found, ["/run/docker.sock 1867651", "/tmp/a b/docker.sock 1234"]);
    }

    #[test]
    fn a_socket_among_open_files_has_its_number() {
        let rows = [
            ("socket:[1867651]", Some(1_867_651)),
            ("pipe:[5]", None),
            ("/socket:[5]", None),
            ("socket:[x]", None),
        ];
        for (text, expected) in rows {
            assert_eq!(inode(Path::new(text)), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_table_does_harm(table in "(?s)[0-9A-F: /\n]{0,400}") {
            let _ = (tcp(&table), unix(&table));
        }
    }
}
