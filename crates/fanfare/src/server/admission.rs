//! Who may connect: limits in all, per address and per second.

use super::forwarded::Proxies;
use super::newcomers::{Newcomer, Newcomers};
use super::settings::ServerSettings;
use crate::rate::{Bucket, Rate};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Open files kept for what is not a client: logs, listeners, the runtime, the data on disk.
const RESERVED_FILES: u64 = 256;

/// Decides about connections before anything is read from them.
#[derive(Debug)]
pub(super) struct Admission {
    max: usize,
    max_per_address: usize,
    limit_loopback: bool,
    pub(super) proxies: Proxies,
    per_second: Option<Rate>,
    places: Mutex<Places>,
    /// Whether this address may open another session.
    pub(super) newcomers: Option<Newcomers>,
}

#[derive(Debug)]
struct Places {
    open: usize,
    /// Only addresses that have connections: bounded by `open`.
    by_network: HashMap<Network, usize>,
    /// Connections accepted lately.
    accepted: Bucket,
}

/// What counts as one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Network {
    V4([u8; 4]),
    /// The first 64 bits: the rest is the customer's to choose.
    V6([u8; 8]),
}

/// Why a connection is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("there are too many connections")]
    Connections,
    #[error("there are too many connections from this address")]
    Address,
    #[error("too many connections come at once")]
    Rate,
}

impl Refused {
    /// The name in the counters.
    pub(super) fn name(self) -> &'static str {
        match self {
            Refused::Connections => "connection_limit",
            Refused::Address => "address_limit",
            Refused::Rate => "connection_rate",
        }
    }
}

/// A connection's place among those that may be open. Given back when dropped.
///
/// It stays with the connection for as long as the socket is open: after an upgrade too.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Arc<Admission>,
    network: Option<Network>,
}

impl Admission {
    pub(super) fn new(settings: &ServerSettings) -> Arc<Admission> {
        let per_second = settings.max_connections_per_second.into();
        Arc::new(Admission {
            max: settings.max_connections.min(descriptors(settings.max_connections)),
            max_per_address: settings.max_connections_per_address,
            limit_loopback: settings.limit_loopback,
            proxies: Proxies::new(&settings.trusted_proxies),
            per_second: Rate::new(per_second, per_second),
            places: Mutex::new(Places {
                open: 0,
                by_network: HashMap::new(),
                accepted: Bucket::default(),
            }),
            newcomers: Newcomers::new(
                settings.max_sessions_per_address_per_second,
                settings.session_burst_per_address,
            ),
        })
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for a connection from `address`.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr, now: Instant) -> Result<Place, Refused> {
        let mut places = self.places();
        if places.open >= self.max {
            return Err(Refused::Connections);
        }
        let network = self.network(address).filter(|_| self.max_per_address > 0);
        let taken = network.and_then(|network| places.by_network.get(&network)).copied();
        if taken.is_some_and(|taken| taken >= self.max_per_address) {
            return Err(Refused::Address);
        }
        if self.per_second.is_some_and(|rate| !rate.take(&mut places.accepted, now)) {
            return Err(Refused::Rate);
        }
        places.open += 1;
        if let Some(network) = network {
            *places.by_network.entry(network).or_default() += 1;
        }
        drop(places);
        Ok(Place { admission: self.clone(), network })
    }

    /// The network whose connections and sessions are counted, if they are.
    fn network(&self, address: IpAddr) -> Option<Network> {
        if address.is_loopback() && !self.limit_loopback || self.proxies.trusts(address) {
            return None;
        }
        Some(match address {
            IpAddr::V4(address) => Network::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Network::V6([a, b, c, d, e, f, g, h])
            }
        })
    }
}

impl Admission {
    /// What a request is told, if sessions from its client's address are limited.
    pub(super) fn newcomer(self: &Arc<Self>, client: IpAddr) -> Option<Newcomer> {
        self.newcomers.as_ref()?;
        let network = self.network(client)?;
        Some(Newcomer { admission: self.clone(), network })
    }
}

impl Place {
    /// What decided about it.
    pub(super) fn admission(&self) -> &Arc<Admission> {
        &self.admission
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.admission.places();
        places.open = places.open.saturating_sub(1);
        let Some(network) = self.network else { return };
        if let Entry::Occupied(mut taken) = places.by_network.entry(network) {
            *taken.get_mut() -= 1;
            if *taken.get() == 0 {
                taken.remove();
            }
        }
    }
}

/// Raises the limit of open files as far as this process may, and says how many connections fit.
fn descriptors(wanted: usize) -> usize {
    let limit = match rlimit::increase_nofile_limit(rlimit::INFINITY) {
        Ok(limit) => limit,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files could not be raised");
            return wanted;
        }
    };
    let allowed = usize::try_from(limit.saturating_sub(RESERVED_FILES)).unwrap_or(usize::MAX);
    // Nobody asked for the default: most machines allow less, and that is no fault.
    if allowed < wanted && wanted != ServerSettings::default().max_connections {
        tracing::warn!(
            wanted,
            allowed,
            "fewer connections than set are possible: raise the hard limit of open files (ulimit -Hn)"
        );
    } else if allowed < wanted {
        tracing::info!(allowed, "the limit of open files bounds the connections");
    }
    allowed.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn admission(change: impl FnOnce(&mut ServerSettings)) -> Arc<Admission> {
        let mut settings = ServerSettings::default();
        change(&mut settings);
        Admission::new(&settings)
    }

    fn admit(admission: &Arc<Admission>, address: &str) -> Result<Place, Refused> {
        admission.admit(address.parse().unwrap(), Instant::now())
    }

    /// A place is free again when it is dropped, and only then.
    #[test]
    fn places_in_all() {
        let admission = admission(|settings| settings.max_connections = 2);
        let first = admit(&admission, "127.0.0.1").unwrap();
        let _second = admit(&admission, "127.0.0.1").unwrap();
        assert_eq!(admit(&admission, "127.0.0.1").unwrap_err(), Refused::Connections);
        drop(first);
        assert!(admit(&admission, "127.0.0.1").is_ok());
    }

    /// Whose connections are counted together, at two per address.
    #[test]
    fn places_per_address() {
        #[track_caller]
        fn check(limit_loopback: bool, addresses: [&str; 3], third_may: bool) {
            let admission = admission(|settings| {
                settings.max_connections_per_address = 2;
                settings.limit_loopback = limit_loopback;
            });
            let places = addresses.map(|address| admit(&admission, address));
            assert_eq!(places[2].is_ok(), third_may, "{addresses:?}");
            drop(places);
            assert_eq!(admission.places().by_network.len(), 0);
            assert_eq!(admission.places().open, 0);
        }
        check(false, ["192.0.2.1", "192.0.2.1", "192.0.2.1"], false);
        check(false, ["192.0.2.1", "192.0.2.1", "192.0.2.2"], true);
        check(false, ["2001:db8:1:2::1", "2001:db8:1:2::2", "2001:db8:1:2:ffff::3"], false);
        check(false, ["2001:db8:1:2::1", "2001:db8:1:2::2", "2001:db8:1:3::1"], true);
        check(false, ["127.0.0.1", "127.0.0.1", "127.0.0.1"], true);
        check(false, ["::1", "::1", "::1"], true);
        check(true, ["127.0.0.1", "127.0.0.1", "127.0.0.1"], false);
    }

    /// A second's worth may come at once, then one for each part of a second that passes.
    #[test]
    fn places_per_second() {
        let admission = admission(|settings| settings.max_connections_per_second = 10);
        let start = Instant::now();
        let address = "127.0.0.1".parse().unwrap();
        let at = |millis| start + Duration::from_millis(millis);
        for _ in 0..10 {
            assert!(admission.admit(address, at(0)).is_ok());
        }
        assert_eq!(admission.admit(address, at(50)).unwrap_err(), Refused::Rate);
        assert!(admission.admit(address, at(101)).is_ok());
        assert_eq!(admission.admit(address, at(102)).unwrap_err(), Refused::Rate);
        for _ in 0..10 {
            assert!(admission.admit(address, at(60_000)).is_ok());
        }
        assert_eq!(admission.admit(address, at(60_000)).unwrap_err(), Refused::Rate);
    }
}
