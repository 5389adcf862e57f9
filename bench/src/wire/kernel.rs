//! The kernel's counts of datagrams, and of bytes with IP headers.

use std::{fs, io};

/// Counters of this network namespace since it was created.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    pub(super) udp_datagrams: u64,
    pub(super) ip_bytes: u64,
}

impl Counters {
    /// Reads the counters of sent datagrams and bytes.
    pub(super) fn read() -> io::Result<Self> {
        let udp_datagrams = find(&fs::read_to_string("/proc/net/snmp")?, "Udp:", "OutDatagrams");
        let ip_bytes = find(&fs::read_to_string("/proc/net/netstat")?, "IpExt:", "OutOctets");
        let missing = || io::Error::other("the kernel does not count UDP datagrams and IP bytes");
        Ok(Self {
            udp_datagrams: udp_datagrams.ok_or_else(missing)?,
            ip_bytes: ip_bytes.ok_or_else(missing)?,
        })
    }

    pub(super) fn since(self, earlier: Self) -> Self {
        Self {
            udp_datagrams: self.udp_datagrams - earlier.udp_datagrams,
            ip_bytes: self.ip_bytes - earlier.ip_bytes,
        }
    }
}

/// The value below a name, in a table that has a line of names and a line of values, both starting
/// with the group's word.
fn find(table: &str, group: &str, name: &str) -> Option<u64> {
    let mut lines = table.lines().filter(|line| line.starts_with(group));
    let (names, values) = (lines.next()?, lines.next()?);
    let index = names.split_whitespace().position(|other| other == name)?;
    values.split_whitespace().nth(index)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn a_counter_is_found_by_group_and_name() {
        let table = "Ip: A B\nIp: 1 2\nUdp: A OutDatagrams\nUdp: 3 4\n";
        assert_eq!(find(table, "Udp:", "OutDatagrams"), Some(4));
        assert_eq!(find(table, "Udp:", "B"), None);
        assert_eq!(find(table, "Tcp:", "A"), None);
    }
}
