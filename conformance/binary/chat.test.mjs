// Rooms and chat, for stock clients of the binary and over HTTP: who is there, messages that are kept
// and told, edits, typing, receipts, notifications; and what is left of all that after a kill.
import assert from "node:assert/strict";
import { suiteOfBinary, token } from "../lib/binary.mjs";
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
  assert.ok(answer.error.message && answer.error.details && answer.error.timestamp);
  return answer.error.code;
};

suiteOfBinary("rooms", (start) => {
  check("rooms are made, listed, changed, deleted, and are there after a kill", async (t) => {
    const server = await start(t, SIGNED);
    const made = await server.api("POST", "/v1/rooms", { roomId: "team", name: "Team", metadata: { color: "red" } });
    assert.deepEqual([made.status, made.room.name, made.room.metadata], [200, "Team", { color: "red" }]);
    await server.api("POST", "/v1/rooms", { roomId: "alpha" });
    assert.equal((await server.api("POST", "/v1/rooms", { roomId: "team" })).error.code, "CONFLICT");
    await server.restart();
    const all = await server.api("GET", "/v1/rooms");
    assert.deepEqual(all.rooms.map(({ roomId }) => roomId), ["alpha", "team"]);
    assert.deepEqual((await server.api("GET", "/v1/rooms?limit=1")).next, "alpha");
    assert.deepEqual((await server.api("GET", "/v1/rooms?after=alpha")).rooms[0], made.room);
    const ada = await as(t, server, "ada");
    const [updated, deleted, said] = ["room:updated", "room:deleted", "said"].map((event) => inbox(ada, event));
    await done(ada, "room:join", { roomId: "team" });
    assert.deepEqual((await done(ada, "room:get", { roomId: "team" })).room, made.room);
    const changed = await server.api("PATCH", "/v1/rooms/team", { metadata: { color: "blue" } });
    assert.deepEqual([changed.room.name, changed.room.metadata], ["Team", { color: "blue" }]);
    assert.deepEqual((await updated.next())[0], changed.room);
    assert.equal((await server.api("DELETE", "/v1/rooms/team")).ok, true);
    assert.deepEqual((await deleted.next())[0], { roomId: "team" });
    await server.publish("team", "nobody hears this");
    assert.equal((await server.api("GET", "/v1/rooms/team")).error.code, "CHANNEL_NOT_FOUND");
    assert.equal(await refused(ada, "room:get", { roomId: "team" }), "CHANNEL_NOT_FOUND");
    assert.deepEqual(said.rest(), []);
    for (const [method, path, body, status, code] of [
      ["POST", "/v1/rooms", {}, 400, "INVALID_REQUEST"],
      ["POST", "/v1/rooms", { roomId: "user:ada" }, 400, "INVALID_REQUEST"],
      ["POST", "/v1/rooms", { roomId: "a b" }, 400, "INVALID_REQUEST"],
      ["POST", "/v1/rooms", { roomId: "a", name: "" }, 400, "INVALID_REQUEST"],
      ["POST", "/v1/rooms", { roomId: "a", metadata: [] }, 400, "INVALID_REQUEST"],
      ["POST", "/v1/rooms", { roomId: "a", metadata: { x: "y".repeat(20_000) } }, 400, "INVALID_REQUEST"],
      ["POST", "/v1/rooms", { roomId: "a", other: 1 }, 400, "INVALID_REQUEST"],
      ["POST", "/v1/rooms", { roomId: "a", namespace: "/none" }, 400, "UNKNOWN_NAMESPACE"],
      ["GET", "/v1/rooms?namespace=/none", undefined, 400, "UNKNOWN_NAMESPACE"],
      ["GET", "/v1/rooms?x=1", undefined, 400, "INVALID_REQUEST"],
      ["DELETE", "/v1/rooms/none", undefined, 404, "CHANNEL_NOT_FOUND"],
      ["PATCH", "/v1/rooms/none", {}, 404, "CHANNEL_NOT_FOUND"],
      ["PUT", "/v1/rooms", {}, 405, "METHOD_NOT_ALLOWED"],
    ]) {
      const answer = await server.api(method, path, body);
      assert.deepEqual([answer.status, answer.error.code], [status, code], `${method} ${path} ${JSON.stringify(body)?.slice(0, 50)}`);
    }
    assert.equal((await server.api("GET", "/v1/rooms", undefined, { key: "wrong" })).status, 401);
  });

  check("who comes and goes is told once per user, and a lost connection is no going", async (t) => {
    const server = await start(t, SIGNED);
    const [watcher, phone, laptop] = [await as(t, server, "eve"), await as(t, server, "ada"), await as(t, server, "ada")];
    const [joined, left] = [inbox(watcher, "user:joined"), inbox(watcher, "user:left")];
    await done(watcher, "room:join", { chatId: "7" });
    for (const device of [phone, laptop, phone]) await done(device, "room:join", { chatId: "7" });
    assert.deepEqual((await joined.next())[0], { roomId: "chat:7", user: { id: "ada", name: "ADA" }, members: 2 });
    const { members } = await done(watcher, "room:members", { chatId: "7" });
    assert.deepEqual(members.map(({ user, devices }) => [user.id, devices.length]), [["ada", 2], ["eve", 1]]);
    assert.deepEqual((await server.api("GET", "/v1/rooms/chat:7/members")).members, members);
    await done(laptop, "room:leave", { chatId: "7" });
    assert.deepEqual(left.rest(), []);
    phone.disconnect(); // on purpose
    assert.equal((await left.next())[0].user.id, "ada");
    assert.deepEqual(joined.rest(), []);
    // A network that is gone for a moment.
    const stock = client();
    const bob = stock.start(t, server, { auth: { token: token(KEY, { sub: "bob" }) }, reconnection: true, reconnectionDelay: 50 });
    await stock.connected(bob);
    await done(bob, "room:join", { chatId: "7" });
    await joined.next();
    await Promise.all([once(bob, "said"), server.publish("chat:7", "so that there is an offset")]);
    const back = once(bob, "connect", 15_000);
    bob.io.engine.close();
    await back;
    assert.equal(bob.recovered, true);
    await done(bob, "room:members", { chatId: "7" });
    assert.deepEqual([joined.rest(), left.rest()], [[], []]);
  });

  check("rooms that must exist, and rooms of clients, if that is set", async (t) => {
    const server = await start(t, [...SIGNED, "--rooms-must-exist=true", "--rooms-clients-create=true"]);
    const ada = await as(t, server, "ada");
    assert.equal(await refused(ada, "room:join", { roomId: "new" }), "CHANNEL_NOT_FOUND");
    const { room } = await done(ada, "room:create", { roomId: "new", name: "New" });
    assert.equal(room.creator, "ada");
    await done(ada, "room:join", { roomId: "new" });
    assert.equal(await refused(ada, "room:create", { roomId: "new" }), "CONFLICT");
    assert.equal(await refused(ada, "room:create", { roomId: "user:x" }), "INVALID_MESSAGE");
    const plain = await start(t, SIGNED);
    assert.equal(await refused(await as(t, plain, "ada"), "room:create", { roomId: "new" }), "PERMISSION_DENIED");
  });
});

suiteOfBinary("chat", (start) => {
  for (const version of ["4.8", "4.0", "3.1"]) {
    check(`a message is kept and told: ${version}`, async (t) => {
      const server = await start(t);
      const stock = new Client({ version, transport: "polling" });
      const [one, two] = [await stock.connect(t, server, { query: { username: "Ada" } }), await stock.connect(t, server)];
      const heard = inbox(two, "message");
      for (const socket of [one, two]) await done(socket, "room:join", { chatId: "7" });
      const sent = await done(one, "message", { chatId: "7", content: "hello", metadata: { a: [1] } });
      const [message] = await heard.next();
      assert.deepEqual([message.id, message.roomId, message.content, message.type, message.metadata], [sent.id, "chat:7", "hello", "text", { a: [1] }]);
      assert.deepEqual(message.user, { id: `guest:${one.id}`, name: "Ada" });
      const { messages } = await done(two, "message:history", { chatId: "7" });
      assert.deepEqual(messages, [message]);
      assert.deepEqual((await server.api("GET", "/v1/rooms/chat:7/messages")).messages, [message]);
    });
  }

  check("history: newest first, by number and by message, after a kill too", async (t) => {
    const server = await start(t, SIGNED);
    const ada = await as(t, server, "ada");
    await done(ada, "room:join", { roomId: "a" });
    const ids = [];
    for (let index = 0; index < 10; index += 1) ids.push((await done(ada, "message", { roomId: "a", content: `${index}` })).id);
    await server.restart();
    const again = await as(t, server, "ada");
    const page = async (fields) => (await done(again, "message:history", { roomId: "a", ...fields })).messages.map(({ content }) => content).join("");
    assert.equal(await page({}), "9876543210");
    assert.equal(await page({ limit: 3 }), "987");
    assert.equal(await page({ limit: 3, offset: 3 }), "654");
    assert.equal(await page({ before: ids[2] }), "10");
    assert.equal(await page({ after: ids[7] }), "89");
    const http = await server.api("GET", `/v1/rooms/a/messages?limit=2&before=${ids[5]}`);
    assert.deepEqual([http.messages.map(({ content }) => content), http.more], [["4", "3"], true]);
    for (const [fields, code] of [
      [{ before: "none" }, "CHANNEL_NOT_FOUND"],
      [{ limit: 0 }, "INVALID_MESSAGE"],
      [{ limit: 201 }, "INVALID_MESSAGE"],
      [{ limit: -1 }, "INVALID_MESSAGE"],
      [{ limit: "5" }, "INVALID_MESSAGE"],
      [{ offset: 10_001 }, "INVALID_MESSAGE"],
    ]) assert.equal(await refused(again, "message:history", { roomId: "a", ...fields }), code, JSON.stringify(fields));
  });

  check("what may not be sent is refused, and nobody hears of it", async (t) => {
    const server = await start(t, [...SIGNED, "--access-private", "secret"]);
    const ada = await as(t, server, "ada");
    const heard = inbox(ada, "message");
    await done(ada, "room:join", { roomId: "a" });
    for (const [message, code] of [
      [{}, "INVALID_MESSAGE"],
      [{ roomId: "a" }, "INVALID_MESSAGE"],
      [{ roomId: "a", content: "" }, "INVALID_MESSAGE"],
      [{ roomId: "a", content: 5 }, "INVALID_MESSAGE"],
      [{ roomId: "a", content: "x".repeat(17_000) }, "INVALID_MESSAGE"],
      [{ roomId: "a", content: "x", type: "video" }, "INVALID_MESSAGE"],
      [{ roomId: "a", content: "x", type: "system" }, "PERMISSION_DENIED"],
      [{ roomId: "a", content: "x", metadata: { x: "y".repeat(5_000) } }, "INVALID_MESSAGE"],
      [{ roomId: "a", content: "x", clientId: "c".repeat(65) }, "INVALID_MESSAGE"],
      [{ roomId: "a", chatId: "a", content: "x" }, "INVALID_MESSAGE"],
      [{ roomId: "not-there", content: "x" }, "PERMISSION_DENIED"],
      [{ roomId: "secret", content: "x" }, "PERMISSION_DENIED"],
      [{ roomId: "user:bob", content: "x" }, "PERMISSION_DENIED"],
      ["a", "INVALID_MESSAGE"],
      [null, "INVALID_MESSAGE"],
    ]) assert.equal(await refused(ada, "message", message), code, JSON.stringify(message)?.slice(0, 60));
    const errors = inbox(ada, "error");
    ada.emit("message", { roomId: "a" }); // no ack: an `error` event
    assert.equal((await errors.next())[0].code, "INVALID_MESSAGE");
    assert.deepEqual(heard.rest(), []);
  });

  check("a second try is known by its clientId", async (t) => {
    const server = await start(t, SIGNED);
    const ada = await as(t, server, "ada");
    const heard = inbox(ada, "message");
    await done(ada, "room:join", { roomId: "a" });
    const draft = { roomId: "a", content: "once", clientId: "c1" };
    const first = await done(ada, "message", draft);
    await server.restart();
    const again = await as(t, server, "ada");
    await done(again, "room:join", { roomId: "a" });
    const second = await done(again, "message", draft);
    assert.deepEqual([second.id, first.repeated, second.repeated], [first.id, false, true]);
    assert.equal((await server.api("GET", "/v1/rooms/a/messages")).messages.length, 1);
    assert.equal(heard.rest().length, 1);
  });

  check("edited and deleted by the author or a moderator, nobody else", async (t) => {
    const server = await start(t, SIGNED);
    const [ada, bob, mod] = [await as(t, server, "ada"), await as(t, server, "bob"), await as(t, server, "mod", { moderator: true })];
    for (const socket of [ada, bob, mod]) await done(socket, "room:join", { roomId: "a" });
    const [updated, deleted] = [inbox(bob, "message:updated"), inbox(bob, "message:deleted")];
    const { id } = await done(ada, "message", { roomId: "a", content: "frist" });
    assert.equal(await refused(bob, "message:edit", { messageId: id, content: "x" }), "PERMISSION_DENIED");
    assert.equal(await refused(bob, "message:delete", { messageId: id }), "PERMISSION_DENIED");
    assert.equal(await refused(bob, "message:edit", { messageId: "none", content: "x" }), "CHANNEL_NOT_FOUND");
    assert.equal((await done(ada, "message:edit", { messageId: id, content: "first" })).message.content, "first");
    const [edited] = await updated.next();
    assert.ok(edited.content === "first" && edited.editedAt);
    await done(mod, "message:delete", { messageId: id });
    const [gone] = await deleted.next();
    assert.ok(gone.content === "" && gone.deletedAt);
    assert.equal(await refused(ada, "message:edit", { messageId: id, content: "x" }), "CHANNEL_NOT_FOUND");
    const other = await done(ada, "message", { roomId: "a", content: "second" });
    assert.equal((await server.api("PATCH", `/v1/messages/${other.id}`, { content: "2nd" })).message.content, "2nd");
    assert.equal((await server.api("DELETE", `/v1/messages/${other.id}`)).message.content, "");
    assert.equal((await server.api("DELETE", `/v1/messages/${other.id}`)).status, 404);
  });

  check("typing: told to the others, throttled, over by itself, never kept", async (t) => {
    const server = await start(t, [...SIGNED, "--chat-typing-lasts", "300ms"]);
    const [ada, bob] = [await as(t, server, "ada"), await as(t, server, "bob")];
    const [own, heard] = [inbox(ada, "typing"), inbox(bob, "typing")];
    for (const socket of [ada, bob]) await done(socket, "room:join", { roomId: "a" });
    for (let index = 0; index < 5; index += 1) await done(ada, "typing", { roomId: "a", isTyping: true });
    assert.deepEqual((await heard.next())[0], { roomId: "a", user: { id: "ada", name: "ADA" }, isTyping: true });
    assert.deepEqual((await heard.next())[0].isTyping, false);
    await done(ada, "typing", { roomId: "a", isTyping: true });
    await done(ada, "typing", { roomId: "a", isTyping: false });
    assert.deepEqual([(await heard.next())[0].isTyping, (await heard.next())[0].isTyping], [true, false]);
    await pause(400);
    assert.deepEqual([heard.rest(), own.rest()], [[], []]);
    const { events } = await server.api("GET", "/v1/rooms/a/history");
    assert.equal(events.some(({ event }) => event === "typing"), false);
  });

  check("receipts: only forward, told, and counted after a kill", async (t) => {
    const server = await start(t, SIGNED);
    const [ada, bob] = [await as(t, server, "ada"), await as(t, server, "bob")];
    const heard = inbox(ada, "read");
    for (const socket of [ada, bob]) await done(socket, "room:join", { roomId: "a" });
    const ids = [];
    for (let index = 0; index < 4; index += 1) ids.push((await done(ada, "message", { roomId: "a", content: `${index}` })).id);
    assert.equal((await done(bob, "read", { roomId: "a", messageId: ids[1] })).news, true);
    assert.deepEqual((await heard.next())[0], { roomId: "a", user: { id: "bob", name: "BOB" }, messageId: ids[1] });
    assert.equal((await done(bob, "read", { roomId: "a", messageId: ids[0] })).news, false);
    assert.equal(await refused(bob, "read", { roomId: "a", messageId: "none" }), "CHANNEL_NOT_FOUND");
    assert.equal(await refused(bob, "read", { roomId: "b", messageId: ids[1] }), "CHANNEL_NOT_FOUND");
    const expected = [{ roomId: "a", unread: 2, lastRead: ids[1] }];
    assert.deepEqual((await done(bob, "unread", {})).rooms, expected);
    await server.restart();
    assert.deepEqual((await server.api("GET", "/v1/users/bob/unread")).rooms, expected);
    assert.deepEqual((await server.api("GET", "/v1/rooms/a/receipts")).receipts, [{ userId: "bob", messageId: ids[1] }]);
    assert.deepEqual(heard.rest(), []);
  });

  check("notifications to users, announcements to all, and messages of backends", async (t) => {
    const server = await start(t, SIGNED);
    const [ada, bob] = [await as(t, server, "ada"), await as(t, server, "bob")];
    const [notes, others, all] = [inbox(ada, "notification"), inbox(bob, "notification"), inbox(bob, "system:announcement")];
    await done(bob, "room:join", { roomId: "a" });
    const messages = inbox(bob, "message");
    const sent = await server.api("POST", "/v1/notifications", { users: ["ada"], notification: { text: "hi" } });
    assert.ok(sent.position);
    assert.deepEqual((await notes.next())[0], { text: "hi" });
    await server.api("POST", "/v1/announcements", { announcement: "maintenance at nine" });
    assert.equal((await all.next())[0], "maintenance at nine");
    await server.api("POST", "/v1/rooms/a/messages", { type: "system", content: "Ada has left the team" });
    const [message] = await messages.next();
    assert.deepEqual([message.type, message.user.id], ["system", "backend"]);
    assert.deepEqual(others.rest(), []);
    for (const body of [{}, { users: [], notification: 1 }, { users: ["a b"], notification: 1 }, { users: "ada", notification: 1 }]) {
      assert.equal((await server.api("POST", "/v1/notifications", body)).error.code, "INVALID_REQUEST", JSON.stringify(body));
    }
  });

  check("killed again and again: what was answered is there once, and heard once", async (t) => {
    const server = await start(t, SIGNED);
    const stock = client();
    const patience = { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 100 };
    const reader = stock.start(t, server, { auth: { token: token(KEY, { sub: "eve", exp: 4e9 }) }, ...patience });
    const heard = [];
    reader.on("message", ({ content }) => heard.push(content));
    await stock.connected(reader);
    await done(reader, "room:join", { roomId: "a" });
    const sent = [];
    let number = 0;
    for (let round = 0; round < 6; round += 1) {
      const writer = client().start(t, server, { auth: { token: token(KEY, { sub: "ada" }) } });
      await new Promise((resolve) => writer.once("connect", resolve));
      await done(writer, "room:join", { roomId: "a" });
      for (let index = 0; index < 40; index += 1) {
        const content = `m${(number += 1)}`;
        writer.emit("message", { roomId: "a", content, clientId: content }, (answer) => answer.ok && sent.push(content));
      }
      // In the middle of it, however slow the machine is.
      for (const enough = sent.length + 2; sent.length < enough; ) await pause(1);
      await pause(Math.random() * 25);
      await server.restart();
      writer.close();
    }
    const until = Date.now() + 15_000;
    const last = client().start(t, server, { auth: { token: token(KEY, { sub: "ada" }) } });
    await new Promise((resolve) => last.once("connect", resolve));
    await done(last, "room:join", { roomId: "a" });
    await done(last, "message", { roomId: "a", content: "last" });
    while (!heard.includes("last") && Date.now() < until) await pause(50);
    const kept = [];
    let before;
    for (;;) {
      const { messages } = await server.api("GET", `/v1/rooms/a/messages?limit=200${before ? `&before=${before}` : ""}`);
      if (messages.length === 0) break;
      kept.push(...messages.map(({ content }) => content));
      before = messages.at(-1).id;
    }
    assert.ok(sent.length > 10 && kept.length > sent.length, `${sent.length} answered, ${kept.length} kept`);
    assert.deepEqual(sent.filter((content) => !kept.includes(content)), [], "answered and not kept");
    assert.equal(new Set(kept).size, kept.length, "kept twice");
    assert.deepEqual(heard, kept.toReversed(), "heard as it is kept: all, once, in order");
  });
});
