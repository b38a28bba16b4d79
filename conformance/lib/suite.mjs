// What every test file needs: its server, a deadline on every wait, and a tidy end.
import { describe, it } from "node:test";
import { serverCommand, targetOf } from "./server.mjs";

/** How long an answer may take before a case fails; far above what a loaded machine needs. */
export const ANSWER_MS = 5_000;
const CASE_MS = 30_000;

/** A group of cases against the server with the named configuration. */
export function suite(title, configuration, body) {
  const target = targetOf(configuration);
  const skip = target ? false : `no server with the configuration ${configuration} was given`;
  describe(title, { skip }, () => {
    if (target) body(target);
  });
}

/** A group of cases that start servers of their own with the command they are given. */
export function suiteOfServers(title, body) {
  const command = serverCommand();
  const skip = command ? false : "an address was given, not a command that starts a server";
  describe(title, { skip }, () => {
    if (command) body(command);
  });
}

/** One case; `body` gets the test context. */
export function check(name, body) {
  it(name, { timeout: CASE_MS }, body);
}

/** The promise's value, or an error that names what was waited for. */
export async function within(promise, what, ms = ANSWER_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms for ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Values that arrive by themselves, taken one at a time and in order. */
export class Inbox {
  #waiting = [];
  #values = [];
  #end;

  push(value) {
    const next = this.#waiting.shift();
    if (next) next.resolve(value);
    else this.#values.push(value);
  }

  /** After the last value every `next` is refused with this error. */
  finish(error) {
    this.#end ??= error;
    for (const next of this.#waiting.splice(0)) next.reject(this.#end);
  }

  next(what = "a value", ms = ANSWER_MS) {
    if (this.#values.length > 0) return Promise.resolve(this.#values.shift());
    if (this.#end) return Promise.reject(new Error(`${this.#end.message}, while waiting for ${what}`));
    const value = new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
    return within(value, what, ms);
  }

  /** What has arrived and was not taken. */
  rest() {
    return this.#values;
  }
}
