//! What the specification makes of a message (9.7, 9.8), on a list of fields.

use super::generate::{Ends, Sent};
use super::ways::{Action, Directive, Ways};

/// Names and values, without white space around them.
pub(super) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// Fields that belong to a connection.
const OF_CONNECTION: [&str; 5] = [
    "connection",
    "proxy-connection",
    "keep-alive",
    "te",
    "upgrade",
];

/// Fields that no option takes out, besides those that begin with `content-`.
const KEPT: [&str; 14] = [
    "authorization",
    "cache-control",
    "close",
    "cookie",
    "date",
    "expires",
    "host",
    "proxy-authenticate",
    "proxy-authorization",
    "set-cookie",
    "trailer",
    "transfer-encoding",
    "www-authenticate",
    "content-",
];

/// The fields of a message as it was sent.
pub(super) fn fields(sent: &Sent) -> Fields {
    let fields = sent.fields.iter();
    fields
        .map(|(name, value)| (name.clone(), value.trim_ascii().to_vec()))
        .collect()
}

/// The fields of a request as a back end gets it.
pub(super) fn request(sent: &Sent, ways: &Ways) -> Fields {
    let mut all = fields(sent);
    let is_new = sent.start.ends_with(b"1");
    let upgrades = is_new && has(&all, "upgrade") && options(&all, "connection").any("upgrade");
    if ways.manner.managed {
        take_out(&mut all, upgrades);
    } else {
        guard(&mut all, &ways.server);
    }
    apply(&mut all, &ways.server);
    if ways.manner.managed {
        match (is_new, upgrades) {
            (true, true) => all.push((b"Connection".into(), b"upgrade".into())),
            (true, false) => {}
            (false, _) => all.push((b"Connection".into(), b"keep-alive".into())),
        }
    }
    all
}

/// The fields of a final reply as a client gets it.
pub(super) fn reply(sent: &Sent, request: &Sent, ways: &Ways) -> Fields {
    let mut all = fields(sent);
    if ways.manner.managed {
        take_out(&mut all, false);
    }
    apply(&mut all, &ways.client);
    if ways.manner.managed {
        let is_old = request.start.ends_with(b"0") || sent.start.starts_with(b"HTTP/1.0");
        let word: Option<&[u8]> = match keeps_client(sent, request, ways) {
            false => Some(b"close"),
            true if is_old => Some(b"keep-alive"),
            true => None,
        };
        all.extend(word.map(|word| (b"Connection".to_vec(), word.to_vec())));
    }
    all
}

/// Whether the client may send another request.
pub(super) fn keeps_client(reply: &Sent, request: &Sent, ways: &Ways) -> bool {
    let is_old =
        |sent: &Sent| sent.start.ends_with(b"HTTP/1.0") || sent.start.starts_with(b"HTTP/1.0");
    let persists = |sent: &Sent| {
        let all = fields(sent);
        let name = match has(&all, "connection") {
            true => "connection",
            false => "proxy-connection",
        };
        let options = options(&all, name);
        !options.any("close") && (!is_old(sent) || options.any("keep-alive"))
    };
    let is_open = reply.ends == Ends::WithTheConnection;
    persists(request) && !is_open && (ways.manner.managed || persists(reply))
}

struct Options(Vec<Vec<u8>>);

impl Options {
    fn any(&self, option: &str) -> bool {
        self.0.iter().any(|one| is(one, option))
    }
}

fn options(all: &Fields, name: &str) -> Options {
    let lists = all.iter().filter(|field| is(&field.0, name));
    let options = lists.flat_map(|(_, value)| split(value));
    Options(options.map(<[u8]>::to_vec).collect())
}

fn split(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let options = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    options.filter(|option| !option.is_empty())
}

fn take_out(all: &mut Fields, upgrades: bool) {
    let Options(options) = options(all, "connection");
    all.retain(|(name, _)| {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let is_kept = KEPT.contains(&&*name) || name.starts_with("content-");
        let is_listed = options.iter().any(|option| is(option, &name));
        match name == "upgrade" {
            true => upgrades,
            false => !OF_CONNECTION.contains(&&*name) && (is_kept || !is_listed),
        }
    });
}

fn guard(all: &mut Fields, directives: &[Directive]) {
    all.retain_mut(|(name, value)| {
        if !is(name, "connection") && !is(name, "proxy-connection") {
            return true;
        }
        let is_touched = |option: &&[u8]| {
            let mut names = directives.iter().map(|directive| &directive.name);
            names.any(|name| name.eq_ignore_ascii_case(option))
        };
        if !split(value).any(|option| is_touched(&option)) {
            return true;
        }
        let kept: Vec<&[u8]> = split(value).filter(|option| !is_touched(option)).collect();
        let is_left = !kept.is_empty();
        *value = kept.join(&b", "[..]);
        is_left
    });
}

fn apply(all: &mut Fields, directives: &[Directive]) {
    directives.iter().for_each(|one| apply_one(all, one));
    for (_, value) in all {
        *value = value.trim_ascii().to_vec();
    }
}

fn apply_one(all: &mut Fields, directive: &Directive) {
    let Directive {
        action,
        name,
        value,
    } = directive;
    let is_named = |field: &(Vec<u8>, Vec<u8>)| field.0.eq_ignore_ascii_case(name);
    let first = all.iter().position(is_named);
    let last = all.iter().rposition(is_named);
    match (action, first, last) {
        (Action::Append, _, Some(last)) => {
            let old = &mut all[last].1;
            let between: &[u8] = if old.is_empty() { b"" } else { b"; " };
            *old = [old, between, value].concat();
        }
        (Action::Set, Some(first), _) => {
            all[first] = (name.clone(), value.clone());
            let mut at = 0;
            all.retain(|field| {
                at += 1;
                at - 1 <= first || !is_named(field)
            });
        }
        _ => all.push((name.clone(), value.clone())),
    }
}

fn has(all: &Fields, name: &str) -> bool {
    all.iter().any(|field| is(&field.0, name))
}

fn is(name: &[u8], other: &str) -> bool {
    name.eq_ignore_ascii_case(other.as_bytes())
}
