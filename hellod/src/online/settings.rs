//! `[online]` in hellod.toml: what an administrator says about the network.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error as _};
use url::Url;

/// What hellod-online goes by. It reads no variable of an environment: in one place, by root alone, with the line where it is
/// wrong.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// The proxy.
    pub proxy: Option<Proxy>,
    /// Hosts that are reached without it: names, and `.example` for everything below.
    pub no_proxy: Vec<String>,
    /// Authorities that are trusted beside those of the system: a file of PEM that belongs to root.
    pub extra_authorities: Option<PathBuf>,
    /// After how many idle seconds hellod-online exits; 0 for never.
    pub idle_exit: u64,
}

/// `http://host:port`. What passes through it is encrypted all the way to the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy(String);

impl Settings {
    /// How long to stay without anything to do.
    #[must_use]
    pub fn idle(&self) -> Option<Duration> {
        (self.idle_exit > 0).then(|| Duration::from_secs(self.idle_exit))
    }

    /// The proxy on the way to a host, if one is.
    pub(super) fn proxy_to(&self, name: &str) -> Option<&str> {
        let is_exempt = |exempt: &String| {
            let (name, exempt) = (name.to_ascii_lowercase(), exempt.to_ascii_lowercase());
            if exempt.starts_with('.') { name.ends_with(&exempt) } else { name == exempt }
        };
        let proxy = self.proxy.as_ref().filter(|_| !self.no_proxy.iter().any(is_exempt))?;
        Some(&proxy.0)
    }

    /// The proxy, for whatever is not exempt.
    pub(super) fn proxy(&self) -> Option<&str> {
        self.proxy.as_ref().map(|Proxy(proxy)| proxy.as_str())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { proxy: None, no_proxy: Vec::new(), extra_authorities: None, idle_exit: 60 }
    }
}

impl<'de> Deserialize<'de> for Proxy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let url = Url::parse(&text).map_err(D::Error::custom)?;
        if !url.username().is_empty() || url.password().is_some() {
            // Everybody may read the file, and whoever may not is hellod-online.
            return Err(D::Error::custom("a proxy that wants a password can't be used"));
        }
        let is_bare = ["", "/"].contains(&url.path()) && url.query().is_none() && url.fragment().is_none();
        if url.scheme() != "http" || url.host().is_none() || !is_bare {
            return Err(D::Error::custom("a proxy is written as \"http://host:port\""));
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_a_host_and_a_port_and_no_password() {
        for (text, is_one) in [
            ("http://proxy.example:3128", true),
            ("http://10.0.0.1:8080/", true),
            ("http://user:word@proxy.example:3128", false),
            ("https://proxy.example:3128", false),
            ("socks5://proxy.example:1080", false),
            ("http://proxy.example:3128/pac", false),
            ("proxy.example:3128", false),
        ] {
            let read = toml::from_str::<Settings>(&format!("proxy = {text:?}"));
            assert_eq!(read.is_ok(), is_one, "{text}: {read:?}");
        }
    }

    #[test]
    fn exempt_hosts_are_reached_without_the_proxy() {
        let text =
            "proxy = \"http://proxy.example:3128\"\nno-proxy = [\".corp.example\", \"Login.example\"]\n";
        let settings: Settings = toml::from_str(text).unwrap();
        for (name, is_proxied) in [
            ("sts.corp.example", false),
            ("login.example", false),
            ("corp.example", true),
            ("notcorp.example", true),
            ("x.login.example", true),
        ] {
            assert_eq!(settings.proxy_to(name).is_some(), is_proxied, "{name}");
        }
        assert_eq!(Settings::default().proxy_to("login.example"), None);
    }
}
