// Many messages, and large ones.
import assert from "node:assert/strict";
import { call, inbox, once } from "../clients.mjs";
import { check, within } from "../suite.mjs";

const MESSAGES = 1_000;
// Under the server's limit of 1 000 000 with what surrounds them; bytes may travel as base64, and in
// MessagePack text is bytes too.
const LARGE_TEXT = 900_000;
const LARGE_BYTES = 700_000;
const LARGER_THAN_THE_LIMIT = 3_000_000;
const LARGE_MS = 20_000;

export function volume(client, target) {
  check(`${MESSAGES} messages to the server and back, in order`, async (t) => {
    const socket = await client.connect(t, target);
    const back = inbox(socket, "message-back");
    for (let index = 0; index < MESSAGES; index += 1) socket.emit("message", index);
    for (let index = 0; index < MESSAGES; index += 1) assert.deepEqual(await back.next(), [index]);
    assert.deepEqual(back.rest(), []);
  });

  check(`${MESSAGES} messages from the server, in order, before the acknowledgement`, async (t) => {
    const socket = await client.connect(t, target);
    const received = [];
    socket.on("burst", (index) => received.push(index));
    await call(socket, "burst", MESSAGES);
    assert.deepEqual(received, [...Array(MESSAGES).keys()]);
  });

  check("large text both ways", async (t) => {
    const socket = await client.connect(t, target);
    const size = client.parser === "msgpack" ? LARGE_BYTES : LARGE_TEXT;
    const word = "aé".repeat(size / 3);
    socket.emit("message", word);
    const [back] = await once(socket, "message-back", LARGE_MS);
    assert.ok(back === word, `${back.length} of ${word.length} characters`);
  });

  check("large bytes both ways", async (t) => {
    const socket = await client.connect(t, target);
    const bytes = Buffer.alloc(LARGE_BYTES).map((_, index) => index & 0xff);
    socket.emit("message", bytes);
    const [back] = await once(socket, "message-back", LARGE_MS);
    assert.ok(bytes.equals(Buffer.from(back)));
  });

  check("the server may send more than it takes", async (t) => {
    const socket = await client.connect(t, target);
    const [text] = await call(socket, "make-text", LARGER_THAN_THE_LIMIT);
    assert.ok(text === "x".repeat(LARGER_THAN_THE_LIMIT));
    const [bytes] = await call(socket, "make-binary", LARGER_THAN_THE_LIMIT);
    assert.ok(Buffer.from(bytes).every((byte, index) => byte === (index & 0xff)));
  });

  check("what is too large ends the connection, not the server", async (t) => {
    const socket = await client.connect(t, target);
    const ended = within(new Promise((resolve) => socket.once("disconnect", resolve)), "the end");
    socket.emit("message", "x".repeat(LARGER_THAN_THE_LIMIT));
    assert.ok(["transport close", "transport error"].includes(await ended));
    const other = await client.connect(t, target);
    assert.deepEqual(await call(other, "message-with-ack", 1), [1]);
  });
}
