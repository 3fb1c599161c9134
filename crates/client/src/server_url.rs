//! Where a server is: `http://host:port`.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;
use hyper::http::uri::Authority;

/// The address of a server. Plain HTTP only: TLS ends at the proxy in front of a server, as it does for browsers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl {
    authority: Authority,
}

/// Why a text is not the address of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadServerUrl {
    #[error("{0:?} is no URL; a server's looks like http://127.0.0.1:7800")]
    NotAUrl(String),
    #[error(
        "{0:?} is not reached over plain http; use the address behind the TLS proxy, like http://127.0.0.1:7800"
    )]
    NotHttp(String),
    #[error("{0:?} has a path; name the server alone, like http://127.0.0.1:7800")]
    HasPath(String),
}

impl ServerUrl {
    /// `http://` with the path and query of a request.
    pub(crate) fn http(&self, path_and_query: &str) -> Option<Uri> {
        self.uri("http", path_and_query)
    }

    pub(crate) fn websocket(&self, path_and_query: &str) -> Option<Uri> {
        self.uri("ws", path_and_query)
    }

    fn uri(&self, scheme: &str, path_and_query: &str) -> Option<Uri> {
        let uri = Uri::builder().scheme(scheme).authority(self.authority.clone());
        uri.path_and_query(path_and_query).build().ok()
    }
}

impl From<std::net::SocketAddr> for ServerUrl {
    fn from(address: std::net::SocketAddr) -> Self {
        // The text of a socket address is always an authority.
        let authority = Authority::try_from(address.to_string());
        Self { authority: authority.unwrap_or_else(|_| Authority::from_static("localhost")) }
    }
}

impl FromStr for ServerUrl {
    type Err = BadServerUrl;

    fn from_str(text: &str) -> Result<Self, BadServerUrl> {
        let not_a_url = || BadServerUrl::NotAUrl(text.to_owned());
        let uri: Uri = text.trim_end_matches('/').parse().map_err(|_| not_a_url())?;
        match uri.scheme_str() {
            Some("http") => {}
            Some(_) => return Err(BadServerUrl::NotHttp(text.to_owned())),
            None => return Err(not_a_url()),
        }
        if uri.path().len() > 1 || uri.query().is_some() {
            return Err(BadServerUrl::HasPath(text.to_owned()));
        }
        Ok(Self { authority: uri.authority().cloned().ok_or_else(not_a_url)? })
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "http://{}", self.authority)
    }
}

/// One segment of a path, with everything escaped that could end it (RFC 3986, unreserved characters stay).
pub(crate) fn segment(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{BadServerUrl, ServerUrl, segment};

    #[test]
    fn an_address_is_scheme_host_and_port() {
        let url: ServerUrl = "http://127.0.0.1:7800/".parse().unwrap();
        assert_eq!(url.to_string(), "http://127.0.0.1:7800");
        assert_eq!(url.websocket("/v1/stream").unwrap(), "ws://127.0.0.1:7800/v1/stream");
        let ipv6 = ServerUrl::from(std::net::SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 7800)));
        assert_eq!(ipv6.to_string(), "http://[::1]:7800");
    }

    #[test]
    fn what_is_no_address_is_told_why() {
        assert!(matches!("https://a".parse::<ServerUrl>(), Err(BadServerUrl::NotHttp(_))));
        assert!(matches!("http://a/v1".parse::<ServerUrl>(), Err(BadServerUrl::HasPath(_))));
        assert!(matches!("127.0.0.1:7800".parse::<ServerUrl>(), Err(BadServerUrl::NotAUrl(_))));
    }

    #[test]
    fn an_id_cannot_leave_its_segment() {
        assert_eq!(segment("a/b?c d"), "a%2Fb%3Fc%20d");
        assert_eq!(segment("ü"), "%C3%BC");
        assert_eq!(segment("agt_1-2.3~4"), "agt_1-2.3~4");
    }
}
