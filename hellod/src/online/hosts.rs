//! Where a request may go: hosts from the record of the device, or of a discovery under way, and no other.

use url::Url;

use super::OnlineError;

/// The hosts that whoever asks allows, each with its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts(Vec<Host>);

/// A name and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Host {
    name: String,
    port: u16,
}

/// An https address that [`Hosts`] allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(Url);

impl Hosts {
    /// How many there can be: authority, registration, key registration, and what a discovery still adds.
    pub const MOST: usize = 16;

    /// Reads names such as `login.example`, for port 443, or `sts.example:49443`. An address in numbers is none: no
    /// certificate speaks for it.
    ///
    /// # Errors
    /// [`OnlineError::Malformed`] for what is no name of a host, for none, and for more than [`Hosts::MOST`].
    pub fn parse<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Result<Self, OnlineError> {
        let hosts =
            names.into_iter().map(|name| Host::parse(name.as_ref())).collect::<Result<Vec<_>, _>>()?;
        if (1..=Self::MOST).contains(&hosts.len()) {
            Ok(Self(hosts))
        } else {
            Err(OnlineError::Malformed(format!("it allows {} hosts", hosts.len())))
        }
    }

    /// Reads an address, which must be one of these hosts'.
    ///
    /// # Errors
    /// [`OnlineError::Malformed`] for what is no https address, and [`OnlineError::HostNotAllowed`].
    pub fn address(&self, text: &str) -> Result<Address, OnlineError> {
        if text.len() > Address::LONGEST {
            return Err(OnlineError::Malformed("its address is too long".into()));
        }
        let url =
            Url::parse(text).map_err(|error| OnlineError::Malformed(format!("its address: {error}")))?;
        self.admit(url)
    }

    /// Reads the address that a redirect from `from` names.
    ///
    /// # Errors
    /// As [`Hosts::address`].
    pub fn redirected(&self, from: &Address, location: &str) -> Result<Address, OnlineError> {
        if location.len() > Address::LONGEST {
            return Err(OnlineError::Malformed("the address of a redirect is too long".into()));
        }
        let url = from.0.join(location);
        self.admit(url.map_err(|error| OnlineError::Malformed(format!("a redirect: {error}")))?)
    }

    /// As [`Hosts::parse`] reads them.
    pub fn names(&self) -> impl ExactSizeIterator<Item = String> {
        self.0.iter().map(|host| spelt(&host.name, host.port))
    }

    fn admit(&self, mut url: Url) -> Result<Address, OnlineError> {
        let is_plain = url.username().is_empty() && url.password().is_none();
        let (Some(name), "https", true) = (url.domain(), url.scheme(), is_plain) else {
            return Err(OnlineError::Malformed("its address is not https to a host by name".into()));
        };
        let port = url.port().unwrap_or(HTTPS);
        if !self.0.iter().any(|host| host.name == name && host.port == port) {
            return Err(OnlineError::HostNotAllowed { host: spelt(name, port) });
        }
        // What is behind # is for whoever reads the answer, and is never sent.
        url.set_fragment(None);
        Ok(Address(url))
    }
}

impl Host {
    fn parse(text: &str) -> Result<Self, OnlineError> {
        let malformed = || OnlineError::Malformed(format!("{text:?} is no name of a host"));
        // By the parser that reads the addresses, so that both spell a name in the same way.
        let url = Url::parse(&format!("https://{text}/")).map_err(|_| malformed())?;
        let name = url.domain().filter(|name| name.len() <= LONGEST_NAME).ok_or_else(malformed)?;
        let host = Self { name: name.to_owned(), port: url.port().unwrap_or(HTTPS) };
        let is_all = [spelt(&host.name, host.port), format!("{}:{HTTPS}", host.name)];
        if is_all.iter().any(|spelling| spelling.eq_ignore_ascii_case(text)) {
            Ok(host)
        } else {
            Err(malformed())
        }
    }
}

impl Address {
    /// In octets.
    pub const LONGEST: usize = 8 * 1024;

    /// With the port where it isn't 443: for people, and for counting.
    #[must_use]
    pub fn host(&self) -> String {
        spelt(self.0.domain().unwrap_or_default(), self.0.port().unwrap_or(HTTPS))
    }

    /// The whole of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// For the one who sends.
    pub(super) fn url(&self) -> &Url {
        &self.0
    }
}

fn spelt(name: &str, port: u16) -> String {
    if port == HTTPS { name.to_owned() } else { format!("{name}:{port}") }
}

const HTTPS: u16 = 443;
/// RFC 1035 §2.3.4.
const LONGEST_NAME: usize = 255;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hosts() -> Hosts {
        Hosts::parse(["login.example", "STS.example:49443"]).unwrap()
    }

    #[test]
    fn an_address_is_allowed_where_scheme_name_and_port_are() {
        let table = [
            ("https://login.example/common/oauth2/token?a=b", Some("login.example")),
            ("https://LOGIN.example:443/", Some("login.example")),
            ("https://sts.example:49443/adfs/", Some("sts.example:49443")),
            ("https://sts.example/adfs/", None),
            ("https://login.example:8443/", None),
            ("https://login.example.evil.example/", None),
            ("https://evil.example/?login.example", None),
            ("https://login.example@evil.example/", None),
            ("https://evil.example\\@login.example/", None),
            ("https://user:word@login.example/", None),
            ("https://user@login.example/", None),
            ("http://login.example/", None),
            ("https://127.0.0.1/", None),
            ("https://[::1]/", None),
            ("file:///etc/passwd", None),
            ("login.example", None),
            ("", None),
        ];
        for (text, expected) in table {
            let host = hosts().address(text).ok().map(|address| address.host());
            assert_eq!(host.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_name_is_no_host() {
        for text in
            ["", "a/b", "a?b", "a#b", "user@a", "10.0.0.1", "[::1]", "a:0x1", "a b", "https://a", "a:99999"]
        {
            assert!(Hosts::parse([text]).is_err(), "{text}");
        }
        assert!(Hosts::parse(Vec::<String>::new()).is_err());
        assert!(Hosts::parse(vec!["a.example"; Hosts::MOST + 1]).is_err());
    }

    #[test]
    fn a_redirect_leads_to_an_allowed_host_or_nowhere() {
        let from = hosts().address("https://login.example/a/b").unwrap();
        let led = |location| hosts().redirected(&from, location).map(|address| address.as_str().to_owned());
        assert_eq!(led("../c").unwrap(), "https://login.example/c");
        assert_eq!(led("//sts.example:49443/x#code=1").unwrap(), "https://sts.example:49443/x");
        assert_eq!(
            led("https://evil.example/"),
            Err(OnlineError::HostNotAllowed { host: "evil.example".into() })
        );
        assert!(matches!(led("http://login.example/"), Err(OnlineError::Malformed(_))));
        assert!(matches!(led("urn:http-auth:PKeyAuth?Nonce"), Err(OnlineError::Malformed(_))));
    }

    proptest! {
        #[test]
        fn no_text_is_an_address_of_another_host(text in "(https?:)?/{0,3}[a-z@:./\\\\?#\\[\\]%0-9-]{0,40}") {
            if let Ok(address) = hosts().address(&text) {
                prop_assert!(["login.example", "sts.example:49443"].contains(&address.host().as_str()));
            }
        }

        #[test]
        fn names_are_read_as_they_are_written(name in "[a-z]{1,9}\\.example(:[1-9][0-9]{0,3})?") {
            let hosts = Hosts::parse([&name]).unwrap();
            prop_assert_eq!(Hosts::parse(hosts.names()), Ok(hosts));
        }
    }
}
