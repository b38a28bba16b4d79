//! Sequence numbers in events, and whether every member saw each of them once and in order.

use memchr::memmem;

/// What stands before the number in a payload.
const MARKER: &[u8] = b"\"seq\":";

/// The first number. All numbers have as many digits as this one, so that events are equally long
/// and a number stands at the same place in each.
const FIRST: u64 = 1_000_000_000;

/// Digits of a number.
const DIGITS: usize = 10;

/// The smallest event payload that can carry a number, in bytes.
pub(super) const MIN_PAYLOAD_BYTES: usize = 27;

/// A JSON object of `size` bytes (at least [`MIN_PAYLOAD_BYTES`]) that carries sequence `number`.
pub(super) fn payload(number: u64, size: usize) -> String {
    let filling = "x".repeat(size.saturating_sub(MIN_PAYLOAD_BYTES));
    format!("{{\"seq\":{},\"pad\":\"{filling}\"}}", FIRST + number)
}

/// Finds sequence numbers in packets; remembers where the last one stood.
#[derive(Debug, Default)]
pub(super) struct Finder {
    place: usize,
}

impl Finder {
    /// The sequence number a packet carries.
    pub(super) fn find(&mut self, packet: &[u8]) -> Option<u64> {
        number_at(packet, self.place).or_else(|| {
            self.place = memmem::find(packet, MARKER)?;
            number_at(packet, self.place)
        })
    }
}

fn number_at(packet: &[u8], place: usize) -> Option<u64> {
    let digits = packet.get(place..)?.strip_prefix(MARKER)?.first_chunk::<DIGITS>()?;
    let number = digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit & 0x0f));
    number.checked_sub(FIRST)
}

/// What was wrong with the order, over all members.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    /// Numbers that were jumped over (lost, unless they came late).
    pub skipped: u64,
    /// Numbers at or below one already seen: a duplicate, or a late event.
    pub late: u64,
    /// Numbers that were never published.
    pub invented: u64,
    /// Published events that had not arrived when waiting ended, counted once per member.
    pub missing: u64,
}

impl Faults {
    /// Whether nothing was lost, repeated, reordered or invented.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

/// Follows the numbers at every member, and when all members have one.
#[derive(Debug)]
pub(super) struct Ledger {
    /// The next number each member should see.
    expected: Vec<u64>,
    /// How many members have seen number `n`, at `n % len`, for the numbers in flight.
    seen: Vec<usize>,
    /// The lowest number that some member has not seen.
    complete: u64,
    published: u64,
    deliveries: u64,
    faults: Faults,
}

impl Ledger {
    /// For members numbered from 0, and at most `window` numbers in flight.
    pub(super) fn new(members: usize, window: usize) -> Self {
        Self {
            expected: vec![0; members],
            seen: vec![0; window.max(1)],
            complete: 0,
            published: 0,
            deliveries: 0,
            faults: Faults::default(),
        }
    }

    /// The next number to publish, if the window has room for it.
    pub(super) fn publish(&mut self) -> Option<u64> {
        let number = self.published;
        (number - self.complete < self.seen.len() as u64).then(|| {
            self.published += 1;
            number
        })
    }

    /// Notes that `member` received `number`.
    pub(super) fn received(&mut self, member: usize, number: u64) {
        let Some(expected) = self.expected.get_mut(member) else { return };
        if number >= self.published {
            self.faults.invented += 1;
            return;
        }
        self.deliveries += 1;
        if number < *expected {
            self.faults.late += 1;
            return;
        }
        self.faults.skipped += number - *expected;
        // Skipped numbers count as seen: the run goes on, the fault is on record.
        let from = std::mem::replace(expected, number + 1);
        for seen in from..=number {
            self.note_seen(seen);
        }
    }

    fn note_seen(&mut self, number: u64) {
        let slots = self.seen.len() as u64;
        if let Some(count) =
            usize::try_from(number % slots).ok().and_then(|at| self.seen.get_mut(at))
        {
            *count += 1;
            if *count == self.expected.len() {
                *count = 0;
                // Every member counts upward, so numbers are completed in order.
                self.complete = number + 1;
            }
        }
    }

    /// Deliveries so far, over all members.
    pub(super) fn deliveries(&self) -> u64 {
        self.deliveries
    }

    /// Whether everything published has arrived everywhere.
    pub(super) fn is_complete(&self) -> bool {
        self.complete == self.published
    }

    /// The faults, what has not arrived included.
    pub(super) fn faults(&self) -> Faults {
        let missing = self.expected.iter().map(|expected| self.published - expected).sum();
        Faults { missing, ..self.faults }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_number_is_found_wherever_it_stands() {
        let mut finder = Finder::default();
        for (packet, number) in [
            (format!("42[\"event\",{}]", payload(7, 100)), Some(7)),
            (format!("42[\"event\",{}]", payload(8, 100)), Some(8)),
            (format!("42/admin,[\"event\",{},\"offset\"]", payload(9, 40)), Some(9)),
            ("42[\"hello\"]".to_owned(), None),
            ("42[\"event\",{\"seq\":12}]".to_owned(), None),
        ] {
            assert_eq!(finder.find(packet.as_bytes()), number, "{packet}");
        }
    }

    #[test]
    fn a_payload_has_the_asked_size() {
        for size in [MIN_PAYLOAD_BYTES, 100, 1024] {
            assert_eq!(payload(3, size).len(), size);
        }
    }

    fn run(members: usize, published: u64, received: &[(usize, u64)]) -> Faults {
        let mut ledger = Ledger::new(members, 64);
        for _ in 0..published {
            ledger.publish().unwrap();
        }
        for (member, number) in received {
            ledger.received(*member, *number);
        }
        ledger.faults()
    }

    #[test]
    fn each_fault_is_told_apart() {
        let clean = Faults::default();
        for (name, received, faults) in [
            ("clean", &[(0, 0), (1, 0), (0, 1), (1, 1)][..], clean),
            ("lost in the middle", &[(0, 1), (1, 0), (1, 1)], Faults { skipped: 1, ..clean }),
            ("lost at the end", &[(0, 0), (0, 1), (1, 0)], Faults { missing: 1, ..clean }),
            ("twice", &[(0, 0), (0, 0), (0, 1), (1, 0), (1, 1)], Faults { late: 1, ..clean }),
            ("swapped", &[(0, 1), (0, 0), (1, 0), (1, 1)], Faults { skipped: 1, late: 1, ..clean }),
            (
                "invented",
                &[(0, 0), (1, 0), (0, 1), (1, 1), (1, 2)],
                Faults { invented: 1, ..clean },
            ),
        ] {
            assert_eq!(run(2, 2, received), faults, "{name}");
        }
    }

    #[test]
    fn the_window_holds_publishing_back_until_everyone_has_the_oldest() {
        let mut ledger = Ledger::new(2, 2);
        assert_eq!(
            (ledger.publish(), ledger.publish(), ledger.publish()),
            (Some(0), Some(1), None)
        );
        ledger.received(0, 0);
        ledger.received(0, 1);
        assert_eq!(ledger.publish(), None);
        ledger.received(1, 0);
        assert_eq!((ledger.publish(), ledger.publish()), (Some(2), None));
        assert!(!ledger.is_complete());
    }

    proptest! {
        /// Any order of receipts: no panic, and only a perfect run is called clean.
        #[test]
        fn only_a_perfect_run_is_clean(numbers in proptest::collection::vec(0_u64..6, 0..12)) {
            let receipts: Vec<(usize, u64)> = numbers.iter().map(|number| (0, *number)).collect();
            let perfect = numbers == [0, 1, 2, 3];
            prop_assert_eq!(run(1, 4, &receipts).is_clean(), perfect);
        }
    }
}
