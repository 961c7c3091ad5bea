//! Where a host is, and whether this machine has a way there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use super::{OnlineError, Unreached};

/// The addresses of `host` to which there is a way, each with port 0.
///
/// # Errors
/// Why there are none.
pub(super) async fn look_up(host: &str) -> Result<Vec<SocketAddr>, OnlineError> {
    let found = tokio::net::lookup_host((host, 0)).await;
    let network = Network { v4: leads_to(IpAddr::V4(ELSEWHERE_V4)), v6: leads_to(IpAddr::V6(ELSEWHERE_V6)) };
    match found {
        Ok(addresses) => judge(host, addresses.collect(), network, leads_to),
        Err(_) if network == NONE => Err(OnlineError::NoNetwork),
        Err(error) if is_unknown_name(&error.to_string()) => {
            Err(OnlineError::NameNotFound { host: host.into() })
        }
        Err(_) => Err(OnlineError::NoNameService { host: host.into() }),
    }
}

/// Which versions of IP lead out of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    v4: bool,
    v6: bool,
}

const NONE: Network = Network { v4: false, v6: false };

fn judge(
    host: &str,
    addresses: Vec<SocketAddr>,
    network: Network,
    leads_to: impl Fn(IpAddr) -> bool,
) -> Result<Vec<SocketAddr>, OnlineError> {
    let unreachable = |why| Err(OnlineError::Unreachable { host: host.into(), why });
    let near: Vec<_> = addresses.iter().copied().filter(|address| leads_to(address.ip())).collect();
    match (near.is_empty(), addresses.is_empty()) {
        (false, _) => Ok(near),
        (true, true) => Err(OnlineError::NameNotFound { host: host.into() }),
        (true, false) if network == NONE => Err(OnlineError::NoNetwork),
        (true, false) if addresses.iter().all(SocketAddr::is_ipv6) && !network.v6 => {
            unreachable(Unreached::OnlyIpv6)
        }
        (true, false) if addresses.iter().all(SocketAddr::is_ipv4) && !network.v4 => {
            unreachable(Unreached::OnlyIpv4)
        }
        (true, false) => unreachable(Unreached::NoRoute),
    }
}

/// Whether the kernel knows a way: connecting a socket for datagrams asks it, and sends nothing.
fn leads_to(address: IpAddr) -> bool {
    let own: IpAddr =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    UdpSocket::bind((own, 0)).and_then(|socket| socket.connect((address, 443))).is_ok()
}

/// EAI_NONAME or EAI_NODATA of getaddrinfo(3), which the standard library passes on in words. hellod never sets a locale, so
/// the words are these.
fn is_unknown_name(text: &str) -> bool {
    ["Name or service not known", "No address associated with hostname"]
        .iter()
        .any(|words| text.contains(words))
}

/// Nobody's addresses, for documents (RFC 5737, RFC 3849): whatever leads there is the way to everywhere.
const ELSEWHERE_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const ELSEWHERE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_reached_is_told_apart() {
        let v4 = SocketAddr::from(([198, 51, 100, 7], 0));
        let v6 = SocketAddr::from((Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7), 0));
        let both = Network { v4: true, v6: true };
        let only_v4 = Network { v4: true, v6: false };
        let only_v6 = Network { v4: false, v6: true };
        let host = || "login.example".to_owned();
        let unreachable = |why| Err(OnlineError::Unreachable { host: host(), why });
        let table = [
            (vec![v4, v6], only_v4, Ok(vec![v4])),
            (vec![v4, v6], both, Ok(vec![v4, v6])),
            (vec![v6], only_v4, unreachable(Unreached::OnlyIpv6)),
            (vec![v4], only_v6, unreachable(Unreached::OnlyIpv4)),
            (vec![v4, v6], NONE, Err(OnlineError::NoNetwork)),
            (vec![], both, Err(OnlineError::NameNotFound { host: host() })),
        ];
        for (addresses, network, expected) in table {
            let leads_to = |address: IpAddr| if address.is_ipv4() { network.v4 } else { network.v6 };
            assert_eq!(
                judge("login.example", addresses.clone(), network, leads_to),
                expected,
                "{addresses:?}"
            );
        }
        // A route that says "unreachable", to this one network.
        assert_eq!(judge("login.example", vec![v4], both, |_| false), unreachable(Unreached::NoRoute));
    }

    #[tokio::test]
    async fn a_name_of_the_machine_itself_is_found_without_a_network() {
        assert!(look_up("localhost").await.unwrap().iter().all(|address| address.ip().is_loopback()));
    }
}
