//! How many sessions one address may open in a time, and how often it may guess at their ids.

use crate::rate::{Rate, SharedBucket};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Instant;

use super::admission::{Admission, Network};

/// How many buckets there are, for all addresses of the world together: as much memory as there
/// will ever be, 128 KiB. Two addresses that come to the same bucket share it; which ones, nobody
/// can know beforehand.
const BUCKETS: usize = 16_384;

/// What each address may still open.
#[derive(Debug)]
pub(super) struct Newcomers {
    rate: Rate,
    buckets: Box<[SharedBucket]>,
    hasher: RandomState,
}

impl Newcomers {
    /// `None` if any number may be opened.
    pub(super) fn new(per_second: u32, burst: u32) -> Option<Newcomers> {
        // Without a single place at once nobody could ever come.
        let rate = Rate::new(per_second.into(), burst.max(1).into())?;
        let buckets = (0..BUCKETS).map(|_| SharedBucket::default()).collect();
        Some(Newcomers { rate, buckets, hasher: RandomState::new() })
    }

    fn admit(&self, network: Network, now: Instant) -> bool {
        let hash = usize::try_from(self.hasher.hash_one(network) % BUCKETS as u64);
        let bucket = hash.ok().and_then(|at| self.buckets.get(at));
        bucket.is_none_or(|bucket| self.rate.take_shared(bucket, now))
    }
}

/// In the extensions of a request: the address it came from, where that is limited.
#[derive(Debug, Clone)]
pub(crate) struct Newcomer {
    pub(super) admission: Arc<Admission>,
    pub(super) network: Network,
}

impl Newcomer {
    /// Whether the address may open a session, or name one that does not exist, once more.
    pub(crate) fn may_try(&self) -> bool {
        let newcomers = self.admission.newcomers.as_ref();
        newcomers.is_none_or(|newcomers| newcomers.admit(self.network, Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Each address has its own burst and its own pace; memory does not grow with their number.
    #[test]
    fn each_address_for_itself() {
        let newcomers = Newcomers::new(10, 5).unwrap();
        let start = Instant::now();
        let [one, two] =
            [Network::V4([192, 0, 2, 1]), Network::V6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0])];
        let admitted = |network, millis| {
            let now = start + Duration::from_millis(millis);
            (0..20).filter(|_| newcomers.admit(network, now)).count()
        };
        assert_eq!(admitted(one, 0), 5);
        // The same bucket for both is one case in many thousands.
        assert!([5, 0].contains(&admitted(two, 0)));
        assert_eq!(admitted(one, 201), 2);
        assert_eq!(admitted(one, 60_000), 5);
        let crowd = (0..100_000u32).filter(|it| {
            newcomers.admit(Network::V4(it.to_be_bytes()), start + Duration::from_secs(120))
        });
        // Six to a bucket, and five of them may.
        assert!(crowd.count() > BUCKETS * 4);
    }

    #[test]
    fn no_pace_is_no_limit_and_no_burst_is_one() {
        assert!(Newcomers::new(0, 5).is_none());
        let newcomers = Newcomers::new(1, 0).unwrap();
        assert!(newcomers.admit(Network::V4([192, 0, 2, 1]), Instant::now()));
    }
}
