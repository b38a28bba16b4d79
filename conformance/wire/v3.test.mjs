// Engine.IO v3 and Socket.IO v2, where they differ: payload framing, type bytes, the connection that
// opens by itself, credentials in the query of a namespace.
import assert from "node:assert/strict";
import { request } from "../lib/http.mjs";
import { v3, v3binary } from "../lib/payload.mjs";
import { PollingSession } from "../lib/polling.mjs";
import { check, suite } from "../lib/suite.mjs";
import { openSession } from "../lib/websocket.mjs";

const PLACEHOLDER = '{"_placeholder":true,"num":0}';
const OCTETS = { "Content-Type": "application/octet-stream" };

suite("Engine.IO v3 over polling", "v3", (target) => {
  async function open(t, { extra = "" } = {}) {
    const session = await PollingSession.open(target, { protocol: 3, extra });
    t.after(() => session.close());
    const packets = session.first;
    while (packets.length < 2) packets.push(...(await session.poll()));
    assert.deepEqual(packets, ["40", '42["auth",{}]']);
    return session;
  }

  check("the handshake is framed by its length", async () => {
    const answer = await request(target, { query: "EIO=3&transport=polling" });
    const [open] = v3.decode(answer.text);
    assert.ok(answer.text.startsWith(`${open.length}:0{"sid":"`));
    const { sid, ...rest } = JSON.parse(open.slice(1));
    assert.match(sid, /^[A-Za-z0-9_-]{20,}$/);
    assert.deepEqual(rest, { upgrades: ["websocket"], pingInterval: 25000, pingTimeout: 20000, maxPayload: 1000000 });
  });

  check("no EIO at all means protocol 3", async () => {
    const answer = await request(target, { query: "transport=polling" });
    assert.equal(answer.status, 200);
    assert.match(answer.text, /^\d+:0\{/);
  });

  check("one packet each way, and several", async (t) => {
    const session = await open(t);
    await session.post('17:42["message","a"]');
    assert.equal((await session.pollAnswer()).text, '22:42["message-back","a"]');
    await session.send('42["message",1]', '42["message",2]', '42["message",3]');
    assert.deepEqual(await session.pollFor(3), [1, 2, 3].map((index) => `42["message-back",${index}]`));
  });

  check("lengths count UTF-16 code units", async (t) => {
    const session = await open(t);
    const packet = '42["message","€ 😀"]';
    assert.equal(packet.length, 20);
    const answer = await session.post(`20:${packet}`);
    assert.equal(answer.status, 200);
    const { text, headers } = await session.pollAnswer();
    assert.equal(text, '25:42["message-back","€ 😀"]');
    assert.equal(headers["content-type"], "text/plain; charset=UTF-8");
  });

  check("with b64=1 bytes are b4 and base64", async (t) => {
    const session = await open(t, { extra: "&b64=1" });
    const header = `451-["message",${PLACEHOLDER}]`;
    await session.post(`${header.length}:${header}10:b4AQIDBA==`);
    const back = `451-["message-back",${PLACEHOLDER}]`;
    const { text, headers } = await session.pollAnswer();
    assert.equal(text, `${back.length}:${back}10:b4AQIDBA==`);
    assert.equal(headers["content-type"], "text/plain; charset=UTF-8");
  });

  check("without it a payload with bytes is binary", async (t) => {
    const session = await open(t);
    const header = `451-["message",${PLACEHOLDER}]`;
    const posted = await session.post(v3binary.encode([header, Buffer.of(1, 2, 3, 4)]), OCTETS);
    assert.deepEqual([posted.status, posted.text], [200, "ok"]);
    const { bytes, headers } = await session.pollAnswer();
    assert.equal(headers["content-type"], "application/octet-stream");
    const back = Buffer.from(`451-["message-back",${PLACEHOLDER}]`);
    assert.equal(back.length, 50);
    const golden = Buffer.concat([Buffer.of(0, 5, 0, 0xff), back, Buffer.of(1, 5, 0xff, 4, 1, 2, 3, 4)]);
    assert.deepEqual(bytes, golden);
  });

  check("a binary body may hold text only", async (t) => {
    const session = await open(t);
    await session.post(v3binary.encode(['42["message",1]', '42["message",2]']), OCTETS);
    assert.deepEqual(await session.pollFor(2), ['42["message-back",1]', '42["message-back",2]']);
  });

  const broken = [
    { name: "a packet without a length", body: "abc" },
    { name: "a length that is too long", body: '99:42["message"]' },
    { name: "a length that is no number", body: 'x:42["message"]' },
    { name: "an unknown packet type", body: "3:abc" },
    { name: "an empty body", body: "" },
  ];
  for (const { name, body } of broken) {
    check(`${name} ends the session`, async (t) => {
      const session = await open(t);
      const answer = await session.post(body).catch(() => ({ status: 400 }));
      assert.ok([200, 400].includes(answer.status), String(answer.status));
      await session.assertCloses();
      await session.assertGone();
    });
  }

  check("two polls at once end the session", async (t) => {
    const session = await open(t);
    const first = session.pollAnswer();
    await session.send("2").catch(() => {});
    assert.equal((await first).text, "1:3");
    const waiting = session.pollAnswer();
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal((await session.pollAnswer()).status, 400);
    assert.equal((await waiting).text, "1:1");
    await session.assertGone();
  });

  check("a close packet answers the poll with a noop", async (t) => {
    const session = await open(t);
    const waiting = session.pollAnswer();
    await new Promise((resolve) => setTimeout(resolve, 50));
    await session.post("1:1");
    assert.equal((await waiting).text, "1:6");
    await session.assertGone();
  });

  check("the close packet right after the handshake: the poll brings what was waiting", async (t) => {
    const session = await PollingSession.open(target, { protocol: 3 });
    const [polled] = await Promise.all([session.pollAnswer(), session.post("1:1")]);
    assert.equal(polled.text, '2:4013:42["auth",{}]');
    await session.assertGone();
  });

  check("a protocol 4 client is served beside it", async (t) => {
    const session = await PollingSession.open(target, { protocol: 4 });
    t.after(() => session.close());
    const [connect] = await session.join();
    assert.match(connect, /^40\{"sid":/);
  });

  check("protocol 4 in the middle is refused", async (t) => {
    const session = await open(t);
    const answer = await request(target, { query: `EIO=4&transport=polling&sid=${session.sid}` });
    assert.deepEqual([answer.status, answer.json()], [400, { code: 3, message: "Bad request" }]);
  });
});

suite("Engine.IO v3 over WebSocket", "v3", (target) => {
  check("bytes carry the type of their packet", async (t) => {
    const { socket } = await openSession(t, target, { protocol: 3 });
    await socket.next(), await socket.next();
    socket.send(`451-["message",${PLACEHOLDER}]`, Buffer.of(4, 1, 2, 3));
    assert.equal(await socket.next(), `451-["message-back",${PLACEHOLDER}]`);
    assert.deepEqual(await socket.next(), Buffer.of(4, 1, 2, 3));
  });

  check("with b64=1 bytes are b4 and base64, as text", async (t) => {
    const { socket } = await openSession(t, target, { protocol: 3, extra: "&b64=1" });
    await socket.next(), await socket.next();
    socket.send(`451-["message",${PLACEHOLDER}]`, "b4AQIDBA==");
    assert.equal(await socket.next(), `451-["message-back",${PLACEHOLDER}]`);
    assert.equal(await socket.next(), "b4AQIDBA==");
  });
});

suite("Socket.IO v2", "v3", (target) => {
  async function open(t, extra = "") {
    const { socket, handshake } = await openSession(t, target, { protocol: 3, extra });
    assert.equal(await socket.next("the CONNECT packet"), "40");
    assert.equal(await socket.next("the auth event"), '42["auth",{}]');
    return { socket, handshake };
  }

  // The client takes the session's id for its own, and so does the reference, to whom it is no
  // secret. A server that keeps it one has another id for the socket.
  function assertId(found, derived) {
    assert.ok(found === derived || /^[A-Za-z0-9_-]{20}$/.test(found), `${found} is neither ${derived} nor an id`);
  }

  check("the root namespace opens by itself, without a payload", async (t) => {
    const { socket, handshake } = await open(t);
    socket.send('421["id"]');
    const [, id] = (await socket.next()).match(/^431\["(.*)"\]$/);
    assertId(id, handshake.sid);
  });

  check("another namespace is asked for", async (t) => {
    const { socket, handshake } = await open(t);
    socket.send("40/custom,");
    assert.equal(await socket.next(), "40/custom,");
    assert.equal(await socket.next(), '42/custom,["auth",{}]');
    socket.send('42/custom,1["id"]');
    const [, id] = (await socket.next()).match(/^43\/custom,1\["(.*)"\]$/);
    assertId(id, `/custom#${handshake.sid}`);
  });

  check("its query is its credentials", async (t) => {
    const { socket } = await open(t);
    socket.send("40/custom?token=abc&x=%C3%A9,");
    assert.equal(await socket.next(), "40/custom,");
    assert.equal(await socket.next(), '42/custom,["auth",{"token":"abc","x":"é"}]');
  });

  check("the right query opens a guarded namespace", async (t) => {
    const { socket } = await open(t);
    socket.send("40/guarded?token=secret,");
    assert.equal(await socket.next(), "40/guarded,");
    assert.equal(await socket.next(), '42/guarded,["auth",{"token":"secret"}]');
  });

  check("an unknown namespace", async (t) => {
    const { socket } = await open(t);
    socket.send("40/random");
    assert.equal(await socket.next(), '44/random,{"message":"Invalid namespace"}');
  });

  check("a middleware that refuses: its data, or its message alone", async (t) => {
    const { socket } = await open(t);
    socket.send("40/refused,");
    assert.equal(await socket.next(), '44/refused,{"code":4001,"content":"retry later"}');
  });

  check("leaving a namespace leaves the other", async (t) => {
    const { socket } = await open(t);
    socket.send("40/custom");
    assert.equal(await socket.next(), "40/custom,");
    assert.equal(await socket.next(), '42/custom,["auth",{}]');
    socket.send("41/custom,", '42["message","root"]');
    assert.equal(await socket.next(), '42["message-back","root"]');
  });

  check("the server ends a namespace", async (t) => {
    const { socket } = await open(t);
    socket.send("40/custom");
    await socket.next(), await socket.next();
    socket.send('42/custom,["disconnect-me",false]');
    assert.equal(await socket.next(), "41/custom,");
    socket.send('42["message",1]');
    assert.equal(await socket.next(), '42["message-back",1]');
  });
});
