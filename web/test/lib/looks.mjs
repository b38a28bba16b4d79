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

/** How long what comes in may take to begin to move. */
const ARRIVAL_MS = 300;

/** Waits until everything that moves has come to rest. */
export async function rest(page) {
  await page.waitForTimeout(ARRIVAL_MS);
  await page.evaluate(async () => {
    await document.fonts.ready;
    const ends = document.getAnimations().filter((it) => it.effect.getComputedTiming().endTime !== Infinity);
    await Promise.allSettled(ends.map((it) => it.finished));
  });
}

/** Takes a picture, and has axe look at the page: what it found. */
export async function look(page, name, { full = false } = {}) {
  await page.mouse.move(0, 0);
  await rest(page);
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

/** Words of a cloud that lie on each other. */
export const overlaps = (page) => page.locator(".word text").evaluateAll((texts) => {
  const boxes = texts.map((it) => ({ word: it.textContent, ...it.getBoundingClientRect().toJSON() }));
  // The box of a text has room above and below the letters.
  const share = 0.2;
  const found = [];
  for (const [at, a] of boxes.entries()) {
    for (const b of boxes.slice(at + 1)) {
      const x = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (x > 1 && y > share * (a.height + b.height)) found.push(`${a.word} and ${b.word}`);
    }
  }
  return found;
});

/** Where everything stands that must not move while results do. */
export const places = (page) => page.evaluate(() => {
  const all = "h1, h2, .choice, .choice-label, .letter, .track, .poll-name, .poll-tools, .invite, .note, [data-figure], .button";
  return [...document.querySelectorAll(all)].map((it) => {
    const { x, y } = it.getBoundingClientRect();
    return `${it.className || it.tagName} ${Math.round(x)} ${Math.round(y)}`;
  });
});
