//! One entry of an access list: how it is read, and whom it matches.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use thiserror::Error;

/// One entry of an allow or deny list: a network of IPv4 or IPv6.
///
/// Two filters are equal when they match the same clients; the bits beyond the
/// mask, and the short form it was written in, are forgotten.
///
/// Source: IPv4 forms documented (12.1); what is refused and IPv6 decided (12.1).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Filter(IpNet);

/// Why a text is not a filter; [`FilterError::remedy`] says what to write.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum FilterError {
    /// Nothing was given.
    #[error("a filter is missing")]
    Empty,
    /// A comma within or after a filter.
    #[error("`{0}` holds a comma")]
    Comma(String),
    /// A name where an address belongs.
    #[error("`{0}` is not an address")]
    HostName(String),
    /// Neither a digit nor a dot, and no name either.
    #[error("`{0}` does not belong into a filter")]
    BadCharacter(char),
    /// A dot after the last byte.
    #[error("`{0}` ends with a dot")]
    TrailingDot(String),
    /// A byte that is not 0 to 255, or nothing between two dots.
    #[error("`{0}` is not a byte of an IPv4 address")]
    BadByte(String),
    /// More than four bytes.
    #[error("`{0}` has more than four bytes")]
    TooManyBytes(String),
    /// What follows the `/` is no number of bits.
    #[error("`{mask}` is not a mask of 0 to {most} bits")]
    BadMask {
        /// What stands after the first `/`.
        mask: String,
        /// The greatest mask of the family: 32 or 128.
        most: u8,
    },
    /// The mask asks for more bits than bytes are there.
    #[error("a mask of {mask} bits needs more than the {given} bits of `{address}`")]
    MaskBeyondBytes {
        /// The bytes as they were written.
        address: String,
        /// Bits that the mask asks for, up to 32.
        mask: u8,
        /// Bits that are there: 8, 16 or 24.
        given: u8,
    },
    /// An IPv6 address with groups left out on the right, as only IPv4 allows.
    #[error("`{0}` is not a whole IPv6 address")]
    Ipv6CutShort(String),
    /// An IPv6 address with a zone, such as `fe80::1%eth0`.
    #[error("`{0}` names a zone")]
    Zone(String),
    /// Anything else with a colon.
    #[error("`{0}` is not an IPv6 address")]
    BadIpv6(String),
}

impl FilterError {
    /// What to write instead, for the operator: one clause without full stop.
    pub fn remedy(&self) -> String {
        match self {
            Self::Empty => "write an address or a network, such as `172.16.4/24`".to_owned(),
            Self::Comma(_) => "separate filters by blanks, not by commas".to_owned(),
            Self::HostName(_) => "names are not looked up; write the address".to_owned(),
            Self::BadCharacter(_) => {
                "write 1 to 4 bytes joined by dots, then `/` and a mask if wanted".to_owned()
            }
            Self::TrailingDot(text) => format!("write `{}`", without_trailing_dot(text)),
            Self::BadByte(_) => "a byte is 0 to 255".to_owned(),
            Self::TooManyBytes(_) => "an IPv4 address has four bytes".to_owned(),
            Self::BadMask { most, .. } => {
                format!("a mask is a number of bits, 0 to {most}, such as `/24`")
            }
            Self::MaskBeyondBytes { address, mask, .. } => {
                let missing = usize::from(mask.div_ceil(8)) - address.split('.').count();
                format!("write `{address}{}/{mask}`", ".0".repeat(missing))
            }
            Self::Ipv6CutShort(text) => {
                let (address, mask) = split_mask(text);
                let mask = mask.map_or(String::new(), |mask| format!("/{mask}"));
                format!("write `{}::{mask}`", address.trim_end_matches(':'))
            }
            Self::Zone(_) => "leave the `%` and what follows it out".to_owned(),
            Self::BadIpv6(_) => {
                "write a whole IPv6 address without brackets, such as `2001:db8::/32`".to_owned()
            }
        }
    }
}

impl Filter {
    /// Reads a filter as it stands in a configuration or an access file.
    ///
    /// IPv4: 1 to 4 decimal bytes, then `/` and 0 to 32 bits; without a mask 8
    /// bits for each byte given. IPv6: a whole address, then `/` and 0 to 128
    /// bits; without a mask 128.
    ///
    /// # Errors
    ///
    /// [`FilterError`] says what is wrong with it (E35).
    ///
    /// Source: documented (12.1) for IPv4, decided for the rest.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if text.is_empty() {
            return Err(FilterError::Empty);
        }
        if text.contains(',') {
            return Err(FilterError::Comma(text.to_owned()));
        }
        let (address, mask) = split_mask(text);
        if address.contains(':') {
            parse_ipv6(text, address, mask)
        } else {
            parse_ipv4(address, mask)
        }
    }

    /// Whether a client with this address is meant. A filter matches only
    /// clients of its own family.
    pub fn matches(&self, client: IpAddr) -> bool {
        self.0.contains(&client)
    }

    /// Whether every client that this filter matches is matched by `other` too
    /// (W18: such an allow filter admits nobody when `other` is denied).
    pub fn lies_within(&self, other: &Self) -> bool {
        other.0.contains(&self.0)
    }

    /// The network, with the bits beyond the mask set to 0.
    pub fn network(&self) -> IpNet {
        self.0
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Self::parse(text)
    }
}

impl From<IpNet> for Filter {
    fn from(network: IpNet) -> Self {
        Self(network.trunc())
    }
}

/// The whole network address with its mask: `172.16.4/24` as `172.16.4.0/24`.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Text before the first `/`, and what follows it.
fn split_mask(text: &str) -> (&str, Option<&str>) {
    match text.split_once('/') {
        Some((address, mask)) => (address, Some(mask)),
        None => (text, None),
    }
}

fn without_trailing_dot(text: &str) -> String {
    let (address, mask) = split_mask(text);
    let mask = mask.map_or(String::new(), |mask| format!("/{mask}"));
    format!("{}{mask}", address.trim_end_matches('.'))
}

fn parse_ipv4(address: &str, mask: Option<&str>) -> Result<Filter, FilterError> {
    check_ipv4_characters(address)?;
    let (bytes, given) = parse_bytes(address)?;
    let mask = mask.map_or(Ok(given), |mask| parse_mask(mask, 32))?;
    if mask > given {
        return Err(FilterError::MaskBeyondBytes {
            address: address.to_owned(),
            mask,
            given,
        });
    }
    let network = Ipv4Net::new(Ipv4Addr::from(bytes), mask);
    network
        .map(|network| Filter::from(IpNet::V4(network)))
        .map_err(|_| bad_mask(&mask.to_string(), 32))
}

/// The bytes that are there, filled up with 0, and how many bits they are.
fn parse_bytes(address: &str) -> Result<([u8; 4], u8), FilterError> {
    let mut bytes = [0; 4];
    let mut given = 0;
    let mut free = bytes.iter_mut();
    for part in address.split('.') {
        let byte = free
            .next()
            .ok_or_else(|| FilterError::TooManyBytes(address.to_owned()))?;
        *byte = parse_number(part).ok_or_else(|| FilterError::BadByte(part.to_owned()))?;
        given += 8;
    }
    Ok((bytes, given))
}

/// Tells a name from a slip of the finger, so that the remedy fits.
fn check_ipv4_characters(address: &str) -> Result<(), FilterError> {
    let in_address = |c: char| c.is_ascii_digit() || c == '.';
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if address.is_empty() {
        return Err(FilterError::Empty);
    }
    if let Some(bad) = address.chars().find(|&c| !in_name(c)) {
        return Err(FilterError::BadCharacter(bad));
    }
    if address.contains(|c: char| c.is_ascii_alphabetic()) {
        return Err(FilterError::HostName(address.to_owned()));
    }
    if let Some(bad) = address.chars().find(|&c| !in_address(c)) {
        return Err(FilterError::BadCharacter(bad));
    }
    if address.ends_with('.') {
        return Err(FilterError::TrailingDot(address.to_owned()));
    }
    Ok(())
}

fn parse_ipv6(text: &str, address: &str, mask: Option<&str>) -> Result<Filter, FilterError> {
    if address.contains('%') {
        return Err(FilterError::Zone(text.to_owned()));
    }
    let Ok(parsed) = address.parse::<Ipv6Addr>() else {
        return Err(why_not_ipv6(text, address));
    };
    let mask = mask.map_or(Ok(128), |mask| parse_mask(mask, 128))?;
    Ipv6Net::new(parsed, mask)
        .map(|network| Filter::from(IpNet::V6(network)))
        .map_err(|_| bad_mask(&mask.to_string(), 128))
}

fn why_not_ipv6(text: &str, address: &str) -> FilterError {
    let whole = format!("{}::", address.trim_end_matches(':'));
    match whole.parse::<Ipv6Addr>() {
        Ok(_) => FilterError::Ipv6CutShort(text.to_owned()),
        Err(_) => FilterError::BadIpv6(text.to_owned()),
    }
}

fn parse_mask(text: &str, most: u8) -> Result<u8, FilterError> {
    parse_number(text)
        .filter(|&mask| mask <= most)
        .ok_or_else(|| bad_mask(text, most))
}

fn bad_mask(text: &str, most: u8) -> FilterError {
    FilterError::BadMask {
        mask: text.to_owned(),
        most,
    }
}

/// Digits alone: `parse` by itself would take a `+` as well.
fn parse_number(text: &str) -> Option<u8> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}
