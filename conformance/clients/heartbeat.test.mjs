// The real clients at a heartbeat of 300 ms and 200 ms: they stay as long as they answer.
import assert from "node:assert/strict";
import { call, Client, inbox, once, TRANSPORTS } from "../lib/clients.mjs";
import { check, pause, suite } from "../lib/suite.mjs";

const SEVERAL_BEATS_MS = 1_600;

suite("the clients' heartbeat", "beat", (target) => {
  for (const version of ["4.8", "4.0", "3.1", "2.5"]) {
    check(`socket.io-client ${version} stays`, async (t) => {
      const clients = Object.keys(TRANSPORTS).map((transport) => new Client({ version, transport }));
      const sockets = await Promise.all(clients.map((client) => client.connect(t, target)));
      const ids = sockets.map(({ id }) => id);
      await pause(SEVERAL_BEATS_MS);
      assert.deepEqual(sockets.map(({ id }) => id), ids);
      for (const socket of sockets) assert.deepEqual(await call(socket, "message-with-ack", 1), [1]);
    });
  }

  check("a client that hears and says nothing is cut", async (t) => {
    const client = new Client({ version: "4.8", transport: "websocket" });
    const observer = await client.connect(t, target);
    await call(observer, "join", "observers");
    const gone = inbox(observer, "gone");
    const silent = await client.connect(t, target);
    const id = silent.id;
    const ended = once(silent, "disconnect");
    silent.io.engine.transport.ws.send = () => {};
    assert.deepEqual(await gone.next(), [id, "ping timeout"]);
    assert.equal((await ended)[0], "transport close");
  });
});
