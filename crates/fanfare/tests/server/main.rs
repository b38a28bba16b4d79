#![cfg(test)]
//! The listener against raw sockets on a real port: which bytes are refused and how, which
//! deadlines hold, how many may connect, encryption, and the end.

mod deadlines;
mod limits;
mod rates;
mod requests;
mod support;
mod tls;
