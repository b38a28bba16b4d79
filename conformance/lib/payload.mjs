// Engine.IO packets as they stand in a polling body. A packet is a string (text, with its type) or
// a Buffer (a binary message, without one).

const SEPARATOR = "\x1e";

/** Protocol 4: packets joined by 0x1E, binary as `b` + base64. */
export const v4 = {
  encode: (packets) => packets.map((one) => (Buffer.isBuffer(one) ? `b${one.toString("base64")}` : one)).join(SEPARATOR),
  decode: (text) =>
    text.split(SEPARATOR).map((one) => (one.startsWith("b") ? Buffer.from(one.slice(1), "base64") : one)),
};

/** Protocol 3: `<length in UTF-16 code units>:<packet>`, binary as `b4` + base64. */
export const v3 = {
  encode(packets) {
    return packets
      .map((one) => (Buffer.isBuffer(one) ? `b4${one.toString("base64")}` : one))
      .map((one) => `${one.length}:${one}`)
      .join("");
  },
  decode(text) {
    const packets = [];
    for (let at = 0; at < text.length; ) {
      const colon = text.indexOf(":", at);
      const length = Number(text.slice(at, colon));
      if (colon < 0 || !Number.isInteger(length)) throw new Error(`no length at ${at} of ${JSON.stringify(text)}`);
      const packet = text.slice(colon + 1, colon + 1 + length);
      packets.push(packet.startsWith("b4") ? Buffer.from(packet.slice(2), "base64") : packet);
      at = colon + 1 + length;
    }
    return packets;
  },
};

/** Protocol 3, body `application/octet-stream`. */
export const v3binary = {
  encode(packets) {
    const parts = packets.flatMap((one) => {
      const data = Buffer.isBuffer(one) ? Buffer.concat([Buffer.of(4), one]) : Buffer.from(one, "utf8");
      const digits = [...String(data.length)].map(Number);
      return [Buffer.of(Buffer.isBuffer(one) ? 1 : 0, ...digits, 0xff), data];
    });
    return Buffer.concat(parts);
  },
  decode(bytes) {
    const packets = [];
    for (let at = 0; at < bytes.length; ) {
      const end = bytes.indexOf(0xff, at);
      const length = Number([...bytes.subarray(at + 1, end)].join(""));
      const data = bytes.subarray(end + 1, end + 1 + length);
      packets.push(bytes[at] === 1 ? data.subarray(1) : data.toString("utf8"));
      at = end + 1 + length;
    }
    return packets;
  },
};
