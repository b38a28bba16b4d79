//! The client's address behind reverse proxies.
//!
//! Spec: `X-Forwarded-For` as proxies write it: each adds the address it was asked from on the right.
//! So only what stands to the right of the first address that is no trusted proxy is believed: the
//! rest anybody can write.

use http::HeaderMap;
use ipnet::IpNet;
use std::net::IpAddr;

/// How many addresses are looked at: more proxies in a row than anybody has.
const MAX_HOPS: usize = 16;

/// The networks of one's own reverse proxies.
#[derive(Debug, Clone, Default)]
pub(super) struct Proxies(Vec<IpNet>);

impl Proxies {
    pub(super) fn new(networks: &[IpNet]) -> Self {
        Proxies(networks.to_vec())
    }

    /// Whether a connection comes from one.
    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The address a request comes from, through however many of one's own proxies.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return client;
        }
        // Several headers are one list, in their order.
        let lists: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
        let hops = lists.iter().rev().flat_map(|list| list.as_bytes().rsplit(|byte| *byte == b','));
        for hop in hops.take(MAX_HOPS) {
            // What is no address was not written by a proxy of ours: the one before it is the client.
            let Some(address) = address(hop) else { break };
            client = address;
            if !self.trusts(client) {
                break;
            }
        }
        client
    }
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]:4711`.
fn address(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|it| it.split_once(']')).map_or(text, |it| it.0);
    let found = bare.parse::<IpAddr>().ok();
    let found = found.or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|it| it.ip()));
    found.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_proxy_of_ours_wrote_is_believed() {
        let proxies = Proxies::new(&["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        for (peer, lists, expected) in [
            ("192.0.2.9", &["198.51.100.1"][..], "192.0.2.9"), // no proxy of ours
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("fd00::1", &["2001:db8::7"], "2001:db8::7"),
            ("10.0.0.1", &["198.51.100.1, 10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.0.0.2"], "198.51.100.1"), // forged on the left
            ("10.0.0.1", &["1.1.1.1", "198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("10.0.0.1", &["[2001:db8::7]:4711"], "2001:db8::7"),
            ("10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["unknown"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1, "], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1, evil, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["127.0.0.1"], "127.0.0.1"),
        ] {
            let mut headers = HeaderMap::new();
            for list in lists {
                headers.append("x-forwarded-for", list.parse().unwrap());
            }
            let client = proxies.client(peer.parse().unwrap(), &headers);
            assert_eq!(client, expected.parse::<IpAddr>().unwrap(), "{peer} {lists:?}");
        }
        let mut long = HeaderMap::new();
        long.append("x-forwarded-for", vec!["10.0.0.2"; 5_000].join(",").parse().unwrap());
        assert!(proxies.trusts(proxies.client("10.0.0.1".parse().unwrap(), &long)));
    }
}
