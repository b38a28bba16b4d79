//! What is known about one setting, and the macro that writes the typed structs and the table of
//! settings from one list, so that they cannot drift apart.

use crate::settings::kind::Kind;

/// The prefix of every environment variable that is a setting.
pub(crate) const ENV_PREFIX: &str = "FANFARE_";

/// One setting: everything the file reader, the environment, the flags, `fanfare config` and the
/// documentation know about it.
#[derive(Debug)]
pub(crate) struct Setting {
    /// The key in the TOML file, with its table: `tls.cert`.
    pub(crate) key: &'static str,
    /// Which values are accepted.
    pub(crate) kind: Kind,
    /// The default as it would be written in the environment; `None` when there is none.
    pub(crate) default: Option<&'static str>,
    /// What it is.
    pub(crate) doc: &'static str,
    /// Why the default is what it is.
    pub(crate) reason: &'static str,
}

impl Setting {
    /// The environment variable: `tls.cert` is `FANFARE_TLS_CERT`.
    pub(crate) fn env_name(&self) -> String {
        format!("{ENV_PREFIX}{}", self.key.replace('.', "_").to_uppercase())
    }

    /// The flag without its dashes: `tls.cert` is `tls-cert`.
    pub(crate) fn flag_name(&self) -> String {
        self.key.replace(['.', '_'], "-")
    }

    /// Whether the value must never be shown.
    pub(crate) fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secret | Kind::SecretText | Kind::RedisUrl)
    }

    /// Whether the value is `true` or `false`.
    pub(crate) fn is_switch(&self) -> bool {
        matches!(self.kind, Kind::Switch)
    }

    /// The documentation as one line.
    pub(crate) fn summary(&self) -> String {
        self.doc.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// Writes a struct of settings and its part of the table from one list.
///
/// A line reads `/// What it is.` `field: Type = kind, default, "why this default";`. Sections
/// (tables of the file) follow after `+`.
macro_rules! settings {
    (
        $(#[$meta:meta])*
        struct $name:ident at $prefix:literal {
            $( $(#[doc = $doc:literal])+ $field:ident: $type:ty = $kind:expr, $default:expr, $reason:literal; )+
            $( + $(#[doc = $section_doc:literal])+ $section:ident: $section_type:ty; )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            $( $(#[doc = $doc])+ pub(crate) $field: $type, )+
            $( $(#[doc = $section_doc])+ pub(crate) $section: $section_type, )*
        }

        impl $name {
            /// The settings of this struct, in the order in which they are documented.
            pub(crate) const TABLE: &[$crate::settings::table::Setting] = &[
                $( $crate::settings::table::Setting {
                    key: concat!($prefix, stringify!($field)),
                    kind: $kind,
                    default: $default,
                    doc: concat!($($doc),+),
                    reason: $reason,
                } ),+
            ];
        }
    };
}
pub(crate) use settings;
