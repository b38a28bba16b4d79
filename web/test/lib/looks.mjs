// How pages look, and whether everybody can use them: pictures for people, and axe.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const PICTURES = fileURLToPath(new URL("../../screenshots", import.meta.url));

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** The rules: WCAG 2.2 A and AA, and what axe calls best practice. */
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** How long what moves may take to come to rest. */
const REST_MS = 700;

/** Takes a picture, and has axe look at the page: what it found. */
export async function look(page, name, { full = false } = {}) {
  await page.mouse.move(0, 0);
  await page.waitForTimeout(REST_MS);
  mkdirSync(PICTURES, { recursive: true });
  await page.screenshot({ path: join(PICTURES, `${name}.png`), fullPage: full });
  // Evaluated from outside, which the policy of the page does not concern.
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(
    (tags) => globalThis.axe.run(document, { runOnly: { type: "tag", values: tags } }),
    RULES,
  );
  const told = ({ html, failureSummary }) => `    ${html}\n      ${failureSummary}`;
  return violations.map(({ id, help, nodes }) => `${name}: ${id}: ${help}\n${nodes.map(told).join("\n")}`);
}

/** Nothing is cut off at the side. */
export async function assertFits(page) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(over <= 0, `${page.url()} is ${over} pixels too wide`);
}
