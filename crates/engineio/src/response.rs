//! Details of polling responses beside the payload.
//!
//! Every polling response also carries `cache-control: no-store` ([`CACHE_CONTROL`]).

/// No cache may keep a response: it is meant for one request of one session.
pub const CACHE_CONTROL: &str = "no-store";

/// How a response may be compressed, where [`crate::Settings::compression_threshold_bytes`] asks
/// for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `gzip`
    Gzip,
    /// `deflate`, which is the zlib format.
    Deflate,
}

impl Encoding {
    /// The value of the `Content-Encoding` header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }

    /// What the client prefers by its `Accept-Encoding`; the first named wins a tie.
    ///
    /// Spec: RFC 9110 § 12.5.3.
    pub fn negotiate(accept_encoding: Option<&str>) -> Option<Self> {
        let mut best = None;
        let mut best_weight = 0;
        for item in accept_encoding?.split(',') {
            let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
            let encoding = match name.trim().to_ascii_lowercase().as_str() {
                "gzip" | "*" => Self::Gzip,
                "deflate" => Self::Deflate,
                _ => continue,
            };
            let weight = weight(parameters);
            if weight > best_weight {
                (best, best_weight) = (Some(encoding), weight);
            }
        }
        best
    }
}

/// The `q` parameter in thousandths; 1 where it is missing, 0 where it is no number.
fn weight(parameters: &str) -> u16 {
    let Some(value) = parameters.trim().strip_prefix("q=") else {
        return 1_000;
    };
    let (whole, fraction) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    match whole {
        "1" => 1_000,
        "0" if fraction.len() <= 3 => format!("{fraction:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

/// Whether the response needs `X-XSS-Protection: 0`: the filter of old Internet Explorers breaks
/// polling.
pub fn breaks_without_xss_header(user_agent: &str) -> bool {
    user_agent.contains(";MSIE") || user_agent.contains("Trident/")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows which encoding a client gets.
    #[test]
    fn negotiates_by_weight_then_order() {
        for (accept, expected) in [
            (None, None),
            (Some(""), None),
            (Some("br"), None),
            (Some("gzip, deflate, br"), Some(Encoding::Gzip)),
            (Some("deflate, gzip"), Some(Encoding::Deflate)),
            (Some("deflate;q=0.5, GZIP;q=0.8"), Some(Encoding::Gzip)),
            (Some("gzip;q=0, deflate;q=0.001"), Some(Encoding::Deflate)),
            (Some("gzip;q=0"), None),
            (Some("gzip;q=x"), None),
            (Some("*"), Some(Encoding::Gzip)),
        ] {
            assert_eq!(Encoding::negotiate(accept), expected, "{accept:?}");
        }
    }

    /// Shows which browsers need the header.
    #[test]
    fn knows_old_internet_explorers() {
        assert!(breaks_without_xss_header("Mozilla/5.0 (compatible;MSIE 9.0)"));
        assert!(breaks_without_xss_header("Mozilla/5.0 (Windows NT 6.1; Trident/7.0)"));
        assert!(!breaks_without_xss_header("Mozilla/5.0 Firefox/130"));
    }
}
