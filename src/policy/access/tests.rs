//! Filters in every form of 12.1, the rule of 12.2, and both against a twin
//! that compares bit by bit.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::policy::testing::property_config;

fn filter(text: &str) -> Filter {
    Filter::parse(text).unwrap()
}

fn client(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn set(texts: &str) -> FilterSet {
    texts.split_whitespace().map(filter).collect()
}

fn rules(allow: &str, deny: &str) -> AccessRules {
    AccessRules {
        deny: Arc::new(set(deny)),
        allow: Arc::new(set(allow)),
    }
}

#[test]
fn filters_of_the_specification_are_these_networks() {
    for (text, network) in [
        ("127.0.0.1", "127.0.0.1/32"),
        ("172.16.4/24", "172.16.4.0/24"),
        ("172.16.4.9", "172.16.4.9/32"),
        ("172.16", "172.16.0.0/16"),
        ("172.20", "172.20.0.0/16"),
        ("11/8", "11.0.0.0/8"),
        ("11", "11.0.0.0/8"),
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("10.0/9", "10.0.0.0/9"),
        ("10.255.1/9", "10.128.0.0/9"),
        ("0/0", "0.0.0.0/0"),
        ("255.255.255.255/0", "0.0.0.0/0"),
        ("172.16/12", "172.16.0.0/12"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("2001:db8::7", "2001:db8::7/128"),
        ("::/0", "::/0"),
        ("::ffff:192.0.2.1/128", "::ffff:192.0.2.1/128"),
        ("1:2:3:4:5:6:7:8/64", "1:2:3:4::/64"),
    ] {
        assert_eq!(filter(text).to_string(), network, "{text}");
    }
}

#[test]
fn matches_are_those_of_the_table() {
    for (text, inside, outside) in [
        ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
        ("172.16.4/24", "172.16.4.200", "172.16.5.1"),
        ("172.16", "172.16.99.1", "172.17.0.1"),
        ("10.1.2.3/8", "10.200.0.1", "11.0.0.1"),
        ("2001:db8::/32", "2001:db8::7", "2001:db9::1"),
        ("2001:db8::/32", "2001:db8::7", "10.0.0.1"),
        ("0/0", "203.0.113.9", "::1"),
        ("::/0", "::1", "203.0.113.9"),
    ] {
        assert!(filter(text).matches(client(inside)), "{text} {inside}");
        assert!(!filter(text).matches(client(outside)), "{text} {outside}");
    }
}

#[test]
fn each_slip_has_its_own_error_and_remedy() {
    use FilterError as E;
    let text = str::to_owned;
    let bad_mask = |mask: &str, most| E::BadMask {
        mask: text(mask),
        most,
    };
    for (wrong, error, remedy) in [
        ("", E::Empty, "write an address"),
        ("/8", E::Empty, "write an address"),
        ("10.1.2.3,", E::Comma(text("10.1.2.3,")), "by blanks"),
        ("11/8,12/8", E::Comma(text("11/8,12/8")), "by blanks"),
        ("::1,::2", E::Comma(text("::1,::2")), "by blanks"),
        (
            "www.example.org",
            E::HostName(text("www.example.org")),
            "not looked up",
        ),
        ("any", E::HostName(text("any")), "not looked up"),
        ("10.*", E::BadCharacter('*'), "1 to 4 bytes"),
        ("10.0.0.1-9", E::BadCharacter('-'), "1 to 4 bytes"),
        ("10.é", E::BadCharacter('é'), "1 to 4 bytes"),
        ("172.16.", E::TrailingDot(text("172.16.")), "write `172.16`"),
        ("10..1", E::BadByte(text("")), "0 to 255"),
        (".10", E::BadByte(text("")), "0 to 255"),
        ("10.256", E::BadByte(text("256")), "0 to 255"),
        (
            "1.2.3.4.5",
            E::TooManyBytes(text("1.2.3.4.5")),
            "four bytes",
        ),
        ("10.0.0.0/33", bad_mask("33", 32), "0 to 32"),
        ("10.0.0.0/", bad_mask("", 32), "0 to 32"),
        ("10.0.0.0/+8", bad_mask("+8", 32), "0 to 32"),
        ("10.0.0.0/8/8", bad_mask("8/8", 32), "0 to 32"),
        ("10.0.0.0/255.0.0.0", bad_mask("255.0.0.0", 32), "0 to 32"),
        ("::1/129", bad_mask("129", 128), "0 to 128"),
        (
            "2001:db8/32",
            E::Ipv6CutShort(text("2001:db8/32")),
            "write `2001:db8::/32`",
        ),
        (
            "2001:db8:",
            E::Ipv6CutShort(text("2001:db8:")),
            "write `2001:db8::`",
        ),
        (
            "fe80::1%eth0",
            E::Zone(text("fe80::1%eth0")),
            "leave the `%`",
        ),
        ("[::1]", E::BadIpv6(text("[::1]")), "without brackets"),
        ("10.0.0.1:80", E::BadIpv6(text("10.0.0.1:80")), "whole IPv6"),
    ] {
        assert_eq!(Filter::parse(wrong), Err(error.clone()), "{wrong}");
        assert!(
            error.remedy().contains(remedy),
            "{wrong}: {}",
            error.remedy()
        );
    }
}

#[test]
fn mask_larger_than_the_bytes_given_is_refused_with_the_missing_bytes() {
    for (wrong, mask, given, remedy) in [
        ("11/24", 24, 8, "write `11.0.0/24`"),
        ("10/9", 9, 8, "write `10.0/9`"),
        ("172.16.4/32", 32, 24, "write `172.16.4.0/32`"),
    ] {
        let error = Filter::parse(wrong).unwrap_err();

        let address = wrong.split('/').next().unwrap().to_owned();
        let expected = FilterError::MaskBeyondBytes {
            address,
            mask,
            given,
        };
        assert_eq!(error, expected);
        assert_eq!(error.remedy(), remedy);
    }
}

#[test]
fn filter_lies_within_itself_and_within_wider_ones_of_its_family() {
    assert!(filter("10.1.2.3").lies_within(&filter("10/8")));
    assert!(filter("10/8").lies_within(&filter("10/8")));
    assert!(filter("2001:db8::/48").lies_within(&filter("2001:db8::/32")));
    assert!(!filter("10/8").lies_within(&filter("10.1/16")));
    assert!(!filter("11.1.2.3").lies_within(&filter("10/8")));
    assert!(!filter("10.1.2.3").lies_within(&filter("::/0")));
}

#[test]
fn empty_lists_admit_everyone() {
    let rules = AccessRules::default();

    assert_eq!(rules.verdict(client("10.2.3.4")), AccessVerdict::Admit);
    assert_eq!(rules.verdict(client("::1")), AccessVerdict::Admit);
}

#[test]
fn deny_list_alone_admits_all_but_its_matches() {
    let rules = rules("", "10/8");

    let denied = AccessVerdict::Refuse(RefusedBy::DenyList);
    assert_eq!(rules.verdict(client("10.2.3.4")), denied);
    assert_eq!(rules.verdict(client("11.2.3.4")), AccessVerdict::Admit);
}

#[test]
fn first_example_of_the_rule_denies_one_of_an_allowed_network() {
    let rules = rules("172.16.4/24", "172.16.4.9");

    let verdict = |text| rules.verdict(client(text));
    assert_eq!(verdict("172.16.4.8"), AccessVerdict::Admit);
    let denied = AccessVerdict::Refuse(RefusedBy::DenyList);
    assert_eq!(verdict("172.16.4.9"), denied);
    let not_allowed = AccessVerdict::Refuse(RefusedBy::AllowList);
    assert_eq!(verdict("10.2.3.4"), not_allowed);
}

#[test]
fn second_example_of_the_rule_admits_the_loopback_address_only() {
    let rules = rules("172.16.4.9 127.0.0.1", "172.16.4/24");

    let admitted = |text| rules.verdict(client(text)) == AccessVerdict::Admit;
    assert!(admitted("127.0.0.1"));
    assert!(!admitted("172.16.4.9"));
    assert!(!admitted("172.16.4.10"));
    assert!(!admitted("192.0.2.1"));
}

#[test]
fn families_are_kept_apart_in_a_mixed_allow_list() {
    let rules = rules("2001:db8::/32 127.0.0.1", "");

    let admitted = |text| rules.verdict(client(text)) == AccessVerdict::Admit;
    assert!(admitted("2001:db8::7"));
    assert!(!admitted("::1"));
    assert!(admitted("127.0.0.1"));
}

/// Filters of every form of 12.1 in one list, and addresses in and beside each.
const MIXED: &str = "127.0.0.1 172.16.4/24 172.20 11/8 10.1.2.3/9 192.0.2.128/25 \
    198.51.100.7/32 255.255.255.255 0.0.0.0/31 2001:db8::/32 2001:db9::7 fe80::/10 ::1 \
    ::ffff:192.0.2.1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127";

#[test]
fn clients_in_and_beside_filters_of_every_form_are_told_apart() {
    let set = set(MIXED);
    let inside = "127.0.0.1 172.16.4.0 172.16.4.200 172.16.4.255 172.20.0.0 172.20.255.255 \
        11.0.0.0 11.255.255.255 10.0.0.0 10.127.255.255 192.0.2.128 192.0.2.255 198.51.100.7 \
        255.255.255.255 0.0.0.0 0.0.0.1 2001:db8:: 2001:db8::7 \
        2001:db8:ffff:ffff:ffff:ffff:ffff:ffff 2001:db9::7 fe80::1 \
        febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff ::1 ::ffff:c000:201 \
        ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe";
    let outside = "127.0.0.0 127.0.0.2 172.16.3.255 172.16.5.0 172.19.255.255 172.21.0.0 \
        10.128.0.0 9.255.255.255 12.0.0.0 192.0.2.127 192.0.3.0 198.51.100.6 198.51.100.8 \
        255.255.255.254 0.0.0.2 2001:db7:ffff:ffff:ffff:ffff:ffff:ffff 2001:db9:: 2001:db9::6 \
        2001:db9::8 fec0:: fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff :: ::2 ::ffff:c000:200 \
        ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffd";

    for address in inside.split_whitespace() {
        assert!(set.matches(client(address)), "{address}");
    }
    for address in outside.split_whitespace() {
        assert!(!set.matches(client(address)), "{address}");
    }
}

#[test]
fn network_of_a_whole_family_matches_it_to_its_last_address_and_no_other() {
    for (texts, matched, other) in [
        ("0/0 10/8 255.255.255.255", "255.255.255.255", "::"),
        ("0/1 128/1", "255.255.255.255", "::ffff:0:0"),
        ("0/0", "0.0.0.0", "::1"),
        ("::/0 2001:db8::/32", "::", "0.0.0.0"),
        (
            "::/1 8000::/1",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "255.255.255.255",
        ),
    ] {
        let set = set(texts);
        assert!(set.matches(client(matched)), "{texts} {matched}");
        assert!(!set.matches(client(other)), "{texts} {other}");
    }
}

#[test]
fn filters_are_counted_as_given_also_where_they_are_merged() {
    let merged = set("10/8 10.1/16 10.1/16 11/8 ::/0");

    assert_eq!(merged.len(), 5);
    assert_eq!(set("").len(), 0);
    assert!(set("").is_empty() && !merged.is_empty());
}

#[test]
fn order_and_repetition_of_filters_change_nothing_but_the_count() {
    let clients = "9.9.9.9 10.0.0.1 10.1.2.3 11.255.255.255 12.0.0.0 2001:db8::1";
    let (one, other) = (
        set("10/8 10.1.2.3 11/8 2001:db8::/32"),
        set("2001:db8::1 11/8 2001:db8::/32 10.1/16 10.1.2.3 10/8"),
    );

    for address in clients.split_whitespace().map(client) {
        assert_eq!(one.matches(address), other.matches(address), "{address}");
    }
}

/// A list as the twin has it: address bytes and mask, nothing cut off.
type Naive = Vec<(IpAddr, u8)>;

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn bit(bytes: &[u8], position: u8) -> bool {
    bytes[usize::from(position / 8)] & (0x80 >> (position % 8)) != 0
}

fn naive_match(list: &Naive, client: IpAddr) -> bool {
    let asked = octets(client);
    list.iter().any(|&(address, mask)| {
        let network = octets(address);
        network.len() == asked.len() && (0..mask).all(|at| bit(&network, at) == bit(&asked, at))
    })
}

fn naive_verdict(deny: &Naive, allow: &Naive, client: IpAddr) -> AccessVerdict {
    if naive_match(deny, client) {
        AccessVerdict::Refuse(RefusedBy::DenyList)
    } else if !allow.is_empty() && !naive_match(allow, client) {
        AccessVerdict::Refuse(RefusedBy::AllowList)
    } else {
        AccessVerdict::Admit
    }
}

/// Addresses of a small world, so that filters and clients meet.
fn address() -> impl Strategy<Value = IpAddr> {
    let v4 = (0..3_u8, 0..4_u8, any::<u8>(), 0..4_u8)
        .prop_map(|(a, b, c, d)| IpAddr::from(Ipv4Addr::new(10 + a, b, c, d)));
    let v6 = (0..3_u16, 0..4_u16, any::<u16>())
        .prop_map(|(a, b, c)| IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8 + a, b, 0, 0, 0, 0, c)));
    prop_oneof![v4, v6]
}

fn naive_list() -> impl Strategy<Value = Naive> {
    let entry = (address(), any::<u8>()).prop_map(|(address, mask)| {
        let most = if address.is_ipv4() { 32 } else { 128 };
        (address, mask % (most + 1))
    });
    prop::collection::vec(entry, 0..6)
}

/// An entry that is seldom so wide that it holds all others.
fn entry() -> impl Strategy<Value = (IpAddr, u8)> {
    (address(), 0..28_u8).prop_map(|(address, less)| match address {
        IpAddr::V4(_) => (address, 32 - less.min(20)),
        IpAddr::V6(_) => (address, 128 - 4 * less),
    })
}

/// The first and last address of a network, and those beside it.
fn around(address: IpAddr, mask: u8) -> Vec<IpAddr> {
    let network = filter(&format!("{address}/{mask}")).network();
    match (network.network(), network.broadcast()) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            let (first, last) = (first.to_bits(), last.to_bits());
            let places = [first.wrapping_sub(1), first, last, last.wrapping_add(1)];
            places.map(|bits| Ipv4Addr::from_bits(bits).into()).to_vec()
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            let (first, last) = (first.to_bits(), last.to_bits());
            let places = [first.wrapping_sub(1), first, last, last.wrapping_add(1)];
            places.map(|bits| Ipv6Addr::from_bits(bits).into()).to_vec()
        }
        _ => Vec::new(),
    }
}

fn parsed<L: FromIterator<Filter>>(list: &Naive) -> L {
    list.iter()
        .map(|(address, mask)| filter(&format!("{address}/{mask}")))
        .collect()
}

proptest! {
    #![proptest_config(property_config(512))]

    #[test]
    fn rules_agree_with_a_twin_that_compares_bits(
        deny in naive_list(),
        allow in naive_list(),
        clients in prop::collection::vec(address(), 1..20),
    ) {
        let set = |list| Arc::new(parsed::<FilterSet>(list));
        let rules = AccessRules { deny: set(&deny), allow: set(&allow) };
        for client in clients {
            prop_assert_eq!(rules.verdict(client), naive_verdict(&deny, &allow, client));
        }
    }

    #[test]
    fn long_lists_agree_with_a_twin_that_asks_every_filter(
        list in prop::collection::vec(entry(), 0..120),
        clients in prop::collection::vec(address(), 1..50),
    ) {
        let set: FilterSet = parsed(&list);
        let beside = list.iter().flat_map(|(address, mask)| around(*address, *mask));
        for client in clients.into_iter().chain(beside) {
            prop_assert_eq!(set.matches(client), naive_match(&list, client), "{}", client);
        }
        prop_assert_eq!(set.len(), list.len());
    }

    #[test]
    fn what_lies_within_another_matches_nobody_else(
        inner in naive_list(),
        outer in naive_list(),
        clients in prop::collection::vec(address(), 1..20),
    ) {
        for inner in parsed::<FilterList>(&inner).filters() {
            for outer in parsed::<FilterList>(&outer).filters() {
                let within = inner.lies_within(outer);
                let escapes = clients.iter().any(|&c| inner.matches(c) && !outer.matches(c));
                prop_assert!(!(within && escapes), "{} within {}", inner, outer);
            }
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic_and_each_error_has_a_remedy(text in "[0-9a-f.:/,%é]{0,24}") {
        match Filter::parse(&text) {
            Ok(filter) => prop_assert_eq!(Filter::parse(&filter.to_string()), Ok(filter)),
            Err(error) => prop_assert!(!error.remedy().is_empty()),
        }
    }
}
