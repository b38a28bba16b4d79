// Presenters and participants, each with a browser context of their own, doing what people do.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const PATHS = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** How long anything on a page may take on a busy machine. */
export const PATIENCE_MS = 15_000;

export const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };
export const DESKTOP = { viewport: { width: 1440, height: 900 } };
export const WALL = { viewport: { width: 1920, height: 1080 } };

export async function browser(t) {
  const executablePath = PATHS.find((path) => path && existsSync(path));
  assert.ok(executablePath, "no Chromium: `apt-get install chromium`, or name one with CHROMIUM");
  const launched = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
  t.after(() => launched.close());
  return launched;
}

/** A page of somebody. What goes wrong in it fails the test. */
export async function person(t, browser, baseURL, options = DESKTOP) {
  const context = await browser.newContext({ ...options, baseURL, reducedMotion: "no-preference", ...options });
  context.setDefaultTimeout(PATIENCE_MS);
  t.after(() => context.close());
  const page = await context.newPage();
  watch(page);
  return page;
}

/** Complaints of a page: errors of its scripts, and what its policy forbade. */
export function watch(page) {
  page.complaints = [];
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  page.on("console", (message) => {
    if (message.type() !== "error") return;
    const text = message.text();
    // That the network is away is part of some tests.
    if (/Failed to load resource|WebSocket connection|net::ERR/.test(text)) return;
    page.complaints.push(text);
  });
  page.on("dialog", (dialog) => {
    page.complaints.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
}

export function assertNoComplaints(...pages) {
  for (const page of pages) assert.deepEqual(page.complaints, []);
}

/** Opens a session: its code. */
export async function openSession(page, title) {
  await page.goto("/host");
  await page.getByLabel("Title").fill(title);
  await page.getByRole("button", { name: "Open", exact: true }).click();
  return codeOf(page);
}

export async function codeOf(page) {
  const code = page.locator(".invite .join-code .visually-hidden");
  await code.waitFor({ state: "attached" });
  return (await code.textContent()).replaceAll(" ", "");
}

/** Writes a poll in the composer. */
export async function addPoll(page, { question, kind = "One choice", options = [], hide = false, change = false, scale, words, limit }) {
  if (!(await page.getByRole("heading", { name: /Ask your first question|New poll/ }).isVisible())) {
    await page.getByRole("button", { name: "Add a poll" }).click();
  }
  await page.getByRole("radio", { name: kind }).check({ force: true });
  await page.getByLabel("Question", { exact: true }).fill(question);
  for (const [place, label] of options.entries()) {
    if (place >= 2) await page.getByRole("button", { name: "Add an option" }).click();
    await page.getByLabel(`Option ${String.fromCharCode(65 + place)}`, { exact: true }).fill(label);
  }
  if (scale) await page.getByLabel("Scale").selectOption(String(scale));
  if (words) await page.getByLabel("Words per person").selectOption(String(words));
  if (limit) await page.getByLabel("Time limit").selectOption(String(limit));
  if (hide) await page.getByRole("switch", { name: "Hide the results until it is closed" }).check({ force: true });
  if (change) await page.getByRole("switch", { name: "Votes can be changed while it is open" }).check({ force: true });
  await page.getByRole("button", { name: "Add this poll" }).click();
  await page.getByRole("heading", { name: question }).waitFor();
}

export const openPoll = (page, question) => page.locator(".poll-list").getByRole("button", { name: `Open “${question}”` }).click();
export const closePoll = (page, question) => page.locator(".poll-list").getByRole("button", { name: `Close “${question}”` }).click();

/** Joins by the link: a name, one tap. */
export async function joinSession(page, code, name) {
  await page.goto(`/join/${code}`);
  if (name !== undefined) await page.getByLabel("Your name").fill(name);
  await page.getByRole("button", { name: "Join", exact: true }).click();
  await page.locator(".room").waitFor();
}

/** Votes, and waits until the page says that it counts. */
export async function choose(page, ...labels) {
  for (const label of labels) await page.locator(".option", { hasText: label }).click();
  await page.getByRole("button", { name: /^(Vote|Change my vote)$/ }).click();
}

export async function rate(page, value) {
  await page.locator(".step", { hasText: new RegExp(`^${value}$`) }).click();
  await page.getByRole("button", { name: /^(Vote|Change my vote)$/ }).click();
}

export async function say(page, ...words) {
  for (const [place, word] of words.entries()) await page.getByLabel(`Word ${place + 1}`, { exact: true }).fill(word);
  await page.getByRole("button", { name: /^(Vote|Change my vote)$/ }).click();
}

export const counted = (page) => page.locator('[data-vote="counted"]').first().waitFor();

/** Waits until something is so, and says what was there instead. */
export async function until(what, look, expected) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    try {
      assert.deepEqual(found, expected);
      return;
    } catch (error) {
      if (Date.now() > end) {
        error.message = `${what}: ${error.message}`;
        throw error;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The shares of a chart of choices, by label. */
export const sharesOf = (page) =>
  page.locator(".choice").evaluateAll((rows) => rows.map((row) => {
    const label = row.querySelector(".choice-label").firstChild.textContent;
    return [label, row.querySelector(".choice-votes").textContent];
  }));
