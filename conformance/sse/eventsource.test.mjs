// The streams of the program itself, as the real `EventSource`s read them: that of the package
// `eventsource`, and that of Chromium where it is installed (`CHROMIUM` names another program).
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe } from "node:test";
import { EventSource } from "eventsource";
import { check, Inbox, within } from "../lib/suite.mjs";

const PROGRAM = process.env.CONFORMANCE_BINARY;
const BROWSERS = [process.env.CHROMIUM, "chromium", "chromium-browser", "google-chrome"];
/** A browser takes seconds to start on a busy machine. */
const BROWSER_MS = 20_000;

/** A running `fanfare serve` with a directory of its own unless one is given. */
class Fanfare {
  static async start(t, { port = 0, data = folder(t, "data"), settings = {} } = {}) {
    const ours = { FANFARE_SSE_RETRY_MIN: "50ms", FANFARE_SSE_RETRY_MAX: "150ms", FANFARE_LOG_LEVEL: "error" };
    const child = spawn(PROGRAM, ["serve", "--listen", `127.0.0.1:${port}`, "--data", data], {
      env: { ...process.env, ...ours, ...settings },
      stdio: ["ignore", "pipe", "inherit"],
    });
    t.after(() => child.kill("SIGKILL"));
    const lines = createInterface({ input: child.stdout });
    const listening = new Promise((resolve, reject) => {
      lines.on("line", (line) => {
        const url = /http:\/\/127\.0\.0\.1:\d+/.exec(line);
        if (url) resolve(url[0]);
      });
      child.once("exit", () => reject(new Error("fanfare ended before it listened")));
    });
    const server = new Fanfare();
    Object.assign(server, { child, data, settings, url: await within(listening, "the address") });
    server.key = readFileSync(join(data, "api_key"), "utf8").trim();
    return server;
  }

  get port() {
    return new URL(this.url).port;
  }

  /** Kills it, and starts another one at its port. */
  async replace(t, data = this.data) {
    const ended = once(this.child, "exit");
    this.child.kill("SIGKILL");
    await ended;
    return Fanfare.start(t, { port: this.port, data, settings: this.settings });
  }

  /** Publishes an event, and tells its position. */
  async publish(event, args, rooms) {
    const headers = { Authorization: `Bearer ${this.key}`, "Content-Type": "application/json" };
    const body = JSON.stringify({ event, args, rooms });
    const answer = await fetch(`${this.url}/v1/publish`, { method: "POST", headers, body });
    assert.equal(answer.status, 200);
    return (await answer.json()).position;
  }
}

function folder(t, name) {
  const path = mkdtempSync(join(tmpdir(), `fanfare-${name}-`));
  t.after(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 }));
  return path;
}

/** What both kinds of `EventSource` listen to, and how they tell of it. */
const NAMES = ["ready", "reset", "said", "other", " odd: name"];
const listen = (source, names, tell) => {
  for (const name of names) {
    source.addEventListener(name, ({ data, lastEventId }) => tell([name, JSON.parse(data), lastEventId]));
  }
};

/** The package's `EventSource`: what it hears, in order. */
async function openPackage(t, server, query) {
  const heard = new Inbox();
  const source = new EventSource(`${server.url}/v1/sse?${query}`);
  t.after(() => source.close());
  listen(source, NAMES, (event) => heard.push(event));
  return heard;
}

/** The same in a page of another origin, in a browser. */
async function openBrowser(t, server, query, page) {
  const heard = new Inbox();
  page.heard = heard;
  page.html = `<script>
    let told = Promise.resolve();
    const tell = (event) => {
      told = told.then(() => fetch("/heard", { method: "POST", body: JSON.stringify(event) }));
    };
    (${listen})(new EventSource(${JSON.stringify(`${server.url}/v1/sse?${query}`)}), ${JSON.stringify(NAMES)}, tell);
  </script>`;
  const browser = spawn(BROWSER, [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", `--user-data-dir=${folder(t, "browser")}`, page.origin,
  ], { stdio: "ignore" });
  const gone = once(browser, "exit");
  t.after(async () => {
    browser.kill("SIGKILL");
    await gone;
  });
  return heard;
}

/** A server for the page, whose origin must be known before fanfare starts. */
async function pageServer(t) {
  const page = { html: "", heard: undefined };
  const http = createServer(async (request, answer) => {
    if (request.method === "POST") {
      let body = "";
      for await (const piece of request) body += piece;
      page.heard?.push(JSON.parse(body));
    }
    answer.setHeader("Content-Type", "text/html");
    answer.end(request.url === "/" ? page.html : "");
  });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  t.after(() => http.closeAllConnections());
  t.after(() => http.close());
  page.origin = `http://127.0.0.1:${http.address().port}`;
  return page;
}

function installed(program) {
  return new Promise((resolve) => {
    const child = spawn(program, ["--version"], { stdio: "ignore" });
    child.once("error", () => resolve(false));
    child.once("exit", (code) => resolve(code === 0));
  });
}

let BROWSER;
for (const program of BROWSERS) {
  if (!BROWSER && program && (await installed(program))) BROWSER = program;
}

const KINDS = [
  {
    name: "the package eventsource",
    skip: false,
    start: (t) => Fanfare.start(t),
    open: openPackage,
  },
  {
    name: "Chromium",
    skip: BROWSER ? false : "Chromium is not installed",
    start: async (t) => {
      const page = await pageServer(t);
      const server = await Fanfare.start(t, { settings: { FANFARE_CORS_ORIGINS: page.origin } });
      return Object.assign(server, { page });
    },
    open: (t, server, query) => openBrowser(t, server, query, server.page),
  },
];

for (const { name, skip, start, open } of KINDS) {
  describe(`streams, read by ${name}`, { skip: PROGRAM ? skip : "no program to serve streams was given" }, () => {
    const next = (heard) => within(heard.next(), "an event", BROWSER_MS);

    check("events of several rooms, with their positions and as they were sent", async (t) => {
      const server = await start(t);
      const heard = await open(t, server, "rooms=a,b");
      const [kind, { position, resumed }, id] = await next(heard);
      assert.deepEqual([kind, resumed, id], ["ready", false, position]);
      const args = ["\ufeffx\n: y\r", { n: 1.5, deep: [null] }];
      const first = await server.publish("said", args, ["a"]);
      await server.publish("said", [], ["c"]);
      const second = await server.publish(" odd: name", [], ["b", "a"]);
      assert.deepEqual(await next(heard), ["said", args, first]);
      assert.deepEqual(await next(heard), [" odd: name", [], second]);
    });

    check("a server that is killed and comes back: nothing is missing and nothing comes twice", async (t) => {
      let server = await start(t);
      const heard = await open(t, server, "rooms=a");
      await next(heard);
      let number = 0;
      for (let round = 0; round < 3; round += 1) {
        for (const until = number + 10; number < until; number += 1) await server.publish("said", [number], ["a"]);
        for (let seen = number - 10; seen < number; seen += 1) {
          const [kind, [got]] = await next(heard);
          assert.deepEqual([kind, got], ["said", seen]);
        }
        server = Object.assign(await server.replace(t), { page: server.page });
        // Before it is back.
        await server.publish("said", [number], ["a"]);
        number += 1;
        const [ready, { resumed }] = await next(heard);
        assert.deepEqual([ready, resumed], ["ready", true]);
        assert.deepEqual((await next(heard)).slice(0, 2), ["said", [number - 1]]);
      }
    });

    check("before the first event it is known where the stream begins", async (t) => {
      const server = await start(t);
      const heard = await open(t, server, "rooms=a");
      await next(heard);
      const again = await server.replace(t);
      await again.publish("said", [1], ["a"]);
      assert.equal((await next(heard))[1].resumed, true);
      assert.deepEqual((await next(heard)).slice(0, 2), ["said", [1]]);
    });

    check("a server that has forgotten says so, and the stream goes on", async (t) => {
      const server = await start(t);
      const heard = await open(t, server, "rooms=a");
      await next(heard);
      await server.publish("said", [1], ["a"]);
      await next(heard);
      const other = await server.replace(t, folder(t, "other"));
      const [kind, { reason, head }, id] = await next(heard);
      assert.deepEqual([kind, reason, id], ["reset", "epoch_changed", head]);
      await other.publish("said", [2], ["a"]);
      assert.deepEqual((await next(heard)).slice(0, 2), ["said", [2]]);
    });
  });
}
