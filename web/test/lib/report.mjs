// Follows the test runner's events, and tells what matters: a line per test, every failure, the sum.

const LINES_OF_A_FAILURE = 20;

export class Report {
  #passed = 0;
  #failures = [];
  #started = performance.now();

  async follow(file, events) {
    for await (const { type, data } of events) {
      if (type === "test:stdout" || type === "test:stderr") process.stderr.write(data.message);
      // Files are nodes of the tree too.
      const isFile = data.details?.type === "suite" || data.name?.endsWith(".mjs");
      if (type === "test:pass" && !isFile) {
        this.#passed += 1;
        console.log(`ok   ${file}: ${data.name} (${Math.round(data.details.duration_ms)} ms)`);
      }
      if (type === "test:fail") this.#failed(file, data);
    }
  }

  #failed(file, data) {
    const error = data.details?.error;
    if (error?.failureType === "subtestsFailed") return;
    const cause = error?.cause ?? error;
    const lines = String(cause?.stack ?? cause?.message ?? cause).split("\n");
    const told = lines.filter((line) => !/node:internal/.test(line)).slice(0, LINES_OF_A_FAILURE);
    this.#failures.push(`  ${file}: ${data.name}\n      ${told.join("\n      ")}`);
    console.log(`FAIL ${file}: ${data.name}`);
  }

  /** Prints everything; true when nothing failed. */
  summary() {
    for (const failure of this.#failures) console.log(`\n${failure}`);
    const seconds = ((performance.now() - this.#started) / 1_000).toFixed(1);
    console.log(`\nweb: ${this.#passed} passed, ${this.#failures.length} failed in ${seconds} s`);
    return this.#passed > 0 && this.#failures.length === 0;
  }
}
