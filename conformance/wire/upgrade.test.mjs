// From polling to WebSocket: the dance, what is said during it, and every way to fall out of step.
import assert from "node:assert/strict";
import { exchange, parseAnswer, request, upgradeRequest } from "../lib/http.mjs";
import { PollingSession } from "../lib/polling.mjs";
import { check, pause, suite } from "../lib/suite.mjs";
import { openSession, RawSocket } from "../lib/websocket.mjs";

const upgradeQuery = (session) => `EIO=${session.protocol}&transport=websocket&sid=${session.sid}`;

async function joinedSession(t, target, protocol = 4) {
  const session = await PollingSession.open(target, { protocol });
  t.after(() => session.close());
  await session.join();
  return session;
}

async function probe(t, session) {
  const socket = await RawSocket.open(t, session.target, upgradeQuery(session));
  socket.send("2probe");
  assert.equal(await socket.next("the probe's answer"), "3probe");
  return socket;
}

async function upgraded(t, target, protocol) {
  const session = await joinedSession(t, target, protocol);
  const socket = await probe(t, session);
  socket.send("5");
  await assertEcho(socket, "upgraded");
  return { session, socket };
}

async function assertEcho(socket, word) {
  socket.send(`42["message","${word}"]`);
  assert.equal(await socket.next("the echo"), `42["message-back","${word}"]`);
}

async function assertPollingLives(session) {
  await session.send('42["message","polling lives"]');
  const packets = await session.pollFor(1);
  const found = packets.includes("6") ? await session.pollFor(1) : packets;
  assert.deepEqual(found, ['42["message-back","polling lives"]']);
}

for (const [protocol, configuration] of [
  [4, "plain"],
  [3, "v3"],
]) {
  suite(`upgrade, protocol ${protocol}`, configuration, (target) => {
    check("the dance", async (t) => {
      const session = await joinedSession(t, target, protocol);
      const waiting = session.poll();
      const socket = await probe(t, session);
      assert.deepEqual(await waiting, ["6"]);
      socket.send("5");
      await assertEcho(socket, "hello");
    });

    check("a poll that begins after the probe is answered with a noop, and so is the next", async (t) => {
      const session = await joinedSession(t, target, protocol);
      const socket = await probe(t, session);
      assert.deepEqual(await session.poll(), ["6"]);
      assert.deepEqual(await session.poll(), ["6"]);
      socket.send("5");
      await assertEcho(socket, "hello");
    });

    check("what follows 5 in the same segment is heard", async (t) => {
      const session = await joinedSession(t, target, protocol);
      const socket = await probe(t, session);
      socket.send("5", '42["message",1]', '42["message",2]');
      assert.equal(await socket.next(), '42["message-back",1]');
      assert.equal(await socket.next(), '42["message-back",2]');
    });

    check("afterwards polling is refused and the session lives", async (t) => {
      const { session, socket } = await upgraded(t, target, protocol);
      for (const method of ["GET", "POST"]) {
        const body = method === "POST" ? session.codec.encode(['42["message","no"]']) : undefined;
        const answer = await request(target, { method, query: session.query, body });
        assert.deepEqual([answer.status, answer.json()], [400, { code: 3, message: "Bad request" }]);
      }
      await assertEcho(socket, "still here");
    });

    check("what nobody polled for arrives over the WebSocket, in order", async (t) => {
      const session = await joinedSession(t, target, protocol);
      await session.send('42["burst",20]');
      await pause(50);
      const socket = await probe(t, session);
      await session.send('42["message","said during the upgrade"]');
      await pause(50);
      socket.send("5");
      for (let index = 0; index < 20; index += 1) assert.equal(await socket.next(), `42["burst",${index}]`);
      assert.equal(await socket.next(), '42["message-back","said during the upgrade"]');
      await assertEcho(socket, "and then");
    });

    check("during the upgrade a waiting poll is still served", async (t) => {
      const session = await joinedSession(t, target, protocol);
      const socket = await RawSocket.open(t, target, upgradeQuery(session));
      const waiting = session.poll();
      await session.send('42["message","to the poll"]');
      assert.deepEqual(await waiting, ['42["message-back","to the poll"]']);
      socket.send("2probe");
      assert.equal(await socket.next(), "3probe");
      socket.send("5");
      await assertEcho(socket, "to the WebSocket");
    });

    check("binary after the upgrade", async (t) => {
      const { socket } = await upgraded(t, target, protocol);
      const type = protocol === 3 ? [4] : [];
      socket.send('451-["message",{"_placeholder":true,"num":0}]', Buffer.from([...type, 1, 2]));
      assert.equal(await socket.next(), '451-["message-back",{"_placeholder":true,"num":0}]');
      assert.deepEqual(await socket.next(), Buffer.from([...type, 1, 2]));
    });
  });
}

suite("upgrades out of step", "plain", (target) => {
  check("5 while a poll waits: the poll ends and the session lives", async (t) => {
    const session = await joinedSession(t, target);
    const socket = await RawSocket.open(t, target, upgradeQuery(session));
    socket.send("2probe");
    assert.equal(await socket.next(), "3probe");
    const waiting = session.pollAnswer();
    socket.send("5");
    await assertEcho(socket, "still here");
    const { status, text } = await waiting;
    assert.ok((status === 200 && ["1", "6"].includes(text)) || status === 400, `${status} ${text}`);
    await assertEcho(socket, "and here");
  });

  check("5 without a probe upgrades, or closes the WebSocket and leaves polling alone", async (t) => {
    const session = await joinedSession(t, target);
    const socket = await RawSocket.open(t, target, upgradeQuery(session));
    socket.send("5", '42["message",1]');
    const outcome = await Promise.race([socket.next(), socket.closed().then(() => "closed")]).catch(() => "closed");
    if (outcome === "closed") await assertPollingLives(session);
    else assert.equal(outcome, '42["message-back",1]');
  });

  // As the published suites do it: without waiting for the probe's answer.
  check("probe and 5 in one breath: polling is refused from then on", async (t) => {
    const session = await PollingSession.open(target);
    const socket = await RawSocket.open(t, target, upgradeQuery(session));
    socket.send("2probe", "5");
    const { status, text } = await session.pollAnswer();
    // The poll travels on a connection of its own and may be the faster one.
    if (status === 200) assert.ok(["1", "6"].includes(text), text);
    assert.equal(await socket.next(), "3probe");
    assert.equal((await session.pollAnswer()).status, 400);
  });

  check("probe and 5 in one breath: a second WebSocket is closed", async (t) => {
    const session = await PollingSession.open(target);
    const socket = await RawSocket.open(t, target, upgradeQuery(session));
    socket.send("2probe", "5");
    await new RawSocket(target, upgradeQuery(session)).closed();
  });

  for (const packet of ["42[\"message\"]", "2", "3", "6", "1"]) {
    check(`${packet} before 5 closes the WebSocket and leaves polling alone`, async (t) => {
      const session = await joinedSession(t, target);
      const socket = await probe(t, session);
      socket.send(packet);
      await socket.closed();
      await assertPollingLives(session);
    });
  }

  check("a WebSocket that goes before 5 leaves polling alone", async (t) => {
    const session = await joinedSession(t, target);
    const socket = await probe(t, session);
    socket.ws.terminate();
    await socket.closed();
    await pause(50);
    await assertPollingLives(session);
  });

  check("after a failed upgrade another may succeed", async (t) => {
    const session = await joinedSession(t, target);
    const failed = await probe(t, session);
    failed.send("6");
    await failed.closed();
    const socket = await probe(t, session);
    socket.send("5");
    await assertEcho(socket, "hello");
  });

  check("a second WebSocket during an upgrade is closed, the first goes on", async (t) => {
    const session = await joinedSession(t, target);
    const socket = await probe(t, session);
    const second = new RawSocket(target, upgradeQuery(session));
    await second.closed();
    socket.send("5");
    await assertEcho(socket, "hello");
  });

  check("a second WebSocket after an upgrade is closed, the first goes on", async (t) => {
    const { session, socket } = await upgraded(t, target);
    const second = new RawSocket(target, upgradeQuery(session));
    await second.closed();
    await assertEcho(socket, "still here");
  });

  check("a WebSocket for a session born on one does it no harm", async (t) => {
    const { socket, handshake } = await openSession(t, target);
    socket.send("40");
    await socket.next(), await socket.next();
    const second = new RawSocket(target, `EIO=4&transport=websocket&sid=${handshake.sid}`);
    t.after(() => second.ws.terminate());
    await pause(100);
    second.ws.terminate();
    await assertEcho(socket, "still here");
  });

  check("another protocol in the upgrade is refused", async (t) => {
    const session = await joinedSession(t, target);
    const query = `EIO=3&transport=websocket&sid=${session.sid}`;
    const answer = parseAnswer(await exchange(target, upgradeRequest(target, { query })));
    assert.deepEqual([answer.status, answer.body], [400, "Bad request"]);
    await assertPollingLives(session);
  });

  check("the application is not asked again", async (t) => {
    const session = await joinedSession(t, target);
    const socket = await RawSocket.open(t, target, `${upgradeQuery(session)}&refuse`);
    socket.send("2probe");
    assert.equal(await socket.next(), "3probe");
  });

  check("closing the session during an upgrade closes the WebSocket too", async (t) => {
    const session = await joinedSession(t, target);
    const socket = await probe(t, session);
    await session.post("1");
    await socket.closed();
    await session.assertGone();
  });
});

suite("upgrades that take too long", "strict", (target) => {
  check("the WebSocket is closed and polling goes on", async (t) => {
    const session = await joinedSession(t, target);
    const started = performance.now();
    const socket = await probe(t, session);
    await socket.closed();
    assert.ok(performance.now() - started > 380);
    await assertPollingLives(session);
  });

  check("so is a WebSocket that never probed", async (t) => {
    const session = await joinedSession(t, target);
    const socket = await RawSocket.open(t, target, upgradeQuery(session));
    await socket.closed();
    await assertPollingLives(session);
  });
});
