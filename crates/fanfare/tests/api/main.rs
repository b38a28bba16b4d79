#![cfg(test)]
//! The library's public API against clients on a real port: one module per subject.

mod acks;
mod arguments;
mod defects;
mod namespaces;
mod order;
mod panics;
mod support;
