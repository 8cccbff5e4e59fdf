//! The access lists of a running service: asked for every client, read again
//! from their files when an operator wants it.
//!
//! Each worker has a copy of the rules behind a lock of its own; a copy is two
//! pointers, the lists are shared. So asking touches nothing that other
//! processors use, and when [`AccessControl::reread`] returns, the new list is in
//! force at every worker and nobody has the old one. A service without lists and
//! files has no copies, and its clients are admitted unasked.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::base::event::{Event, EventSink, InService, ListSide};
use crate::base::moment::Moment;
use crate::base::text::Text;
use crate::config::listfile;
use crate::config::model;
use crate::policy::access::{AccessRules, AccessVerdict, FilterSet, RefusedBy};
use crate::status::snapshot::ServiceNumbers;

/// Who may connect to one service, for all workers.
pub struct AccessControl {
    /// By worker; none if everybody may connect for good.
    rules: Vec<OfWorker>,
    allow: List,
    deny: List,
}

#[derive(Default)]
#[repr(align(128))]
struct OfWorker(Mutex<AccessRules>);

impl OfWorker {
    fn lock(&self) -> MutexGuard<'_, AccessRules> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is said of one list beside its filters.
struct List {
    side: ListSide,
    file: Option<Text>,
    filters: AtomicU64,
    read_at: AtomicU64,
}

impl List {
    fn new(side: ListSide, file: Option<&Text>, filters: &FilterSet, read_at: u64) -> Self {
        Self {
            side,
            file: file.cloned(),
            filters: AtomicU64::new(filters.len() as u64),
            read_at: AtomicU64::new(if file.is_some() { read_at } else { 0 }),
        }
    }

    fn filters(&self) -> u64 {
        self.filters.load(Ordering::Relaxed)
    }

    fn say_read(&self, file: &Text, service: InService<'_>, sink: &dyn EventSink) {
        sink.emit(&Event::ListRead {
            service,
            list: self.side,
            file: &listfile::shown(file),
            filters: usize::try_from(self.filters()).unwrap_or(usize::MAX),
        });
    }
}

impl AccessControl {
    /// The lists of `config` for `workers` workers.
    pub fn new(config: &model::Service, workers: usize) -> Self {
        let model::AccessLists { rules, read_at } = &config.access;
        let (allow, deny) = (config.allow_file.as_ref(), config.deny_file.as_ref());
        let open = rules.deny.is_empty() && rules.allow.is_empty();
        let copies = if open && allow.is_none() && deny.is_none() {
            0
        } else {
            workers
        };
        Self {
            rules: (0..copies)
                .map(|_| OfWorker(Mutex::new(rules.clone())))
                .collect(),
            allow: List::new(ListSide::Allow, allow, &rules.allow, *read_at),
            deny: List::new(ListSide::Deny, deny, &rules.deny, *read_at),
        }
    }

    /// Step 2: which list refuses `client` at `worker`, if one does.
    pub fn refuses(&self, worker: usize, client: IpAddr) -> Option<ListSide> {
        match self.rules.get(worker)?.lock().verdict(client) {
            AccessVerdict::Admit => None,
            AccessVerdict::Refuse(RefusedBy::DenyList) => Some(ListSide::Deny),
            AccessVerdict::Refuse(RefusedBy::AllowList) => Some(ListSide::Allow),
        }
    }

    /// Whether a list comes from a file.
    pub fn has_files(&self) -> bool {
        self.allow.file.is_some() || self.deny.file.is_some()
    }

    /// Says which files were read for the start.
    pub fn announce(&self, service: InService<'_>, sink: &dyn EventSink) {
        for list in [&self.allow, &self.deny] {
            if let Some(file) = &list.file {
                list.say_read(file, service, sink);
            }
        }
    }

    /// Reads the files again, each side for itself; a file that gives no list
    /// leaves the old one in force. Blocks while it reads; to be called by one
    /// thread at a time.
    ///
    /// Source: documented (12.3); that the old list stays, decided.
    pub fn reread(&self, service: InService<'_>, sink: &dyn EventSink) {
        for list in [&self.allow, &self.deny] {
            let Some(file) = &list.file else { continue };
            match listfile::read(file) {
                Ok(filters) => {
                    self.replace(list, filters);
                    list.say_read(file, service, sink);
                }
                Err(error) => sink.emit(&Event::ListNotRead {
                    service,
                    list: list.side,
                    file: &error.place,
                    reason: &error.reason,
                }),
            }
        }
    }

    fn replace(&self, list: &List, filters: FilterSet) {
        let count = filters.len() as u64;
        let filters = Arc::new(filters);
        for copy in &self.rules {
            let mut rules = copy.lock();
            let place = match list.side {
                ListSide::Allow => &mut rules.allow,
                ListSide::Deny => &mut rules.deny,
            };
            let old = std::mem::replace(place, Arc::clone(&filters));
            drop(rules);
            // Only now: the last copy of a long list takes a while to free, and
            // nobody is to wait for that.
            drop(old);
        }
        list.filters.store(count, Ordering::Relaxed);
        list.read_at.store(Moment::now().unix, Ordering::Relaxed);
    }

    /// Puts sizes and times into what is published.
    pub fn publish(&self, numbers: &mut ServiceNumbers) {
        numbers.allow_filters = self.allow.filters();
        numbers.deny_filters = self.deny.filters();
        numbers.allow_read = self.allow.read_at.load(Ordering::Relaxed);
        numbers.deny_read = self.deny.read_at.load(Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
