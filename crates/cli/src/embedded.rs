//! Embedded files over HTTP: compressed at most once per encoding, and not sent to who has them.

use std::io::{self, Write};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use services::{Code, Refusal};
use tokio::sync::OnceCell;

/// The quality of brotli: nine tenths of the best result for a tenth of the time.
const BROTLI_QUALITY: u32 = 6;

/// The window of brotli, as its logarithm: larger than every file.
const BROTLI_WINDOW: u32 = 20;

/// How an answer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
    Brotli,
}

impl Encoding {
    fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Brotli => Some("br"),
        }
    }
}

/// A file as it is served.
#[derive(Debug)]
pub(crate) struct File {
    content: Bytes,
    kind: &'static str,
    cache: &'static str,
    etag: String,
    /// Each made when somebody first asks for it.
    compressed: [OnceCell<Bytes>; 2],
}

impl File {
    /// A file with its media type, what caches may do with it, and a name of its version.
    pub(crate) fn new(
        content: impl Into<Bytes>,
        kind: &'static str,
        cache: &'static str,
        version: &str,
    ) -> Self {
        let etag = format!("\"{version}\"");
        File { content: content.into(), kind, cache, etag, compressed: Default::default() }
    }

    /// Answers a request for it.
    pub(crate) async fn answer(&self, method: &Method, headers: &HeaderMap) -> Response {
        if method != Method::GET && method != Method::HEAD {
            return Refusal::method("GET, HEAD").into_response();
        }
        if is_known(headers, &self.etag) {
            return (StatusCode::NOT_MODIFIED, self.head()).into_response();
        }
        let encoding = best_encoding(headers.get(header::ACCEPT_ENCODING));
        let encoding = if is_text(self.kind) { encoding } else { Encoding::Identity };
        match self.content(encoding).await {
            Ok(content) => {
                let mut response = (self.head(), Body::from(content)).into_response();
                if let Some(name) = encoding.name() {
                    let name = HeaderValue::from_static(name);
                    response.headers_mut().insert(header::CONTENT_ENCODING, name);
                }
                response
            }
            Err(error) => {
                tracing::error!(%error, etag = self.etag, "a file could not be compressed: a bug");
                let refusal = Refusal::new(Code::Internal, "The file could not be compressed.");
                refusal.into_response()
            }
        }
    }

    fn head(&self) -> [(header::HeaderName, String); 4] {
        [
            (header::CONTENT_TYPE, self.kind.to_owned()),
            (header::CACHE_CONTROL, self.cache.to_owned()),
            (header::ETAG, self.etag.clone()),
            // Node leaves this out; a cache in between would then give brotli to those who cannot.
            (header::VARY, "Accept-Encoding".to_owned()),
        ]
    }

    async fn content(&self, encoding: Encoding) -> io::Result<Bytes> {
        let [gzip, brotli] = &self.compressed;
        let cell = match encoding {
            Encoding::Identity => return Ok(self.content.clone()),
            Encoding::Gzip => gzip,
            Encoding::Brotli => brotli,
        };
        let content = self.content.clone();
        let compress = || async move {
            // Tens of milliseconds: too long for a thread that serves connections.
            let work = tokio::task::spawn_blocking(move || compress(&content, encoding));
            work.await.map_err(io::Error::other)?
        };
        cell.get_or_try_init(compress).await.cloned()
    }
}

/// Fonts and pictures are compressed already.
fn is_text(kind: &str) -> bool {
    kind.starts_with("text/")
        || kind.contains("json")
        || kind.contains("script")
        || kind.contains("xml")
}

/// Whether the client has this version already.
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok());
    let mut tags = known.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// The encoding the client likes best; of equals brotli.
///
/// Spec: RFC 9110 § 12.5.3.
fn best_encoding(accept: Option<&HeaderValue>) -> Encoding {
    let accept = accept.and_then(|value| value.to_str().ok()).unwrap_or("");
    let weight_of = |name: &str| {
        let mut any = 0;
        for part in accept.split(',') {
            let (coding, weight) = part.split_once(';').unwrap_or((part, ""));
            match coding.trim() {
                coding if coding.eq_ignore_ascii_case(name) => {
                    return weight_in_thousandths(weight);
                }
                "*" => any = weight_in_thousandths(weight),
                _ => {}
            }
        }
        any
    };
    let (brotli, gzip) = (weight_of("br"), weight_of("gzip"));
    match (brotli, gzip) {
        (0, 0) => Encoding::Identity,
        _ if brotli >= gzip => Encoding::Brotli,
        _ => Encoding::Gzip,
    }
}

/// `q=0.5` as 500; 1000 when there is none, 0 when it cannot be read.
fn weight_in_thousandths(parameter: &str) -> u32 {
    let Some((_, value)) = parameter.split_once('=') else {
        return 1_000;
    };
    let (whole, fraction) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    let thousandths: u32 =
        format!("{fraction:0<3}").get(..3).and_then(|f| f.parse().ok()).unwrap_or(0);
    match whole {
        "0" => thousandths,
        "1" => 1_000,
        _ => 0,
    }
}

fn compress(content: &[u8], encoding: Encoding) -> io::Result<Bytes> {
    let mut out = Vec::new();
    match encoding {
        Encoding::Identity => out.extend_from_slice(content),
        Encoding::Gzip => {
            let mut gzip = flate2::write::GzEncoder::new(&mut out, flate2::Compression::best());
            gzip.write_all(content)?;
            gzip.finish()?;
        }
        Encoding::Brotli => {
            let buffer = content.len().max(1);
            let mut brotli =
                brotli::CompressorWriter::new(&mut out, buffer, BROTLI_QUALITY, BROTLI_WINDOW);
            brotli.write_all(content)?;
            brotli.flush()?;
            drop(brotli);
        }
    }
    Ok(Bytes::from(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_what_the_client_likes_best() {
        for (accept, expected) in [
            (None, Encoding::Identity),
            (Some(""), Encoding::Identity),
            (Some("identity"), Encoding::Identity),
            (Some("deflate"), Encoding::Identity),
            (Some("gzip"), Encoding::Gzip),
            (Some("gzip, deflate, br, zstd"), Encoding::Brotli),
            (Some("br;q=0, gzip;q=0.5"), Encoding::Gzip),
            (Some("br;q=0.4, gzip;q=0.5"), Encoding::Gzip),
            (Some("br;q=0, gzip;q=0"), Encoding::Identity),
            (Some("*"), Encoding::Brotli),
            (Some("*;q=0"), Encoding::Identity),
            (Some("BR; q=1.000"), Encoding::Brotli),
            (Some("gzip;q=x, br;q=-1"), Encoding::Identity),
        ] {
            let header = accept.map(|text| HeaderValue::from_str(text).unwrap());
            assert_eq!(best_encoding(header.as_ref()), expected, "{accept:?}");
        }
    }

    #[test]
    fn a_client_that_has_the_version_is_recognised() {
        for (known, expected) in [
            ("\"4.8.4\"", true),
            ("W/\"4.8.4\"", true),
            ("\"1\", \"4.8.4\"", true),
            ("*", true),
            ("\"4.8.3\"", false),
            ("4.8.4", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_str(known).unwrap());
            assert_eq!(is_known(&headers, "\"4.8.4\""), expected, "{known}");
        }
    }

    #[test]
    fn what_is_compressed_can_be_read_again() {
        use std::io::Read;
        let text = b"socket.io ".repeat(1_000);
        let mut back = Vec::new();
        let gzip = compress(&text, Encoding::Gzip).unwrap();
        flate2::read::GzDecoder::new(&gzip[..]).read_to_end(&mut back).unwrap();
        assert_eq!(back, text);
        back.clear();
        let brotli = compress(&text, Encoding::Brotli).unwrap();
        brotli::Decompressor::new(&brotli[..], 4_096).read_to_end(&mut back).unwrap();
        assert_eq!(back, text);
        assert!(gzip.len() < 500 && brotli.len() < 500);
    }
}
