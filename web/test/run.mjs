// Runs the tests of the pages in Chromium, against a program, and says how it went. See README.md.
import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { run } from "node:test";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Report } from "./lib/report.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const DEFAULT_BINARY = join(here, "../../target/debug/fanfare");

/** Each file has browsers of its own; a machine has few processors. */
const FILES_AT_ONCE = 2;

const { values: options } = parseArgs({
  options: {
    binary: { type: "string", default: DEFAULT_BINARY },
    only: { type: "string", default: "" },
    grep: { type: "string" },
  },
});

process.env.WEB_BINARY = resolve(options.binary);
const waiting = readdirSync(here).filter((name) => name.endsWith(".test.mjs") && name.includes(options.only)).sort();
if (waiting.length === 0) throw new Error(`--only ${options.only}: no file's name contains it`);
const testNamePatterns = options.grep ? [new RegExp(options.grep)] : undefined;
const report = new Report();
const worker = async () => {
  for (let file = waiting.shift(); file; file = waiting.shift()) {
    await report.follow(file, run({ files: [join(here, file)], testNamePatterns, forceExit: true }));
  }
};
await Promise.all(Array.from({ length: FILES_AT_ONCE }, worker));
process.exit(report.summary() ? 0 : 1);
