//! Masking, eight bytes at a step. Spec: RFC 6455 § 5.3.

/// Masks or unmasks `bytes` in place; `key` belongs to the first byte.
///
/// The loop over words has no branch and no index, so that the compiler turns it into vector code.
pub(crate) fn apply(bytes: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip([a, b, c, d, a, b, c]) {
        *byte ^= key;
    }
}

/// The key for the byte that follows `count` bytes.
pub(crate) fn advance(mut key: [u8; 4], count: usize) -> [u8; 4] {
    key.rotate_left(count % 4);
    key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Word-wise masking equals the specification's formula, in one piece and in two.
        #[test]
        fn as_the_formula(bytes: Vec<u8>, key: [u8; 4], cut: prop::sample::Index) {
            let expected: Vec<u8> =
                bytes.iter().enumerate().map(|(at, byte)| byte ^ key[at % 4]).collect();
            let mut whole = bytes.clone();
            apply(&mut whole, key);
            prop_assert_eq!(&whole, &expected);

            let cut = cut.index(bytes.len() + 1);
            let mut pieces = bytes;
            let (left, right) = pieces.split_at_mut(cut);
            apply(left, key);
            apply(right, advance(key, cut));
            prop_assert_eq!(&pieces, &expected);
        }
    }
}
