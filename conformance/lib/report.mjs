// Follows the test runner's events, and tells what matters: a line per file, every failure, the sum.

const LINES_OF_A_FAILURE = 16;

export class Report {
  #files = new Map();
  #failures = [];
  #done = false;

  constructor(verbose) {
    this.verbose = verbose;
    this.started = performance.now();
  }

  /** A server that ends while the suites run is a failure of its own. */
  serverEnded(name, how) {
    if (!this.#done) this.#failures.push(`  the server \`${name}\` ended during the run (${how})`);
  }

  /** Counts the leaves of one file's test tree; a group is only the sum of what is in it. */
  async follow(file, events) {
    const counts = { passed: 0, failed: 0, skipped: 0 };
    this.#files.set(file, counts);
    for await (const { type, data } of events) {
      if (type === "test:stdout" || type === "test:stderr") process.stderr.write(data.message);
      if (type === "test:pass") this.#passed(counts, file, data);
      if (type === "test:fail") this.#failed(counts, file, data);
    }
  }

  #passed(counts, file, data) {
    if (data.skip !== undefined && data.skip !== false) counts.skipped += 1;
    else if (isLeaf(data)) counts.passed += 1;
    if (this.verbose && isLeaf(data)) console.log(`ok   ${file}: ${data.name} (${Math.round(data.details.duration_ms)} ms)`);
  }

  #failed(counts, file, data) {
    const error = data.details?.error;
    if (error?.failureType === "subtestsFailed") return;
    counts.failed += 1;
    const cause = error?.cause ?? error;
    const lines = String(cause?.stack ?? cause?.message ?? cause).split("\n");
    const told = lines.filter((line) => !/node:internal|node_modules/.test(line)).slice(0, LINES_OF_A_FAILURE);
    this.#failures.push(`  ${file}: ${data.name}\n      ${told.join("\n      ")}`);
    if (this.verbose) console.log(`FAIL ${file}: ${data.name}`);
  }

  /** Prints everything; true when nothing failed. */
  summary() {
    this.#done = true;
    const sum = { passed: 0, failed: 0, skipped: 0 };
    for (const [file, counts] of [...this.#files].sort()) {
      for (const key of Object.keys(sum)) sum[key] += counts[key];
      console.log(`${counts.failed ? "FAIL" : "ok  "} ${file.padEnd(36)} ${tell(counts)}`);
    }
    for (const failure of this.#failures) console.log(`\n${failure}`);
    const seconds = ((performance.now() - this.started) / 1000).toFixed(1);
    if (sum.passed === 0) console.log("\nno case ran");
    console.log(`\nconformance: ${tell(sum)} in ${seconds} s`);
    return sum.passed > 0 && this.#failures.length === 0;
  }
}

// Files and groups are nodes of the same tree as cases.
const isLeaf = (data) => data.details?.type !== "suite" && data.nesting > 0;

function tell({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ""}`;
}
