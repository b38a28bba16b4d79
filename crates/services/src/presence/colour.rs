//! A colour per user: the same on every node and after every restart, dark enough for white text on it
//! and light enough to be told from black.

use sha2::{Digest, Sha256};

/// The colour of a user, `#rrggbb`.
pub(super) fn of(id: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(id).into();
    let [first, second, third, ..] = digest;
    let hue = f64::from(u16::from_be_bytes([first, second]) % 360);
    // Three steps of lightness, so that two of the same hue may still differ.
    let lightness = 0.36 + 0.05 * f64::from(third % 3);
    let (red, green, blue) = rgb(hue, 0.62, lightness);
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// Spec: CSS Color Module Level 4 § 7.1, HSL to sRGB.
fn rgb(hue: f64, saturation: f64, lightness: f64) -> (u8, u8, u8) {
    let channel = |offset: f64| {
        let k = (offset + hue / 30.0) % 12.0;
        let a = saturation * lightness.min(1.0 - lightness);
        let value = lightness - a * (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0);
        // Between 0 and 255.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let byte = (value.clamp(0.0, 1.0) * 255.0).round() as u8;
        byte
    };
    (channel(0.0), channel(8.0), channel(4.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_those_of_css_and_stay() {
        for (hsl, expected) in [
            ((0.0, 1.0, 0.5), (255, 0, 0)),
            ((120.0, 1.0, 0.25), (0, 128, 0)),
            ((240.0, 1.0, 0.5), (0, 0, 255)),
            ((210.0, 0.5, 0.4), (51, 102, 153)),
            ((0.0, 0.0, 1.0), (255, 255, 255)),
        ] {
            assert_eq!(rgb(hsl.0, hsl.1, hsl.2), expected, "{hsl:?}");
        }
        assert_eq!(of("ada"), of("ada"));
        let colours: std::collections::HashSet<_> =
            (0..100).map(|id| of(&id.to_string())).collect();
        assert!(colours.len() > 80, "{}", colours.len());
    }
}
