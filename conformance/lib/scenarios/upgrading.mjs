// From polling to WebSocket while both sides talk: nothing lost, doubled or out of order.
import assert from "node:assert/strict";
import { call, inbox } from "../clients.mjs";
import { check, within } from "../suite.mjs";

const ROUNDS = 5;
const AFTERWARDS = 50;

export function upgrading(client, target) {
  check("becomes a WebSocket, and both sides know", async (t) => {
    const socket = client.start(t, target);
    await client.connected(socket);
    await client.upgraded(socket);
    assert.equal(socket.io.engine.transport.name, "websocket");
    const [{ transport }] = await call(socket, "handshake");
    assert.equal(transport, "websocket");
  });

  for (const bytes of [false, true]) {
    check(`what ${bytes ? "bytes" : "text"} both sides emit meanwhile arrives once and in order`, async (t) => {
      for (let round = 0; round < ROUNDS; round += 1) await talkWhileUpgrading(client, t, target, bytes);
    });
  }

  check("a burst from the server meanwhile arrives once and in order", async (t) => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const socket = client.start(t, target);
      const received = [];
      socket.on("burst", (index) => received.push(index));
      await client.connected(socket);
      const bursts = [];
      while (socket.io.engine.transport.name === "polling") {
        bursts.push(call(socket, "burst", 20));
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      await Promise.all(bursts);
      const expected = bursts.flatMap(() => [...Array(20).keys()]);
      assert.deepEqual(received, expected);
    }
  });

  check("an acknowledgement asked for before arrives after", async (t) => {
    const socket = client.start(t, target);
    await client.connected(socket);
    let answer;
    socket.on("question", (given) => {
      answer = given;
    });
    const acknowledged = call(socket, "request", 60_000, "question");
    await client.upgraded(socket);
    await within(
      (async () => {
        while (!answer) await new Promise((resolve) => setTimeout(resolve, 5));
      })(),
      "the question",
    );
    answer("late");
    assert.deepEqual(await acknowledged, [null, "late"]);
  });
}

// Emits from the first moment until well after the upgrade; the server echoes.
async function talkWhileUpgrading(client, t, target, bytes) {
  const socket = client.start(t, target);
  const back = inbox(socket, "message-back");
  let sent = 0;
  const say = () => {
    if (bytes) socket.emit("message", sent, Buffer.of(sent & 0xff));
    else socket.emit("message", sent);
    sent += 1;
  };
  await client.connected(socket);
  while (socket.io.engine.transport.name === "polling") {
    say();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  for (let count = 0; count < AFTERWARDS; count += 1) say();
  for (let index = 0; index < sent; index += 1) {
    const [number, data] = await back.next(`${index} of ${sent}`);
    assert.equal(number, index);
    if (bytes) assert.deepEqual(Buffer.from(data), Buffer.of(index & 0xff));
  }
  assert.deepEqual(back.rest(), []);
  socket.disconnect();
}
