//! What carries a session's bytes after the upgrade.

mod link;
mod reader;
mod stream;

pub(crate) use link::{Link, Written};
pub(crate) use reader::ReadTask;
pub(crate) use stream::{Carried, Carrier, Stream};
