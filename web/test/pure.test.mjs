// What the pages decide without a browser: how events change what is known, where words stand, what is said.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "vite";

/** A module of the pages, as the browser would have it. */
async function load(path) {
  const built = await build({
    configFile: false,
    logLevel: "silent",
    build: { write: false, minify: false, target: "es2022", lib: { entry: fileURLToPath(new URL(`../src/${path}`, import.meta.url)), formats: ["es"], fileName: "it" } },
  });
  const [{ output }] = [built].flat();
  return import(`data:text/javascript;base64,${Buffer.from(output[0].code).toString("base64")}`);
}

const { applied, currentPoll, EMPTY } = await load("live/state.ts");
const { layout } = await load("charts/cloud-layout.ts");
const { noResults, percent, spoken } = await load("charts/figures.ts");
const { sampleOf, short, bytes, duration } = await load("console/samples.ts");

const poll = (id, state, more = {}) => ({ id, state, kind: "single_choice", question: id, options: [], activatedAt: null, ...more });
const event = (eventType, payload) => ({ eventId: "e", eventType, timestamp: "", sessionId: "s", payload });
const after = (...events) => events.reduce(applied, EMPTY);

test("events may come twice, and late ones change nothing", () => {
  const [draft, active, closed] = ["draft", "active", "closed"].map((state) => event(`poll:${state}`, { poll: poll("p", state) }));
  for (const order of [[draft, active, closed], [draft, active, active, closed, closed], [closed, active, draft], [active, closed, draft]]) {
    const { polls } = after(...order);
    assert.deepEqual(polls.map(({ id, state }) => [id, state]), [["p", "closed"]]);
  }
  const results = (state, votes) => event("results:updated", { pollId: "p", results: { pollId: "p", state, votes } });
  assert.equal(after(results("closed", 5), results("active", 4)).results.p.votes, 5);
  assert.equal(after(results("active", 4), results("active", 3)).results.p.votes, 3, "votes that were changed");
  const session = (state) => event(`session:${state}`, { session: { id: "s", state } });
  assert.equal(after(session("ended"), session("started")).session.state, "ended");
});

test("polls stand in the presenters' order, new ones behind", () => {
  const made = ["a", "b", "c"].map((id) => event("poll:created", { poll: poll(id, "draft") }));
  const arranged = event("polls:arranged", { pollIds: ["c", "a", "b"] });
  const order = (state) => state.polls.map(({ id }) => id).join("");
  assert.equal(order(after(...made, arranged)), "cab");
  assert.equal(order(after(...made.slice(0, 2), arranged, made[2])), "abc");
});

test("what is talked about is what was opened last, open polls before closed ones", () => {
  const at = (id, state, activatedAt) => poll(id, state, { activatedAt });
  for (const [polls, expected] of [
    [[], undefined],
    [[at("a", "draft", null)], undefined],
    [[at("a", "closed", "1"), at("b", "draft", null)], "a"],
    [[at("a", "closed", "1"), at("b", "closed", "2")], "b"],
    [[at("a", "active", "1"), at("b", "closed", "2")], "a"],
    [[at("a", "active", "1"), at("b", "active", "2")], "b"],
  ]) assert.equal(currentPoll(polls)?.id, expected);
});

const field = { width: 800, height: 400, measure: (text) => text.length * 0.6 };
const cloud = (counts) => Object.entries(counts).map(([text, votes]) => ({ text, votes })).sort((a, b) => b.votes - a.votes);
const placedOf = (words, before) => new Map(layout(words, field, before).map((word) => [word.text, word]));

function assertApart(placed) {
  const all = [...placed.values()];
  for (const [at, a] of all.entries()) {
    assert.ok(a.x - a.width / 2 >= 0 && a.x + a.width / 2 <= field.width && a.y - a.height / 2 >= 0 && a.y + a.height / 2 <= field.height, `${a.text} is inside`);
    for (const b of all.slice(at + 1)) {
      const apart = Math.abs(a.x - b.x) * 2 >= a.width + b.width || Math.abs(a.y - b.y) * 2 >= a.height + b.height;
      assert.ok(apart, `${a.text} and ${b.text}`);
    }
  }
}

test("words never lie on each other, and all of them find a place", () => {
  let seed = 7;
  const random = (below) => (seed = (seed * 48_271) % 2_147_483_647) % below;
  for (let round = 0; round < 60; round += 1) {
    const words = cloud(Object.fromEntries(Array.from({ length: 1 + random(50) }, (_, at) => ["w".repeat(1 + random(24)) + at, 1 + random(40)])));
    const placed = placedOf(words, new Map());
    assertApart(placed);
    assert.equal(placed.size, words.length);
  }
});

test("a word stays where it is while others come and grow beside it", () => {
  const counts = { trust: 4, time: 2, coffee: 1 };
  let before = placedOf(cloud(counts), new Map());
  let moved = 0;
  for (const [step, word] of ["trust", "focus", "time", "trust", "calm", "trust"].entries()) {
    counts[word] = (counts[word] ?? 0) + 1;
    const now = placedOf(cloud(counts), before);
    assertApart(now);
    for (const [text, { x, y }] of now) {
      const was = before.get(text);
      if (was && Math.hypot(was.x - x, was.y - y) > 1) moved += 1;
    }
    assert.ok(moved <= 2 * (step + 1), `${moved} moves after ${step + 1} votes`);
    before = now;
  }
});

test("texts of any length and any number are laid out in a bounded time", () => {
  const words = cloud(Object.fromEntries(Array.from({ length: 50 }, (_, at) => [`${"long ".repeat(10)}${at}`, 1])));
  const begun = performance.now();
  layout(words, { ...field, width: 60, height: 40 }, new Map());
  assert.ok(performance.now() - begun < 5_000);
  assert.deepEqual(layout([], field, new Map()), []);
});

test("shares are whole numbers, and never nothing of something", () => {
  for (const [part, whole, expected] of [[0, 0, "0%"], [0, 5, "0%"], [1, 3, "33%"], [2, 3, "67%"], [1, 1_000, "<1%"], [5, 5, "100%"]]) {
    assert.equal(percent(part, whole), expected);
  }
});

test("results are said in a sentence, whatever their kind", () => {
  const options = (a, b) => ({ kind: "single_choice", votes: a + b, options: [{ label: "A", votes: a }, { label: "B", votes: b }] });
  for (const [results, expected] of [
    [options(0, 0), "0 votes. "],
    [options(2, 1), "3 votes. Leading: A, 67%."],
    [options(1, 1), "2 votes. Tied: A, B, 50%."],
    [{ kind: "rating", votes: 2, average: 4.5, values: [1, 2, 3, 4, 5] }, "2 votes. Average 4.5 of 5."],
    [{ kind: "word_cloud", votes: 1, words: [{ text: "trust", votes: 1 }] }, "1 vote. Most frequent: trust."],
    [noResults({ id: "p", state: "active", kind: "rating", scale: 3, options: [] }), "0 votes. "],
  ]) assert.equal(spoken(results), expected);
});

test("figures of the console are per second, and begin anew with the server", () => {
  const stats = (delivered, recovered) => ({
    sessions: 3, streams: 1, events_delivered: delivered, events_received: 0, events_recorded: 0, sessions_recovered: recovered,
    not_recovered: { expired: 1 }, volatile_dropped: 0, events_refused: 0, closed: {}, latency: { classes: [delivered], seconds: delivered / 1_000 },
  });
  const sample = sampleOf(stats(300, 4), stats(100, 2), 4_000, 2_000);
  assert.deepEqual([sample.connections, sample.delivered, sample.recovered, sample.notRecovered], [4, 100, 1, 0]);
  assert.ok(Math.abs(sample.latencyMs - 1) < 1e-9);
  assert.equal(sampleOf(stats(5, 0), stats(100, 2), 4_000, 2_000).delivered, 0, "a server that was started again");
  assert.deepEqual([short(0), short(1.25), short(999), short(12_345), bytes(0), bytes(1_500_000), duration(3_725)], ["0", "1.3", "999", "12.3K", "0 B", "1.5 MB", "1 h 2 min"]);
});
