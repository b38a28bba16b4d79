// The program under test: a running `fanfare serve` on a free port, which can be killed and started again.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const START_MS = 20_000;

export class Server {
  static async start(t, settings = {}) {
    const data = mkdtempSync(join(tmpdir(), "fanfare-pages-"));
    const server = new Server();
    Object.assign(server, { data, settings });
    await server.#run("127.0.0.1:0");
    server.key = readFileSync(join(data, "api_key"), "utf8").trim();
    t.after(async () => {
      await server.kill();
      rmSync(data, { recursive: true, force: true, maxRetries: 5 });
    });
    return server;
  }

  async #run(listen) {
    const program = process.env.WEB_BINARY;
    if (!program) throw new Error("WEB_BINARY names no program; `cargo xtask web --test` does");
    const words = ["serve", "--listen", listen, "--data", this.data, "--shards", "2"];
    const ours = {
      FANFARE_LIVEPOLL_ENABLED: "true",
      FANFARE_METRICS_ENABLED: "false",
      FANFARE_LOG_LEVEL: "error",
      // Tests open in a minute what presenters open in a day.
      FANFARE_LIVEPOLL_SESSIONS_PER_IP_PER_MINUTE: "1000",
    };
    const env = { ...process.env, ...ours, ...this.settings };
    this.child = spawn(program, words, { env, stdio: ["ignore", "pipe", "inherit"] });
    this.exited = once(this.child, "exit");
    this.url = await this.#address();
  }

  #address() {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("the program tells no address")), START_MS);
      this.child.once("exit", (code) => reject(new Error(`the program ended with ${code}`)));
      createInterface({ input: this.child.stdout }).on("line", (line) => {
        const address = /http:\/\/127\.0\.0\.1:[1-9]\d*/.exec(line);
        if (!address) return;
        clearTimeout(timer);
        resolve(address[0]);
      });
    });
  }

  get port() {
    return Number(new URL(this.url).port);
  }

  /** Ends it as a fault does: nothing is written any more. */
  async kill() {
    this.child.kill("SIGKILL");
    await this.exited;
  }

  /** Starts it again at its address, with what it had kept. */
  async again() {
    await this.#run(new URL(this.url).host);
  }

  /** A request to its HTTP API. */
  async ask(method, path, body, token) {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        ...(token ? { authorization: `Bearer ${token}` } : {}),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, headers: response.headers, json: await response.json().catch(() => undefined) };
  }

  /** What it counts since its start. */
  async stats() {
    return (await this.ask("GET", "/v1/stats", undefined, this.key)).json;
  }

  /** Somebody who joins and votes without a page, to fill the room. */
  async join(code, displayName) {
    const { status, json } = await this.ask("POST", "/sessions/join", { code, displayName });
    if (status !== 201) throw new Error(`not joined: ${status} ${JSON.stringify(json)}`);
    return { ...json, vote: (poll, ballot) => this.ask("POST", `/polls/${poll}/votes`, ballot, json.token) };
  }
}
