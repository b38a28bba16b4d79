// How a connection ends: what each side is told, what still arrives, and what comes back.
import assert from "node:assert/strict";
import { call, idOf, inbox, once } from "../clients.mjs";
import { check, within } from "../suite.mjs";

const reasonOf = (socket) =>
  within(new Promise((resolve) => socket.once("disconnect", resolve)), `the disconnection of ${socket.nsp}`);

export function endings(client, target) {
  /** An observer in the namespace who can tell why, and from which rooms, a socket went. */
  async function observer(t, namespace) {
    const socket = await client.connect(t, target, { namespace });
    await call(socket, "join", "observers");
    const [going, gone] = [inbox(socket, "going"), inbox(socket, "gone")];
    const about = async (box, id) => {
      for (;;) {
        const [who, ...what] = await box.next(`news of ${id}`);
        if (who === id) return what;
      }
    };
    return { going: (id) => about(going, id), gone: async (id) => (await about(gone, id))[0] };
  }

  check("the client leaves", async (t) => {
    const seer = await observer(t);
    const socket = await client.connect(t, target);
    const id = await idOf(socket);
    await call(socket, "join", "somewhere");
    const reason = reasonOf(socket);
    socket.disconnect();
    assert.equal(await reason, "io client disconnect");
    assert.deepEqual(await seer.going(id), ["client namespace disconnect", [id, "somewhere"].sort()]);
    assert.equal(await seer.gone(id), "client namespace disconnect");
  });

  check("the client leaves one namespace of two", async (t) => {
    const seer = await observer(t, "/custom");
    const root = await client.connect(t, target);
    const custom = client.join(root.io, "/custom");
    await client.connected(custom);
    const id = await idOf(custom);
    custom.disconnect();
    assert.equal(await seer.gone(id), "client namespace disconnect");
    assert.deepEqual(await call(root, "message-with-ack", 1), [1]);
  });

  check("the server ends a namespace, the other stays", async (t) => {
    const seer = await observer(t, "/custom");
    const root = await client.connect(t, target);
    const custom = client.join(root.io, "/custom");
    await client.connected(custom);
    const [id, reason] = [await idOf(custom), reasonOf(custom)];
    custom.emit("disconnect-me", false);
    assert.equal(await reason, "io server disconnect");
    assert.equal(await seer.gone(id), "server namespace disconnect");
    assert.deepEqual(await call(root, "message-with-ack", 1), [1]);
  });

  check("the server ends the connection, with every namespace on it", async (t) => {
    const seer = await observer(t, "/custom");
    const root = await client.connect(t, target);
    const custom = client.join(root.io, "/custom");
    await client.connected(custom);
    const [id, reasons] = [await idOf(custom), [root, custom].map(reasonOf)];
    root.emit("disconnect-me", true);
    assert.deepEqual(await Promise.all(reasons), ["io server disconnect", "io server disconnect"]);
    assert.equal(await seer.gone(id), "server namespace disconnect");
  });

  check("what the server said before the end arrives", async (t) => {
    const socket = await client.connect(t, target);
    const heard = inbox(socket, "last-words");
    const reason = reasonOf(socket);
    socket.emit("emit-then-disconnect", true);
    assert.equal(await reason, "io server disconnect");
    assert.deepEqual(heard.rest(), [[1], [2]]);
  });

  check("the connection breaks: the server sees `transport close`", async (t) => {
    const seer = await observer(t);
    const socket = await client.connect(t, target);
    if (client.transport === "upgrade") await client.upgraded(socket);
    const id = await idOf(socket);
    socket.io.engine.close();
    assert.equal(await seer.gone(id), "transport close");
  });

  check("comes back by itself under a new id, with what was emitted meanwhile", async (t) => {
    const socket = await client.connect(t, target, { reconnection: true, reconnectionDelay: 10 });
    if (client.transport === "upgrade") await client.upgraded(socket);
    const id = await idOf(socket);
    const back = inbox(socket, "message-back");
    const left = reasonOf(socket);
    socket.io.engine.close();
    await left;
    for (let index = 0; index < 10; index += 1) socket.emit("message", index);
    await once(socket, "connect");
    assert.notEqual(await idOf(socket), id);
    for (let index = 0; index < 10; index += 1) assert.deepEqual(await back.next(), [index]);
    assert.deepEqual(await call(socket, "rooms"), [[await idOf(socket)]]);
  });

  check("after the server has ended it, it does not come back by itself, but may", async (t) => {
    const socket = await client.connect(t, target, { reconnection: true, reconnectionDelay: 10 });
    const reason = reasonOf(socket);
    socket.emit("disconnect-me", false);
    assert.equal(await reason, "io server disconnect");
    assert.equal(socket.connected, false);
    socket.connect();
    await client.connected(socket);
    assert.deepEqual(await call(socket, "message-with-ack", 1), [1]);
  });
}
