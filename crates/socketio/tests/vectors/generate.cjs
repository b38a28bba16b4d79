// Writes the vectors beside this file, checked against the reference implementation.
//
//   npm install --no-save socket.io-parser@4.2.7 socket.io-msgpack-parser@3.0.2
//   NODE_PATH=node_modules node crates/socketio/tests/vectors/generate.cjs
//
// packets.json   packets as the JSON parser writes (`canonical`) or merely accepts them
// msgpack.json   packets as the msgpack parser writes or accepts them
// refused.json, msgpack_refused.json
//                messages that are no packets, with the reference's verdict and ours, and why
//                where they differ
//
// A message is a text, or bytes as {"hex": ".."}. Arguments are the JSON text without brackets.
"use strict";
const assert = require("node:assert");
const fs = require("node:fs");
const path = require("node:path");
const json = require("socket.io-parser");
const msgpack = require("socket.io-msgpack-parser");

const TYPES = ["connect", "disconnect", "event", "ack", "connect_error"];
const hex = (bytes) => Buffer.from(bytes).toString("hex");
const message = (m) => (typeof m === "string" ? m : { hex: hex(m) });

/** What the reference makes of messages: the packet, nothing yet, or an error. */
function decode(parser, messages) {
  const decoder = new parser.Decoder();
  let packet;
  decoder.on("decoded", (p) => (packet = p));
  try {
    for (const m of messages) decoder.add(m);
  } catch (e) {
    return { error: e.message };
  }
  return { packet };
}

/** The arguments as JSON text without brackets, and their attachments, depth first. */
function wireArgs(list) {
  const attachments = [];
  const walk = (v) => {
    if (Buffer.isBuffer(v) || v instanceof Uint8Array || v instanceof ArrayBuffer) {
      attachments.push(hex(v));
      return { _placeholder: true, num: attachments.length - 1 };
    }
    if (Array.isArray(v)) return v.map(walk);
    if (v && typeof v === "object" && !(v instanceof Date)) {
      return Object.fromEntries(Object.entries(v).map(([k, x]) => [k, walk(x)]));
    }
    return v;
  };
  return { args: JSON.stringify(walk(list)).slice(1, -1), attachments };
}

function expected(packet) {
  const kind = TYPES[packet.type];
  const out = { kind, nsp: packet.nsp };
  if (packet.id !== undefined && (kind === "event" || kind === "ack")) out.id = packet.id;
  if (kind === "event") {
    out.name = String(packet.data[0]);
    Object.assign(out, wireArgs(packet.data.slice(1)));
  } else if (kind === "ack") {
    Object.assign(out, wireArgs(packet.data));
  } else if (packet.data !== undefined) {
    out.payload = JSON.stringify(packet.data);
  }
  return out;
}

const B = (...bytes) => Buffer.from(bytes);
const date = new Date(1700000000123);

const packets = [
  ["connect", { type: 0, nsp: "/" }],
  ["connect with auth", { type: 0, nsp: "/", data: { token: "x" } }],
  ["connect to a namespace", { type: 0, nsp: "/admin", data: { t: 1 } }],
  ["connect to a namespace without payload", { type: 0, nsp: "/admin" }],
  ["answer to connect", { type: 0, nsp: "/", data: { sid: "PWuJ1IT4M4LrwHUgAAAA" } }],
  ["answer to connect with recovery", { type: 0, nsp: "/n", data: { sid: "s", pid: "p" } }],
  ["disconnect", { type: 1, nsp: "/" }],
  ["disconnect from a namespace", { type: 1, nsp: "/admin" }],
  ["connect error", { type: 4, nsp: "/nope", data: { message: "Invalid namespace" } }],
  ["connect error with data", { type: 4, nsp: "/", data: { message: "no", data: { content: "later" } } }],
  ["event", { type: 2, nsp: "/", data: ["hello", 1, { a: null }] }],
  ["event without arguments", { type: 2, nsp: "/", data: ["e"] }],
  ["event with an id", { type: 2, nsp: "/admin", id: 12, data: ["q"] }],
  ["event with the id 0", { type: 2, nsp: "/", id: 0, data: ["q", "a"] }],
  ["event with a query in the namespace", { type: 2, nsp: "/a?b=c", data: ["e"] }],
  ["unicode", { type: 2, nsp: "/é", data: ["größe", "😀", "\u2028", "\u0000\u001f\u007f"] }],
  ["an escaped name", { type: 2, nsp: "/", data: ['a"b\\c\n', 1] }],
  ["an empty name", { type: 2, nsp: "/", data: ["", "x"] }],
  ["numbers", { type: 2, nsp: "/", data: ["n", 0, -1, 1.5, 1e21, 1e-7, 255, 256, 65536, 4294967296, -32, -33, -129, -40000, -3000000000, 9007199254740991] }],
  ["nesting", { type: 2, nsp: "/", data: ["n", [[], {}, [[1]]], { a: { b: [{ c: true }] } }, false] }],
  ["long containers", { type: 2, nsp: "/", data: ["n", Array(20).fill(7), Object.fromEntries([...Array(17).keys()].map((k) => ["k" + k, k])), "s".repeat(40), "s".repeat(300)] }],
  ["an offset at the end", { type: 2, nsp: "/", data: ["a", 1, "1795187735553-0"] }],
  ["acknowledgement", { type: 3, nsp: "/admin", id: 12, data: ["r"] }],
  ["acknowledgement without arguments", { type: 3, nsp: "/", id: 3, data: [] }],
  ["bytes", { type: 2, nsp: "/", data: ["m", B(1, 2, 3)] }],
  ["bytes at depth, depth first", { type: 2, nsp: "/", data: ["m", { a: [B(1), { b: B() }] }, "x", B(255, 0)] }],
  ["bytes with an id", { type: 2, nsp: "/x", id: 7, data: ["m", B(1)] }],
  ["bytes acknowledged", { type: 3, nsp: "/", id: 789, data: [B(1), B(2)] }],
  ["a literal placeholder in a plain event", { type: 2, nsp: "/", data: ["e", { _placeholder: true, num: 0 }] }],
  ["__proto__ is data", { type: 2, nsp: "/", data: ["e", JSON.parse('{"constructor":{},"x":{"y":1}}')] }],
];

/** Accepted as the packet beside it, though nobody writes it so. `args` is given where spaces or escapes stay. */
const accepted = [
  ["namespace without a comma", ["0/admin"]],
  ["the main namespace spelled out", ['2/,["e"]']],
  ["disconnect without a comma", ["1/admin"]],
  ["disconnect with an id", ["15"]],
  ["connect with an id", ["05{}"]],
  ["leading zeros in an id", ['2007["e"]']],
  ["a blank is the id 0", ['2 ["e"]']],
  ["blanks around an id", ['2 1 ["e"]']],
  ["a numeric name", ["2[5,1]"]],
  ["a numeric name beyond all numbers", ["2[1e400]"], { name: "1e400" }],
  ["blanks in the payload", ['2[ "e" , 1 , [ 2 ] ]'], { args: "1 , [ 2 ]" }],
  ["escapes in name and arguments", ['2["\\u0065","\\u0041\\/"]'], { args: '"\\u0041\\/"' }],
  ["a lone surrogate passes as it stands", ['2["e","\\ud800"]'], { args: '"\\ud800"' }],
  ["a lone surrogate in a name", ['2["\\ud800"]'], { name: "\ufffd" }],
  ["numbers stay as written", ['2["e",1e400,1.0,-0,123456789012345678901234567890]'], { args: "1e400,1.0,-0,123456789012345678901234567890" }],
  ["duplicate keys stay", ['2["e",{"a":1,"a":2}]'], { args: '{"a":1,"a":2}' }],
  ["a literal placeholder stays", ['2["e",{"_placeholder":true,"num":9}]']],
  ["placeholders in any order", ['52-["m",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]', B(1), B(2)], { args: '{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}', attachments: ["01", "02"] }],
  ["keys of a placeholder in any order", ['51-["m",{"num":0,"_placeholder":true}]', B(1)], { args: '{"num":0,"_placeholder":true}' }],
  ["one attachment named twice", ['51-["m",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]', B(1)], { args: '{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}', attachments: ["01"] }],
  ["an attachment nobody names", ['51-["m"]', B(1)], { attachments: ["01"] }],
  ["a count as JavaScript reads numbers", ['51e0-["m",{"_placeholder":true,"num":0}]', B(1)]],
  ["a count with a fraction of nothing", ['51.0-["m",{"_placeholder":true,"num":0}]', B(1)]],
  ["ten attachments", ['51e1-["m"]', ...Array(10).fill(B(1))], { attachments: Array(10).fill("01") }],
  ["binary without bytes in an ack", ["61-5[]", B()], { attachments: [""] }],
  ["an ack without an id", ["3[1]"]],
  ["an ack without a payload", ["312"], { kind: "ack", args: "", attachments: [] }],
  ["a connect error as version 2 sends it", ['4"no"']],
  ["an event without a payload", ["2"], { kind: "no_event" }],
  ["an event with an id and no payload", ["21"], { kind: "no_event" }],
  ["a binary event without a payload", ["51-", B(1)], { kind: "no_event" }],
];

/** [name, messages, our violation, why we refuse what the reference accepts] */
const refused = [
  ["nothing", [""], "empty_packet", "JavaScript reads no digit as 0"],
  ["a blank", [" "], "unknown_type", "JavaScript reads a blank as 0"],
  ["unknown type 7", ["7"], "unknown_type"],
  ["unknown type 9", ["9"], "unknown_type"],
  ["a letter", ["x"], "unknown_type"],
  ["a sign", ["-"], "unknown_type"],
  ["NUL", ["\u0000"], "unknown_type"],
  ["a letter beyond ASCII", ["é"], "unknown_type"],
  ["garbage", ["0/admin,{"], "malformed_json"],
  ["connect with an array", ["0[1]"], "invalid_connect_payload"],
  ["connect with a string", ['0"x"'], "invalid_connect_payload"],
  ["connect with null", ["0null"], "invalid_connect_payload"],
  ["connect with bad JSON", ["0{a}"], "malformed_json"],
  ["disconnect with a payload", ["1{}"], "disconnect_payload"],
  ["event with an object", ["2{}"], "invalid_event_payload"],
  ["event with a string", ['2"str"'], "invalid_event_payload"],
  ["event without a name", ["2[]"], "invalid_event_payload"],
  ["event with null as name", ["2[null]"], "invalid_event_payload"],
  ["event with true as name", ["2[true]"], "invalid_event_payload"],
  ["event with an object as name", ["2[{}]"], "invalid_event_payload"],
  ["event with an array as name", ['2[["a"]]'], "invalid_event_payload"],
  ...["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"].map((n) => ["reserved: " + n, [`2["${n}"]`], "reserved_event_name"]),
  ["reserved behind escapes", ['2["\\u0063onnect"]'], "reserved_event_name"],
  ["reserved in a binary event", ['51-["connect"]'], "reserved_event_name"],
  ["no id", ['2abc["e"]'], "malformed_json"],
  ["a negative id", ['2-1["e"]'], "invalid_event_payload"],
  ["an id that is no number", ['21 2["e"]'], "invalid_ack_id", "it would be answered with NaN"],
  ["an id beyond 64 bits", ['218446744073709551616["e"]'], "invalid_ack_id", "it would be answered rounded"],
  ["bad JSON", ['2["e"'], "malformed_json"],
  ["something behind the payload", ['2["e"]x'], "malformed_json"],
  ["a raw control character", ['2["e\n"]'], "malformed_json"],
  ["NaN", ['2["e",NaN]'], "malformed_json"],
  ["ack with an object", ["31{}"], "invalid_ack_payload"],
  ["connect error with a number", ["4[1]"], "invalid_connect_error_payload"],
  ["attachments without a number", ['5-["e"]'], "illegal_attachment_count"],
  ["attachments without a dash", ['51["e"]'], "illegal_attachment_count"],
  ["no attachments", ['50-["e"]'], "illegal_attachment_count"],
  ["one and a half", ['51.5-["e"]'], "illegal_attachment_count"],
  ["negative attachments", ['5-1-["e"]'], "illegal_attachment_count"],
  ["endless attachments", ['5Infinity-["e"]'], "illegal_attachment_count"],
  ["no number of attachments", ['5NaN-["e"]'], "illegal_attachment_count"],
  ["eleven attachments", ['511-["e"]'], "too_many_attachments"],
  ["a million attachments", ['51000000-["x",{"_placeholder":true,"num":0}]'], "too_many_attachments"],
  ["a placeholder beyond", ['51-["x",{"_placeholder":true,"num":7}]', B(1)], "illegal_placeholder"],
  ["a negative placeholder", ['51-["x",{"_placeholder":true,"num":-1}]', B(1)], "illegal_placeholder"],
  ["a placeholder without a number", ['51-["x",{"_placeholder":true,"num":"0"}]', B(1)], "illegal_placeholder"],
  ["a placeholder in an ack", ['61-1[{"_placeholder":true,"num":1}]', B(1)], "illegal_placeholder"],
  ["half a placeholder", ['51-["x",{"_placeholder":true,"num":0.5}]', B(1)], "illegal_placeholder", "it stands for nothing"],
  ["a placeholder with more", ['51-["x",{"_placeholder":true,"num":0,"x":1}]', B(1)], "illegal_placeholder", "no encoder writes it, and what is more is lost"],
  ["text while attachments are pending", ['52-["x"]', B(1), '2["e"]'], "text_while_attachments_pending"],
  ["bytes that nobody announced", [B(1)], "unexpected_binary"],
  ["bytes after the last", ['51-["x"]', B(1), B(2)], "unexpected_binary"],
  ["a namespace too long", ["0/" + "a".repeat(256)], "invalid_namespace", "names are short"],
  ["too deep", ['2["e",' + "[".repeat(128) + "]".repeat(128) + "]"], "too_deep", "walkers over a value are recursive"],
  ["connect too large", ['0{"a":"' + "x".repeat(16384) + '"}'], "connect_payload_too_large", "the sender is unknown"],
];

const pack = (value) => require("notepack.io").encode(value);

// Without the numbers beyond 64 bits, which notepack.io writes wrongly.
const packed = [
  ...packets.filter(([name]) => !name.startsWith("numbers")),
  ["numbers", { type: 2, nsp: "/", data: ["n", 0, -1, 1.5, 255, 256, 65536, 4294967296, -32, -33, -129, -40000, -3000000000, 9007199254740991] }],
];

/** What JavaScript clients send, and what only others do. */
const packedAccepted = [
  ["a JavaScript client's connect", pack({ type: 0, data: undefined, nsp: "/" })],
  ["a JavaScript client's event", pack({ type: 2, data: ["e", 1], options: { compress: true }, id: 3, nsp: "/" })],
  ["a date", pack({ type: 2, data: ["e", date, { at: date }], nsp: "/" })],
  ["undefined", pack({ type: 2, data: ["e", undefined, { a: undefined, b: [undefined] }], nsp: "/" })],
  ["infinity", pack({ type: 2, data: ["e", Infinity], nsp: "/" })],
  ["a typed array", pack({ type: 2, data: ["e", new Uint8Array([1, 2, 3])], nsp: "/" })],
  ["a numeric name", pack({ type: 2, data: [5, 1], nsp: "/" })],
  ["the longer forms", Buffer.from("df00000003d90474797065cd0002a464617461dd00000002db0000000165d300000000000000ff" + "da00036e7370" + "a12f", "hex")],
];

const packedRefused = [
  ["nothing", B(), "empty_packet"],
  ["no map", pack([2]), "malformed_msgpack"],
  ["half a packet", pack({ type: 2, data: ["e"], nsp: "/" }).subarray(0, 12), "malformed_msgpack"],
  ["something behind", Buffer.concat([pack({ type: 1, nsp: "/" }), B(0xc0)]), "malformed_msgpack"],
  ["unknown type", pack({ type: 5, data: ["e"], nsp: "/" }), "unknown_type"],
  ["negative type", pack({ type: -1, data: ["e"], nsp: "/" }), "unknown_type"],
  ["no type", pack({ data: ["e"], nsp: "/" }), "unknown_type"],
  ["no namespace", pack({ type: 2, data: ["e"] }), "malformed_msgpack"],
  ["namespace that is a number", pack({ type: 2, data: ["e"], nsp: 1 }), "malformed_msgpack"],
  ["namespace that is none", pack({ type: 2, data: ["e"], nsp: "admin" }), "invalid_namespace", "no namespace has such a name"],
  ["connect with an array", pack({ type: 0, data: [], nsp: "/" }), "invalid_connect_payload"],
  ["connect with bytes", pack({ type: 0, data: { t: B(1) }, nsp: "/" }), "invalid_connect_payload", "bytes have no form in JSON"],
  ["disconnect with a payload", pack({ type: 1, data: {}, nsp: "/" }), "disconnect_payload"],
  ["event without data", pack({ type: 2, nsp: "/" }), "invalid_event_payload"],
  ["event with an object", pack({ type: 2, data: {}, nsp: "/" }), "invalid_event_payload"],
  ["event without a name", pack({ type: 2, data: [], nsp: "/" }), "invalid_event_payload", "as the JSON parser"],
  ["event with null as name", pack({ type: 2, data: [null], nsp: "/" }), "invalid_event_payload", "as the JSON parser"],
  ["reserved name", pack({ type: 2, data: ["disconnect"], nsp: "/" }), "reserved_event_name", "as the JSON parser"],
  ["ack without data", pack({ type: 3, id: 1, nsp: "/" }), "invalid_ack_payload"],
  ["id that is a string", pack({ type: 2, data: ["e"], id: "1", nsp: "/" }), "invalid_ack_id"],
  ["id that is a fraction", pack({ type: 2, data: ["e"], id: 1.5, nsp: "/" }), "invalid_ack_id"],
  ["id that is negative", pack({ type: 2, data: ["e"], id: -1, nsp: "/" }), "invalid_ack_id", "no id is"],
  ["connect error with a number", pack({ type: 4, data: 1, nsp: "/" }), "invalid_connect_error_payload"],
  ["a JSON packet's bytes", Buffer.from('2["e"]'), "malformed_msgpack"],
  ["a placeholder beside bytes", pack({ type: 2, data: ["e", { _placeholder: true, num: 0 }, B(1)], nsp: "/" }), "illegal_placeholder", "JSON could not tell them apart"],
  ["bytes as a key", Buffer.from("83a47479706502a46461746192a16581c40101c0a36e7370a12f", "hex"), "malformed_msgpack", "it is no key of JSON"],
  ["broken UTF-8", Buffer.from("83a47479706502a46461746192a165a1ffa36e7370a12f", "hex"), "malformed_msgpack", "text is UTF-8"],
];

function write(name, value) {
  const lines = value.map((v) => "  " + JSON.stringify(v));
  fs.writeFileSync(path.join(__dirname, name), "[\n" + lines.join(",\n") + "\n]\n");
}

write("packets.json", [
  ...packets.map(([name, packet]) => {
    const messages = new json.Encoder().encode(structuredClone(packet));
    const result = decode(json, messages.map((m) => (typeof m === "string" ? m : Buffer.from(m))));
    assert.ok(result.packet, name);
    return { name, canonical: true, messages: messages.map(message), packet: expected(packet) };
  }),
  ...accepted.map(([name, messages, ours = {}]) => {
    const result = decode(json, messages);
    assert.ok(result.packet, `${name}: ${result.error}`);
    const base = ours.kind ? { kind: ours.kind, nsp: result.packet.nsp, ...(result.packet.id === undefined ? {} : { id: result.packet.id }) } : expected(result.packet);
    if (base.kind === "no_event") delete base.id;
    return { name, canonical: false, messages: messages.map(message), packet: { ...base, ...ours } };
  }),
]);

write("msgpack.json", [
  ...packed.map(([name, packet]) => {
    const [bytes] = new msgpack.Encoder().encode(keyOrder(packet));
    return { name, canonical: true, messages: [message(bytes)], packet: expected(packet) };
  }),
  ...packedAccepted.map(([name, bytes]) => {
    const result = decode(msgpack, [bytes]);
    assert.ok(result.packet, `${name}: ${result.error}`);
    return { name, canonical: false, messages: [message(bytes)], packet: expected(result.packet) };
  }),
]);

/** The order in which a server writes the keys. */
function keyOrder({ type, nsp, id, data }) {
  const packet = type === 3 ? { id, type, data } : { type };
  if (type !== 3 && data !== undefined) packet.data = data;
  if (type !== 3 && id !== undefined) packet.id = id;
  packet.nsp = nsp;
  return packet;
}

const verdict = (parser, name, messages, violation, why) => {
  const { error } = decode(parser, messages);
  assert.ok(error || why, `${name}: the reference accepts it, say why we do not`);
  assert.ok(!(error && why), `${name}: the reference refuses it too`);
  return { name, messages: messages.map(message), reference: error ? "refused" : "accepted", violation, ...(why ? { why } : {}) };
};
write("refused.json", refused.map(([name, messages, violation, why]) => verdict(json, name, messages, violation, why)));
write("msgpack_refused.json", packedRefused.map(([name, bytes, violation, why]) => verdict(msgpack, name, [bytes], violation, why)));
