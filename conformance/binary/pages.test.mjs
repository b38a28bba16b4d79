// The pages for users: their snippets do what they say, in their order, with a stock client and a shell;
// what they show is what comes; and what there is stands in them.
import assert from "node:assert/strict";
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { freePort, suiteOfBinary, token } from "../lib/binary.mjs";
import { call, once } from "../lib/clients.mjs";
import { blocks, difference, javascript, page, section, shell } from "../lib/pages.mjs";
import { check, pause, within } from "../lib/suite.mjs";

const { io } = createRequire(import.meta.url)("client-4.8");
const ADDRESS = "http://127.0.0.1:3000";
const KEY = "a-secret-that-only-this-test-knows";
const FLAGS = ["--auth-jwt-secret", KEY, "--auth-guests=true", "--presence-grace", "100ms", "--sessions-heartbeat", "300ms"];
const EVENTS_PAGE = "docs/client-protocol.md";

/** All that clients hear and are answered while pages are run. */
class Heard {
  events = new Map();
  answers = new Map();

  push(box, name, value) {
    if (!box.has(name)) box.set(name, []);
    box.get(name).push(value);
  }

  /** A client as the pages mean it, which is listened to. */
  connect(t, server, options = {}, name = "ada") {
    const auth = { token: token(KEY, { sub: name, name: name[0].toUpperCase() + name.slice(1) }) };
    const socket = io(server.url, { auth, transports: ["websocket"], forceNew: true, ...options });
    t.after(() => socket.close());
    socket.onAny((event, argument) => this.push(this.events, event, argument));
    const emit = socket.emitWithAck;
    socket.emitWithAck = async (event, argument) => {
      const answer = await within(emit.call(socket, event, argument), `the answer to ${event}`);
      this.push(this.answers, event, answer);
      if (!answer.ok) throw new Error(`${event}: ${JSON.stringify(answer)}`);
      return answer;
    };
    return socket;
  }

  async check(said, box, name, where) {
    const value = JSON.parse(said);
    const until = Date.now() + 5_000;
    for (;;) {
      const came = box.get(name) ?? [];
      const differences = came.map((it) => difference(value, it));
      if (differences.includes(undefined)) return;
      if (Date.now() > until) assert.fail(`${where}: ${name}: ${differences.at(-1) ?? "nothing came"}`);
      await pause(20);
    }
  }
}

/** Runs a page's blocks; `others` do what the page's reader does not. */
async function run(t, server, path, heard, others = {}, part = page(path)) {
  const socket = heard.connect(t, server);
  const ben = heard.connect(t, server, {}, "ben");
  await Promise.all([socket, ben].map(connected));
  const definition = blocks(page("docs/http-api.md")).find(({ text }) => text.startsWith("api()")).text;
  const opened = [socket, ben];
  const connect = (_, options) => {
    opened.push(heard.connect(t, server, options));
    return opened.at(-1);
  };
  let [names, printed] = [{}, ""];
  for (const { kind, about, text } of blocks(part)) {
    const where = `${path}: ${text.trim().split("\n")[0]}`;
    if (kind === "js") {
      await others.before?.(text, ben);
      names = { ...names, ...(await javascript(text, { ...names, ...others.given, socket, io: connect })) };
      await others.after?.(text, ben, names);
    } else if (kind === "sh") {
      printed = await shell(`${definition}\n${text}`.replaceAll(ADDRESS, server.url), { FANFARE_API_KEY: server.key });
      assert.equal(JSON.parse(printed).ok, true, `${where}: ${printed}`);
    } else if (kind === "json" && about === "answer") {
      assert.equal(difference(JSON.parse(text), JSON.parse(printed)), undefined, where);
    } else if (kind === "json" && about.startsWith("answer ")) {
      await heard.check(text, heard.answers, about.slice("answer ".length), path);
    } else if (kind === "json" && about.startsWith("event ")) {
      await heard.check(text, heard.events, about.slice("event ".length), path);
    } else if (kind === "json") {
      await others.json(about, text);
    }
  }
  for (const it of opened) it.close();
}

const connected = (socket) => within(new Promise((resolve) => (socket.connected ? resolve() : socket.once("connect", resolve))), "a connection");
const ask = async (socket, event, argument) => {
  const [answer] = await call(socket, event, argument);
  assert.equal(answer.ok, true, `${event}: ${JSON.stringify(answer)}`);
  return answer;
};

async function rooms(t, server, heard) {
  await run(t, server, "docs/rooms-and-chat.md", heard, {
    async after(text, ben, { sent }) {
      const team = { roomId: "team" };
      if (text.includes('"room:join"')) {
        await ask(ben, "room:join", team);
        await ask(ben, "room:leave", team);
      }
      if (text.includes('"message:delete"')) await ask(ben, "room:join", team);
      if (text.includes('"typing"')) await ask(ben, "typing", { ...team, isTyping: true });
      if (text.includes('"message:history"')) assert.ok(sent.id);
      if (text.includes('"system:announcement"')) {
        const deleted = once(ben, "room:deleted"); // the answer may come before it
        await server.api("DELETE", "/v1/rooms/team");
        await deleted;
      }
    },
  });
}

async function presence(t, server, heard) {
  await run(t, server, "docs/presence.md", heard, {
    async before(text, ben) {
      if (text.includes('"subscribe:document"')) await ask(ben, "subscribe:document", { documentId: "d-1" });
    },
    async after(text, ben) {
      if (text.includes('"subscribe:presence"')) {
        await ask(ben, "subscribe:presence", { documentId: "d-1" });
        await ask(ben, "unsubscribe:presence", { documentId: "d-1" });
      }
      if (text.includes('"document:edit"')) await ask(ben, "document:edit", { documentId: "d-1", op: "insert", at: 7, text: "a" });
    },
  });
}

async function webhooks(t, server, heard, port) {
  const printed = [];
  const told = [];
  let receiver;
  await run(t, server, "docs/webhooks.md", heard, {
    given: {
      createHmac,
      timingSafeEqual,
      process: { env: { WEBHOOK_SECRET: "shared" } },
      console: { log: (...words) => printed.push(words.join(" ").trim()) },
      createServer: (handler) => ({
        listen() {
          receiver = createServer((request, response) => {
            request.on("data", (chunk) => (request.told = (request.told ?? "") + chunk));
            request.on("end", () => told.push(JSON.parse(request.told)));
            return handler(request, response);
          }).listen(port, "127.0.0.1");
          t.after(() => {
            receiver.closeAllConnections();
            receiver.close();
          });
        },
      }),
    },
    json: () => {},
  });
  const until = Date.now() + 15_000;
  while (!printed.some((line) => line.startsWith("socket.disconnected")) && Date.now() < until) await pause(50);
  assert.ok(printed.some((line) => /^socket\.connected [\w-]{20} ada$/.test(line)), printed.join("\n"));
  const forged = await fetch(`http://127.0.0.1:${port}`, { method: "POST", body: '{"events":[]}', headers: { "webhook-id": "1", "webhook-timestamp": `${Math.floor(Date.now() / 1000)}`, "webhook-signature": "v1,AAAA" } });
  assert.equal(forged.status, 401);
  const [{ text }] = blocks(page("docs/webhooks.md")).filter(({ about }) => about === "webhook");
  const said = JSON.parse(text);
  const came = told.flatMap(({ events }) => events);
  const alike = (event) => difference(said.events[0], { ...event, generation: said.events[0].generation }) === undefined;
  assert.ok(came.some(alike), JSON.stringify(came[1]));
  assert.deepEqual(Object.keys(told[0]).sort(), Object.keys(said).sort());
  const columns = page("docs/webhooks.md").matchAll(/^\| `([\w.]+)` \|.*\| (.*) \|$/gm);
  const fields = Object.fromEntries([...columns].map(([, type, list]) => [type, [...list.matchAll(/`(\w+)`/g)].map(([, name]) => name)]));
  for (const event of came) {
    assert.deepEqual(Object.keys(event).sort(), ["type", "timestamp", "generation", ...fields[event.type]].sort(), event.type);
  }
}

/** Events that the pages' snippets do not bring about. */
async function rest(t, server, heard, start) {
  const crowd = await start(t, [...FLAGS, "--presence-crowd", "1", "--sessions-required=true", "--auth-notice", "50s", "--replay-rooms", "a=5"]);
  heard.connect(t, crowd); // names no session
  const query = { sessionId: "s-1", rooms: "a", fromEventId: "A".repeat(22) };
  const sockets = ["ada", "ben"].map((name) => heard.connect(t, crowd, { query }, name));
  for (const socket of sockets) {
    await connected(socket);
    await ask(socket, "subscribe:presence", { documentId: "d-1" });
  }
  const short = { token: token(KEY, { sub: "ada", exp: Math.floor(Date.now() / 1000) + 30 }) };
  heard.connect(t, crowd, { auth: short, query: { sessionId: "s-1" } });
  const next = (socket, event) => within(new Promise((resolve) => socket.once(event, resolve)), event, 10_000);
  const [refused, back] = [next(sockets[0], "error"), next(sockets[1], "connection:reconnected")];
  sockets[0].emit("message", {}); // no ack
  await refused;
  await crowd.publish("a", "so that there is an offset");
  sockets[1].io.engine.close(); // comes back
  await back;
  await crowd.api("POST", "/v1/users/ada/disconnect", { reason: "bye" });
}

/** The rows of the tables in a section: the names in the first cell, the fields in the second. */
function shapes(text) {
  return [...text.matchAll(/^\| (`[^|]+`) \| (?:`\{([^}]*)\}`)?([^|]*)\|/gm)].flatMap(([, names, fields, more]) =>
    [...names.matchAll(/`([^`]+)`/g)].map(([, name]) => {
      const all = fields?.split(",").map((field) => field.trim());
      return { name, required: all?.filter((it) => !it.endsWith("?")), all: all?.map((it) => it.replace("?", "")), more };
    }),
  );
}

suiteOfBinary("the pages for users", (start) => {
  check("snippets run, and what they show is what comes; every event has the fields that are told", async (t) => {
    const port = await freePort();
    const heard = new Heard();
    const server = await start(t, [...FLAGS, "--webhooks-url", `http://127.0.0.1:${port}/`, "--webhooks-secret", "shared"]);
    await rooms(t, server, heard);
    await run(t, server, "docs/jobs.md", heard);
    await run(t, server, "docs/sessions.md", heard);
    await presence(t, server, heard);
    const users = section(page("docs/http-api.md"), "## Users and connections");
    await run(t, server, "docs/http-api.md", heard, {}, users);
    await webhooks(t, server, heard, port);
    await rest(t, server, heard, start);
    await pause(400); // a heartbeat
    const told = shapes(section(page(EVENTS_PAGE), "### What clients hear"));
    assert.ok(told.length > 25, `${told.length} events`);
    for (const { name, required, all } of told) {
      const came = heard.events.get(name);
      assert.ok(came, `${name} was not heard`);
      for (const argument of came.filter(() => required)) {
        const keys = Object.keys(argument);
        assert.deepEqual(required.filter((key) => !keys.includes(key)), [], `${name}: ${JSON.stringify(argument)}`);
        assert.deepEqual(keys.filter((key) => !all.includes(key)), [], `${name}: ${JSON.stringify(argument)}`);
      }
    }
    const names = told.map(({ name }) => name);
    assert.deepEqual([...heard.events.keys()].filter((name) => !names.includes(name) && name !== "said"), [], "heard and not told of");
  });

  check("every route of the description stands in the page, and no other", async (t) => {
    const server = await start(t);
    const description = await (await fetch(`${server.url}/v1/openapi.json`)).json();
    const routes = Object.entries(description.paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`));
    const text = page("docs/http-api.md");
    const told = new Set([...text.matchAll(/`((?:GET|POST|PUT|PATCH|DELETE) \/v1[^`?]*)`/g)].map(([, route]) => route));
    assert.deepEqual(routes.filter((route) => !told.has(route)), [], "not in the page");
    const beside = ["GET /v1/docs", "GET /v1/openapi.json"];
    assert.deepEqual([...told].filter((route) => ![...routes, ...beside].includes(route)), [], "in the page only");
  });

  check("every figure stands in the page, and no other", async (t) => {
    const port = await freePort();
    const server = await start(t, ["--metrics-enabled=true", "--metrics-listen", `127.0.0.1:${port}`]);
    await server.publish("a", 1);
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    const types = Object.fromEntries([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name, type]));
    const names = Object.entries(types).map(([name, type]) => (type === "counter" ? `${name}_total` : name));
    const rows = [...section(page("docs/operations.md"), "## Metrics").matchAll(/^\| `(\w+)(?:\{([^}]*)\})?` \|/gm)];
    assert.deepEqual(rows.map(([, name]) => name).sort(), names.sort());
    for (const [, name, labels] of rows.filter(([, , labels]) => labels)) {
      const [line] = text.match(new RegExp(`^${name}\\{.*\\}`, "m")) ?? [];
      const given = line && [...line.matchAll(/(\w+)="/g)].map(([, label]) => label);
      assert.deepEqual(given ?? labels.split(","), labels.split(","), name);
    }
    assert.match(text, /realtime_message_latency_seconds_bucket\{le="\+Inf"\} \d+/);
  });
});
