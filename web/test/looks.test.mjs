// Every page, light and dark, on a phone, a desk and a wall: pictures are written to `screenshots/`, and axe
// finds nothing that would keep somebody out.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertFits, look, overlaps, PICTURES, places, rest } from "./lib/looks.mjs";
import {
  addPoll, assertNoComplaints, browser, choose, closePoll, counted, DESKTOP, joinSession, openPoll, openSession,
  person, PHONE, rate, say, until, WALL,
} from "./lib/people.mjs";
import { Server } from "./lib/server.mjs";

const LANGUAGE = "Which language should the next service be written in?";
const FIX = "What should we fix first?";
const QUARTER = "How was this quarter?";
const WORD = "In one word: what makes a good team?";
const WORDS = [
  "trust", "trust", "trust", "honesty", "humour", "focus", "curiosity", "time", "respect", "clarity", "coffee",
  "candour", "patience", "listening", "fun", "safety", "goals", "diversity", "ownership", "feedback", "tests",
  "sleep", "psychological safety", "shared goals", "autonomy", "kindness", "pizza",
];
const CROWD = 36;

/** The same crowd votes the same each time: pictures can be compared. */
const turn = (place, of) => Math.floor(((place * 7919) % 101) / 101 * ((place * 104729) % 89) / 89 * of);

for (const colorScheme of ["light", "dark"]) {
  test(`pages in ${colorScheme} colours`, async (t) => {
    const server = await Server.start(t);
    const chromium = await browser(t);
    const barriers = [];
    const on = (device, options) => person(t, chromium, server.url, { ...options, colorScheme }).then((page) => {
      const picture = async (name, how) => barriers.push(...await look(page, `${name}-${device}-${colorScheme}`, how));
      return { page, picture };
    });
    const [host, wall, phone] = [await on("desktop", DESKTOP), await on("wall", WALL), await on("phone", PHONE)];

    await t.test("open a session", async () => {
      await host.page.goto("/host");
      await host.picture("host-open");
      await phone.page.goto("/host");
      await phone.picture("host-open", { full: true });
      await assertFits(phone.page);
    });

    const code = await openSession(host.page, "Monday all-hands");
    await t.test("write polls", async () => {
      await host.page.getByLabel("Question", { exact: true }).fill(LANGUAGE);
      await host.picture("host-composer", { full: true });
    });
    await addPoll(host.page, { question: LANGUAGE, options: ["Rust", "Go", "TypeScript", "Whatever the team already knows best"] });
    await addPoll(host.page, { question: FIX, kind: "Several choices", options: ["Build times", "On-call load", "Documentation", "Flaky tests", "Meetings"] });
    await addPoll(host.page, { question: QUARTER, kind: "Rating", scale: 5 });
    await addPoll(host.page, { question: WORD, kind: "Word cloud", words: 3 });
    const [place, kept] = await host.page.evaluate(() => [JSON.parse(localStorage["fanfare.presenting"])[0], localStorage["fanfare.presenting"]]);
    for (const { page } of [wall, phone]) await page.addInitScript((kept) => localStorage.setItem("fanfare.presenting", kept), kept);
    const { json: { polls } } = await server.ask("GET", `/sessions/${place.sessionId}/polls`, undefined, place.token);
    const crowd = await Promise.all(Array.from({ length: CROWD }, (_, at) => server.join(code, `Guest ${at + 1}`)));
    const everybody = (vote) => Promise.all(crowd.map(async (guest, at) => {
      const { poll, ballot } = vote(at);
      assert.equal((await guest.vote(poll.id, ballot)).status, 201);
    }));

    await t.test("join", async () => {
      await wall.page.goto(`/host/${place.sessionId}/present`);
      await wall.page.getByRole("img", { name: /QR code/ }).waitFor();
      await wall.picture("present-lobby");
      await phone.page.goto("/");
      await phone.picture("join");
      await assertFits(phone.page);
      await host.page.goto("/");
      await host.picture("join");
      await phone.page.goto(`/join/${code}`);
      await phone.picture("join-link");
      await joinSession(phone.page, code, "Ada");
      await phone.page.getByRole("heading", { name: "You’re in" }).waitFor();
      await phone.picture("room-waiting");
    });
    await host.page.goto(`/host/${place.sessionId}`);
    const results = (votes) => until("all votes", () => wall.page.locator(".results").getAttribute("data-votes"), String(votes));

    await t.test("one choice", async () => {
      await openPoll(host.page, LANGUAGE);
      await phone.page.locator(".option", { hasText: "TypeScript" }).click();
      await phone.picture("room-choice", { full: true });
      await choose(phone.page, "TypeScript");
      await counted(phone.page);
      await results(1);
      const pages = [host, wall, phone].map(({ page }) => page);
      await Promise.all(pages.map(rest));
      const before = await Promise.all(pages.map(places));
      await everybody((at) => ({ poll: polls[0], ballot: { optionIds: [polls[0].options[turn(at + 1, 4)].id] } }));
      await results(CROWD + 1);
      await Promise.all(pages.map(rest));
      assert.deepEqual(await Promise.all(pages.map(places)), before, "nothing jumps while results move");
      await phone.picture("room-choice-results", { full: true });
      await host.picture("host-choice");
      await wall.picture("present-choice");
      await wall.page.keyboard.press("s");
      await wall.page.locator(".stack").waitFor();
      await wall.picture("present-stacked");
      await wall.page.keyboard.press("s");
      await closePoll(host.page, LANGUAGE);
    });

    await t.test("several choices", async () => {
      await openPoll(host.page, FIX);
      await phone.page.locator(".option", { hasText: "Flaky tests" }).click();
      await phone.picture("room-choices", { full: true });
      await everybody((at) => ({ poll: polls[1], ballot: { optionIds: polls[1].options.filter((_, place) => (at * 13 + place * 5) % 7 < 3 || place === at % 5).map(({ id }) => id) } }));
      await results(CROWD);
      await wall.picture("present-choices");
      await closePoll(host.page, FIX);
    });

    await t.test("rating", async () => {
      await openPoll(host.page, QUARTER);
      await phone.page.locator(".step").nth(3).click();
      await phone.picture("room-rating", { full: true });
      await everybody((at) => ({ poll: polls[2], ballot: { value: 5 - turn(at + 1, 5) } }));
      await rate(phone.page, 4);
      await counted(phone.page);
      await results(CROWD + 1);
      await phone.picture("room-rating-results", { full: true });
      await wall.picture("present-rating");
      await closePoll(host.page, QUARTER);
    });

    await t.test("word cloud", async () => {
      await openPoll(host.page, WORD);
      await phone.page.getByLabel("Word 1", { exact: true }).fill("trust");
      await phone.picture("room-words", { full: true });
      await everybody((at) => ({ poll: polls[3], ballot: { words: [0, 1, 2].map((by) => WORDS[(at * (by + 3) + by * 5) % WORDS.length]) } }));
      await say(phone.page, "trust", "candour");
      await counted(phone.page);
      await results(CROWD + 1);
      await phone.picture("room-words-results", { full: true });
      await wall.picture("present-cloud");
      await host.picture("host-cloud");
      for (const { page } of [host, wall, phone]) assert.deepEqual(await overlaps(page), []);
    });

    await t.test("the presenter on a phone, and the people", async () => {
      await host.page.locator(".people summary").click();
      await host.page.locator(".names bdi").first().waitFor();
      await host.picture("host-people", { full: true });
      const small = await on("phone", PHONE);
      await small.page.addInitScript((kept) => localStorage.setItem("fanfare.presenting", kept), kept);
      await small.page.goto(`/host/${place.sessionId}`);
      await small.page.locator(".detail").waitFor();
      await small.picture("host-cloud", { full: true });
      await assertFits(small.page);
      await small.page.goto(`/host/${place.sessionId}/present`);
      await small.page.locator(".results").waitFor();
      await small.picture("present-cloud");
      await assertFits(small.page);
    });

    await t.test("twenty options on the wall", async () => {
      const options = Array.from({ length: 20 }, (_, at) => `Option number ${at + 1}, with a label of some length`);
      const draft = { question: "Which of these twenty, and does a question of two lines leave them enough room on the wall?", kind: "single_choice", options };
      const { json: poll } = await server.ask("POST", `/sessions/${place.sessionId}/polls`, draft, place.token);
      await closePoll(host.page, WORD);
      await openPoll(host.page, draft.question);
      await host.page.getByRole("button", { name: `Close “${draft.question}”` }).waitFor();
      await everybody((at) => ({ poll, ballot: { optionIds: [poll.options[turn(at + 1, 20)].id] } }));
      await results(CROWD);
      await wall.picture("present-twenty");
      const cut = await wall.page.locator(".choice").evaluateAll((rows) => rows.filter((row) => row.getBoundingClientRect().bottom > innerHeight - 60).length);
      assert.equal(cut, 0, "options below the edge of the wall");
    });

    await t.test("the console", async () => {
      const console_ = await on("desktop", DESKTOP);
      const { page } = console_;
      await page.goto("/console");
      await console_.picture("console-gate");
      await page.getByLabel("API key").fill("wrong");
      await page.getByRole("button", { name: "Look inside" }).click();
      await page.getByRole("alert").getByText(/key/i).waitFor();
      await page.getByLabel("API key").fill(server.key);
      await page.getByRole("button", { name: "Look inside" }).click();
      await page.locator(".trend-now strong").first().waitFor();
      await page.getByRole("cell", { name: "/livepoll" }).waitFor();
      await console_.picture("console-overview", { full: true });
      await page.getByRole("button", { name: "Rooms" }).click();
      await page.getByLabel("Namespace").selectOption("/livepoll");
      await page.locator(".room-list button", { hasText: place.sessionId }).first().click();
      await page.locator(".events li").first().waitFor();
      await console_.picture("console-rooms");
      const first = () => page.locator(".events li").first().textContent();
      assert.match(await first(), /results:updated/);
      await page.getByRole("button", { name: "Users and sockets" }).click();
      await page.getByLabel("Namespace").selectOption("/livepoll");
      await page.getByRole("cell", { name: new RegExp(place.sessionId) }).first().waitFor();
      await page.getByLabel("User id").fill("ada");
      await page.getByRole("button", { name: "Find" }).click();
      await page.getByText("is not connected").waitFor();
      await console_.picture("console-sockets");
      const small = await on("phone", PHONE);
      await small.page.goto("/console");
      await small.page.getByLabel("API key").fill(server.key);
      await small.page.getByRole("button", { name: "Look inside" }).click();
      await small.page.getByRole("cell", { name: "/livepoll" }).waitFor();
      await small.picture("console-overview", { full: true });
      await assertFits(small.page);
      assertNoComplaints(page, small.page);
    });

    await t.test("the end", async () => {
      await host.page.getByRole("button", { name: "End session" }).click();
      await host.picture("host-ending");
      await host.page.getByRole("button", { name: "End it" }).click();
      await phone.page.getByRole("heading", { name: "Thank you!" }).waitFor();
      await phone.picture("room-ended", { full: true });
      await host.picture("host-ended");
    });

    await t.test("connection lost", async () => {
      await phone.page.context().setOffline(true);
      await server.kill();
      await phone.page.getByText("Connection lost.").waitFor();
      await phone.picture("room-lost");
      await wall.page.getByText("Connection lost.").waitFor();
      await wall.picture("present-lost");
    });
    await t.test("axe finds nothing that keeps somebody out", () => assert.equal(barriers.join("\n"), ""));
    assertNoComplaints(host.page, wall.page, phone.page);
  });
}

test("who does not want motion sees none", async (t) => {
  const server = await Server.start(t);
  const chromium = await browser(t);
  const page = await person(t, chromium, server.url, { ...PHONE, reducedMotion: "reduce" });
  const host = await person(t, chromium, server.url);
  const code = await openSession(host, "Calm");
  await joinSession(page, code, "Ada");
  await page.getByRole("heading", { name: "You’re in" }).waitFor();
  const moving = await page.evaluate(() => document.getAnimations().filter((it) => it.playState === "running" && it.effect.getTiming().duration > 0).length);
  assert.equal(moving, 0);
});

test.after(() => console.log(`pictures of all pages lie in ${PICTURES}`));
