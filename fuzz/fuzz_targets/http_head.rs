//! The head of a request or a reply, changed by directives: what is accepted
//! reads the same after it was passed on, here and for another reader.
//!
//! The first byte says what the head is and how it is passed on, the second
//! where it is cut once. Lines behind the head are directives: `+Name: value`
//! adds, `&Name: value` appends, `=Name: value` sets.

#![no_main]

use crossroads::relay::http1::head::{
    Fault, FaultKind, Framing, Head, HeadLimits, Method, Reply, Request, Version, is_worth_reading,
};
use crossroads::relay::http1::rewrite::{Editor, Hops, Persistence, Rewriter};
use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "other targets need more of it")]
#[path = "../../src/relay/http1/session/differential/strict.rs"]
mod strict;

const ROOMY: HeadLimits = HeadLimits {
    bytes: 1 << 20,
    fields: 1_000,
};

fuzz_target!(|bytes: &[u8]| {
    let Some(([flags, cut], input)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let case = Case::new(*flags);
    let mut head = Head::default();
    let read = case.read(&mut head, input, case.limits);
    cut_once(&case, input, usize::from(*cut), &read);
    let Ok(Some(facts)) = read else {
        return;
    };
    let case = case.grants(&facts);
    check_places(&head, input);
    let (sent, edits) = case.pass_on(&head, input);
    check_size(&head, &sent, &edits);
    let mut again = Head::default();
    let found = case.read(&mut again, &sent, ROOMY).expect("is still good");
    let found = found.expect("is still whole");
    assert_eq!((again.start, again.length), (0, sent.len()));
    assert!(again.clean);
    case.compare(&facts, &found, &edits);
    case.ask_another(&found, &again, &sent, &edits);
    if edits.is_empty() && case.hops == Hops::PassedOn {
        assert_eq!(facts, found);
        assert_eq!(fields(&head, input), fields(&again, &sent));
    }
});

/// What a head says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Facts {
    Request(Request),
    Reply(Reply),
}

/// What the head is and how it is passed on.
struct Case {
    /// Which request it answers, if it is a reply.
    answers: Option<Method>,
    limits: HeadLimits,
    hops: Hops,
}

struct Edit<'a> {
    name: &'a [u8],
    value: &'a [u8],
}

impl Case {
    fn new(flags: u8) -> Self {
        let has = |bit: u8| flags & 1 << bit != 0;
        let methods = [Method::Safe, Method::Head, Method::Connect, Method::Other];
        let words = [None, Some(Persistence::Close), Some(Persistence::KeepAlive)];
        let hops = Hops::Managed {
            connection: words[usize::from(flags >> 6) % words.len()],
            upgrade: has(2),
        };
        let (bytes, fields) = if has(3) { (100, 3) } else { (65_536, 200) };
        Self {
            answers: has(0).then_some(methods[usize::from(flags >> 4 & 3)]),
            limits: HeadLimits { bytes, fields },
            hops: if has(1) { hops } else { Hops::PassedOn },
        }
    }

    /// An upgrade stays only if it was asked for.
    fn grants(mut self, facts: &Facts) -> Self {
        if let (Hops::Managed { upgrade, .. }, Facts::Request(facts)) = (&mut self.hops, facts) {
            *upgrade &= facts.upgrade;
        }
        self
    }

    fn read(
        &self,
        head: &mut Head,
        input: &[u8],
        limits: HeadLimits,
    ) -> Result<Option<Facts>, Fault> {
        let Some(method) = self.answers else {
            return Ok(head.request(input, limits)?.map(Facts::Request));
        };
        let request = Request {
            method,
            version: Version::Http11,
            body: Framing::Empty,
            persistent: true,
            upgrade: true,
            private: false,
        };
        Ok(head.reply(input, limits, &request)?.map(Facts::Reply))
    }

    /// What is sent, and the directives that were not refused.
    fn pass_on<'a>(&self, head: &Head, input: &'a [u8]) -> (Vec<u8>, Vec<Edit<'a>>) {
        let mut rewriter = Rewriter::default();
        // Another Host would not agree with a target that names one.
        let names_host = self.answers.is_none() && input[..head.fields_start].contains(&b':');
        let mut editor = rewriter.edit(input, head);
        let lines = input[head.length..].split(|byte| *byte == b'\n');
        let edits = lines
            .take(20)
            .filter(|line| !(names_host && is_host(line)))
            .filter_map(|line| edit(line, &mut editor))
            .collect();
        let mut sent = Vec::new();
        editor.finish(self.hops, self.answers.is_none(), &mut sent);
        (sent, edits)
    }

    /// The framing never changes, and the rest only where somebody asked for it.
    fn compare(&self, before: &Facts, after: &Facts, edits: &[Edit<'_>]) {
        match (before, after) {
            (Facts::Request(before), Facts::Request(after)) => {
                let framing = |facts: &Request| (facts.method, facts.version, facts.body);
                assert_eq!(framing(before), framing(after));
            }
            (Facts::Reply(before), Facts::Reply(after)) => {
                let framing = |facts: &Reply| (facts.code, facts.version, facts.body);
                assert_eq!(framing(before), framing(after));
            }
            _ => panic!("not of one kind"),
        }
        let Hops::Managed {
            connection,
            upgrade,
        } = self.hops
        else {
            return;
        };
        let touches = |name: &[u8]| edits.iter().any(|edit| is(edit.name, name));
        if touches(b"connection") || touches(b"proxy-connection") || touches(b"upgrade") {
            return;
        }
        let (version, persistent, is_open) = match after {
            Facts::Request(facts) => (facts.version, facts.persistent, false),
            Facts::Reply(facts) => {
                let is_open = facts.body == Framing::UntilClose;
                (facts.version, facts.persistent, is_open)
            }
        };
        let says = match connection {
            None => version == Version::Http11,
            Some(word) => word == Persistence::KeepAlive,
        };
        assert_eq!(persistent, says && !is_open);
        if let (Facts::Request(before), Facts::Request(after)) = (before, after) {
            assert_eq!(after.upgrade, before.upgrade && upgrade);
        }
    }

    /// Another reader finds the same fields and the same framing.
    fn ask_another(&self, facts: &Facts, head: &Head, sent: &[u8], edits: &[Edit<'_>]) {
        let (body, (found, read)) = match facts {
            Facts::Request(facts) => (facts.body, strict::requests(sent)),
            Facts::Reply(facts) => {
                let method: &[u8] = match self.answers {
                    Some(Method::Head) => b"HEAD",
                    Some(Method::Connect) => b"CONNECT",
                    _ => b"GET",
                };
                (facts.body, strict::replies(sent, &[method]))
            }
        };
        read.expect("another reader accepts it");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].whole, body == Framing::Empty);
        let theirs = found[0].fields.iter();
        let theirs: Vec<_> = theirs
            .map(|(name, value)| (&name[..], &value[..]))
            .collect();
        assert_eq!(theirs, fields(head, sent));
        if edits.iter().any(|edit| is(edit.name, b"connection")) {
            return;
        }
        for (_, value) in theirs.iter().filter(|(name, _)| is(name, b"connection")) {
            let options = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            for option in options.filter(|option| !option.is_empty()) {
                if self.hops != Hops::PassedOn {
                    let ours: [&[u8]; 3] = [b"close", b"keep-alive", b"upgrade"];
                    assert!(ours.contains(&option), "an option of a peer");
                } else if self.answers.is_none() {
                    let touched = edits.iter().any(|edit| is(edit.name, option));
                    assert!(!touched, "an option that takes out what a directive wrote");
                }
            }
        }
    }
}

/// Whether a line is a directive for `Host`.
fn is_host(line: &[u8]) -> bool {
    line.get(1..6).is_some_and(|name| is(name, b"host:"))
}

/// The directive that a line says, unless it is refused.
fn edit<'a>(whole: &'a [u8], editor: &mut Editor<'_>) -> Option<Edit<'a>> {
    let (&letter, line) = whole.split_first()?;
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    // A directive can make a Host that is none.
    let (letter, value) = match is_host(whole) {
        true => (b'=', &b"inside.test"[..]),
        false => (letter, value),
    };
    let is_done = match letter {
        b'+' => editor.add(name, value),
        b'&' => editor.append(name, value),
        b'=' => editor.set(name, value),
        _ => return None,
    };
    let is_framing = is(name, b"content-length") || is(name, b"transfer-encoding");
    assert!(!(is_done && is_framing));
    is_done.then_some(Edit { name, value })
}

/// The beginning of a head says no more than the whole, and is refused only if
/// that is.
fn cut_once(case: &Case, input: &[u8], cut: usize, whole: &Result<Option<Facts>, Fault>) {
    let (beginning, fresh) = input.split_at(cut.min(input.len()));
    let mut head = Head::default();
    match case.read(&mut head, beginning, case.limits) {
        Ok(None) => {
            let is_full = input.len() >= case.limits.bytes;
            // A fault may be seen late, but never the end.
            assert!(is_worth_reading(fresh) || is_full || !matches!(whole, Ok(Some(_))));
        }
        Ok(Some(facts)) => assert_eq!(*whole, Ok(Some(facts))),
        Err(fault) => {
            let other = whole.expect_err("what was refused stays so");
            // A limit and a fault may be reached in either order.
            let limit = [fault, other]
                .iter()
                .any(|fault| fault.kind == FaultKind::TooLarge);
            assert!(limit || fault == other, "{fault:?} or {other:?}");
        }
    }
}

/// Every byte of a head has its place, and none that could end a line is within
/// a field.
fn check_places(head: &Head, input: &[u8]) {
    assert!(head.start < head.fields_start && head.length <= input.len());
    let mut next = head.fields_start;
    for field in &head.fields {
        let place = |range: &std::ops::Range<u32>| range.start as usize..range.end as usize;
        let (line, name, value) = (place(&field.line), place(&field.name), place(&field.value));
        assert_eq!((line.start, name.start), (next, next));
        assert!(name.end > name.start && value.start > name.end && value.end < line.end);
        assert_eq!((input[name.end], input[line.end - 1]), (b':', b'\n'));
        let parts = [&input[name], &input[value]].concat();
        assert!(!parts.iter().any(|byte| b"\r\n\0".contains(byte)));
        next = line.end;
    }
    assert!([&b"\n"[..], b"\r\n"].contains(&&input[next..head.length]));
    let first = &input[head.start..head.fields_start];
    let first = first.strip_suffix(b"\n").expect("a line");
    let first = first.strip_suffix(b"\r").unwrap_or(first);
    assert!(!first.iter().any(|byte| b"\r\n\0".contains(byte)));
}

/// What is sent is as long as what it was made of.
fn check_size(head: &Head, sent: &[u8], edits: &[Edit<'_>]) {
    let text = |edit: &Edit<'_>| edit.name.len() + edit.value.len() + 6;
    let added: usize = edits.iter().map(text).sum();
    assert!(sent.len() <= 2 * head.length + added + 40);
}

fn fields<'a>(head: &Head, bytes: &'a [u8]) -> Vec<(&'a [u8], &'a [u8])> {
    let place = |range: &std::ops::Range<u32>| &bytes[range.start as usize..range.end as usize];
    let fields = head.fields.iter();
    fields
        .map(|field| (place(&field.name), place(&field.value)))
        .collect()
}

fn is(name: &[u8], other: &[u8]) -> bool {
    name.eq_ignore_ascii_case(other)
}
