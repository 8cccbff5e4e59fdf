//! Rules across services, and about the file and the machine.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::MetadataExt;

use nix::unistd::{User, geteuid};

use super::Subject;
use crate::config::diagnostic::Code;
use crate::config::directives::Slot;
use crate::config::draft::ServiceDraft;
use crate::config::findings::{Finding, Findings, Location};
use crate::config::source::{FileSpan, SourceMap, quoted};
use crate::config::{LoadOptions, Privilege, Purpose};

/// E30 for the file, E32, E33, W14.
pub(super) fn check(subject: &Subject<'_>, map: &SourceMap, findings: &mut Findings) {
    let drafts = subject.drafts;
    if drafts.services.is_empty() && !drafts.lost_service && !subject.incomplete {
        let place = FileSpan::new(0, 0..0);
        let message = "there is no `service` in this file";
        findings.push(Finding::at(Code::E30, place.into(), 0, message));
    }
    listeners(&drafts.services, findings);
    if subject.options.privilege == Privilege::Root {
        writable(map, findings);
    }
}

/// E32: services that listen in the same place; E33: that have the same key.
fn listeners(services: &[ServiceDraft], findings: &mut Findings) {
    let mut ports: HashMap<u32, Listeners<&ServiceDraft>> = HashMap::new();
    let mut keys: HashMap<u32, &ServiceDraft> = HashMap::new();
    for service in services {
        let port = service.settings.find(Slot::Port);
        let number = service.settings.number(Slot::Port);
        let mut clash = None;
        if let (Some(port), Some(number), Some(bind)) = (port, number, service.bind()) {
            clash = ports.entry(number).or_default().add(service, bind.ip());
            if let Some(other) = clash {
                let message = format!(
                    "port {number} is already taken by service `{}`",
                    other.name()
                );
                let finding = Finding::new(Code::E32, port.argument, message);
                let first = other.settings.find(Slot::Port);
                findings.push(match first {
                    Some(first) => finding.note(first.argument, "taken here"),
                    None => finding,
                });
            }
        }
        if let Some(key) = service.shm_key() {
            match keys.get(&key) {
                Some(other) if clash.is_none() => same_key(service, other, key, findings),
                Some(_) => {}
                None => {
                    keys.insert(key, service);
                }
            }
        }
    }
}

fn same_key(service: &ServiceDraft, other: &ServiceDraft, key: u32, findings: &mut Findings) {
    let given = |service: &ServiceDraft| {
        let settings = &service.settings;
        let explicit = settings
            .find(Slot::ShmKey)
            .filter(|_| settings.number(Slot::ShmKey) != Some(0));
        explicit
            .or(settings.find(Slot::Port))
            .map_or(service.place(), |found| found.argument)
    };
    let message = format!(
        "the shared memory key {key} (0x{key:08x}) is already taken by service `{}`; \
         give one of them a `shmkey`",
        other.name()
    );
    let finding = Finding::new(Code::E33, given(service), message);
    findings.push(finding.note(given(other), "taken here"));
}

/// The services of one port by where they listen, so that thousands that have
/// an address each are not compared with each other. Each has its number.
struct Listeners<S> {
    count: usize,
    /// The first one of each address.
    at: HashMap<IpAddr, (usize, S)>,
    /// The first one of all, and of those of IPv4.
    first: Option<(usize, S)>,
    first_v4: Option<(usize, S)>,
}

impl<S> Default for Listeners<S> {
    fn default() -> Self {
        Self {
            count: 0,
            at: HashMap::new(),
            first: None,
            first_v4: None,
        }
    }
}

impl<S: Copy> Listeners<S> {
    /// Adds a service; gives the first one that would be in its way, or it in
    /// that one's.
    fn add(&mut self, service: S, address: IpAddr) -> Option<S> {
        let address = address.to_canonical();
        let at = |address: IpAddr| self.at.get(&address).copied();
        let all = at(Ipv6Addr::UNSPECIFIED.into());
        let in_the_way = match address {
            IpAddr::V6(ip) if ip.is_unspecified() => [self.first, None, None],
            IpAddr::V4(ip) if ip.is_unspecified() => [self.first_v4, all, None],
            IpAddr::V4(_) => [at(address), all, at(Ipv4Addr::UNSPECIFIED.into())],
            IpAddr::V6(_) => [at(address), all, None],
        };
        let in_the_way = in_the_way.into_iter().flatten().min_by_key(|other| other.0);
        let own = (self.count, service);
        self.count += 1;
        self.at.entry(address).or_insert(own);
        self.first.get_or_insert(own);
        if address.is_ipv4() {
            self.first_v4.get_or_insert(own);
        }
        in_the_way.map(|(_, other)| other)
    }
}

/// W14: a file that others can write, while its commands run as root.
fn writable(map: &SourceMap, findings: &mut Findings) {
    let mut seen = Vec::new();
    for (file, inclusion) in map.files.iter().enumerate() {
        let path = &inclusion.content.path;
        let from = inclusion.from.map(|(from, _)| from);
        let included = from.is_none_or(|_| {
            inclusion
                .from
                .is_some_and(|(_, word)| word == "included here")
        });
        if seen.contains(&path) || !included {
            continue;
        }
        seen.push(path);
        let mode = std::fs::metadata(path).map_or(0, |data| data.mode());
        if mode & 0o022 != 0 {
            let message = format!(
                "{} can be written by group or others (mode {:03o}) and is read as root",
                quoted(&path.to_string_lossy()),
                mode & 0o777
            );
            let place = Location::File(FileSpan::new(file, 0..0));
            let order = map.begin_of(file);
            findings.push(Finding::at(Code::W14, place, order, message));
        }
    }
}

/// Accounts that were looked up: their number, `None` for those unknown.
#[derive(Debug, Default)]
pub(super) struct Accounts(HashMap<Vec<u8>, Option<u32>>);

impl Accounts {
    /// E39 and W13.
    pub(super) fn check(
        &mut self,
        service: &ServiceDraft,
        options: &LoadOptions,
        findings: &mut Findings,
    ) {
        let setting = service.settings.find(Slot::UserAccount);
        let name = service.settings.text(Slot::UserAccount);
        let (Some(setting), Some(name)) = (setting, name) else {
            return;
        };
        if options.purpose == Purpose::Other {
            return;
        }
        let look_up = || {
            let name = std::str::from_utf8(name.as_bytes()).ok()?;
            User::from_name(name).ok()?.map(|user| user.uid.as_raw())
        };
        let known = *self
            .0
            .entry(name.as_bytes().to_vec())
            .or_insert_with(look_up);
        let shown = quoted(&name.to_lossy());
        match known {
            None => {
                let message = format!("the account {shown} is not known to the system");
                findings.push(Finding::new(Code::E39, setting.argument, message));
            }
            Some(uid) => {
                let other = uid != geteuid().as_raw() && options.privilege == Privilege::User;
                if other && options.purpose == Purpose::ConfigTest {
                    let message =
                        format!("running programs as {shown} needs root, and this is not root");
                    findings.push(Finding::new(Code::W13, setting.argument, message));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    /// Whether two services of one port would be in each other's way.
    fn overlap(one: IpAddr, other: IpAddr) -> bool {
        let (one, other) = (one.to_canonical(), other.to_canonical());
        let all = |address: IpAddr| address.is_ipv6() && address.is_unspecified();
        let all_v4 = |address: IpAddr| address.is_ipv4() && address.is_unspecified();
        one == other
            || all(one)
            || all(other)
            || (all_v4(one) && other.is_ipv4())
            || (all_v4(other) && one.is_ipv4())
    }

    fn address() -> impl Strategy<Value = IpAddr> {
        let texts = [
            "0.0.0.0",
            "::",
            "::ffff:0.0.0.0",
            "192.0.2.1",
            "::ffff:192.0.2.1",
            "192.0.2.2",
            "2001:db8::1",
            "2001:db8::2",
        ];
        select(texts.map(|text| text.parse().unwrap()).to_vec())
    }

    proptest! {
        #[test]
        fn who_is_in_the_way_is_the_first_that_overlaps(
            addresses in proptest::collection::vec(address(), 0..8),
        ) {
            let mut listeners = Listeners::default();
            for (index, address) in addresses.iter().enumerate() {
                let before = &addresses[..index];
                let plain = before.iter().position(|other| overlap(*address, *other));
                prop_assert_eq!(listeners.add(index, *address), plain);
            }
        }
    }
}
