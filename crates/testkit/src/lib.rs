//! A small, cheap Socket.IO client for tests and load.

pub mod load;
