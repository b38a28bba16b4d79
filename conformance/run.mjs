// Runs the suites against a server and says how it went. See README.md.
import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "node:test";
import { parseArgs } from "node:util";
import { CONFIGURATIONS } from "./lib/configurations.mjs";
import { Report } from "./lib/report.mjs";
import { startServer } from "./lib/server.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const DEFAULT_SERVER = join(here, "../target/debug/examples/conformance");
const SUITES = ["wire", "clients", "binary", "sse"];
const FILES_AT_ONCE = 3;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    server: { type: "string" },
    binary: { type: "string" },
    peer: { type: "string" },
    only: { type: "string" },
    grep: { type: "string" },
    quick: { type: "boolean", default: false },
    verbose: { type: "boolean", default: false },
  },
});

function command() {
  if (options.peer === "node") return [process.execPath, join(here, "reference-server.mjs")];
  if (options.peer !== undefined) throw new Error(`--peer ${options.peer}: the only peer is node`);
  return [options.server ?? DEFAULT_SERVER, ...positionals];
}

function files() {
  const all = SUITES.flatMap((suite) =>
    readdirSync(join(here, suite))
      .filter((name) => name.endsWith(".test.mjs"))
      .map((name) => join(suite, name)),
  );
  const chosen = all.filter((name) => name.includes(options.only ?? ""));
  if (chosen.length === 0) throw new Error(`--only ${options.only}: no file's name contains it`);
  return chosen;
}

// The addresses of servers that already run: TARGET_URL, and TARGET_URL_<CONFIGURATION>.
function givenTargets() {
  const found = Object.keys(CONFIGURATIONS).flatMap((name) => {
    const variable = name === "plain" ? "TARGET_URL" : `TARGET_URL_${name.toUpperCase()}`;
    const url = process.env[variable];
    return url ? [[name, { url, path: name === "dressed" ? "/realtime/" : "/socket.io/" }]] : [];
  });
  return found.length > 0 ? Object.fromEntries(found) : undefined;
}

async function main() {
  const chosen = files();
  process.env.CONFORMANCE_BINARY = options.binary ? resolve(options.binary) : "";
  const given = givenTargets();
  const servers = {};
  try {
    if (!given) {
      process.env.CONFORMANCE_COMMAND = JSON.stringify(command());
      const starting = Object.entries(CONFIGURATIONS).map(async ([name, flags]) => {
        servers[name] = await startServer(command(), flags);
      });
      const failed = (await Promise.allSettled(starting)).find(({ status }) => status === "rejected");
      if (failed) throw failed.reason;
    }
    const targets = given ?? servers;
    process.env.CONFORMANCE_TARGETS = JSON.stringify(
      Object.fromEntries(Object.entries(targets).map(([name, { url, path }]) => [name, { url, path }])),
    );
    process.env.CONFORMANCE_QUICK = options.quick ? "1" : "";
    return await play(chosen, servers);
  } finally {
    await Promise.all(Object.values(servers).map((server) => server.stop()));
  }
}

async function play(chosen, servers) {
  const report = new Report(options.verbose);
  for (const [name, server] of Object.entries(servers)) {
    server.exited.then(({ code, signal }) => report.serverEnded(name, signal ?? code));
  }
  const waiting = [...chosen];
  const testNamePatterns = options.grep ? [new RegExp(options.grep)] : undefined;
  const worker = async () => {
    for (let file = waiting.shift(); file; file = waiting.shift()) {
      await report.follow(file, run({ files: [join(here, file)], testNamePatterns, forceExit: true }));
    }
  };
  await Promise.all(Array.from({ length: FILES_AT_ONCE }, worker));
  return report.summary();
}

main().then(
  (ok) => process.exit(ok ? 0 : 1),
  (error) => {
    console.error(`conformance: ${error.message}`);
    process.exit(2);
  },
);
