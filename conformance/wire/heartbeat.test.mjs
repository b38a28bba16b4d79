// The heartbeat of both protocols at 300 ms and 200 ms: who asks, who answers, and what silence does.
import assert from "node:assert/strict";
import { PollingSession } from "../lib/polling.mjs";
import { check, pause, suite } from "../lib/suite.mjs";
import { openSession } from "../lib/websocket.mjs";

const INTERVAL_MS = 300;
const TIMEOUT_MS = 200;
// Timers may fire a little early by the other side's clock.
const SLACK_MS = 20;

async function assertEndsAfter(ms, started, end) {
  await end;
  const lived = performance.now() - started;
  assert.ok(lived >= ms - SLACK_MS, `ended after ${Math.round(lived)} ms, which is less than ${ms}`);
}

suite("heartbeat, protocol 4", "beat", (target) => {
  check("the handshake tells its times", async (t) => {
    const { handshake } = await openSession(t, target);
    assert.deepEqual([handshake.pingInterval, handshake.pingTimeout], [INTERVAL_MS, TIMEOUT_MS]);
  });

  check("WebSocket: the server pings, and again after each pong", async (t) => {
    const { socket } = await openSession(t, target);
    for (let beat = 0; beat < 3; beat += 1) {
      const before = performance.now();
      assert.equal(await socket.next("a ping"), "2");
      assert.ok(performance.now() - before >= INTERVAL_MS - SLACK_MS - (beat === 0 ? INTERVAL_MS : 0));
      socket.send("3");
    }
  });

  check("WebSocket: silence ends the session", async (t) => {
    const { socket } = await openSession(t, target);
    const started = performance.now();
    assert.equal(await socket.next("a ping"), "2");
    await assertEndsAfter(TIMEOUT_MS, started, socket.closed());
  });

  check("WebSocket: a close packet ends the session, at the latest by silence", async (t) => {
    const { socket } = await openSession(t, target);
    socket.send("1");
    await socket.closed();
  });

  check("polling: the server pings, and again after each pong", async (t) => {
    const session = await PollingSession.open(target);
    t.after(() => session.close());
    for (let beat = 0; beat < 3; beat += 1) {
      assert.deepEqual(await session.poll(), ["2"]);
      await session.send("3");
    }
  });

  check("polling: silence ends the session", async (t) => {
    const session = await PollingSession.open(target);
    assert.deepEqual(await session.poll(), ["2"]);
    await session.assertCloses();
    await session.assertGone();
  });

  check("polling: a client that never comes back is forgotten", async () => {
    const session = await PollingSession.open(target);
    await pause(INTERVAL_MS + TIMEOUT_MS + 500);
    await session.assertGone();
  });

  check("the reason is `ping timeout`", async (t) => {
    const { socket: observer } = await openSession(t, target, { answersPings: true });
    observer.send("40");
    assert.match(await observer.next("the CONNECT packet"), /^40/);
    assert.equal(await observer.next("the auth event"), '42["auth",{}]');
    observer.send('421["join","observers"]');
    assert.match(await observer.next("the acknowledgement"), /^431\[/);
    const { socket: silent } = await openSession(t, target);
    silent.send("40");
    const { sid } = JSON.parse((await silent.next("the CONNECT packet")).slice(2));
    assert.equal(await observer.next("going"), `42["going","${sid}","ping timeout",["${sid}"]]`);
    assert.equal(await observer.next("gone"), `42["gone","${sid}","ping timeout"]`);
  });
});

suite("heartbeat, protocol 3", "beat", (target) => {
  check("WebSocket: the client pings, the server answers", async (t) => {
    const { socket } = await openSession(t, target, { protocol: 3 });
    assert.equal(await socket.next("the CONNECT packet"), "40");
    assert.equal(await socket.next("the auth event"), '42["auth",{}]');
    for (let beat = 0; beat < 3; beat += 1) {
      await pause(100);
      socket.send("2");
      assert.equal(await socket.next("a pong"), "3");
    }
  });

  check("WebSocket: silence ends the session", async (t) => {
    const started = performance.now();
    const { socket } = await openSession(t, target, { protocol: 3 });
    await assertEndsAfter(INTERVAL_MS + TIMEOUT_MS, started, socket.closed());
  });

  check("WebSocket: a ping keeps the session", async (t) => {
    const started = performance.now();
    const { socket } = await openSession(t, target, { protocol: 3 });
    await pause(INTERVAL_MS);
    socket.send("2");
    await assertEndsAfter(INTERVAL_MS + INTERVAL_MS + TIMEOUT_MS, started, socket.closed());
  });

  check("WebSocket: a pong, which is the server's to send, ends the session", async (t) => {
    const { socket } = await openSession(t, target, { protocol: 3 });
    socket.send("3");
    await socket.closed();
  });

  check("polling: the client pings, the server answers", async (t) => {
    const session = await PollingSession.open(target, { protocol: 3 });
    t.after(() => session.close());
    await session.send("2");
    assert.equal((await session.pollAnswer()).text, '2:4013:42["auth",{}]1:3');
    for (let beat = 0; beat < 2; beat += 1) {
      await session.send("2");
      assert.equal((await session.pollAnswer()).text, "1:3");
    }
  });

  check("polling: silence ends the session", async () => {
    const session = await PollingSession.open(target, { protocol: 3 });
    await pause(INTERVAL_MS + TIMEOUT_MS + 500);
    await session.assertGone();
  });
});
