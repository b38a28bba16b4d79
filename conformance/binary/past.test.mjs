// The past, for stock clients of the binary: beginning at a position, joining with the last events,
// reading the history, and coming back.
import assert from "node:assert/strict";
import { suiteOfBinary } from "../lib/binary.mjs";
import { call, Client, inbox, once } from "../lib/clients.mjs";
import { check } from "../lib/suite.mjs";

const COMING_BACK_MS = 15_000;

/** The next `count` events, without their offsets. */
async function take(said, count) {
  const events = [];
  while (events.length < count) events.push((await said.next("an event")).slice(0, -1));
  return events;
}

/** Asks a question whose answer comes behind everything that was sent before. */
const settled = (socket) => call(socket, "room:leave", { roomId: "nobody" });

suiteOfBinary("the past", (start) => {
  for (const version of ["4.8", "4.0", "3.1"]) {
    for (const transport of ["websocket", "polling", "upgrade"]) {
      check(`fromEventId in the query: ${version} over ${transport}`, async (t) => {
        const server = await start(t);
        await server.publish("a", 0);
        const fromEventId = await server.publish("a", 1);
        for (const number of [2, 3]) await server.publish("a", number);
        await server.publish("b", "not mine");
        const client = new Client({ version, transport });
        const socket = client.start(t, server, { query: { rooms: "a", fromEventId } });
        const said = inbox(socket, "said");
        await client.connected(socket);
        assert.deepEqual(await take(said, 2), [[2], [3]]);
        await server.publish("a", 4);
        assert.deepEqual(await take(said, 1), [[4]]);
        assert.deepEqual(said.rest(), []);
      });
    }
  }

  check("a client that began in the past comes back to its socket", async (t) => {
    const server = await start(t);
    const fromEventId = await server.publish("a", 0);
    await server.publish("a", 1);
    const client = new Client({ version: "4.8", transport: "websocket" });
    const patience = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 100 };
    const socket = client.start(t, server, { query: { rooms: "a", fromEventId }, ...patience });
    const said = inbox(socket, "said");
    await client.connected(socket);
    assert.deepEqual(await take(said, 1), [[1]]);
    for (const number of [2, 4]) {
      const [id, back] = [socket.id, once(socket, "connect", COMING_BACK_MS)];
      await settled(socket);
      socket.io.engine.close();
      await server.publish("a", number);
      await back;
      assert.deepEqual([socket.recovered, socket.id], [true, id]);
      await server.publish("a", number + 1);
      assert.deepEqual(await take(said, 2), [[number], [number + 1]]);
    }
    await settled(socket);
    assert.deepEqual(said.rest(), []);
  });

  check("a position that is gone: nothing is sent but the reason", async (t) => {
    const server = await start(t);
    const position = await server.publish("a", 1);
    const client = new Client({ version: "4.8", transport: "websocket" });
    const fromEventId = `AAAAAAAAAAA${position.slice(11)}`;
    const socket = client.start(t, server, { query: { rooms: "a", fromEventId } });
    const [said, reset] = [inbox(socket, "said"), inbox(socket, "replay:reset")];
    await client.connected(socket);
    assert.deepEqual(await reset.next(), [{ reason: "epoch_changed", head: position }]);
    await server.publish("a", 2);
    assert.deepEqual(await take(said, 1), [[2]]);
  });

  check("rooms that may not be joined refuse the connection", async (t) => {
    const server = await start(t);
    const client = new Client({ version: "4.8", transport: "websocket" });
    const socket = client.start(t, server, { query: { rooms: "a,user:7" } });
    const { data } = await client.refusal(socket);
    assert.equal(data.code, "PERMISSION_DENIED");
    assert.deepEqual(data.details, { field: "rooms" });
  });

  check("rooms that give their last events", async (t) => {
    const server = await start(t, ["--replay-rooms", "chat:*=2,price:*=1"]);
    for (const number of [1, 2, 3]) await server.publish("chat:1", number);
    for (const number of [8, 9]) await server.publish("price:1", number);
    const client = new Client({ version: "4.8", transport: "upgrade" });
    const socket = client.start(t, server, { query: { rooms: "price:1,chat:1" } });
    const said = inbox(socket, "said");
    await client.connected(socket);
    assert.deepEqual(await take(said, 3), [[2], [3], [9]]);
    const late = await client.connect(t, server);
    const [answer] = await call(late, "room:join", { roomId: "chat:1" });
    assert.deepEqual(answer.events.map((event) => event.args), [[2], [3]]);
  });

  check("joining with the last events, and with those since a position", async (t) => {
    const server = await start(t);
    const positions = [];
    for (const number of [0, 1, 2]) positions.push(await server.publish("a", number));
    const client = new Client({ version: "4.8", transport: "websocket" });
    const socket = await client.connect(t, server);
    const said = inbox(socket, "said");
    const [last] = await call(socket, "room:join", { roomId: "a", last: 2 });
    assert.deepEqual(last.events.map((event) => event.args), [[1], [2]]);
    assert.equal(last.head, positions[2]);
    await server.publish("a", 3);
    assert.deepEqual(await take(said, 1), [[3]]);
    const [since] = await call(socket, "room:join", { roomId: "a", after: positions[0] });
    assert.deepEqual(since.events.map((event) => event.args), [[1], [2], [3]]);
  });

  check("the history in an ack, page by page, and over HTTP the same", async (t) => {
    const server = await start(t);
    for (let number = 0; number < 5; number += 1) await server.publish("a", number, { nested: [null] });
    const client = new Client({ version: "4.8", transport: "websocket" });
    const socket = await client.connect(t, server);
    const seen = [];
    for (let before; before !== null; ) {
      const question = { roomId: "a", limit: 2, ...(before ? { before } : {}) };
      const [page] = await call(socket, "history", question);
      const query = new URLSearchParams({ limit: 2, ...(before ? { before } : {}) });
      const response = await fetch(`${server.url}/v1/rooms/a/history?${query}`);
      assert.deepEqual(await response.json(), page);
      seen.push(...page.events.map(({ args: [number] }) => number));
      before = page.next;
    }
    assert.deepEqual(seen, [4, 3, 2, 1, 0]);
    const [refused] = await call(socket, "history", { roomId: "user:7" });
    assert.deepEqual([refused.ok, refused.error.code], [false, "PERMISSION_DENIED"]);
  });
});
