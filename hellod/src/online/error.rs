//! Why nothing was fetched, as an administrator reads it: what failed, then what to do.

use hello_words::tr;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Every way in which a fetch ends without an answer. An answer of the server's, whatever its status, is none of them.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnlineError {
    /// What was to be fetched is out of form; nobody was asked.
    #[error("{}", tr!("the request can't be sent: {0}", _0))]
    Malformed(String),
    /// The request, or a redirect that it wished to follow, leads elsewhere than it may.
    #[error("{}", tr!("{host} is none of the hosts of this organisation; nothing was sent there", host))]
    HostNotAllowed {
        /// With the port, where it isn't 443.
        host: String,
    },
    /// No address outside the machine can be reached.
    #[error("{}", tr!("this machine has no network; connect it, then try again"))]
    NoNetwork,
    /// The name servers know no address for the host.
    #[error("{}", tr!("no name server knows {host}; check its spelling, and the name servers of this network", host))]
    NameNotFound {
        /// Which.
        host: String,
    },
    /// No name server answers.
    #[error("{}", tr!("no name server says where {host} is; check those of this network (resolvectl status)", host))]
    NoNameService {
        /// Which host was asked for.
        host: String,
    },
    /// There are addresses, and none takes a connection.
    #[error("{}", tr!("{host} can't be reached: {why}", host, why))]
    Unreachable {
        /// Which.
        host: String,
        /// How far it went.
        why: Unreached,
    },
    /// The proxy stands in the way.
    #[error("{}", tr!("the proxy {proxy} does not lead to {host}: {why}", proxy, host, why))]
    Proxy {
        /// As in hellod.toml.
        proxy: String,
        /// Where to.
        host: String,
        /// What it said.
        why: ProxyRefusal,
    },
    /// The certificate is for the host, and this machine does not trust it.
    #[error("{}", tr!("the certificate of {host} is not trusted ({certificate}): {why}", host, certificate, why))]
    NotTrusted {
        /// Which.
        host: String,
        /// Names and fingerprint.
        certificate: String,
        /// What is wrong with it.
        why: Distrust,
    },
    /// Something else answers in the place of the host.
    #[error("{}", tr!("something else answers as {host}: {found}. Networks that ask you to sign in do that: open a \
         web page first. If there is none, ask who runs the network", host, found))]
    Intercepted {
        /// Which.
        host: String,
        /// What answered.
        found: Interceptor,
    },
    /// The host and this machine find no way to encrypt, or it does not take this device's certificate.
    #[error("{}", tr!("{host} ends the encrypted connection: {reason}; TLS 1.2 or 1.3 is needed", host, reason))]
    Encryption {
        /// Which.
        host: String,
        /// What TLS says.
        reason: String,
    },
    /// It took too long.
    #[error("{}", tr!("{host} did not answer in time, while {stage}; try again later", host, stage))]
    Timeout {
        /// Which.
        host: String,
        /// How far it went.
        stage: Stage,
    },
    /// The answer is larger than whoever asked can use. No more of it was read.
    #[error("{}", tr!("{host} answers with more than {bound} octets, which no answer of its kind has", host, bound))]
    TooLarge {
        /// Which.
        host: String,
        /// In octets.
        bound: u32,
    },
    /// What came back is not HTTP, or breaks off.
    #[error("{}", tr!("{host} answers something that is not HTTP; see what runs at that address", host))]
    NotHttp {
        /// Which.
        host: String,
    },
    /// The host asked for this device's certificate, and the key did not sign.
    #[error("{}", tr!("this device's key did not sign for {host}; `helloctl doctor` looks at the TPM", host))]
    KeyDidNotSign {
        /// Which.
        host: String,
    },
    /// Its domain gives this computer no ticket for the host.
    #[error("{}", tr!("{account} gets no Kerberos ticket. As root, `kinit -k -t FILE '{account}'` (krb5-user) tries the same \
         with the file of its keys. What Kerberos says: \"{why}\"", account, why))]
    NoTicket {
        /// The account of this computer, with its realm.
        account: String,
        /// In the words of the library.
        why: String,
    },
    /// Nobody of its domain answers.
    #[error("{}", tr!("no domain controller answers {account}; check network, VPN and name servers", account))]
    NoDomainController {
        /// The account of this computer, with its realm.
        account: String,
    },
    /// Too much is being fetched already.
    #[error("{}", tr!("too many requests wait for {host} already; try again later", host))]
    Busy {
        /// Which.
        host: String,
    },
    /// hellod-online is not there.
    #[error("{}", tr!("hellod-online can't be started: {0}; see `systemctl status hellod-online`", _0))]
    ServiceMissing(String),
    /// hellod-online went away in the middle. Whether the host got the request is unknown.
    #[error("{}", tr!("hellod-online ended while it worked; `journalctl -u hellod-online` says why"))]
    ServiceLost,
    /// hellod-online said something that the contract does not have.
    #[error("{}", tr!("hellod-online answers something unexpected; install both packages in one version"))]
    ServiceConfused,
}

/// How far a connection went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unreached {
    /// It has addresses of IP version 6 alone, and this network has no way there.
    #[error("{}", tr!("it has IPv6 addresses only, and this network has no IPv6"))]
    OnlyIpv6,
    /// It has addresses of IP version 4 alone, and this network has no way there.
    #[error("{}", tr!("it has IPv4 addresses only, and this network has no IPv4"))]
    OnlyIpv4,
    /// Nothing listens there, or a firewall says no.
    #[error("{}", tr!("the connection is refused; a firewall or a server that is down does that"))]
    Refused,
    /// The network says that there is no way there.
    #[error("{}", tr!("the network has no way there; check routes, VPN and firewall"))]
    NoRoute,
    /// The connection broke off.
    #[error("{}", tr!("the connection breaks off; a firewall that looks into traffic does that"))]
    BrokenOff,
}

/// What a proxy says.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProxyRefusal {
    /// It can't be spoken to.
    #[error("{}", tr!("it can't be reached; check `proxy` in hellod.toml"))]
    Unreachable,
    /// It wants to know who asks (407).
    #[error("{}", tr!("it asks for a password, and hellod has none; let this machine through without one"))]
    WantsPassword,
    /// It answered otherwise than with 200.
    #[error("{}", tr!("it refuses; ask whoever runs it to let this machine through"))]
    Refuses,
}

/// What is wrong with a certificate that is for the host.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distrust {
    /// Nobody whom this machine trusts has issued it.
    #[error("{}", tr!("no authority of this machine issued it. If your organisation has one of its own, install its \
         certificate (update-ca-certificates)"))]
    UnknownIssuer,
    /// By this machine's clock it is no longer valid.
    #[error("{}", tr!("it ended {days} days before today by this machine's clock; check the clock first", days))]
    Expired {
        /// Since when, rounded down.
        days: u64,
    },
    /// By this machine's clock it is not valid yet.
    #[error("{}", tr!("it begins {days} days after today by this machine's clock; check the clock first", days))]
    NotYetValid {
        /// Until when, rounded down.
        days: u64,
    },
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// What answers in the place of a host.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interceptor {
    /// Something that does not encrypt, where encryption belongs.
    #[error("{}", tr!("it does not encrypt"))]
    Plain,
    /// Something with a certificate for other names.
    #[error("{}", tr!("its certificate is for {names}", names))]
    Named {
        /// Those that it names.
        names: String,
    },
}

/// What was being waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// For a connection, encryption included.
    #[error("{}", tr!("connecting"))]
    Connect,
    /// For a domain controller.
    #[error("{}", tr!("asking a domain controller for a ticket"))]
    Ticket,
    /// For the head of the answer.
    #[error("{}", tr!("waiting for its answer"))]
    Head,
    /// For the rest.
    #[error("{}", tr!("reading its answer"))]
    Body,
    /// For hellod-online.
    #[error("{}", tr!("waiting for hellod-online"))]
    Service,
}
