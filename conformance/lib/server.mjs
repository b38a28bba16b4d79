// Starts the server under test and finds out where it listens.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { CONFIGURATIONS } from "./configurations.mjs";

const START_DEADLINE_MS = 20_000;
const STOP_DEADLINE_MS = 6_000;

/** A running server: `url`, `path`, and `stop()`. */
export async function startServer(command, flags) {
  const [program, ...words] = command;
  const child = spawn(program, [...words, ...flags], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = new Promise((resolve) => child.once("exit", (code, signal) => resolve({ code, signal })));
  const address = await firstLine(child, exited, [program, ...words, ...flags].join(" "));
  return { ...address, pid: child.pid, exited, stop: () => stop(child, exited) };
}

function firstLine(child, exited, shown) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`no address from \`${shown}\` within ${START_DEADLINE_MS} ms`));
    }, START_DEADLINE_MS);
    child.once("error", (error) => {
      clearTimeout(timer);
      reject(new Error(`\`${shown}\` does not start: ${error.message}`));
    });
    exited.then(({ code, signal }) => {
      clearTimeout(timer);
      reject(new Error(`\`${shown}\` ended at once (${signal ?? code})`));
    });
    createInterface({ input: child.stdout }).once("line", (line) => {
      clearTimeout(timer);
      try {
        resolve(JSON.parse(line));
      } catch {
        child.kill("SIGKILL");
        reject(new Error(`\`${shown}\` printed ${JSON.stringify(line)}, expected one line of JSON with its url`));
      }
    });
  });
}

async function stop(child, exited) {
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_DEADLINE_MS);
  const outcome = await exited;
  clearTimeout(timer);
  return outcome;
}

/** The command of the server under test, when a test wants a process of its own. */
export function serverCommand() {
  const command = process.env.CONFORMANCE_COMMAND;
  return command ? JSON.parse(command) : undefined;
}

/** Where the server with the named configuration listens; undefined when there is none. */
export function targetOf(name) {
  if (!(name in CONFIGURATIONS)) throw new Error(`no configuration is called ${name}`);
  const targets = JSON.parse(process.env.CONFORMANCE_TARGETS ?? "{}");
  const found = targets[name];
  if (!found) return undefined;
  const url = new URL(found.url);
  return { name, url: found.url, host: url.hostname, port: Number(url.port), path: found.path };
}
