//! The settings of the operator's page.

use serde::Deserialize;

use super::kind::Kind;
use super::table;

table::settings! {
    /// The operator's page, at `/console`: what the server does, by way of the HTTP API and its key.
    struct Console at "console." {
        /// Who is shown the page: `nobody`, `this-machine` (a browser on the machine of the server, with
        /// no proxy in between) or `everybody`. Whatever it shows needs the API key.
        serve: ConsoleFor = Kind::Choice(&["nobody", "this-machine", "everybody"]), Some("this-machine"),
            "strangers need not even know that there is one";
    }
}

/// Who is shown the operator's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ConsoleFor {
    /// Nobody.
    Nobody,
    /// A browser on the machine of the server.
    ThisMachine,
    /// Everybody who reaches the server.
    Everybody,
}
