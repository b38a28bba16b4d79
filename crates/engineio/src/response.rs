//! Details of polling responses beside the payload.
//!
//! Every polling response also carries `cache-control: no-store` ([`CACHE_CONTROL`]).

/// No cache may keep a response: it is meant for one request of one session.
pub const CACHE_CONTROL: &str = "no-store";

/// Whether the response needs `X-XSS-Protection: 0`: the filter of old Internet Explorers breaks
/// polling.
pub fn breaks_without_xss_header(user_agent: &str) -> bool {
    user_agent.contains(";MSIE") || user_agent.contains("Trident/")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows which browsers need the header.
    #[test]
    fn knows_old_internet_explorers() {
        assert!(breaks_without_xss_header("Mozilla/5.0 (compatible;MSIE 9.0)"));
        assert!(breaks_without_xss_header("Mozilla/5.0 (Windows NT 6.1; Trident/7.0)"));
        assert!(!breaks_without_xss_header("Mozilla/5.0 Firefox/130"));
    }
}
