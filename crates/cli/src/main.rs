//! The binary `fanfare`.
fn main() {}
