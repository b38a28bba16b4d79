// Rooms and broadcasts among real clients. Who must not hear something is shown by what they hear
// next: broadcasts of one sender keep their order.
import assert from "node:assert/strict";
import { call, idOf, inbox } from "../clients.mjs";
import { check } from "../suite.mjs";

let count = 0;
const newRoom = () => `room ${process.pid} ${(count += 1)}`;

export function rooms(client, target) {
  /** As many connected sockets as asked for, each with an inbox of `news` and `known` to the server by that id. */
  async function people(t, number, namespace = "/") {
    const sockets = await Promise.all(Array.from({ length: number }, () => client.connect(t, target, { namespace })));
    for (const socket of sockets) {
      socket.news = inbox(socket, "news");
      socket.known = await idOf(socket);
    }
    return sockets;
  }
  const say = (socket, options, ...args) => call(socket, "broadcast", options, "news", ...args);
  async function assertHear(sockets, ...expected) {
    for (const socket of sockets) {
      for (const one of expected) assert.deepEqual(await socket.news.next(), [one]);
    }
  }

  check("a room is heard by its members, the sender excepted or not", async (t) => {
    const room = newRoom();
    const [a, b, c] = await people(t, 3);
    for (const socket of [a, b]) await call(socket, "join", room);
    await say(a, { to: [room] }, "to others");
    await say(a, { to: [room], self: true }, "to all");
    await assertHear([b], "to others", "to all");
    await assertHear([a], "to all");
    await say(b, { to: [c.known] }, "only you");
    await assertHear([c], "only you");
  });

  check("whoever leaves hears no more", async (t) => {
    const room = newRoom();
    const [a, b] = await people(t, 2);
    await call(b, "join", [room, `${room} b`]);
    assert.deepEqual(await call(b, "rooms"), [[b.known, room, `${room} b`].sort()]);
    await call(b, "leave", room);
    assert.deepEqual(await call(b, "rooms"), [[b.known, `${room} b`].sort()]);
    await say(a, { to: [room] }, "not for b");
    await say(a, { to: [`${room} b`] }, "for b");
    await assertHear([b], "for b");
  });

  check("a member of two rooms hears once", async (t) => {
    const room = newRoom();
    const [a, b] = await people(t, 2);
    await call(b, "join", [room, `${room} 2`]);
    await say(a, { to: [room, `${room} 2`] }, "once");
    await say(a, { to: [room] }, "then");
    await assertHear([b], "once", "then");
  });

  check("who is excepted does not hear", async (t) => {
    const room = newRoom();
    const [a, b, c] = await people(t, 3);
    for (const socket of [b, c]) await call(socket, "join", room);
    await call(c, "join", `${room} muted`);
    await say(a, { to: [room], except: [`${room} muted`] }, "not for c");
    await say(a, { to: [room] }, "for both");
    await assertHear([b], "not for c", "for both");
    await assertHear([c], "for both");
  });

  check("a whole namespace is meant when no room is named", async (t) => {
    const [a, b, c] = await people(t, 3, `/dynamic-${process.pid}${(count += 1)}`);
    await call(c, "join", "muted");
    await say(a, {}, "to others");
    await say(a, { self: true }, "to all");
    await say(a, { except: ["muted"] }, "to b");
    await say(a, { except: [b.known] }, "to c");
    await say(a, { self: true }, "the end");
    await assertHear([a], "to all", "the end");
    await assertHear([b], "to others", "to all", "to b", "the end");
    await assertHear([c], "to others", "to all", "to c", "the end");
  });

  check("the flags local, volatile and compress reach the members", async (t) => {
    const room = newRoom();
    const [a, b] = await people(t, 2);
    await call(b, "join", room);
    await say(a, { to: [room], local: true }, "local");
    await assertHear([b], "local");
    await say(a, { to: [room], compress: true }, "x".repeat(5_000));
    await assertHear([b], "x".repeat(5_000));
    const retry = setInterval(() => a.emit("broadcast", { to: [room], volatile: true }, "news", "volatile"), 50);
    t.after(() => clearInterval(retry));
    await assertHear([b], "volatile");
  });

  check("bytes to a room", async (t) => {
    const room = newRoom();
    const members = await people(t, 3);
    for (const socket of members) await call(socket, "join", room);
    await say(members[0], { to: [room], self: true }, { deep: [Buffer.of(1, 2, 3)] });
    for (const socket of members) {
      const [{ deep }] = await socket.news.next();
      assert.deepEqual(Buffer.from(deep[0]), Buffer.of(1, 2, 3));
    }
  });

  check("a room of the same name in another namespace is another room", async (t) => {
    const room = newRoom();
    const [a] = await people(t, 1);
    const [b] = await people(t, 1, "/custom");
    for (const socket of [a, b]) await call(socket, "join", room);
    await say(a, { to: [room], self: true }, "root");
    await say(b, { to: [room], self: true }, "custom");
    await assertHear([a], "root");
    await assertHear([b], "custom");
  });

  check("a broadcast is acknowledged by everybody", async (t) => {
    const room = newRoom();
    const [a, b, c] = await people(t, 3);
    for (const [index, socket] of [b, c].entries()) {
      await call(socket, "join", room);
      socket.on("vote", (value, answer) => answer(value + index));
    }
    const [error, answers] = await call(a, "broadcast-with-ack", { to: [room], timeout: 60_000 }, "vote", 10);
    assert.deepEqual([error, answers.sort()], [null, [10, 11]]);
  });

  check("a broadcast that not everybody acknowledges in time", async (t) => {
    const room = newRoom();
    const [a, b, c] = await people(t, 3);
    for (const socket of [b, c]) await call(socket, "join", room);
    b.on("vote", (answer) => answer("b"));
    const outcome = await call(a, "broadcast-with-ack", { to: [room], timeout: 500 }, "vote");
    assert.deepEqual(outcome, ["operation has timed out", ["b"]]);
  });

  administration(client, target, people, say, assertHear);
}

// What the server does with the sockets of a room.
function administration(client, target, people, say, assertHear) {
  check("the sockets of a room are found, with rooms and data", async (t) => {
    const room = newRoom();
    const [a, b] = await people(t, 2);
    for (const socket of [a, b]) await call(socket, "join", room);
    await call(b, "set-data", { user: "b" });
    const [found] = await call(a, "fetch-sockets", room);
    const expected = [
      { id: a.known, rooms: [a.known, room].sort(), data: {} },
      { id: b.known, rooms: [b.known, room].sort(), data: { user: "b" } },
    ];
    const byId = (one, other) => (one.id < other.id ? -1 : 1);
    assert.deepEqual(found.sort(byId), expected.sort(byId));
  });

  check("the sockets of a room join and leave another", async (t) => {
    const room = newRoom();
    const [a, b] = await people(t, 2);
    await call(b, "join", room);
    await call(a, "sockets-join", room, `${room} 2`);
    await say(a, { to: [`${room} 2`] }, "joined");
    await assertHear([b], "joined");
    await call(a, "sockets-leave", room, `${room} 2`);
    await say(a, { to: [`${room} 2`] }, "left");
    await say(a, { to: [room] }, "still in the first");
    await assertHear([b], "still in the first");
  });

  check("the sockets of a room are disconnected", async (t) => {
    const room = newRoom();
    const [a, b, c] = await people(t, 3);
    for (const socket of [b, c]) await call(socket, "join", room);
    const ends = [b, c].map((socket) => new Promise((resolve) => socket.once("disconnect", resolve)));
    a.emit("disconnect-sockets", room, true);
    assert.deepEqual(await Promise.all(ends), ["io server disconnect", "io server disconnect"]);
    assert.deepEqual(await call(a, "fetch-sockets", room), [[]]);
  });

  check("who is gone is in no room", async (t) => {
    const room = newRoom();
    const [a, b] = await people(t, 2);
    await call(a, "join", "observers");
    const gone = inbox(a, "gone");
    await call(b, "join", room);
    const id = b.known;
    b.disconnect();
    while ((await gone.next())[0] !== id);
    assert.deepEqual(await call(a, "fetch-sockets", room), [[]]);
    assert.deepEqual(await call(a, "fetch-sockets", id), [[]]);
  });
}
