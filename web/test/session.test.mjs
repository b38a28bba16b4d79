// A session from its opening to its end: a presenter, a big screen, three participants, every kind of poll.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  addPoll, assertNoComplaints, browser, choose, closePoll, counted, joinSession, openPoll, openSession, person,
  PHONE, rate, say, sharesOf, until, WALL,
} from "./lib/people.mjs";
import { Server } from "./lib/server.mjs";

const LANGUAGE = "Which language next?";
const FIX = "What do we fix first?";
const QUARTER = "How was the quarter?";
const WORD = "What makes a good team?";

test("a presenter and three participants go through every kind of poll", async (t) => {
  const server = await Server.start(t);
  const chromium = await browser(t);
  const host = await person(t, chromium, server.url);
  const code = await openSession(host, "All-hands");
  await addPoll(host, { question: LANGUAGE, options: ["Rust", "Go", "Zig"] });
  await addPoll(host, { question: FIX, kind: "Several choices", options: ["Builds", "Docs", "Tests"], change: true });
  await addPoll(host, { question: QUARTER, kind: "Rating", scale: 5, hide: true });
  await addPoll(host, { question: WORD, kind: "Word cloud", words: 2 });

  const wall = await person(t, chromium, server.url, WALL);
  await wall.addInitScript((kept) => localStorage.setItem("fanfare.presenting", kept), await host.evaluate(() => localStorage["fanfare.presenting"]));
  await wall.goto(`${host.url()}/present`);
  await wall.getByRole("img", { name: /QR code/ }).waitFor();
  assert.equal((await wall.locator(".lobby-code .visually-hidden").textContent()).replaceAll(" ", ""), code);

  const people = await Promise.all(["Ada", "Bo", "Cy"].map(async (name) => {
    const page = await person(t, chromium, server.url, PHONE);
    await joinSession(page, code, name);
    await page.getByRole("heading", { name: "You’re in" }).waitFor();
    return page;
  }));
  const [ada, bo, cy] = people;
  await until("who is there", () => host.locator(".head-title p").textContent(), "3 people here");
  await until("who the wall sees", () => wall.locator('[data-figure="people"]').textContent(), "3 people here");

  await t.test("one choice: a vote is confirmed, and every screen moves", async () => {
    await openPoll(host, LANGUAGE);
    await choose(ada, "Rust");
    await choose(bo, "Rust");
    await choose(cy, "Zig");
    const expected = [["Rust", "2 votes"], ["Go", "0 votes"], ["Zig", "1 vote"]];
    for (const page of [ada, bo, cy]) await counted(page);
    for (const page of [host, wall, ada, bo, cy]) await until("the results", () => sharesOf(page), expected);
    assert.equal(await ada.locator(".choice", { hasText: "Rust" }).locator(".mine").count(), 1);
    assert.equal(await ada.getByRole("button", { name: "Vote" }).count(), 0, "a second vote is not offered");
    await closePoll(host, LANGUAGE);
    for (const page of people) await page.getByText("Closed", { exact: true }).waitFor();
  });

  await t.test("several choices: a vote can be changed", async () => {
    await openPoll(host, FIX);
    await choose(ada, "Builds", "Docs");
    await choose(bo, "Docs");
    await counted(ada);
    await until("before the change", () => sharesOf(wall), [["Builds", "1 vote"], ["Docs", "2 votes"], ["Tests", "0 votes"]]);
    await choose(ada, "Builds", "Tests"); // Builds off, Tests on
    await until("after the change", () => sharesOf(wall), [["Builds", "0 votes"], ["Docs", "2 votes"], ["Tests", "1 vote"]]);
    await until("who voted", () => wall.locator('[data-figure="votes"]').textContent(), "2 votes");
    await closePoll(host, FIX);
    await cy.getByText("You did not vote on this one.").waitFor();
  });

  await t.test("a rating whose results are hidden until it is closed", async () => {
    await openPoll(host, QUARTER);
    await rate(ada, 5);
    await rate(bo, 4);
    await rate(cy, 4);
    for (const page of people) await counted(page);
    await until("the average on the wall", () => wall.locator(".rating-number").textContent(), "4.3");
    const openCard = (page) => page.locator(".poll-active");
    for (const page of people) {
      await openCard(page).getByText("Results come when the poll is closed").waitFor();
      assert.equal(await openCard(page).locator(".rating").count(), 0, "participants do not see them");
    }
    await closePoll(host, QUARTER);
    for (const page of people) await until("the average", () => page.locator(".rating-number").first().textContent(), "4.3");
  });

  await t.test("a word cloud", async () => {
    await openPoll(host, WORD);
    await say(ada, "Trust", "coffee");
    await say(bo, "trust");
    await say(cy, "TRUST ", "time");
    for (const page of people) await counted(page);
    const words = (page) => page.locator(".cloud li").allTextContents();
    await until("the words", () => words(wall), ["trust: 3 times", "coffee: 1 time", "time: 1 time"]);
    await until("what is drawn", async () => (await wall.locator(".word").allTextContents()).sort(), ["coffee", "time", "trust"]);
    const sizes = await wall.locator(".word text").evaluateAll((texts) =>
      Object.fromEntries(texts.map((it) => [it.textContent, new DOMMatrix(it.style.transform).a])));
    assert.ok(sizes.trust > sizes.coffee * 2, JSON.stringify(sizes));
  });

  await t.test("who joins late sees what is asked now, and earlier results when looking for them", async () => {
    const dee = await person(t, chromium, server.url, PHONE);
    await joinSession(dee, code, "Dee");
    await dee.getByRole("heading", { name: WORD }).waitFor();
    await dee.locator("summary", { hasText: LANGUAGE }).click();
    const earlier = dee.locator("details", { hasText: LANGUAGE });
    await until("the earlier results", () => sharesOf(earlier), [["Rust", "2 votes"], ["Go", "0 votes"], ["Zig", "1 vote"]]);
    assertNoComplaints(dee);
    await dee.context().close();
  });

  await t.test("polls are reordered with the keyboard, and the order is kept", async () => {
    const order = () => host.locator(".poll-question").allTextContents();
    await host.getByRole("button", { name: `Move “${WORD}” up` }).focus();
    await host.keyboard.press("Enter");
    await until("moved once", order, [LANGUAGE, FIX, WORD, QUARTER]);
    await host.keyboard.press("Enter");
    await until("moved twice, by the same button", order, [LANGUAGE, WORD, FIX, QUARTER]);
    await host.reload();
    await until("after a reload", order, [LANGUAGE, WORD, FIX, QUARTER]);
  });

  await t.test("the session ends for everybody, and the results stay", async () => {
    await host.getByRole("button", { name: "End session" }).click();
    await host.getByRole("button", { name: "End it" }).click();
    for (const page of people) await page.getByRole("heading", { name: "Thank you!" }).waitFor();
    const download = host.waitForEvent("download");
    await host.getByRole("button", { name: /Download all results/ }).click();
    assert.equal((await download).suggestedFilename(), "All-hands.csv");
  });
  assertNoComplaints(host, wall, ...people);
});

test("a poll with a time limit closes by itself on every screen", async (t) => {
  const server = await Server.start(t);
  const chromium = await browser(t);
  const host = await person(t, chromium, server.url);
  const code = await openSession(host, "Quick");
  // The shortest one that a page offers is 15 seconds: this one is made by hand.
  const { id, token } = await host.evaluate(() => {
    const [place] = JSON.parse(localStorage["fanfare.presenting"]);
    return { id: place.sessionId, token: place.token };
  });
  const draft = { question: "Quick?", kind: "single_choice", options: ["Yes", "No"], timeLimitSeconds: 2 };
  assert.equal((await server.ask("POST", `/sessions/${id}/polls`, draft, token)).status, 201);
  const ada = await person(t, chromium, server.url, PHONE);
  await joinSession(ada, code, "Ada");
  await openPoll(host, "Quick?");
  await ada.getByRole("timer").waitFor();
  for (const page of [host, ada]) await page.locator(".poll-closed").first().waitFor();
  assertNoComplaints(host, ada);
});

test("joining takes a link and one tap; a code may be typed in any way; a wrong one is said to be wrong", async (t) => {
  const server = await Server.start(t);
  const chromium = await browser(t);
  const host = await person(t, chromium, server.url);
  const code = await openSession(host, "Codes");
  const ada = await person(t, chromium, server.url, PHONE);
  await joinSession(ada, code); // the name that is suggested
  assert.match(await ada.locator(".whoami").textContent(), /^\w+ \w+$/);
  await ada.reload();
  await ada.getByRole("heading", { name: "You’re in" }).waitFor();

  const bo = await person(t, chromium, server.url, PHONE);
  await bo.goto("/");
  await bo.getByLabel("Code").fill("222222");
  await bo.getByRole("button", { name: "Join", exact: true }).click();
  await bo.getByRole("alert").getByText(/code/i).waitFor();
  await bo.getByLabel("Code").fill(` ${code.slice(0, 3).toLowerCase()}-${code.slice(3).toLowerCase()}`);
  await bo.getByRole("button", { name: "Join", exact: true }).click();
  await bo.getByRole("heading", { name: "You’re in" }).waitFor();
  assert.equal(new URL(bo.url()).pathname, `/join/${code}`);
  await until("two places, not three", () => host.locator(".head-title p").textContent(), "2 people here");
  assertNoComplaints(host, ada, bo);
});
