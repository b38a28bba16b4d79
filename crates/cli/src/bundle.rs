//! The client bundle, served as the Node server serves it: `<path>/socket.io.js` and relatives.

use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use services::{Code, Refusal};

use crate::embedded::File;

include!(concat!(env!("OUT_DIR"), "/client_bundle.rs"));

/// The files by their names.
#[derive(Debug)]
pub(crate) struct ClientBundle(Vec<(&'static str, File)>);

/// The version of the embedded client; `None` when it was not there at the build.
pub(crate) fn version() -> Option<&'static str> {
    (!VERSION.is_empty()).then_some(VERSION)
}

/// The names of the bundle's files, embedded or not.
pub(crate) const fn file_names() -> [&'static str; NAMES.len()] {
    NAMES
}

impl ClientBundle {
    /// What was embedded at the build.
    pub(crate) fn new() -> Self {
        let file = |(name, content): &(&'static str, &'static [u8])| {
            let kind = match name.ends_with(".map") {
                true => "application/json; charset=utf-8",
                false => "application/javascript; charset=utf-8",
            };
            (*name, File::new(*content, kind, "public, max-age=0", VERSION))
        };
        ClientBundle(FILES.iter().map(file).collect())
    }

    /// Answers a request for a file of the bundle.
    pub(crate) async fn answer(
        &self,
        method: &Method,
        name: &str,
        headers: &HeaderMap,
    ) -> Response {
        match self.0.iter().find(|(file, _)| *file == name) {
            Some((_, file)) => file.answer(method, headers).await,
            None if method == Method::GET || method == Method::HEAD => {
                not_embedded().into_response()
            }
            None => Refusal::method("GET, HEAD").into_response(),
        }
    }
}

fn not_embedded() -> Refusal {
    let message = "This server was built without the client bundle. Build it with `cargo xtask \
                   bundle` first, or load the client from npm or a CDN.";
    Refusal::new(Code::NoClientBundle, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_embedded_has_a_known_name() {
        assert!(FILES.iter().all(|(name, _)| file_names().contains(name)));
        assert_eq!(version().is_some(), !FILES.is_empty());
    }
}
