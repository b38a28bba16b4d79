// Odd orders and changes in between, as clients make them: leaving while one still joins, rooms that are
// deleted under somebody, another session at a return, heartbeats in all forms.
import assert from "node:assert/strict";
import { application } from "../lib/application.mjs";
import { suiteOfBinary, token } from "../lib/binary.mjs";
import { call, Client, inbox, once } from "../lib/clients.mjs";
import { check, pause } from "../lib/suite.mjs";

const KEY = "a secret with spaces, as deployments have them";
const SIGNED = ["--auth-jwt-secret", KEY];
const client = () => new Client({ version: "4.8", transport: "websocket" });
const as = (t, server, sub, claims = {}) => client().connect(t, server, { auth: { token: token(KEY, { sub, ...claims }) } });
const done = async (socket, event, ...argument) => {
  const [answer] = await call(socket, event, ...argument);
  assert.equal(answer.ok, true, `${event} ${JSON.stringify(argument)}: ${JSON.stringify(answer)}`);
  return answer;
};

suiteOfBinary("odd orders", (start) => {
  for (const transport of ["websocket", "polling"]) {
    check(`who leaves while it still joins has left: ${transport}`, async (t) => {
      const server = await start(t, SIGNED);
      const watcher = await as(t, server, "eve");
      const [joined, left] = ["user:joined", "user:left"].map((event) => inbox(watcher, event));
      await done(watcher, "room:join", { roomId: "a" });
      const stock = new Client({ version: "4.8", transport });
      const ada = await stock.connect(t, server, { auth: { token: token(KEY, { sub: "ada" }) } });
      // As a component does that is mounted and unmounted at once.
      for (let round = 0; round < 20; round += 1) {
        ada.emit("room:join", { roomId: "a" });
        ada.emit("room:leave", { roomId: "a" });
        ada.emit("subscribe:presence", { documentId: "d" });
        ada.emit("unsubscribe:presence", { documentId: "d" });
      }
      await done(ada, "room:leave", { roomId: "none" });
      const inRoom = async () => (await server.api("GET", "/v1/rooms/a/members")).members.map(({ user }) => user.id);
      assert.deepEqual(await inRoom(), ["eve"]);
      assert.deepEqual((await server.api("GET", "/v1/presence/d")).users, []);
      assert.equal(joined.rest().length, left.rest().length, "whoever came has left");
      await done(ada, "room:join", { roomId: "a" });
      assert.equal((await joined.next("the real coming"))[0].user.id, "ada");
      ada.disconnect();
      assert.equal((await left.next("the real leaving"))[0].user.id, "ada");
    });
  }

  check("a room of presence that is left as a room is left", async (t) => {
    const server = await start(t, [...SIGNED, "--presence-grace", "100ms"]);
    const [ada, bob] = [await as(t, server, "ada"), await as(t, server, "bob")];
    const left = inbox(bob, "presence:user-left");
    for (const socket of [bob, ada]) await done(socket, "subscribe:presence", { documentId: "d" });
    await done(ada, "room:leave", { roomId: "presence.d" });
    assert.equal((await left.next())[0].userId, "ada");
    const there = async () => (await server.api("GET", "/v1/presence/d")).users.map(({ id }) => id);
    assert.deepEqual(await there(), ["bob"]);
    await done(ada, "subscribe:presence", { documentId: "d" });
    for (const socket of [ada, bob]) socket.disconnect();
    for (let round = 0; (await there()).length > 0; round += 1) {
      assert.ok(round < 100, "somebody is left in a document that nobody looks at");
      await pause(20);
    }
  });

  check("a room that is deleted and made anew is a new one", async (t) => {
    const app = await application(t, () => ({ status: 204, text: "" }));
    const server = await start(t, [...SIGNED, "--webhooks-url", app.url]);
    const [ada, bob] = [await as(t, server, "ada"), await as(t, server, "bob")];
    const [joined, deleted] = ["user:joined", "room:deleted"].map((event) => inbox(bob, event));
    for (let round = 0; round < 2; round += 1) {
      assert.equal((await server.api("POST", "/v1/rooms", { roomId: "r" })).ok, true);
      await done(bob, "room:join", { roomId: "r" });
      await done(ada, "room:join", { roomId: "r" });
      assert.equal((await joined.next("the coming"))[0].members, 2);
      assert.equal((await server.api("DELETE", "/v1/rooms/r")).ok, true);
      await deleted.next();
      assert.deepEqual((await server.api("GET", "/v1/rooms/r/members")).members, []);
    }
    const told = () => app.asked.flatMap(({ json }) => json.events).filter(({ room }) => room === "r").map(({ type }) => type);
    for (let round = 0; told().length < 4; round += 1) {
      assert.ok(round < 250, `the application heard ${told()}`);
      await pause(20);
    }
    assert.deepEqual(told(), ["room.occupied", "room.vacated", "room.occupied", "room.vacated"]);
  });

  check("a heartbeat is answered with nothing, or with anything", async (t) => {
    const server = await start(t, ["--sessions-heartbeat", "100ms"]);
    const stock = client();
    const socket = stock.start(t, server, { query: { sessionId: "s", participantId: "p" } });
    const errors = inbox(socket, "error");
    await stock.connected(socket);
    const seen = async () => (await server.api("GET", "/v1/sessions/s/participants")).participants[0].lastSeen;
    for (const argument of [[], [Date.now()], [null], [{ timestamp: "now" }], ["a", "b"]]) {
      const before = await seen();
      await once(socket, "heartbeat:ping");
      await pause(5);
      await done(socket, "heartbeat:pong", ...argument);
      assert.ok(Date.parse(await seen()) > Date.parse(before), JSON.stringify(argument));
    }
    socket.emit("heartbeat:pong");
    assert.deepEqual((await done(socket, "unread")).rooms, []);
    assert.deepEqual(errors.rest(), []);
  });

  check("who comes back to another session is new there, and no longer in the old one", async (t) => {
    const server = await start(t);
    const stock = client();
    const patience = { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 100 };
    const socket = stock.start(t, server, { query: { sessionId: "s1", participantId: "p" }, ...patience });
    const [told, hello, again] = ["event", "connection:established", "connection:reconnected"].map((event) => inbox(socket, event));
    await stock.connected(socket);
    assert.equal((await hello.next())[0].sessionId, "s1");
    const say = (session, payload) => server.api("POST", `/v1/sessions/${session}/events`, { eventType: "e", payload });
    await say("s1", 1);
    await told.next();
    socket.io.opts.query = { sessionId: "s2", participantId: "p" };
    const back = once(socket, "connect", 15_000);
    socket.io.engine.close();
    await say("s1", "missed in a session that is left");
    await back;
    assert.equal(socket.recovered, false);
    assert.equal((await hello.next("the other session"))[0].sessionId, "s2");
    await say("s1", "not for it any more");
    await say("s2", 2);
    assert.equal((await told.next())[0].payload, 2);
    const [of1, of2] = await Promise.all(["s1", "s2"].map(async (id) => (await server.api("GET", `/v1/sessions/${id}/participants`)).participants[0].connected));
    assert.deepEqual([of1, of2, told.rest(), again.rest()], [false, true, [], []]);
  });

  check("one name in two namespaces is two rooms, two jobs, two chats, and one user", async (t) => {
    const server = await start(t, [...SIGNED, "--namespaces", "/,/work"]);
    const ada = await as(t, server, "ada");
    const stock = client();
    const work = stock.join(ada.io, "/work", { token: token(KEY, { sub: "ada" }) });
    await stock.connected(work);
    const heard = [ada, work].map((socket) => ["message", "job:update", "user:joined"].map((event) => inbox(socket, event)));
    for (const [namespace, name] of [["/", "Home"], ["/work", "Work"]]) {
      assert.equal((await server.api("POST", "/v1/rooms", { roomId: "r", namespace, name })).ok, true);
    }
    const names = async (query) => (await server.api("GET", `/v1/rooms${query}`)).rooms.map(({ name }) => name);
    assert.deepEqual([await names(""), await names("?namespace=/work")], [["Home"], ["Work"]]);
    for (const socket of [ada, work]) {
      await done(socket, "room:join", { roomId: "r" });
      await done(socket, "subscribe:job", { jobId: "j" });
    }
    const { id } = await done(work, "message", { roomId: "r", content: "at work" });
    assert.equal((await heard[1][0].next())[0].id, id);
    assert.equal((await call(ada, "message:edit", { messageId: id, content: "x" }))[0].error.code, "CHANNEL_NOT_FOUND");
    assert.equal((await call(ada, "read", { roomId: "r", messageId: id }))[0].error.code, "CHANNEL_NOT_FOUND");
    assert.deepEqual((await done(ada, "message:history", { roomId: "r" })).messages, []);
    await server.api("PUT", "/v1/jobs/j?namespace=/work", { status: "running" });
    assert.equal((await heard[1][1].next())[0].status, "running");
    assert.equal((await server.api("DELETE", "/v1/rooms/r?namespace=/work")).ok, true);
    assert.deepEqual([(await server.api("GET", "/v1/rooms/r")).room.name, await names("?namespace=/work")], ["Home", []]);
    await server.restart();
    assert.deepEqual(await names(""), ["Home"]);
    assert.equal((await server.api("GET", "/v1/jobs/j")).error.code, "CHANNEL_NOT_FOUND");
    assert.deepEqual(heard.flat().map((box) => box.rest().length), [0, 0, 0, 0, 0, 0]);
  });

  check("a status outlives a lost connection, and who lost one hears how others stand", async (t) => {
    const server = await start(t, [...SIGNED, "--presence-grace", "5s"]);
    const patience = { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 100 };
    const stock = (sub) => client().start(t, server, { auth: { token: token(KEY, { sub, exp: 4e9 }) }, ...patience });
    const [ada, eve] = [stock("ada"), stock("eve")];
    const heard = inbox(eve, "user:status");
    await Promise.all([ada, eve].map((socket) => once(socket, "connect")));
    await done(eve, "subscribe:status", { userIds: ["ada"] });
    await done(ada, "user:status", { status: "away" });
    assert.equal((await heard.next())[0].status, "away");
    const headers = { authorization: `Bearer ${server.key}` };
    const status = async () => (await (await fetch(`${server.url}/v1/users/ada/status`, { headers })).json()).status;
    await Promise.all([once(ada, "said"), server.publish("user:ada", 1)]);
    const back = once(ada, "connect", 15_000);
    ada.io.engine.close();
    await back;
    assert.equal(ada.recovered, true);
    await done(ada, "room:leave", { roomId: "none" });
    assert.deepEqual([await status(), heard.rest()], ["away", []], "no flicker");
    await Promise.all([once(eve, "said"), server.publish("user:eve", 1)]);
    eve.io.reconnectionDelay(300);
    const again = once(eve, "connect", 15_000);
    eve.io.engine.close();
    await done(ada, "user:status", { status: "online" });
    await again;
    assert.equal(eve.recovered, true);
    assert.equal((await heard.next("how ada stands"))[0].status, "online");
    await done(ada, "user:status", { status: "away" });
    assert.equal((await heard.next())[0].status, "away");
    const both = [ada, eve].map((socket) => once(socket, "connect", 15_000));
    await server.restart();
    await Promise.all(both);
    for (let round = 0; (await status()) !== "away"; round += 1) {
      assert.ok(round < 100, "away after a kill");
      await pause(20);
    }
    while ((await heard.next("how ada stands after a kill"))[0].status !== "away");
  });

  check("a backend ends connections without a body, and speaks for nobody who cannot be", async (t) => {
    const server = await start(t, SIGNED);
    const ada = await as(t, server, "ada");
    const ended = once(ada, "disconnect");
    assert.deepEqual([(await server.api("POST", "/v1/users/ada/disconnect")).closed, (await ended)[0]], [1, "io server disconnect"]);
    assert.equal((await server.api("POST", "/v1/cleanup")).status, 415, "how many minutes must be said");
    const write = async (user) => (await server.api("POST", "/v1/rooms/r/messages", { content: "x", user })).error?.details.field;
    assert.deepEqual([await write({ id: "ada", name: "Ada" }), await write({ id: "" }), await write({ id: "a b" }), await write({ id: "ada", name: "x".repeat(256) })], [undefined, "user.id", "user.id", "user.name"]);
  });

  check("a notification with a key is sent once, also when it is sent again after a kill", async (t) => {
    const server = await start(t, SIGNED);
    const patience = { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 100 };
    const ada = client().start(t, server, { auth: { token: token(KEY, { sub: "ada", exp: 4e9 }) }, ...patience });
    const heard = ["notification", "system:announcement"].map((event) => inbox(ada, event));
    await once(ada, "connect");
    const send = async (key) => {
      const headers = { headers: { "idempotency-key": key } };
      const note = await server.api("POST", "/v1/notifications", { users: ["ada"], notification: key }, headers);
      const all = await server.api("POST", "/v1/announcements", { announcement: key }, headers);
      return [note, all].map(({ ok, position, repeated }) => [ok, position, repeated ?? false]);
    };
    const first = await send("k1");
    assert.deepEqual(await send("k1"), first.map(([ok, position]) => [ok, position, true]));
    const back = once(ada, "connect", 15_000);
    await server.restart();
    assert.deepEqual(await send("k1"), first.map(([ok, position]) => [ok, position, true]));
    await back;
    await send("k2");
    for (const box of heard) {
      assert.deepEqual([(await box.next())[0], (await box.next())[0]], ["k1", "k2"]);
      assert.deepEqual(box.rest(), []);
    }
    const bad = await server.api("POST", "/v1/announcements", { announcement: 1 }, { headers: { "idempotency-key": "x".repeat(256) } });
    assert.deepEqual([bad.status, bad.error.code], [400, "INVALID_REQUEST"]);
  });
});
