//! W21: connections that come back to where they began.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::base::endpoint::Host;
use crate::config::diagnostic::Code;
use crate::config::directives::Slot;
use crate::config::draft::ServiceDraft;
use crate::config::findings::{Finding, Findings};

/// A back end that leads to a listener: service, back end, service it leads to.
struct Edge {
    from: usize,
    backend: usize,
    to: usize,
}

/// Warns of each back end that leads back to its own service.
pub(super) fn check(services: &[ServiceDraft], findings: &mut Findings) {
    let edges = edges(services);
    if edges.is_empty() {
        return;
    }
    let mut next = vec![Vec::new(); services.len()];
    for edge in &edges {
        next[edge.from].push(edge.to);
    }
    let ring = rings(&next);
    for edge in edges.iter().filter(|edge| ring[edge.from] == ring[edge.to]) {
        let (from, to) = (&services[edge.from], &services[edge.to]);
        let backend = &from.backends[edge.backend];
        let way = if edge.from == edge.to {
            "is the service's own listener".to_owned()
        } else {
            format!(
                "is the listener of service `{}`, which leads back here",
                to.name()
            )
        };
        let message = format!("loop: the address of back end `{}` {way}", backend.name());
        let place = backend
            .settings
            .find(Slot::Server)
            .map_or(backend.place(), |set| set.argument);
        let finding = Finding::new(Code::W21, place, message);
        let listener = to.settings.find(Slot::Port);
        findings.push(match listener {
            Some(listener) => finding.note(listener.argument, "the listener"),
            None => finding,
        });
    }
}

fn edges(services: &[ServiceDraft]) -> Vec<Edge> {
    // Thousands may have the same port and an address each.
    let mut listeners: HashMap<(u32, IpAddr), Vec<usize>> = HashMap::new();
    for (index, service) in services.iter().enumerate() {
        let port = service.settings.number(Slot::Port);
        if let (Some(port), Some(bind)) = (port, service.bind()) {
            let address = bind.ip().to_canonical();
            listeners.entry((port, address)).or_default().push(index);
        }
    }
    let mut edges = Vec::new();
    for (from, service) in services.iter().enumerate() {
        for (backend, draft) in service.backends.iter().enumerate() {
            let Some((host, port)) = draft.server() else {
                continue;
            };
            let others = met_by(host).into_iter().flatten();
            let others = others.filter_map(|at| listeners.get(&(u32::from(port), at)));
            let mut others: Vec<usize> = others.flatten().copied().collect();
            others.sort_unstable();
            edges.extend(others.into_iter().map(|to| Edge { from, backend, to }));
        }
    }
    edges
}

/// Where a listener is reached by a connection to `host`.
fn met_by(host: &Host) -> [Option<IpAddr>; 3] {
    let all_v4 = Some(Ipv4Addr::UNSPECIFIED.into());
    let all = Some(Ipv6Addr::UNSPECIFIED.into());
    match host {
        Host::Name(name) if name.eq_ignore_ascii_case("localhost") => [None, all_v4, all],
        Host::Name(_) => [None; 3],
        Host::Ip(address) => match address.to_canonical() {
            IpAddr::V4(ip) if ip.is_unspecified() => [None, all_v4, all],
            IpAddr::V4(ip) if ip.is_loopback() => [Some(ip.into()), all_v4, all],
            IpAddr::V6(ip) if ip.is_unspecified() => [None, None, all],
            IpAddr::V6(ip) if ip.is_loopback() => [Some(ip.into()), None, all],
            other => [Some(other), None, None],
        },
    }
}

/// A number for each node; nodes that lead to each other have the same one
/// (strongly connected components, without recursion).
fn rings(next: &[Vec<usize>]) -> Vec<usize> {
    let mut before = vec![Vec::new(); next.len()];
    for (from, targets) in next.iter().enumerate() {
        for &to in targets {
            before[to].push(from);
        }
    }
    let mut order = Vec::new();
    let mut seen = vec![false; next.len()];
    for start in 0..next.len() {
        finish_order(start, next, &mut seen, &mut order);
    }
    let mut ring = vec![usize::MAX; next.len()];
    for &start in order.iter().rev() {
        let mut open = vec![start];
        while let Some(node) = open.pop() {
            if ring[node] == usize::MAX {
                ring[node] = start;
                open.extend(&before[node]);
            }
        }
    }
    ring
}

/// Adds what can be reached from `start` to `order`, each node behind all that
/// it leads to.
fn finish_order(start: usize, next: &[Vec<usize>], seen: &mut [bool], order: &mut Vec<usize>) {
    if std::mem::replace(&mut seen[start], true) {
        return;
    }
    let mut path = vec![(start, 0)];
    while let Some((node, step)) = path.last_mut() {
        match next[*node].get(*step) {
            Some(&to) => {
                *step += 1;
                if !std::mem::replace(&mut seen[to], true) {
                    path.push((to, 0));
                }
            }
            None => {
                order.push(*node);
                path.pop();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a connection to `host` reaches a listener on `bind`.
    fn meets(host: &Host, bind: IpAddr) -> bool {
        let own = |address: IpAddr| address.is_loopback() || address.is_unspecified();
        let bind = bind.to_canonical();
        match host {
            Host::Name(name) => bind.is_unspecified() && name.eq_ignore_ascii_case("localhost"),
            Host::Ip(address) => {
                let address = address.to_canonical();
                let family = bind.is_ipv6() || address.is_ipv4();
                address == bind || (bind.is_unspecified() && own(address) && family)
            }
        }
    }

    #[test]
    fn listeners_are_found_where_a_connection_reaches_them() {
        let addresses = [
            "0.0.0.0",
            "::",
            "::ffff:0.0.0.0",
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "::ffff:127.0.0.1",
            "192.0.2.1",
            "2001:db8::1",
        ]
        .map(|text| text.parse::<IpAddr>().unwrap());
        let names =
            ["localhost", "LocalHost", "www.example.com"].map(|name| Host::Name(name.into()));
        for host in addresses.map(Host::Ip).into_iter().chain(names) {
            for bind in addresses {
                let found = met_by(&host).contains(&Some(bind.to_canonical()));
                assert_eq!(found, meets(&host, bind), "{host:?} {bind}");
            }
        }
    }

    #[test]
    fn nodes_of_a_ring_share_a_number_and_others_do_not() {
        let ring = rings(&[vec![1], vec![2], vec![0, 3], vec![], vec![0]]);

        assert!(ring[0] == ring[1] && ring[1] == ring[2]);
        assert!(ring[3] != ring[0] && ring[4] != ring[0] && ring[3] != ring[4]);
    }
}
