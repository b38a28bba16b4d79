// Limits of the binary, for stock clients and backends: events, bytes, requests, addresses, origins.
import assert from "node:assert/strict";
import { connect as dial } from "node:net";
import { suiteOfBinary, token } from "../lib/binary.mjs";
import { call, Client, inbox, once } from "../lib/clients.mjs";
import { check, pause } from "../lib/suite.mjs";

const KEY = "a-secret-that-only-this-test-knows";
const SIGNED = ["--auth-jwt-secret", KEY, "--auth-guests=true"];
const client = () => new Client({ version: "4.8", transport: "websocket" });
const as = (t, server, sub) => client().connect(t, server, { auth: { token: token(KEY, { sub }) } });
const SLOW = ["--limits-events-per-second", "1", "--limits-events-burst", "5"];

suiteOfBinary("limits", (start) => {
  check("events of a connection: refused with when to try again, others unaffected, then closed", async (t) => {
    const server = await start(t, [...SLOW, "--limits-refusals", "20"]);
    const [flood, other] = [await client().connect(t, server), await client().connect(t, server)];
    const errors = inbox(flood, "error");
    const answers = await Promise.all(Array.from({ length: 8 }, () => call(flood, "room:join", { roomId: "a" })));
    assert.equal(answers.filter(([{ ok }]) => ok).length, 5);
    const { error } = answers.at(-1)[0];
    assert.equal(error.code, "RATE_LIMIT_EXCEEDED");
    assert.ok(error.details.retryAfterMs > 0 && error.details.retryAfterMs <= 5_000 && error.message && error.timestamp);
    assert.equal((await call(other, "room:join", { roomId: "a" }))[0].ok, true);
    await pause(error.details.retryAfterMs);
    assert.equal((await call(flood, "room:join", { roomId: "a" }))[0].ok, true);
    const closed = once(flood, "disconnect");
    for (let index = 0; index < 60; index += 1) flood.emit("anything", index);
    assert.equal((await errors.next())[0].code, "RATE_LIMIT_EXCEEDED");
    assert.equal((await closed)[0], "io server disconnect");
    assert.ok(errors.rest().length < 10, "not an error for each");
    assert.equal((await call(other, "room:join", { roomId: "b" }))[0].ok, true);
  });

  check("cursors are counted apart from other events, and are limited too", async (t) => {
    const server = await start(t, [...SLOW, "--limits-presence-per-second", "1", "--limits-presence-burst", "60"]);
    const socket = await client().connect(t, server);
    await call(socket, "subscribe:presence", { documentId: "d" });
    const answers = await Promise.all(Array.from({ length: 70 }, (_, at) => call(socket, "presence:update", { documentId: "d", cursor: at })));
    assert.equal(answers.filter(([{ ok }]) => ok).length, 60);
    assert.equal(answers.at(-1)[0].error.code, "RATE_LIMIT_EXCEEDED");
    assert.equal((await call(socket, "room:join", { roomId: "a" }))[0].ok, true);
  });

  check("events and bytes of a user, on all devices together", async (t) => {
    const server = await start(t, [...SIGNED, "--limits-user-events-per-second", "1", "--limits-user-events-burst", "6"]);
    const [one, two, bob] = [await as(t, server, "ada"), await as(t, server, "ada"), await as(t, server, "bob")];
    const ask = (socket) => call(socket, "room:leave", { roomId: "x" });
    const answers = [];
    for (const socket of [one, two, one, two, one, two, one, two]) answers.push((await ask(socket))[0].ok);
    assert.equal(answers.filter(Boolean).length, 6);
    assert.equal((await ask(bob))[0].ok, true);
    const small = await start(t, [...SIGNED, "--limits-user-bytes", "1kB", "--limits-user-bytes-burst", "10kB"]);
    const eve = await as(t, small, "eve");
    const large = { roomId: "x", padding: "x".repeat(9_000) };
    assert.equal((await call(eve, "room:leave", large))[0].ok, true);
    assert.equal((await call(eve, "room:leave", large))[0].ok, true);
    assert.equal((await call(eve, "room:leave", large))[0].error.code, "RATE_LIMIT_EXCEEDED");
  });

  check("requests with a key: 429 with Retry-After; clients unaffected", async (t) => {
    const server = await start(t, ["--limits-api-per-second", "1", "--limits-api-burst", "10"]);
    const socket = await client().connect(t, server);
    const answers = [];
    for (let index = 0; index < 14; index += 1) answers.push(await server.api("GET", "/v1/rooms"));
    const refused = answers.find(({ ok }) => !ok);
    assert.deepEqual([refused.status, refused.error.code], [429, "RATE_LIMIT_EXCEEDED"]);
    assert.ok(Number(refused.headers.get("retry-after")) >= 1);
    assert.equal((await call(socket, "room:join", { roomId: "a" }))[0].ok, true);
    // Guesses cost the key nothing.
    for (let index = 0; index < 30; index += 1) assert.equal((await server.api("GET", "/v1/rooms", undefined, { key: "wrong" })).status, 401);
    await pause(1_100);
    assert.equal((await server.api("GET", "/v1/rooms")).ok, true);
  });

  check("the client's address through trusted proxies, and only through those", async (t) => {
    const limits = ["--limits-sessions-per-ip-per-second", "1", "--limits-sessions-per-ip-burst", "3"];
    const open = async (server, forwarded) => (await fetch(`${server.url}/socket.io/?EIO=4&transport=polling`, { headers: { "x-forwarded-for": forwarded } })).status;
    const behind = await start(t, [...limits, "--limits-trusted-proxies", "127.0.0.0/8"]);
    const opened = async (server, forwarded) => {
      const all = [];
      for (let index = 0; index < 5; index += 1) all.push(await open(server, forwarded));
      return all.filter((status) => status === 200).length;
    };
    assert.equal(await opened(behind, "198.51.100.1"), 3);
    assert.equal(await opened(behind, "198.51.100.2"), 3);
    assert.equal(await opened(behind, "1.2.3.4, 198.51.100.1"), 0, "forged on the left");
    const direct = await start(t, [...limits, "--limits-count-loopback=true"]);
    assert.equal(await opened(direct, "198.51.100.3"), 3);
    assert.equal(await opened(direct, "198.51.100.4"), 0, "nobody is believed");
  });

  check("pages of strangers: refused with cookies, or always, unless they are named", async (t) => {
    const upgrade = (server, headers) =>
      new Promise((resolve, reject) => {
        const { hostname, port } = new URL(server.url);
        const lines = ["GET /socket.io/?EIO=4&transport=websocket HTTP/1.1", `Host: ${hostname}:${port}`, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", ...headers];
        const socket = dial(Number(port), hostname, () => socket.write(`${lines.join("\r\n")}\r\n\r\n`));
        socket.once("error", reject);
        socket.once("data", (data) => {
          resolve(Number(data.toString().split(" ")[1]));
          socket.destroy();
        });
      });
    const cookie = "Cookie: session=victim";
    const own = (server) => `Origin: ${server.url}`;
    const evil = "Origin: https://evil.example";
    const plain = await start(t);
    assert.equal(await upgrade(plain, [evil, cookie]), 403);
    assert.equal(await upgrade(plain, [evil]), 101);
    assert.equal(await upgrade(plain, [own(plain), cookie]), 101);
    assert.equal(await upgrade(plain, [cookie]), 101);
    assert.equal(await upgrade(plain, ["Origin: null", cookie]), 403);
    const polling = await fetch(`${plain.url}/socket.io/?EIO=4&transport=polling`, { headers: { origin: "https://evil.example", cookie: "a=b" } });
    assert.equal(polling.status, 403);
    assert.equal(polling.headers.get("access-control-allow-origin"), null);
    const stream = await fetch(`${plain.url}/v1/sse?rooms=a`, { headers: { origin: "https://evil.example", cookie: "a=b" } });
    assert.deepEqual([stream.status, (await stream.json()).error.details.reason], [403, "INVALID_ORIGIN"]);
    const strict = await start(t, ["--cors-check-origin", "always", "--cors-origins", "https://app.example"]);
    assert.equal(await upgrade(strict, [evil]), 403);
    assert.equal(await upgrade(strict, ["Origin: https://app.example", cookie]), 101);
    assert.equal(await upgrade(strict, ["Origin: https://app.example.evil.example"]), 403);
    assert.equal(await upgrade(strict, ["Origin: http://app.example"]), 403);
    const named = await fetch(`${strict.url}/socket.io/?EIO=4&transport=polling`, { headers: { origin: "https://app.example" } });
    assert.deepEqual([named.headers.get("access-control-allow-origin"), named.headers.get("vary")], ["https://app.example", "Origin"]);
  });
});
