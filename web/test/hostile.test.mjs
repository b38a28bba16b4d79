// What people write is shown as text, whatever it looks like; and the policy would stop what got through.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  addPoll, assertNoComplaints, browser, counted, joinSession, openPoll, openSession, person, PHONE, say, until,
} from "./lib/people.mjs";
import { Server } from "./lib/server.mjs";

const NAMES = [
  "<img src=x onerror=alert(1)>",
  "<script>alert(1)</script>",
  "\"><svg onload=alert(1)>",
  "javascript:alert(1)",
  "{{7*7}} ${7*7} %s",
  "</title><script>alert(1)",
  "=HYPERLINK(\"http://x\")",
];

test("hostile names, titles, questions, options and words execute nothing", async (t) => {
  const server = await Server.start(t);
  const chromium = await browser(t);
  const host = await person(t, chromium, server.url);
  const title = "<img src=x onerror=alert(document.domain)>";
  const code = await openSession(host, title);
  await host.getByRole("heading", { name: title }).waitFor();
  const people = [];
  for (const name of NAMES.slice(0, 2)) {
    const page = await person(t, chromium, server.url, PHONE);
    await joinSession(page, code, name);
    assert.equal(await page.locator(".whoami").textContent(), name);
    people.push(page);
  }
  for (const name of NAMES.slice(2)) await server.join(code, name);
  await host.locator(".people summary").click();
  await until("the names, as they are", async () => (await host.locator(".names bdi").allTextContents()).sort(), [...NAMES].sort());

  await addPoll(host, { question: "<b onmouseover=alert(1)>hover</b>", kind: "Word cloud", words: 1 });
  await openPoll(host, "<b onmouseover=alert(1)>hover</b>");
  const [ada] = people;
  await say(ada, "<svg onload=alert(1)>");
  await counted(ada);
  await until("the word, as it is", () => host.locator(".word").allTextContents(), ["<svg onload=alert(1)>"]);
  for (const page of [host, ...people]) {
    assert.equal(await page.locator("img, script:not([src]), iframe").count(), 0);
  }
  assertNoComplaints(host, ...people);
});

test("what people write is cut by the page and refused by the server", async (t) => {
  const server = await Server.start(t);
  const chromium = await browser(t);
  const host = await person(t, chromium, server.url);
  const code = await openSession(host, "Limits");
  const page = await person(t, chromium, server.url, PHONE);
  await page.goto(`/join/${code}`);
  await page.getByLabel("Your name").evaluate((input) => input.removeAttribute("maxlength"));
  for (const [name, expected] of [["x".repeat(1_000), /more than 40/], ["a\u202Eb", /control|direction/]]) {
    await page.getByLabel("Your name").fill(name);
    await page.getByRole("button", { name: "Join", exact: true }).click();
    await page.getByRole("alert").getByText(expected).waitFor();
  }
  assertNoComplaints(host, page);
});

test("scripts that are not the server's do not run", async (t) => {
  const server = await Server.start(t);
  const chromium = await browser(t);
  const page = await person(t, chromium, server.url);
  await page.goto("/");
  await page.getByLabel("Code").waitFor();
  const blocked = await page.evaluate(async () => {
    const violations = [];
    addEventListener("securitypolicyviolation", (event) => violations.push(event.effectiveDirective));
    const inline = document.createElement("script");
    inline.textContent = "globalThis.ran = true";
    document.body.append(inline);
    document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='globalThis.ran = true'><p style='color:red'>");
    await new Promise((resolve) => setTimeout(resolve, 300));
    return { violations: violations.sort(), ran: globalThis.ran ?? false };
  });
  assert.deepEqual(blocked, { violations: ["script-src-attr", "script-src-elem", "style-src-attr"], ran: false });
});
