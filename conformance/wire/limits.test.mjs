// The limits a peer meets: payload size on every road, and the time to join a namespace. The server
// allows 1000 bytes, 600 ms to join.
import assert from "node:assert/strict";
import net from "node:net";
import { parseAnswer } from "../lib/http.mjs";
import { PollingSession } from "../lib/polling.mjs";
import { check, pause, suite, within } from "../lib/suite.mjs";
import { openSession } from "../lib/websocket.mjs";

const MAX = 1000;
const CONNECT_TIMEOUT_MS = 600;

/** A `message` event of exactly `size` bytes, Engine.IO type included, and its echo. */
function messageOf(size) {
  const word = "x".repeat(size - '42["message",""]'.length);
  return { packet: `42["message","${word}"]`, echo: `42["message-back","${word}"]` };
}

async function joinedSession(t, target) {
  const session = await PollingSession.open(target);
  t.after(() => session.close());
  await session.join();
  return session;
}

async function joinedSocket(t, target, protocol = 4) {
  const { socket } = await openSession(t, target, { protocol });
  if (protocol === 4) socket.send("40");
  await socket.next("the CONNECT packet");
  await socket.next("the auth event");
  return socket;
}

suite("payload limits", "strict", (target) => {
  check("the handshake tells the limit", async (t) => {
    const { handshake } = await openSession(t, target);
    assert.equal(handshake.maxPayload, MAX);
  });

  check("polling: a body as large as the limit is taken", async (t) => {
    const session = await joinedSession(t, target);
    const { packet, echo } = messageOf(MAX);
    await session.send(packet);
    assert.deepEqual(await session.poll(), [echo]);
  });

  check("polling: one byte more is 413, and the session lives", async (t) => {
    const session = await joinedSession(t, target);
    const answer = await session.post(messageOf(MAX + 1).packet);
    assert.deepEqual([answer.status, answer.text], [413, ""]);
    await session.send('42["message",1]');
    assert.deepEqual(await session.poll(), ['42["message-back",1]']);
  });

  check("polling: what counts is bytes, not characters", async (t) => {
    const session = await joinedSession(t, target);
    const answer = await session.post(`42["message","${"€".repeat(400)}"]`);
    assert.equal(answer.status, 413);
  });

  check("polling: a body without a length is cut at the limit", async (t) => {
    const session = await joinedSession(t, target);
    const socket = net.connect(target.port, target.host);
    t.after(() => socket.destroy());
    const chunks = [];
    const answered = new Promise((resolve) => {
      socket.on("data", (chunk) => chunks.push(chunk) && resolve());
      socket.on("error", resolve);
      socket.on("close", resolve);
    });
    const head = `POST ${target.path}?${session.query} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n`;
    socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n`);
    const sending = setInterval(() => socket.writable && socket.write(`64\r\n${"x".repeat(100)}\r\n`), 5);
    t.after(() => clearInterval(sending));
    await within(answered, "an answer before the body ends");
    assert.equal(parseAnswer(Buffer.concat(chunks)).status, 413);
  });

  for (const protocol of [4, 3]) {
    check(`WebSocket v${protocol}: a message as large as the limit is taken`, async (t) => {
      const socket = await joinedSocket(t, target, protocol);
      const { packet, echo } = messageOf(MAX);
      socket.send(packet);
      assert.equal(await socket.next(), echo);
    });

    check(`WebSocket v${protocol}: one byte more is 1009`, async (t) => {
      const socket = await joinedSocket(t, target, protocol);
      socket.send(messageOf(MAX + 1).packet);
      assert.equal((await socket.closed()).code, 1009);
    });
  }

  check("WebSocket: one binary byte more is 1009", async (t) => {
    const socket = await joinedSocket(t, target);
    socket.send('451-["message",{"_placeholder":true,"num":0}]', Buffer.alloc(MAX + 1));
    assert.equal((await socket.closed()).code, 1009);
  });

  check("what the server sends is not limited by it", async (t) => {
    const socket = await joinedSocket(t, target);
    socket.send('421["make-text",5000]');
    assert.equal(await socket.next(), `431["${"x".repeat(5000)}"]`);
    const session = await joinedSession(t, target);
    await session.send('421["make-text",5000]');
    assert.deepEqual(await session.poll(), [`431["${"x".repeat(5000)}"]`]);
  });
});

suite("the time to join a namespace", "strict", (target) => {
  check("WebSocket: a session without a namespace is closed", async (t) => {
    const started = performance.now();
    const { socket } = await openSession(t, target);
    await socket.closed();
    assert.ok(performance.now() - started > CONNECT_TIMEOUT_MS - 30);
  });

  check("polling: a session without a namespace is closed", async () => {
    const session = await PollingSession.open(target);
    await session.assertCloses();
    await session.assertGone();
  });

  check("a refusal is not a namespace", async (t) => {
    const { socket } = await openSession(t, target);
    socket.send("40/refused,");
    assert.match(await socket.next(), /^44\/refused,/);
    await socket.closed();
  });

  check("a session that joined stays", async (t) => {
    const socket = await joinedSocket(t, target);
    await pause(CONNECT_TIMEOUT_MS + 300);
    socket.send('42["message",1]');
    assert.equal(await socket.next(), '42["message-back",1]');
  });

  check("a session that joined and left stays", async (t) => {
    const socket = await joinedSocket(t, target);
    socket.send("41");
    await pause(CONNECT_TIMEOUT_MS + 300);
    socket.send("40");
    assert.match(await socket.next(), /^40\{/);
  });
});
