// WebSocket frames by hand, for what a well-behaved client library would not send.

const TEXT = 1;
const BINARY = 2;
const CONTINUATION = 0;
const PING = 9;

/** One frame; masked with zeros unless told otherwise, so that the payload can be read in a dump. */
export function frame(opcode, payload, { fin = true, masked = true, reserved = 0 } = {}) {
  const data = Buffer.from(payload);
  const head = [(fin ? 0x80 : 0) | (reserved << 4) | opcode];
  if (data.length < 126) head.push((masked ? 0x80 : 0) | data.length);
  else head.push((masked ? 0x80 : 0) | 126, data.length >> 8, data.length & 0xff);
  return Buffer.concat([Buffer.from(head), Buffer.alloc(masked ? 4 : 0), data]);
}

export const text = (payload, how) => frame(TEXT, payload, how);
export const binary = (payload, how) => frame(BINARY, payload, how);
export const continuation = (payload, how) => frame(CONTINUATION, payload, how);
export const ping = (payload) => frame(PING, payload);

/** Writes bytes behind the back of the client library. */
export function writeRaw(socket, ...frames) {
  socket.ws._socket.write(Buffer.concat(frames));
}
