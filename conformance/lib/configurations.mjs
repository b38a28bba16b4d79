// The servers the suites need: each name is one process with these flags.

export const CONFIGURATIONS = {
  /** The defaults. */
  plain: [],
  /** Engine.IO v3 and Socket.IO v2 allowed. */
  v3: ["--allow-v3"],
  /** The heartbeat of the published protocol suites. */
  beat: ["--allow-v3", "--ping-interval", "300", "--ping-timeout", "200"],
  /** Limits small enough to be met. */
  strict: ["--allow-v3", "--max-payload", "1000", "--upgrade-timeout", "400", "--connect-timeout", "600"],
  /** Every optional header and encoding. */
  dressed: [
    ...["--path", "/realtime", "--cookie", "io", "--http-compression", "--per-message-deflate"],
    ...["--cors", "https://app.example,https://other.example"],
  ],
  /** Packets in MessagePack. */
  msgpack: ["--parser", "msgpack"],
  /** One transport only, and a greeting after `open`. */
  websocketOnly: ["--transports", "websocket", "--initial-packet", "hello"],
  pollingOnly: ["--transports", "polling", "--initial-packet", "hello", "--cors", "*"],
};
