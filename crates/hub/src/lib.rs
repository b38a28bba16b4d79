//! One node's rooms and targets: who is where, and who is meant, without I/O.
