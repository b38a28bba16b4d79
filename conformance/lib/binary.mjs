// The binary `fanfare` as a process of its own, for what the library's server has not.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
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
  const arguments_ = ["serve", "--listen", "127.0.0.1:0", "--data", data, "--shards", "2", ...flags];
  const child = spawn(program, arguments_, { stdio: ["ignore", "pipe", "ignore"] });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  t.after(async () => {
    child.kill("SIGKILL");
    await exited;
    rmSync(data, { recursive: true, force: true });
  });
  const url = await within(addressOf(child), "the address of the binary", START_MS);
  const key = readFileSync(join(data, "api_key"), "utf8").trim();
  const publish = async (room, ...args) => {
    const response = await fetch(`${url}/v1/publish`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify({ event: "said", args, rooms: [room] }),
    });
    const { ok, position } = await response.json();
    if (!ok) throw new Error(`not published: ${response.status}`);
    return position;
  };
  return { url, path: "/socket.io/", publish };
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
