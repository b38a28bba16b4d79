// Webhooks of the binary: what a real receiver hears of stock clients, when it refuses, and when the
// server is killed in between.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { application } from "../lib/application.mjs";
import { suiteOfBinary } from "../lib/binary.mjs";
import { call, Client } from "../lib/clients.mjs";
import { check, pause } from "../lib/suite.mjs";

const client = () => new Client({ version: "4.8", transport: "websocket" });

async function until(condition, what, ms = 15_000) {
  const end = Date.now() + ms;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`waited for ${what}`);
    await pause(20);
  }
}

suiteOfBinary("webhooks", (start) => {
  check("signed, in order, with growing generations", async (t) => {
    const app = await application(t, () => ({ status: 204, text: "" }));
    const server = await start(t, ["--webhooks-url", `${app.url}/hook`, "--webhooks-secret", "shared"]);
    const socket = await client().connect(t, server, { query: { username: "Ada" } });
    await call(socket, "room:join", { roomId: "r" });
    await call(socket, "room:leave", { roomId: "r" });
    const { id } = socket;
    socket.disconnect();
    const heard = () => app.asked.flatMap(({ json }) => json.events);
    await until(() => heard().some(({ type }) => type === "socket.disconnected"), "the disconnect");
    assert.deepEqual(heard().map(({ type }) => type), ["server.started", "socket.connected", "room.occupied", "room.vacated", "socket.disconnected"]);
    const [, connected, occupied, , disconnected] = heard();
    assert.deepEqual([connected.socketId, connected.user, connected.recovered, connected.namespace], [id, { id: `guest:${id}`, name: "Ada" }, false, "/"]);
    assert.deepEqual([occupied.room, disconnected.reason], ["r", "client namespace disconnect"]);
    const generations = heard().map(({ generation }) => generation);
    assert.deepEqual(generations, generations.toSorted((a, b) => a - b));
    for (const { headers, body, path } of app.asked) {
      const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
      assert.equal(headers["webhook-signature"], `v1,${createHmac("sha256", "shared").update(signed).digest("base64")}`);
      assert.equal(path, "/hook");
    }
  });

  check("what is not taken comes again, also after a kill; only those that are wanted", async (t) => {
    let taking = false;
    const app = await application(t, () => ({ status: taking ? 200 : 503 }));
    const server = await start(t, ["--webhooks-url", app.url, "--webhooks-events", "room.occupied"]);
    const socket = await client().connect(t, server);
    for (const roomId of ["a", "b"]) await call(socket, "room:join", { roomId });
    // What happened in the moment of a kill may not be kept yet: both are, when they were tried.
    const tried = () => app.asked.some(({ json }) => json.events.filter(({ type }) => type === "room.occupied").length === 2);
    await until(tried, "a refused try with both rooms");
    await server.restart();
    taking = true;
    const from = app.asked.length;
    const taken = () => app.asked.slice(from).flatMap(({ json }) => json.events);
    await until(() => taken().filter(({ type }) => type === "room.occupied").length >= 2, "both rooms");
    assert.deepEqual(taken().filter(({ type }) => type === "room.occupied").map(({ room }) => room), ["a", "b"]);
    assert.equal(taken().some(({ type }) => type === "socket.connected"), false);
    assert.equal(taken().filter(({ type }) => type === "server.started").length, 2);
  });

  check("more than may wait: the oldest are dropped, and the application is told how many", async (t) => {
    let taking = false;
    const app = await application(t, () => ({ status: taking ? 200 : 500 }));
    const server = await start(t, ["--webhooks-url", app.url, "--webhooks-events", "room.occupied", "--webhooks-waiting", "3"]);
    const socket = await client().connect(t, server);
    for (let room = 0; room < 10; room += 1) await call(socket, "room:join", { roomId: `r${room}` });
    await until(() => app.asked.some(({ json }) => json.dropped >= 8), "the drops");
    taking = true;
    await until(() => app.asked.at(-1).json.events.at(-1)?.room === "r9", "the last");
    assert.equal(app.asked.at(-1).json.events.length, 3);
  });
});
