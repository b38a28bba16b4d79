// The HTTP API of the binary: each route by enumeration of its description, sending in all ways, users and
// their connections, with stock clients at the other end.
import assert from "node:assert/strict";
import { suiteOfBinary, token } from "../lib/binary.mjs";
import { call, Client, inbox, once } from "../lib/clients.mjs";
import { check } from "../lib/suite.mjs";

const KEY = "a-secret-that-only-this-test-knows";
const SIGNED = ["--auth-jwt-secret", KEY];
const client = () => new Client({ version: "4.8", transport: "websocket" });
const as = (t, server, sub) => client().connect(t, server, { auth: { token: token(KEY, { sub }) } });

suiteOfBinary("the HTTP API", (start) => {
  check("every route refuses who has no key, and other methods by name", async (t) => {
    const server = await start(t, SIGNED);
    const description = await (await fetch(`${server.url}/v1/openapi.json`)).json();
    const routes = Object.entries(description.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
    );
    assert.ok(routes.length > 25, `${routes.length} routes`);
    const user = token(KEY, { sub: "ada" });
    for (const { path, method, operation } of routes) {
      const at = path.replaceAll(/\{\w+\}/g, "user:eve");
      assert.ok(operation.responses["200"] && operation.summary, `${method} ${path} is described`);
      const forUsers = operation.security.some((it) => "token" in it);
      for (const [who, headers, query] of [
        ["nobody", {}, ""],
        ["a wrong key", { authorization: `Bearer ${server.key}x` }, ""],
        ["no bearer", { authorization: server.key }, ""],
        ["a basic one", { authorization: `Basic ${btoa(`key:${server.key}`)}` }, ""],
        ["the key in the query", {}, `?token=${server.key}&key=${server.key}&api_key=${server.key}`],
        ["a user", { authorization: `Bearer ${user}` }, ""],
      ]) {
        const body = ["GET", "DELETE"].includes(method) ? undefined : "{}";
        const response = await fetch(`${server.url}${at}${query}`, { method, body, headers: { "content-type": "application/json", ...headers } });
        // Users may read what is theirs; this is somebody else's.
        const expected = who === "a user" && forUsers ? [400, 403] : [401];
        assert.ok(expected.includes(response.status), `${method} ${path} to ${who}: ${response.status}`);
        const { ok, error } = await response.json();
        assert.ok(ok === false && error.code && error.message && error.timestamp);
      }
      const others = ["GET", "POST", "PUT", "PATCH", "DELETE"].filter((other) => !routes.some((it) => it.path === path && it.method === other));
      for (const other of others) {
        const { status, headers, error } = await server.api(other, at, other === "GET" ? undefined : {});
        assert.deepEqual([status, error.code], [405, "METHOD_NOT_ALLOWED"], `${other} ${path}`);
        assert.ok(headers.get("allow").split(/,\s*/).includes(method), `${other} ${path}: Allow: ${headers.get("allow")}`);
      }
    }
  });

  check("to users, rooms, sockets and all, but not to some; dotted and colon names", async (t) => {
    const server = await start(t, SIGNED);
    const [ada, bob] = [await as(t, server, "ada"), await as(t, server, "bob")];
    const events = ["task.created", "task:created"];
    const heard = [ada, bob].map((socket) => Object.fromEntries(events.map((event) => [event, inbox(socket, event)])));
    for (const socket of [ada, bob]) await call(socket, "room:join", { roomId: "r" });
    const counts = [0, 0];
    [ada, bob].forEach((socket, index) => socket.on("e", () => (counts[index] += 1)));
    const count = async (body, expected) => {
      assert.equal((await server.api("POST", "/v1/publish", { event: "e", args: [1], ...body })).ok, true, JSON.stringify(body));
      for (const socket of [ada, bob]) await call(socket, "room:leave", { roomId: "nobody" });
      const got = counts.splice(0, 2, 0, 0);
      assert.deepEqual(got, expected, JSON.stringify(body));
    };
    await count({ users: ["ada"] }, [1, 0]);
    await count({ users: ["ada", "bob"] }, [1, 1]);
    await count({ rooms: ["r"] }, [1, 1]);
    await count({ rooms: ["r"], except: ["user:ada"] }, [0, 1]);
    await count({ rooms: ["r"], except: [bob.id] }, [1, 0]);
    await count({ sockets: [bob.id] }, [0, 1]);
    await count({ all: true }, [1, 1]);
    await count({ all: true, except: ["r"] }, [0, 0]);
    for (const event of ["task.created", "task:created"]) {
      await server.api("POST", "/v1/publish", { event, args: [event], users: ["ada"] });
      assert.equal((await heard[0][event].next())[0], event);
    }
    for (const body of [{ sockets: ["x"] }, { sockets: [] }, { sockets: [bob.id], all: true }, { sockets: bob.id }]) {
      const { status, error } = await server.api("POST", "/v1/publish", { event: "e", ...body });
      assert.deepEqual([status, error.code], [400, "INVALID_REQUEST"], JSON.stringify(body));
    }
  });

  check("a batch: in order, each for itself, safe to send again after a kill", async (t) => {
    const server = await start(t, SIGNED);
    const ada = await as(t, server, "ada");
    const heard = inbox(ada, "e");
    const events = [0, 1, 2, 3, 4].map((number) => ({ event: "e", args: [number], users: ["ada"] }));
    events[2] = { event: "connect", users: ["ada"] };
    const headers = { "idempotency-key": "batch-1" };
    const first = await server.api("POST", "/v1/publish/batch", { events }, { headers });
    assert.deepEqual(first.results.map(({ ok }) => ok), [true, true, false, true, true]);
    assert.deepEqual([first.ok, first.results[2].error.code], [false, "INVALID_REQUEST"]);
    for (const number of [0, 1, 3, 4]) assert.equal((await heard.next())[0], number);
    await server.restart();
    const again = await server.api("POST", "/v1/publish/batch", { events }, { headers });
    assert.deepEqual(again.results.map(({ repeated, position }) => [repeated, position]), first.results.map(({ position }) => [position && true, position]));
    for (const body of [{}, { events: [] }, { events: {} }, [], { events: Array(1_001).fill({ event: "e", all: true }) }, { events, more: 1 }]) {
      const { status, error } = await server.api("POST", "/v1/publish/batch", body);
      assert.deepEqual([status, error.code], [400, "INVALID_REQUEST"]);
    }
    const many = await server.api("POST", "/v1/publish/batch", { events: Array(1_000).fill({ event: "n", users: ["ada"] }) });
    assert.equal(many.results.length, 1_000);
    assert.ok(many.ok);
  });

  check("users: online, their sockets, disconnected with a reason; the inactive are cleaned up", async (t) => {
    const server = await start(t, [...SIGNED, "--namespaces", "/,/chat"]);
    const [one, two] = [await as(t, server, "ada"), await as(t, server, "ada")];
    await call(one, "room:join", { roomId: "r" });
    const { online, sockets } = await server.api("GET", "/v1/users/ada");
    assert.deepEqual([online, sockets.map(({ socketId }) => socketId).sort()], [true, [one.id, two.id].sort()]);
    assert.deepEqual(sockets.find(({ socketId }) => socketId === one.id).rooms.sort(), ["r", "user:ada"]);
    assert.deepEqual((await server.api("GET", "/v1/users/nobody")).online, false);
    const stats = await server.api("GET", "/v1/rooms/r/stats");
    assert.deepEqual([stats.sockets, stats.users], [1, 1]);
    const [why, gone] = [inbox(two, "disconnecting:reason"), once(two, "disconnect")];
    assert.equal((await server.api("POST", `/v1/sockets/${two.id}/disconnect`, { reason: "spring cleaning" })).closed, 1);
    assert.deepEqual((await why.next())[0], { reason: "spring cleaning" });
    assert.equal((await gone)[0], "io server disconnect");
    assert.equal(one.connected, true);
    assert.equal((await server.api("POST", `/v1/sockets/${two.id}/disconnect`, {})).status, 404);
    assert.equal((await server.api("POST", "/v1/sockets/x/disconnect", {})).status, 404);
    const ended = once(one, "disconnect");
    assert.equal((await server.api("POST", "/v1/users/ada/disconnect", {})).closed, 1);
    await ended;
    assert.equal((await server.api("POST", "/v1/users/ada/disconnect", { reason: "x".repeat(256) })).status, 400);
    assert.equal((await server.api("POST", "/v1/users/ada/disconnect", { other: 1 })).status, 400);
    await as(t, server, "bob");
    assert.equal((await server.api("POST", "/v1/cleanup", { minutes: 1 })).closed, 0);
    for (const body of [{}, { minutes: 0 }, { minutes: -1 }, { minutes: 1.5 }, { minutes: "1" }]) {
      assert.equal((await server.api("POST", "/v1/cleanup", body)).status, 400, JSON.stringify(body));
    }
  });

  check("the page to read and try it is served whole, with nothing from elsewhere", async (t) => {
    const server = await start(t);
    const page = await fetch(`${server.url}/v1/docs/`);
    assert.equal(page.status, 200);
    assert.match(page.headers.get("content-security-policy"), /default-src 'none'/);
    const html = await page.text();
    assert.doesNotMatch(html, /(src|href)="(https?:)?\/\//);
    for (const [, file] of html.matchAll(/(?:src|href)="([^"]+)"/g)) {
      const found = await fetch(new URL(file, page.url));
      assert.equal(found.status, 200, file);
      await found.arrayBuffer();
    }
  });
});
