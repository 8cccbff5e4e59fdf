//! Addresses: of a back end before and after look-up, and of a client.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use thiserror::Error;

/// The greatest length of a host name in bytes.
pub const MAX_HOST_LENGTH: usize = 253;

/// The host part of a back end's address, before look-up.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Host {
    /// An address that needs no look-up.
    Ip(IpAddr),
    /// A name that the system resolver is asked for.
    Name(Arc<str>),
}

/// Why a text is not `HOST` or `HOST:PORT`.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum EndpointError {
    /// Nothing stands where the host belongs.
    #[error("the host is missing")]
    NoHost,
    /// The host holds a character that no host name has.
    #[error("`{0}` does not belong into a host name")]
    BadCharacter(char),
    /// Only digits and dots, but no full IPv4 address.
    #[error("`{0}` is not a full IPv4 address")]
    BadIpv4(String),
    /// Brackets without an IPv6 address in them.
    #[error("`{0}` is not an IPv6 address in brackets")]
    BadIpv6(String),
    /// An IPv6 address without brackets.
    #[error("an IPv6 address stands in brackets, as in `[{0}]:80`")]
    BareIpv6(String),
    /// More than [`MAX_HOST_LENGTH`] bytes.
    #[error("a host name has at most {MAX_HOST_LENGTH} characters")]
    TooLong,
    /// The port is not 1 to 65535.
    #[error("`{0}` is not a port, 1 to 65535")]
    BadPort(String),
    /// A port is needed, or announced by a `:`, and none is given.
    #[error("the port is missing")]
    NoPort,
}

impl Host {
    /// Reads a host name, an IPv4 address, or an IPv6 address in brackets.
    ///
    /// # Errors
    ///
    /// [`EndpointError`] says what is wrong with it.
    ///
    /// Source: decided (4.16).
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        if text.is_empty() {
            return Err(EndpointError::NoHost);
        }
        if text.starts_with('[') {
            let inner = text
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'));
            return match inner.and_then(|inner| inner.parse::<Ipv6Addr>().ok()) {
                Some(address) => Ok(Self::Ip(address.into())),
                None => Err(EndpointError::BadIpv6(text.to_owned())),
            };
        }
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(EndpointError::BareIpv6(text.to_owned()));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if let Some(bad) = text.chars().find(|&c| !allowed(c)) {
            return Err(EndpointError::BadCharacter(bad));
        }
        if text.chars().all(|c| c.is_ascii_digit() || c == '.') {
            let address = text.parse::<Ipv4Addr>();
            return address
                .map(|address| Self::Ip(address.into()))
                .map_err(|_| EndpointError::BadIpv4(text.to_owned()));
        }
        if text.len() > MAX_HOST_LENGTH {
            return Err(EndpointError::TooLong);
        }
        Ok(Self::Name(Arc::from(text)))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Ip(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// The address of a back end before look-up: host and port.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Endpoint {
    /// Name or address.
    pub host: Host,
    /// TCP port, 1 to 65535.
    pub port: u16,
}

impl Endpoint {
    /// Reads `HOST:PORT`.
    ///
    /// # Errors
    ///
    /// [`EndpointError`]; also when the port is missing.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let (host, port) = Self::parse_optional_port(text)?;
        Ok(Self {
            host,
            port: port.ok_or(EndpointError::NoPort)?,
        })
    }

    /// Reads `HOST` or `HOST:PORT`.
    ///
    /// # Errors
    ///
    /// [`EndpointError`] says what is wrong with it.
    pub fn parse_optional_port(text: &str) -> Result<(Host, Option<u16>), EndpointError> {
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(EndpointError::BareIpv6(text.to_owned()));
        }
        let split = match text.rfind(']') {
            Some(end) if text.starts_with('[') => match &text[end + 1..] {
                "" => None,
                rest if rest.starts_with(':') => Some(end + 1),
                _ => return Err(EndpointError::BadIpv6(text.to_owned())),
            },
            None if text.starts_with('[') => {
                return Err(EndpointError::BadIpv6(text.to_owned()));
            }
            _ => text.rfind(':'),
        };
        let Some(colon) = split else {
            return Ok((Host::parse(text)?, None));
        };
        let host = Host::parse(&text[..colon])?;
        Ok((host, Some(parse_port(&text[colon + 1..])?)))
    }

    /// The address itself, if the host needs no look-up.
    pub fn as_address(&self) -> Option<BackendAddr> {
        match self.host {
            Host::Ip(ip) => Some(BackendAddr(SocketAddr::new(ip, self.port))),
            Host::Name(_) => None,
        }
    }
}

fn parse_port(text: &str) -> Result<u16, EndpointError> {
    if text.is_empty() {
        return Err(EndpointError::NoPort);
    }
    let bad = || EndpointError::BadPort(text.to_owned());
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad());
    }
    match text.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(bad()),
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// The address of a client. One that reached an IPv6 listener over IPv4 counts
/// as its IPv4 address everywhere.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ClientAddr(SocketAddr);

impl ClientAddr {
    /// The address as the kernel gives it, a mapped one as IPv4.
    pub fn new(address: SocketAddr) -> Self {
        Self(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }

    /// Address without port.
    pub fn ip(self) -> IpAddr {
        self.0.ip()
    }

    /// Address and port.
    pub fn socket(self) -> SocketAddr {
        self.0
    }
}

/// The address alone, an IPv6 address without brackets (2.5).
impl fmt::Display for ClientAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.ip().fmt(f)
    }
}

/// One address of a back end, after look-up.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct BackendAddr(pub SocketAddr);

impl fmt::Display for BackendAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_are_read_in_all_forms() {
        for text in ["10.0.0.5:80", "web-1.example_x:8080", "[2001:db8::1]:443"] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(
            Endpoint::parse_optional_port("[::1]"),
            Ok((Host::Ip("::1".parse().unwrap()), None))
        );
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said() {
        for (text, error) in [
            ("", EndpointError::NoHost),
            (":80", EndpointError::NoHost),
            ("a/b:80", EndpointError::BadCharacter('/')),
            ("10.0.0:80", EndpointError::BadIpv4("10.0.0".into())),
            ("300.0.0.1:80", EndpointError::BadIpv4("300.0.0.1".into())),
            ("::1", EndpointError::BareIpv6("::1".into())),
            ("[::g]:80", EndpointError::BadIpv6("[::g]".into())),
            ("[::1]x", EndpointError::BadIpv6("[::1]x".into())),
            ("h:0", EndpointError::BadPort("0".into())),
            ("h:65536", EndpointError::BadPort("65536".into())),
            ("h:+80", EndpointError::BadPort("+80".into())),
            ("h:", EndpointError::NoPort),
            ("[::1", EndpointError::BadIpv6("[::1".into())),
            ("h", EndpointError::NoPort),
        ] {
            assert_eq!(Endpoint::parse(text), Err(error), "{text}");
        }
        let long = format!("{}x", "a.".repeat(127));
        assert_eq!(Host::parse(&long), Err(EndpointError::TooLong));
    }

    #[test]
    fn mapped_client_counts_as_ipv4() {
        let client = ClientAddr::new("[::ffff:192.0.2.7]:5000".parse().unwrap());
        assert_eq!(client.to_string(), "192.0.2.7");
    }
}
