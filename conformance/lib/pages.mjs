// Pages for users: the blocks of code in them, run in their order, and what they say that comes.
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";

const root = new URL("../../", import.meta.url);

/** The text of a page, named from the project's root. */
export const page = (path) => readFileSync(new URL(path, root), "utf8");

/** `{kind, about, text}` for each block of code: what stands behind the language is what it is about. */
export function blocks(text) {
  return [...text.matchAll(/^```(\w+)(?: (.+))?\n([\s\S]*?)^```$/gm)].map(([, kind, about = "", body]) => ({ kind, about, text: body }));
}

/** A section under a heading, up to the next of its level. */
export function section(text, heading) {
  const rest = text.split(`\n${heading}\n`)[1];
  if (rest === undefined) throw new Error(`no heading ${heading}`);
  return rest.split(new RegExp(`\n#{1,${heading.indexOf(" ")}} `))[0];
}

const CHANGING = [
  /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, // a time
  /^[\w-]{11}\.[\w-]+$/, // a position
  /^[\w-]{20}$/, // a socket
  /^[\w-]{22}$/, // an id
];

/** Where two values differ, apart from ids, positions and times, which must be of the same kind. */
export function difference(said, came, at = "") {
  if (typeof said === "string" && typeof came === "string") {
    const alike = said === came || CHANGING.some((form) => form.test(said) && form.test(came));
    return alike ? undefined : `${at}: ${JSON.stringify(said)}, and it is ${JSON.stringify(came)}`;
  }
  if (said === null || came === null || typeof said !== "object" || typeof came !== "object") {
    return said === came ? undefined : `${at}: ${JSON.stringify(said)}, and it is ${JSON.stringify(came)}`;
  }
  const names = new Set([...Object.keys(said), ...Object.keys(came)]);
  for (const name of names) {
    if (!(name in said)) return `${at}.${name} is not told of`;
    if (!(name in came)) return `${at}.${name} is not there`;
    const found = difference(said[name], came[name], `${at}.${name}`);
    if (found) return found;
  }
  return undefined;
}

/** Runs shell commands: what they print. */
export function shell(script, env) {
  return new Promise((resolve, reject) => {
    execFile("sh", ["-ec", script], { env: { ...process.env, ...env } }, (error, output, errors) => {
      if (error) reject(new Error(`${script}\n${errors}`));
      else resolve(output);
    });
  });
}

/** Runs a block of JavaScript with names given to it; its own constants are the answer. */
export function javascript(text, given) {
  const body = text.replaceAll(/^import .*\n/gm, "");
  const own = [...body.matchAll(/^const (?:(\w+)|\{ (.+?) \}) =/gm)].flatMap(([, one, several]) => one ?? several.split(/, ?/));
  const names = Object.keys(given).filter((name) => !own.includes(name));
  const AsyncFunction = (async () => {}).constructor;
  const run = new AsyncFunction(...names, `${body}\nreturn { ${own.join(", ")} };`);
  return run(...names.map((name) => given[name]));
}
