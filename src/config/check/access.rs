//! Allow and deny lists: the files are read, and what cannot work is said.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use ipnet::IpNet;

use super::Subject;
use crate::base::moment::Moment;
use crate::config::Purpose;
use crate::config::ast::Span;
use crate::config::diagnostic::Code;
use crate::config::directives::Slot;
use crate::config::draft::{ListDraft, ServiceDraft, Setting};
use crate::config::findings::{Finding, Findings, Location};
use crate::config::listfile::{self, MAX_FILTERS, TOO_MANY};
use crate::config::model::AccessLists;
use crate::config::source::{
    Content, FileSpan, Inclusion, ReadError, SourceMap, quoted, read_named,
};
use crate::policy::access::{AccessRules, Filter, FilterSet};

/// A filter with its place, and its place in the order.
type Placed = (Filter, Location, usize);

/// W05, W06, W18, E41, E42; gives the lists as they were read. A list that is
/// not known, because of an error or since files are not looked at, is empty.
pub(super) fn check(
    service: &ServiceDraft,
    subject: &Subject<'_>,
    map: &mut SourceMap,
    findings: &mut Findings,
) -> AccessLists {
    let mut loader = Loader {
        map,
        findings,
        look: subject.options.purpose != Purpose::Other,
        read_at: 0,
    };
    let deny = loader.side(service, Slot::DenyFile, &service.deny, None);
    let denies = deny.as_ref().is_none_or(|list| !list.is_empty());
    let allow = loader.side(service, Slot::AllowFile, &service.allow, Some(denies));
    let read_at = loader.read_at;
    if let (Some(allow), Some(deny)) = (&allow, &deny) {
        admits_nobody(allow, deny, findings);
    }
    let rules = AccessRules {
        deny: set(&deny),
        allow: set(&allow),
    };
    AccessLists { rules, read_at }
}

fn set(list: &Option<Vec<Placed>>) -> Arc<FilterSet> {
    let filters = list.iter().flatten().map(|(filter, _, _)| *filter);
    Arc::new(filters.collect())
}

struct Loader<'a> {
    map: &'a mut SourceMap,
    findings: &'a mut Findings,
    /// Whether files are looked at.
    look: bool,
    /// When that was, in seconds since 1970; 0 = not yet.
    read_at: u64,
}

impl Loader<'_> {
    /// The filters of one side; `None` if they are not known. `denies`: for
    /// the allow side, whether there is a deny list.
    fn side(
        &mut self,
        service: &ServiceDraft,
        slot: Slot,
        inline: &ListDraft,
        denies: Option<bool>,
    ) -> Option<Vec<Placed>> {
        if inline.filters.len() > MAX_FILTERS {
            let (_, place) = inline.filters[MAX_FILTERS];
            self.findings.push(Finding::new(Code::E42, place, TOO_MANY));
        }
        let Some(setting) = service.settings.find(slot) else {
            let spoilt = service.settings.is_spoilt(slot);
            let filters = inline.filters.iter();
            let placed = filters.map(|(filter, span)| (*filter, (*span).into(), span.start));
            return (!spoilt).then(|| placed.collect());
        };
        if let Some(word) = inline.word {
            let file = setting.row.word;
            let message = format!("overruled by `{file}`: the file replaces this list");
            let finding = Finding::new(Code::W06, word, message);
            self.findings.push(finding.note(setting.word, "the file"));
        }
        if self.look {
            self.file(service, setting, denies)
        } else {
            None
        }
    }

    fn file(
        &mut self,
        service: &ServiceDraft,
        setting: &Setting,
        denies: Option<bool>,
    ) -> Option<Vec<Placed>> {
        let path = listfile::path(service.settings.text(setting.row.slot)?);
        let shown = quoted(&path.to_string_lossy());
        self.read_at = Moment::now().unix;
        let error = match read_named(path) {
            Ok(bytes) => {
                let filters = self.filters(path, bytes, setting)?;
                if filters.is_empty() {
                    self.empty(&format!("{shown} is empty"), setting.argument, denies);
                }
                return Some(filters);
            }
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                self.empty(&format!("{shown} does not exist"), setting.argument, denies);
                return Some(Vec::new());
            }
            Err(error) => error,
        };
        let message = format!("cannot read {shown}: {}", listfile::problem(&error));
        self.findings
            .push(Finding::new(Code::E41, setting.argument, message));
        None
    }

    fn empty(&mut self, what: &str, place: Span, denies: Option<bool>) {
        let open = match denies {
            Some(false) => ": every client may connect",
            _ => "",
        };
        let message = format!("{what}, so the list is empty{open}");
        self.findings.push(Finding::new(Code::W05, place, message));
    }

    /// The filters in a file; `None` if one is faulty.
    fn filters(&mut self, path: &Path, bytes: Vec<u8>, setting: &Setting) -> Option<Vec<Placed>> {
        let order = setting.argument.start;
        let content = Arc::new(Content::new(path, bytes));
        let file = self.map.files.len();
        let from = self.map.origin(setting.argument).0;
        self.map.files.push(Inclusion {
            content: Arc::clone(&content),
            from: Some((from, "read from here")),
        });
        let mut filters = Vec::new();
        let mut faulty = false;
        for (range, word) in listfile::words(&content.text) {
            let span = FileSpan::new(file, range);
            match word {
                Ok(filter) => filters.push((filter, span.into(), order)),
                Err(message) => {
                    faulty = true;
                    self.findings
                        .push(Finding::at(Code::E41, span.into(), order, message));
                }
            }
            if filters.len() > MAX_FILTERS {
                self.findings
                    .push(Finding::new(Code::E42, setting.argument, TOO_MANY));
                return None;
            }
        }
        (!faulty).then_some(filters)
    }
}

/// W18: allow filters that lie wholly within one deny filter.
fn admits_nobody(allow: &[Placed], deny: &[Placed], findings: &mut Findings) {
    let networks: HashSet<IpNet> = deny.iter().map(|(filter, _, _)| filter.network()).collect();
    let masks: BTreeSet<u8> = networks.iter().map(IpNet::prefix_len).collect();
    for (filter, place, order) in allow {
        let network = filter.network();
        let denied = masks.iter().find_map(|&mask| {
            let wider = IpNet::new(network.addr(), mask).ok()?.trunc();
            let within = mask <= network.prefix_len();
            networks.get(&wider).filter(|_| within)
        });
        if let Some(denied) = denied {
            let denied = Filter::from(*denied);
            let message = format!("`{filter}` lies within the denied `{denied}` and admits nobody");
            findings.push(Finding::at(Code::W18, *place, *order, message));
        }
    }
}
