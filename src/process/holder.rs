//! Who holds a port that could not be bound, as far as the caller may see it.
//!
//! The kernel's tables of sockets give the inode of a listener, the
//! descriptors under /proc give the process that has it open. Processes of
//! other accounts are visible to root only.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// A process that has a port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// Its name, as `ps` shows it.
    pub name: String,
}

/// The process that keeps the caller from listening on `address`, if it can
/// be seen. Slow: reads every process; meant for an error message.
pub fn holder_of(address: SocketAddr) -> Option<Holder> {
    let tables: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .collect();
    [Use::Listening, Use::Connected]
        .into_iter()
        .find_map(|kind| {
            let held = tables
                .iter()
                .flat_map(|table| held_for(table, kind, address));
            owner_of(
                &held
                    .map(|inode| format!("socket:[{inode}]"))
                    .collect::<Vec<_>>(),
            )
        })
}

/// What a socket in the way is used for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Use {
    /// It listens.
    Listening,
    /// It is one end of a connection: the system gave it the port, or somebody
    /// bound it before connecting.
    Connected,
}

/// The process that has one of these sockets open.
fn owner_of(inodes: &[String]) -> Option<Holder> {
    if inodes.is_empty() {
        return None;
    }
    fs::read_dir("/proc")
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .find(|pid| has_open(*pid, inodes))
        .map(|pid| Holder {
            pid,
            name: name_of(pid),
        })
}

fn has_open(pid: u32, inodes: &[String]) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    descriptors
        .flatten()
        .filter_map(|descriptor| fs::read_link(descriptor.path()).ok())
        .any(|target| inodes.iter().any(|inode| target == Path::new(inode)))
}

fn name_of(pid: u32) -> String {
    let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    String::from_utf8_lossy(&name).trim_end().to_owned()
}

/// The inodes of sockets in `table` that are used like this where `address`
/// would be.
fn held_for(table: &str, kind: Use, address: SocketAddr) -> Vec<u64> {
    let lines = table.lines().skip(1);
    lines
        .filter_map(|line| parse_line(line, kind, address))
        .collect()
}

/// A line has these fields: number, local address, remote address, state,
/// queues, timer, retransmits, uid, timeout, inode.
fn parse_line(line: &str, kind: Use, address: SocketAddr) -> Option<u64> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let local = parse_address(fields.next()?)?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?.parse().ok()?;
    let fits = (state == LISTENING) == (kind == Use::Listening);
    (fits && is_in_the_way(local, address)).then_some(inode)
}

const LISTENING: &str = "0A";

/// `HEX:PORT`, where HEX is the address as words in the byte order of the
/// machine.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = Vec::with_capacity(16);
    for start in (0..address.len()).step_by(8) {
        let word = u32::from_str_radix(address.get(start..start + 8)?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let ip: IpAddr = match bytes.len() {
        4 => Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into(),
        16 => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// The same address, or one of the two is all addresses. That one of them may
/// be limited to IPv6 is not in the table; then the guess can be wrong.
fn is_in_the_way(held: SocketAddr, wanted: SocketAddr) -> bool {
    let (held_ip, wanted_ip) = (held.ip().to_canonical(), wanted.ip().to_canonical());
    let covers =
        |all: IpAddr, one: IpAddr| all.is_unspecified() && (all.is_ipv6() || one.is_ipv4());
    held.port() == wanted.port()
        && (held_ip == wanted_ip || covers(held_ip, wanted_ip) || covers(wanted_ip, held_ip))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn process_that_listens_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();

        let holder = holder_of(address).unwrap();

        assert_eq!(holder.pid, std::process::id());
        assert_eq!(
            format!("{}\n", holder.name),
            fs::read_to_string("/proc/self/comm").unwrap()
        );
    }

    #[test]
    fn all_addresses_are_in_the_way_of_each_one() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();

        assert!(is_in_the_way(at("0.0.0.0:80"), at("10.0.0.5:80")));
        assert!(is_in_the_way(at("10.0.0.5:80"), at("0.0.0.0:80")));
        assert!(is_in_the_way(at("[::]:80"), at("10.0.0.5:80")));
        assert!(!is_in_the_way(at("0.0.0.0:80"), at("[::1]:80")));
        assert!(!is_in_the_way(at("10.0.0.5:80"), at("10.0.0.6:80")));
        assert!(!is_in_the_way(at("10.0.0.5:80"), at("10.0.0.5:81")));
    }

    #[test]
    fn listeners_are_told_from_connections_in_the_table() {
        let [word, zero] = [u32::from_ne_bytes([127, 0, 0, 1]), 0];
        let table = format!(
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
             0: {word:08X}:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 x\n   \
             1: {word:08X}:1F90 0100007F:9000 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 x\n   \
             2: {zero:08X}:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 x\n   \
             3: cut off\n"
        );

        let held =
            |kind, address: &str| held_for(&table, kind, address.parse::<SocketAddr>().unwrap());

        assert_eq!(held(Use::Listening, "127.0.0.1:8080"), [4711]);
        assert_eq!(held(Use::Connected, "127.0.0.1:8080"), [4712]);
        assert_eq!(held(Use::Listening, "127.0.0.1:8081"), [4713]);
    }

    #[test]
    fn process_with_a_connection_from_the_port_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();

        let holder = holder_of(client.local_addr().unwrap()).unwrap();

        assert_eq!(holder.pid, std::process::id());
    }
}
