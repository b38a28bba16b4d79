// Jobs, session rooms, presence and documents, for stock clients of the binary and over HTTP.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createConnection } from "node:net";
import { freePort, suiteOfBinary, token } from "../lib/binary.mjs";
import { call, Client, inbox, once } from "../lib/clients.mjs";
import { check, pause } from "../lib/suite.mjs";

const KEY = "a-secret-that-only-this-test-knows";
const SIGNED = ["--auth-jwt-secret", KEY];

const client = () => new Client({ version: "4.8", transport: "websocket" });
const as = (t, server, sub, claims = {}) =>
  client().connect(t, server, { auth: { token: token(KEY, { sub, name: sub.toUpperCase(), ...claims }) } });
const done = async (socket, event, argument) => {
  const [answer] = await call(socket, event, argument);
  assert.equal(answer.ok, true, `${event} ${JSON.stringify(argument)}: ${JSON.stringify(answer)}`);
  return answer;
};
const refused = async (socket, event, argument) => {
  const [answer] = await call(socket, event, argument);
  assert.equal(answer.ok, false, `${event} ${JSON.stringify(argument)}`);
  return answer.error.code;
};
const PATIENT = { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 100 };

suiteOfBinary("jobs", (start) => {
  for (const version of ["4.8", "4.0", "3.1"]) {
    check(`the current status at once, then each update: ${version}`, async (t) => {
      const server = await start(t);
      const say = (update) => server.api("PUT", "/v1/jobs/j1", update);
      await say({ status: "running", progress: 10, message: "begun" });
      const socket = await new Client({ version, transport: "upgrade" }).connect(t, server);
      const heard = inbox(socket, "job:update");
      const { job } = await done(socket, "subscribe:job", { jobId: "j1" });
      assert.deepEqual([job.type, job.jobId, job.status, job.progress, job.message, job.error], ["progress", "j1", "running", 10, "begun", null]);
      assert.deepEqual((await heard.next())[0], job);
      await say({ status: "running", progress: 50 });
      const [next] = await heard.next();
      assert.deepEqual([next.progress, next.message, next.version], [50, "begun", 2]);
      await say({ status: "failed", error: "no paper", type: "printer" });
      const [last] = await heard.next();
      assert.deepEqual([last.type, last.status, last.error, last.progress], ["printer", "failed", "no paper", 50]);
      await done(socket, "unsubscribe:job", { jobId: "j1" });
      await say({ status: "queued" });
      await done(socket, "unsubscribe:job", { jobId: "j1" });
      assert.deepEqual(heard.rest(), []);
    });
  }

  check("the last word is there after a kill; late words change nothing", async (t) => {
    const server = await start(t, SIGNED);
    await server.api("PUT", "/v1/jobs/j1", { status: "running", progress: 30, sequence: 5 });
    assert.equal((await server.api("PUT", "/v1/jobs/j1", { status: "running", progress: 20, sequence: 4 })).stale, true);
    await server.api("PUT", "/v1/jobs/j2", { status: "completed" });
    await server.restart();
    const socket = await as(t, server, "ada");
    const { job } = await done(socket, "subscribe:job", { jobId: "j1" });
    assert.deepEqual([job.progress, job.version], [30, 1]);
    assert.equal((await server.api("PUT", "/v1/jobs/j2", { status: "running", progress: 5 })).stale, true);
    assert.equal((await server.api("GET", "/v1/jobs/j2")).job.progress, 100);
    assert.deepEqual((await server.api("GET", "/v1/jobs?status=completed")).jobs.map(({ jobId }) => jobId), ["j2"]);
    assert.equal((await server.api("DELETE", "/v1/jobs/j2")).ok, true);
    assert.equal((await server.api("GET", "/v1/jobs/j2")).error.code, "CHANNEL_NOT_FOUND");
    assert.equal((await done(socket, "subscribe:job", { jobId: "unknown" })).job, null);
    assert.equal(await refused(socket, "subscribe:job", { jobId: "a b" }), "INVALID_MESSAGE");
    assert.equal(await refused(socket, "subscribe:job", {}), "INVALID_MESSAGE");
    for (const [path, body] of [
      ["/v1/jobs/j1", {}],
      ["/v1/jobs/j1", { status: "sleeping" }],
      ["/v1/jobs/j1", { status: "running", progress: 101 }],
      ["/v1/jobs/j1", { status: "running", progress: -1 }],
      ["/v1/jobs/j1", { status: "running", message: "x".repeat(5_000) }],
      ["/v1/jobs/j1", { status: "running", other: 1 }],
      ["/v1/jobs/a%20b", { status: "running" }],
      ["/v1/jobs/j1%ff", { status: "running" }],
    ]) {
      const answer = await server.api("PUT", path, body);
      assert.deepEqual([answer.status, answer.error.code], [400, "INVALID_REQUEST"], `${path} ${JSON.stringify(body).slice(0, 50)}`);
    }
  });

  check("who follows the same does not come and go, also not with a recovery", async (t) => {
    const server = await start(t, SIGNED);
    const watcher = await as(t, server, "eve");
    const heard = ["user:joined", "user:left"].map((event) => inbox(watcher, event));
    const stock = client();
    const ada = stock.start(t, server, { auth: { token: token(KEY, { sub: "ada" }) }, ...PATIENT });
    await stock.connected(ada);
    for (const socket of [watcher, ada]) {
      await done(socket, "subscribe:job", { jobId: "j1" });
      await done(socket, "subscribe:document", { documentId: "d1" });
    }
    const update = once(ada, "job:update");
    await server.api("PUT", "/v1/jobs/j1", { status: "running" });
    await update;
    const back = once(ada, "connect", 15_000);
    ada.io.engine.close();
    await back;
    assert.equal(ada.recovered, true);
    await done(ada, "subscribe:status", { userIds: ["eve"] });
    await done(watcher, "unsubscribe:job", { jobId: "none" });
    assert.deepEqual(heard.map((box) => box.rest()), [[], []]);
  });

  check("a job one may not see, and jobs that must be known", async (t) => {
    const server = await start(t, [...SIGNED, "--access-private", "jobs.*", "--jobs-unknown-allowed=false"]);
    await server.api("PUT", "/v1/jobs/j1", { status: "running" });
    const ada = await as(t, server, "ada", { rooms: { "jobs.*": ["join"] } });
    const bob = await as(t, server, "bob");
    await done(ada, "subscribe:job", { jobId: "j1" });
    assert.equal(await refused(bob, "subscribe:job", { jobId: "j1" }), "PERMISSION_DENIED");
    assert.equal(await refused(ada, "subscribe:job", { jobId: "j2" }), "CHANNEL_NOT_FOUND");
  });

  check("updates over Redis", async (t) => {
    const port = await freePort();
    const redis = spawn("redis-server", ["--port", `${port}`, "--bind", "127.0.0.1", "--save", "", "--requirepass", "hush"], { stdio: "ignore" });
    t.after(() => redis.kill("SIGKILL"));
    const server = await start(t, ["--redis-url", `redis://:hush@127.0.0.1:${port}`]);
    const socket = await client().connect(t, server);
    const heard = inbox(socket, "job:update");
    await done(socket, "subscribe:job", { jobId: "j1" });
    const publish = (text) => command(port, ["PUBLISH", "job-updates", text]);
    // Until the server listens.
    const until = Date.now() + 10_000;
    let receivers = 0;
    while (receivers === 0 && Date.now() < until) {
      receivers = await publish(JSON.stringify({ jobId: "j1", status: "processing", progress: 25, own: true })).catch(() => 0);
      await pause(50);
    }
    const [job] = await heard.next("an update", 10_000);
    assert.deepEqual([job.status, job.progress], ["running", 25]);
    for (const bad of ["", "null", "[]", "{}", '{"jobId":5}', "x".repeat(100_000), '{"jobId":"a b","status":"running"}', '{"jobId":"j1","status":"running","namespace":"/none"}']) await publish(bad);
    await publish(JSON.stringify({ jobId: "j1", status: "done" }));
    assert.equal((await heard.next())[0].status, "completed");
  });
});

/** One Redis command; a number is answered. */
function command(port, words) {
  const encode = (list) => `*${list.length}\r\n${list.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("")}`;
  return new Promise((resolve, reject) => {
    const socket = createConnection(port, "127.0.0.1");
    socket.once("error", reject);
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk;
      const answer = text.match(/:(\d+)\r\n/);
      if (!answer) return;
      socket.end();
      resolve(Number(answer[1]));
    });
    socket.write(encode(["AUTH", "hush"]) + encode(words));
  });
}

suiteOfBinary("session rooms", (start) => {
  check("established, told in the envelope, asked whether it is there", async (t) => {
    const server = await start(t, ["--sessions-heartbeat", "200ms"]);
    const stock = client();
    const socket = stock.start(t, server, { query: { sessionId: "s1", participantId: "p1" } });
    const [established, told, pings] = ["connection:established", "event", "heartbeat:ping"].map((event) => inbox(socket, event));
    await stock.connected(socket);
    const [hello] = await established.next();
    assert.deepEqual([hello.socketId, hello.participantId, hello.sessionId], [socket.id, "p1", "s1"]);
    const sent = await server.api("POST", "/v1/sessions/s1/events", { eventType: "poll:activated", payload: { pollId: 7 } });
    await server.api("POST", "/v1/sessions/s2/events", { eventType: "poll:activated", payload: 1 });
    const [envelope] = await told.next();
    assert.deepEqual(envelope, sent.event);
    assert.deepEqual([Object.keys(envelope), envelope.eventType, envelope.sessionId, envelope.payload], [["eventId", "eventType", "timestamp", "sessionId", "payload"], "poll:activated", "s1", { pollId: 7 }]);
    const [before] = (await server.api("GET", "/v1/sessions/s1/participants")).participants;
    await pings.next();
    await pause(5);
    await done(socket, "heartbeat:pong", {});
    const [after] = (await server.api("GET", "/v1/sessions/s1/participants")).participants;
    assert.ok(Date.parse(after.lastSeen) > Date.parse(before.lastSeen));
    assert.deepEqual([after.participantId, after.connected, after.sockets], ["p1", true, [socket.id]]);
    socket.disconnect();
    await pause(100);
    assert.equal((await server.api("GET", "/v1/sessions/s1/participants")).participants[0].connected, false);
    assert.deepEqual(told.rest(), []);
  });

  for (const transport of ["polling", "upgrade"]) {
    check(`what is said of a connection is not lost: ${transport}`, async (t) => {
      const server = await start(t, ["--access-private", "session:secret"]);
      for (let round = 0; round < 20; round += 1) {
        const stock = new Client({ version: "4.8", transport });
        const socket = stock.start(t, server, { query: { sessionId: "s1" } });
        const [established, state] = [inbox(socket, "connection:established"), inbox(socket, "presence:state")];
        socket.on("connect", () => socket.emit("subscribe:presence", { documentId: "d1" }));
        assert.equal((await established.next())[0].sessionId, "s1");
        assert.equal((await state.next())[0].documentId, "d1");
        socket.disconnect();
        const stranger = stock.start(t, server, { query: { sessionId: "secret" } });
        const errors = inbox(stranger, "connection:error");
        assert.equal((await errors.next())[0].code, "AUTH_REQUIRED");
      }
    });
  }

  check("reconnected with what was missed, also after a kill; and begun from an event", async (t) => {
    const server = await start(t);
    const stock = client();
    const socket = stock.start(t, server, { query: { sessionId: "s1", participantId: "p1" }, ...PATIENT });
    const [told, again] = [inbox(socket, "event"), inbox(socket, "connection:reconnected")];
    await stock.connected(socket);
    const say = async (payload) => (await server.api("POST", "/v1/sessions/s1/events", { eventType: "e", payload })).event.eventId;
    const ids = [await say(0), await say(1)];
    for (const number of [0, 1]) assert.equal((await told.next())[0].payload, number);
    for (const fault of ["network", "kill"]) {
      const back = once(socket, "connect", 15_000);
      if (fault === "kill") await server.restart();
      else socket.io.engine.close();
      ids.push(await say(ids.length));
      await back;
      assert.equal(socket.recovered, true, fault);
      assert.equal((await told.next("what was missed"))[0].payload, ids.length - 1);
      assert.deepEqual([(await again.next())[0].participantId], ["p1"]);
    }
    // Another device that kept the id of an event: what came behind it, in order, once.
    const other = client();
    const late = other.start(t, server, { query: { sessionId: "s1", participantId: "p2", fromEventId: ids[1] } });
    const heard = inbox(late, "event");
    await other.connected(late);
    assert.deepEqual([(await heard.next())[0].payload, (await heard.next())[0].payload], [2, 3]);
    // One that nobody knows: told so.
    const lost = client();
    const unknown = lost.start(t, server, { query: { sessionId: "s1", fromEventId: "A".repeat(22) } });
    const reset = inbox(unknown, "replay:reset");
    await lost.connected(unknown);
    assert.equal((await reset.next())[0].reason, "epoch_changed");
    await pause(50);
    assert.deepEqual([told.rest(), heard.rest()], [[], []]);
  });

  check("what is not let in hears connection:error and is closed", async (t) => {
    const server = await start(t, [...SIGNED, "--auth-guests=true", "--sessions-required=true", "--access-private", "session:secret"]);
    for (const [options, code] of [
      [{}, "INVALID_MESSAGE"],
      [{ query: { sessionId: "" } }, "INVALID_MESSAGE"],
      [{ query: { sessionId: "a b" } }, "INVALID_MESSAGE"],
      [{ query: { sessionId: "s".repeat(300) } }, "INVALID_MESSAGE"],
      [{ query: { sessionId: "s1", participantId: "a b" } }, "INVALID_MESSAGE"],
      [{ query: { sessionId: "s1", participantId: "p".repeat(129) } }, "INVALID_MESSAGE"],
      [{ query: { sessionId: "secret" } }, "AUTH_REQUIRED"],
      [{ query: { sessionId: "secret" }, auth: { token: token(KEY, { sub: "ada" }) } }, "PERMISSION_DENIED"],
      [{ query: { sessionId: "s1", participantId: "bob" }, auth: { token: token(KEY, { sub: "ada" }) } }, "PERMISSION_DENIED"],
    ]) {
      const socket = client().start(t, server, options);
      const [errors, ended] = [inbox(socket, "connection:error"), once(socket, "disconnect")];
      const [error] = await errors.next();
      assert.deepEqual([error.code, Object.keys(error)], [code, ["code", "message", "details", "timestamp"]], JSON.stringify(options).slice(0, 80));
      assert.equal((await ended)[0], "io server disconnect");
    }
    const good = { query: { sessionId: "secret" }, auth: { token: token(KEY, { sub: "ada", rooms: ["session:secret"] }) } };
    const stock = client();
    const socket = stock.start(t, server, good);
    const established = inbox(socket, "connection:established");
    await stock.connected(socket);
    assert.equal((await established.next())[0].participantId, "ada");
    for (const body of [{}, { eventType: "" }, { eventType: "a\nb" }, { eventType: 5 }, { eventType: "x".repeat(256) }]) {
      const answer = await server.api("POST", "/v1/sessions/s1/events", body);
      assert.deepEqual([answer.status, answer.error.code], [400, "INVALID_REQUEST"], JSON.stringify(body));
    }
  });
});

suiteOfBinary("presence", (start) => {
  check("who looks at a document, where they are, and when they leave", async (t) => {
    const server = await start(t, [...SIGNED, "--presence-grace", "300ms", "--presence-updates-per-second", "10"]);
    const [ada, phone, bob] = [await as(t, server, "ada"), await as(t, server, "ada"), await as(t, server, "bob")];
    const [joined, left, moved] = ["presence:user-joined", "presence:user-left", "presence:update"].map((event) => inbox(ada, event));
    const document = { documentId: "d1" };
    const alone = await done(ada, "subscribe:presence", document);
    assert.deepEqual(alone.users.map(({ id }) => id), ["ada"]);
    const state = inbox(bob, "presence:state");
    await done(phone, "subscribe:presence", document);
    await done(bob, "subscribe:presence", document);
    const [{ users }] = await state.next();
    assert.deepEqual(users.map(({ id, devices }) => [id, devices]), [["ada", 2], ["bob", 1]]);
    assert.match(users[0].color, /^#[0-9a-f]{6}$/);
    assert.equal(users[0].color, alone.users[0].color);
    assert.deepEqual([(await joined.next())[0].user.id, joined.rest()], ["bob", []]);
    // A hand moves a hundred times; the last place is told.
    for (let at = 0; at < 100; at += 1) bob.emit("presence:update", { ...document, cursor: { at } });
    let last;
    let count = 0;
    while (last !== 99) {
      last = (await moved.next())[0].user.state.cursor.at;
      count += 1;
    }
    assert.ok(count < 20, `${count} updates`);
    await done(bob, "presence:update", { ...document, cursor: null, tool: "pen" });
    assert.deepEqual((await moved.next())[0].user.state, { tool: "pen" });
    assert.deepEqual((await server.api("GET", "/v1/presence/d1")).users[1].state, { tool: "pen" });
    assert.equal(await refused(bob, "presence:update", { documentId: "other", cursor: 1 }), "PERMISSION_DENIED");
    assert.equal(await refused(bob, "presence:update", { ...document, x: "y".repeat(5_000) }), "INVALID_MESSAGE");
    assert.equal(await refused(bob, "subscribe:presence", { documentId: "a b" }), "INVALID_MESSAGE");
    await done(phone, "unsubscribe:presence", document);
    await done(bob, "unsubscribe:presence", document);
    assert.deepEqual((await left.next())[0], { documentId: "d1", userId: "bob" });
    const { events } = await server.api("GET", "/v1/rooms/presence.d1/history");
    assert.deepEqual(events, [], "nothing is kept");
  });

  check("where a cursor rests is seen by all, also by who polls", async (t) => {
    const server = await start(t, [...SIGNED, "--auth-guests=true"]);
    const watchers = await Promise.all(Array.from({ length: 8 }, () => new Client({ version: "4.8", transport: "polling" }).connect(t, server)));
    const ada = await as(t, server, "ada");
    for (const socket of [...watchers, ada]) await done(socket, "subscribe:presence", { documentId: "d1" });
    const boxes = watchers.map((socket) => inbox(socket, "presence:update"));
    for (let round = 0; round < 3; round += 1) {
      for (let step = 0; step < 15; step += 1) {
        ada.emit("presence:update", { documentId: "d1", cursor: round * 100 + step });
        await pause(15);
      }
      for (const box of boxes) while ((await box.next("the last place"))[0].user.state.cursor !== round * 100 + 14);
    }
  });

  check("a reconnect does not flicker, and hears what is true now", async (t) => {
    const server = await start(t, [...SIGNED, "--presence-grace", "2s"]);
    const watcher = await as(t, server, "eve");
    await done(watcher, "subscribe:presence", { documentId: "d1" });
    const [joined, left] = [inbox(watcher, "presence:user-joined"), inbox(watcher, "presence:user-left")];
    const stock = client();
    const ada = stock.start(t, server, { auth: { token: token(KEY, { sub: "ada" }) }, ...PATIENT });
    await stock.connected(ada);
    await done(ada, "subscribe:presence", { documentId: "d1" });
    await joined.next();
    await Promise.all([once(ada, "said"), server.publish("user:ada", "so that there is an offset")]);
    const [back, state] = [once(ada, "connect", 15_000), once(ada, "presence:state", 15_000)];
    ada.io.engine.close();
    await back;
    assert.equal(ada.recovered, true);
    assert.deepEqual((await state)[0].users.map(({ id }) => id), ["ada", "eve"]);
    await done(ada, "presence:update", { documentId: "d1", cursor: 1 });
    assert.deepEqual([joined.rest(), left.rest()], [[], []]);
    ada.io.reconnection(false);
    ada.io.engine.close();
    assert.equal((await left.next("the leaving"))[0].userId, "ada");
  });

  check("in a crowd only the number is told", async (t) => {
    const server = await start(t, [...SIGNED, "--presence-crowd", "2"]);
    const watcher = await as(t, server, "u0");
    const counts = inbox(watcher, "presence:count");
    await done(watcher, "subscribe:presence", { documentId: "d1" });
    for (const user of ["u1", "u2"]) await done(await as(t, server, user), "subscribe:presence", { documentId: "d1" });
    assert.deepEqual((await counts.next())[0], { documentId: "d1", count: 3 });
    assert.deepEqual((await server.api("GET", "/v1/presence/d1")).users, []);
  });

  check("online, away, offline", async (t) => {
    const server = await start(t, [...SIGNED, "--presence-grace", "100ms", "--auth-guests=true"]);
    const eve = await as(t, server, "eve");
    const heard = inbox(eve, "user:status");
    assert.deepEqual((await done(eve, "subscribe:status", { userIds: ["ada", "eve"] })).statuses, { ada: "offline", eve: "online" });
    const [one, two] = [await as(t, server, "ada"), await as(t, server, "ada")];
    const next = async () => { const [{ userId, status }] = await heard.next(); return `${userId} ${status}`; };
    assert.equal(await next(), "ada online");
    await done(one, "user:status", { status: "away" });
    await done(two, "user:status", { status: "away" });
    assert.equal(await next(), "ada away");
    await done(one, "user:status", { status: "online" });
    assert.equal(await next(), "ada online");
    assert.equal((await (await fetch(`${server.url}/v1/users/ada/status`, { headers: { authorization: `Bearer ${server.key}` } })).json()).status, "online");
    for (const socket of [one, two]) socket.disconnect();
    const rest = [await next()];
    if (rest[0] !== "ada offline") rest.push(await next());
    assert.equal(rest.at(-1), "ada offline");
    assert.equal(await refused(eve, "user:status", { status: "offline" }), "INVALID_MESSAGE");
    assert.equal(await refused(eve, "subscribe:status", { userIds: [] }), "INVALID_MESSAGE");
    assert.equal(await refused(await client().connect(t, server), "user:status", { status: "away" }), "AUTH_REQUIRED");
  });

  check("edits are relayed in order and kept", async (t) => {
    const server = await start(t, [...SIGNED, "--access-private", "docs.secret"]);
    const [ada, bob] = [await as(t, server, "ada"), await as(t, server, "bob")];
    const [own, heard] = [inbox(ada, "document:edit"), inbox(bob, "document:edit")];
    for (const socket of [ada, bob]) await done(socket, "subscribe:document", { documentId: "7" });
    const answers = await Promise.all([1, 2, 3].map((op) => done(ada, "document:edit", { documentId: "7", op, user: "forged" })));
    assert.equal(new Set(answers.map(({ position }) => position)).size, 3);
    for (const op of [1, 2, 3]) {
      const [edit] = await heard.next();
      assert.deepEqual([edit.op, edit.documentId, edit.user.id], [op, "7", "ada"]);
    }
    const [{ events }] = await call(bob, "history", { roomId: "docs.7", after: answers[0].position });
    assert.deepEqual(events.map(({ args }) => args[0].op), [2, 3]);
    assert.equal(await refused(ada, "document:edit", { documentId: "secret", op: 1 }), "PERMISSION_DENIED");
    assert.equal(await refused(ada, "subscribe:document", { documentId: "" }), "INVALID_MESSAGE");
    assert.deepEqual(own.rest(), []);
  });
});
