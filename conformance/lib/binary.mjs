// The binary `fanfare` as a process of its own, for what the library's server has not.
import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe } from "node:test";
import { within } from "./suite.mjs";

const START_MS = 20_000;

/** A group of cases against the binary, if its path was given. */
export function suiteOfBinary(title, body) {
  const program = process.env.CONFORMANCE_BINARY;
  describe(title, { skip: program ? false : "no binary was given" }, () => {
    if (program) body((t, flags = []) => startBinary(t, program, flags));
  });
}

/** A running binary on a free port, which ends with the test. */
async function startBinary(t, program, flags) {
  const data = mkdtempSync(join(tmpdir(), "fanfare-"));
  const running = await run(program, data, "127.0.0.1:0", flags);
  const server = new Binary(program, data, flags, running);
  t.after(async () => {
    await server.kill();
    rmSync(data, { recursive: true, force: true });
  });
  return server;
}

async function run(program, data, listen, flags) {
  const arguments_ = ["serve", "--listen", listen, "--data", data, "--shards", "2", ...flags];
  // Tests send in a moment what people send in a minute; those of the limits set them.
  const unlimited = { FANFARE_METRICS_ENABLED: "false", FANFARE_LIMITS_EVENTS_PER_SECOND: "0", FANFARE_LIMITS_USER_EVENTS_PER_SECOND: "0" };
  const env = { ...process.env, ...unlimited };
  const child = spawn(program, arguments_, { env, stdio: ["ignore", "pipe", "ignore"] });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  const url = await within(addressOf(child), "the address of the binary", START_MS);
  return { child, exited, url };
}

class Binary {
  path = "/socket.io/";
  #running;

  constructor(program, data, flags, running) {
    Object.assign(this, { program, data, flags, url: running.url });
    this.#running = running;
    this.key = readFileSync(join(data, "api_key"), "utf8").trim();
  }

  /** Ends it as a fault does: nothing is written any more. */
  async kill() {
    this.#running.child.kill("SIGKILL");
    await this.#running.exited;
  }

  /** Kills it and starts it again on the same address, with what it had kept. */
  async restart(flags = this.flags) {
    await this.kill();
    this.#running = await run(this.program, this.data, new URL(this.url).host, flags);
  }

  /** A request as a backend sends it; `key: null` sends none. What is answered, and the status. */
  async api(method, path, body, { key = this.key, headers = {} } = {}) {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        ...(key === null ? {} : { authorization: `Bearer ${key}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    return { status: response.status, headers: response.headers, ...(await response.json()) };
  }

  /** Publishes an event `said` to a room: its position. */
  async publish(room, ...args) {
    const { ok, status, position } = await this.api("POST", "/v1/publish", { event: "said", args, rooms: [room] });
    if (!ok) throw new Error(`not published: ${status}`);
    return position;
  }
}

/** The banner is read to its end, so that the program never waits for us. */
function addressOf(child) {
  return new Promise((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`the binary ended with ${code}`)));
    createInterface({ input: child.stdout }).on("line", (line) => {
      const address = line.match(/http:\/\/127\.0\.0\.1:[1-9]\d*/);
      if (address) resolve(address[0]);
    });
  });
}

const encoded = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A JSON Web Token (HS256) that holds for a minute unless the claims say otherwise. */
export function token(secret, claims, header = { alg: "HS256", typ: "JWT" }) {
  const now = Math.floor(Date.now() / 1000);
  const message = `${encoded(header)}.${encoded({ iat: now, exp: now + 60, ...claims })}`;
  return `${message}.${createHmac("sha256", secret).update(message).digest("base64url")}`;
}

/** A port that is free at this moment. */
export const freePort = () =>
  new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
