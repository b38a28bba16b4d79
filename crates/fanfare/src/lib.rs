//! A real-time server for unmodified Socket.IO clients that loses nothing silently.
