// Packets in MessagePack: one binary message each, with the published parser on our side.
import assert from "node:assert/strict";
import { Decoder, Encoder } from "socket.io-msgpack-parser";
import { PollingSession } from "../lib/polling.mjs";
import { check, suite } from "../lib/suite.mjs";
import { openSession } from "../lib/websocket.mjs";

const [CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR] = [0, 1, 2, 3, 4];
const encode = (packet) => Buffer.from(new Encoder().encode(packet)[0]);

function decode(message) {
  assert.ok(Buffer.isBuffer(message), `a binary message, not ${message}`);
  const decoder = new Decoder();
  let packet;
  decoder.on("decoded", (found) => {
    packet = found;
  });
  decoder.add(message);
  return packet;
}

suite("MessagePack over WebSocket", "msgpack", (target) => {
  async function open(t) {
    const { socket } = await openSession(t, target);
    const say = (packet) => socket.send(encode({ nsp: "/", ...packet }));
    const hear = async (what) => decode(await socket.next(what));
    return { socket, say, hear };
  }

  async function openAndJoin(t) {
    const connection = await open(t);
    connection.say({ type: CONNECT, data: {} });
    const { data, ...rest } = await connection.hear("the CONNECT packet");
    assert.deepEqual(rest, { type: CONNECT, nsp: "/" });
    assert.match(data.sid, /^[A-Za-z0-9_-]{20}$/);
    assert.deepEqual(await connection.hear("the auth event"), { type: EVENT, data: ["auth", {}], nsp: "/" });
    return connection;
  }

  check("joining", openAndJoin);

  check("joining with credentials", async (t) => {
    const { say, hear } = await open(t);
    say({ type: CONNECT, nsp: "/custom", data: { token: "x" } });
    assert.equal((await hear()).nsp, "/custom");
    assert.deepEqual(await hear(), { type: EVENT, data: ["auth", { token: "x" }], nsp: "/custom" });
  });

  check("joining without data", async (t) => {
    const { say, hear } = await open(t);
    say({ type: CONNECT, data: undefined });
    assert.equal((await hear()).type, CONNECT);
  });

  check("the bytes of a CONNECT without data, as the browsers' parser writes them", async (t) => {
    const { socket, hear } = await open(t);
    // {type: 0, nsp: "/"}
    socket.send(Buffer.from("82a47479706500a36e7370a12f", "hex"));
    assert.equal((await hear()).type, CONNECT);
  });

  const numbers = [0, -1, 127, 128, 65536, -40000, 1.5];
  const values = [null, true, false, ...numbers, "", "€ 😀", [], {}, [[1, [2]]], { a: { b: null } }];
  check("every type comes back", async (t) => {
    const { say, hear } = await openAndJoin(t);
    say({ type: EVENT, data: ["message", ...values] });
    assert.deepEqual(await hear(), { type: EVENT, data: ["message-back", ...values], nsp: "/" });
  });

  check("bytes in any depth, in one message", async (t) => {
    const { say, hear } = await openAndJoin(t);
    const data = [Buffer.of(1, 2), { a: [Buffer.of(3)] }];
    say({ type: EVENT, data: ["message", ...data] });
    assert.deepEqual((await hear()).data, ["message-back", ...data]);
  });

  check("what looks like a placeholder is data", async (t) => {
    const { say, hear } = await openAndJoin(t);
    const value = { _placeholder: true, num: 0 };
    say({ type: EVENT, data: ["message", value] });
    assert.deepEqual((await hear()).data, ["message-back", value]);
  });

  check("acknowledgements both ways", async (t) => {
    const { say, hear } = await openAndJoin(t);
    say({ type: EVENT, data: ["message-with-ack", "q", Buffer.of(9)], id: 0 });
    assert.deepEqual(await hear(), { type: ACK, data: ["q", Buffer.of(9)], id: 0, nsp: "/" });
    say({ type: EVENT, data: ["request", 60_000, "question", 1], id: 7 });
    const { id, ...question } = await hear();
    assert.deepEqual(question, { type: EVENT, data: ["question", 1], nsp: "/" });
    say({ type: ACK, data: ["answer"], id });
    assert.deepEqual(await hear(), { type: ACK, data: [null, "answer"], id: 7, nsp: "/" });
  });

  check("refusals", async (t) => {
    const { say, hear } = await open(t);
    say({ type: CONNECT, nsp: "/nope", data: {} });
    assert.deepEqual(await hear(), { type: CONNECT_ERROR, data: { message: "Invalid namespace" }, nsp: "/nope" });
    say({ type: CONNECT, nsp: "/refused", data: {} });
    const data = { message: "not authorized", data: { code: 4001, content: "retry later" } };
    assert.deepEqual(await hear(), { type: CONNECT_ERROR, data, nsp: "/refused" });
  });

  check("leaving", async (t) => {
    const { say, hear } = await openAndJoin(t);
    say({ type: CONNECT, nsp: "/custom", data: {} });
    await hear(), await hear();
    say({ type: DISCONNECT, nsp: "/custom" });
    say({ type: EVENT, data: ["message", 1] });
    assert.deepEqual((await hear()).data, ["message-back", 1]);
    say({ type: EVENT, data: ["disconnect-me", false] });
    const { type, nsp } = await hear();
    assert.deepEqual([type, nsp], [DISCONNECT, "/"]);
  });

  const whole = encode({ type: EVENT, nsp: "/", data: ["message", "long enough"] });
  const elsewhere = encode({ type: EVENT, nsp: "/custom", data: ["message"] });
  const fatal = [
    { name: "a JSON packet", message: '42["message"]' },
    { name: "a JSON connection", message: "40" },
    { name: "no bytes", message: Buffer.alloc(0) },
    { name: "bytes that are no MessagePack", message: Buffer.of(0xc1, 0xc1) },
    { name: "a packet cut short", message: whole.subarray(0, 20) },
    { name: "a number", message: Buffer.of(1) },
    { name: "an array", message: Buffer.of(0x90) },
    { name: "packet type 9", message: encode({ type: 9, nsp: "/", data: ["message"] }) },
    { name: "a packet type that is text", message: encode({ type: "2", nsp: "/", data: ["message"] }) },
    { name: "an event that is an object", message: encode({ type: EVENT, nsp: "/", data: {} }) },
    { name: "a namespace that is a number", message: encode({ type: EVENT, nsp: 1, data: ["message"] }) },
    { name: "an event for a namespace that was not joined", message: elsewhere },
    { name: "an acknowledgement that is an object", message: encode({ type: ACK, nsp: "/", id: 1, data: {} }) },
    { name: "a second connection to the same namespace", message: encode({ type: CONNECT, nsp: "/", data: {} }) },
  ];
  for (const { name, message } of fatal) {
    check(`closes: ${name}`, async (t) => {
      const { socket } = await openAndJoin(t);
      socket.send(message);
      await socket.closed();
      assert.deepEqual(socket.rest(), []);
    });
  }
});

suite("MessagePack over polling", "msgpack", (target) => {
  check("packets are base64", async (t) => {
    const session = await PollingSession.open(target);
    t.after(() => session.close());
    await session.send(encode({ type: CONNECT, nsp: "/", data: {} }));
    const [connect, auth] = await session.pollFor(2);
    assert.equal(decode(connect).type, CONNECT);
    assert.deepEqual(decode(auth).data, ["auth", {}]);
    await session.send(encode({ type: EVENT, nsp: "/", data: ["message", Buffer.of(1)] }));
    const [back] = await session.pollFor(1);
    assert.deepEqual(decode(back).data, ["message-back", Buffer.of(1)]);
  });
});
