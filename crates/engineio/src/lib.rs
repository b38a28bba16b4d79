//! The Engine.IO protocol, revisions 4 and 3, without I/O.
