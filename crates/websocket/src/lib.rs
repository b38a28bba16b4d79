//! RFC 6455 frames and permessage-deflate, without I/O.
