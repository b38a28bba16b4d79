//! The Socket.IO protocol, version 5: packets, attachments, namespaces and acks of one connection, without I/O.
