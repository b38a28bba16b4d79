// A server that stops and starts again on its port: the clients come back by themselves, with what
// they were asked to say meanwhile.
import assert from "node:assert/strict";
import { call, Client, inbox, once } from "../lib/clients.mjs";
import { startServer } from "../lib/server.mjs";
import { check, suiteOfServers } from "../lib/suite.mjs";

const COMING_BACK_MS = 15_000;

async function startAgain(t, command, port) {
  const server = await startServer(command, ["--allow-v3", "--port", String(port)]);
  t.after(() => server.stop());
  return server;
}

suiteOfServers("a server that restarts", (command) => {
  for (const version of ["4.8", "4.0", "3.1", "2.5"]) {
    for (const transport of ["websocket", "polling"]) {
      check(`socket.io-client ${version} over ${transport}`, async (t) => {
        const client = new Client({ version, transport });
        const first = await startAgain(t, command, 0);
        const patience = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 100 };
        const socket = await client.connect(t, first, patience);
        const ended = once(socket, "disconnect");
        assert.deepEqual(await first.stop(), { code: 0, signal: null });
        assert.match((await ended)[0], /^transport (close|error)$/);

        const back = inbox(socket, "message-back");
        socket.emit("message", "said meanwhile");
        await startAgain(t, command, new URL(first.url).port);
        await once(socket, "connect", COMING_BACK_MS);
        assert.deepEqual(await back.next(), ["said meanwhile"]);
        assert.deepEqual(await call(socket, "message-with-ack", 1), [1]);
      });
    }
  }
});
