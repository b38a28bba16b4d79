#![cfg(test)]
//! The library's public API against clients on a real port: one module per subject.

mod acks;
mod arguments;
mod closing;
mod defects;
mod encodings;
mod history;
mod limits;
mod model;
mod mounting;
mod namespaces;
mod order;
mod panics;
mod recovery;
mod replay;
mod sockets;
mod sse;
mod support;
