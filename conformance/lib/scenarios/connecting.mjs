// Getting in, being refused, and what each side knows of the other.
import assert from "node:assert/strict";
import { call, idOf, inbox, once } from "../clients.mjs";
import { check, within } from "../suite.mjs";

export function connecting(client, target) {
  check("connects, and is told what it sent to prove itself: nothing", async (t) => {
    const socket = client.start(t, target);
    const auth = once(socket, "auth");
    await client.connected(socket);
    assert.deepEqual(await auth, [{}]);
  });

  if (client.has("auth")) {
    check("both sides know the same id, and it is not the session's", async (t) => {
      const socket = await client.connect(t, target);
      assert.equal(await idOf(socket), socket.id);
      assert.notEqual(socket.id, socket.io.engine.id);
    });
  }

  check("credentials reach the server", async (t) => {
    const socket = client.start(t, target, { namespace: "/custom", auth: { token: "abc", lang: "é" } });
    assert.deepEqual(await once(socket, "auth"), [{ token: "abc", lang: "é" }]);
  });

  if (client.has("auth")) {
    check("credentials made by a function", async (t) => {
      const socket = client.start(t, target, { auth: (give) => setTimeout(give, 5, { nested: { n: [1, null] } }) });
      assert.deepEqual(await once(socket, "auth"), [{ nested: { n: [1, null] } }]);
    });
  }

  check("query, headers and transport reach the server", async (t) => {
    const socket = await client.connect(t, target, {
      query: { "a&b": "=? é" },
      extraHeaders: { "X-Custom": "1234" },
    });
    const [handshake] = await call(socket, "handshake");
    assert.equal(handshake.query["a&b"], "=? é");
    assert.equal(handshake.query.EIO, client.version === "2.5" ? "3" : "4");
    assert.equal(handshake.headers["x-custom"], "1234");
    assert.equal(handshake.secure, false);
    assert.ok(handshake.url.startsWith(target.path), handshake.url);
    if (client.transport !== "upgrade") assert.equal(handshake.transport, client.transport);
  });

  check("several namespaces share one connection", async (t) => {
    const root = await client.connect(t, target);
    const names = ["/custom", "/dynamic-7", "/slow"];
    const sockets = names.map((name) => client.join(root.io, name));
    await Promise.all(sockets.map((socket) => client.connected(socket)));
    assert.equal(new Set([root, ...sockets].map(({ id }) => id)).size, 4);
    for (const socket of [root, ...sockets]) {
      assert.equal(socket.io.engine.id, root.io.engine.id);
      assert.deepEqual(await call(socket, "message-with-ack", socket.nsp), [socket.nsp]);
    }
  });

  check("a namespace made by a function of the credentials", async (t) => {
    const socket = await client.connect(t, target, { namespace: "/tenant-acme", auth: { tenant: "acme" } });
    assert.deepEqual(await call(socket, "message-with-ack", 1), [1]);
    const other = client.join(socket.io, "/tenant-other", { tenant: "acme" });
    assert.equal((await client.refusal(other)).message, "Invalid namespace");
  });

  check("an unknown namespace is refused, the others stay", async (t) => {
    const root = await client.connect(t, target);
    const unknown = client.join(root.io, "/nope");
    assert.equal((await client.refusal(unknown)).message, "Invalid namespace");
    assert.equal(unknown.connected, false);
    assert.deepEqual(await call(root, "message-with-ack", "still here"), ["still here"]);
  });

  check("a middleware refuses with data", async (t) => {
    const refused = client.start(t, target, { namespace: "/refused" });
    const data = { code: 4001, content: "retry later" };
    const expected = client.has("auth") ? { message: "not authorized", data } : data;
    assert.deepEqual(await client.refusal(refused), expected);
  });

  check("refused with the wrong credentials, let in with the right ones", async (t) => {
    const root = await client.connect(t, target);
    const socket = client.join(root.io, "/guarded", { token: "wrong" });
    const { message, data, code } = await client.refusal(socket);
    if (!client.has("auth")) return assert.equal(code, "E_TOKEN");
    assert.deepEqual([message, data], ["bad token", { code: "E_TOKEN" }]);
    socket.auth = { token: "secret" };
    socket.connect();
    await client.connected(socket);
    assert.deepEqual(await call(socket, "message-with-ack", 1), [1]);
  });

  check("refused by the application before there is a session", async (t) => {
    const socket = client.start(t, target, { query: { refuse: "come back tomorrow" } });
    const failed = new Promise((resolve) => socket.on("connect_error", resolve).on("error", resolve));
    assert.ok(await within(failed, "the refusal"));
    assert.equal(socket.connected, false);
  });

  check("what is emitted before the connection arrives after it, in order", async (t) => {
    const socket = client.start(t, target, { namespace: "/slow" });
    const back = inbox(socket, "message-back");
    const acknowledged = call(socket, "message-with-ack", "first");
    for (let index = 0; index < 20; index += 1) socket.emit("message", index, Buffer.of(index));
    assert.equal(socket.connected, false);
    assert.deepEqual(await acknowledged, ["first"]);
    for (let index = 0; index < 20; index += 1) {
      const [number, bytes] = await back.next();
      assert.deepEqual([number, Buffer.from(bytes)], [index, Buffer.of(index)]);
    }
  });

  check("leaves and comes back on the same connection, under a new id", async (t) => {
    const root = await client.connect(t, target);
    const socket = client.join(root.io, "/custom");
    await client.connected(socket);
    const before = socket.id;
    socket.disconnect();
    assert.deepEqual(await call(root, "message-with-ack", 1), [1]);
    socket.connect();
    await client.connected(socket);
    if (client.has("auth")) assert.notEqual(socket.id, before);
    assert.deepEqual(await call(socket, "message-with-ack", 2), [2]);
  });
}
