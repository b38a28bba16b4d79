// The network goes, or the server: pages say so, come back by themselves, and show the right totals.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Cable } from "./lib/cable.mjs";
import {
  addPoll, assertNoComplaints, browser, choose, counted, joinSession, openPoll, openSession, person, PHONE, sharesOf, until,
} from "./lib/people.mjs";
import { Server } from "./lib/server.mjs";

const QUESTION = "Tabs or spaces?";
const [TABS, SPACES] = ["Tabs", "Spaces"];

/** A session with an open poll, and somebody who takes part over a cable. */
async function begin(t) {
  const server = await Server.start(t);
  const chromium = await browser(t);
  const host = await person(t, chromium, server.url);
  const code = await openSession(host, "Away");
  await addPoll(host, { question: QUESTION, options: [TABS, SPACES] });
  await openPoll(host, QUESTION);
  const poll = await host.locator("[data-poll]").first().getAttribute("data-poll");
  const options = ["opt_1", "opt_2"];
  const votes = async (label, count) => {
    for (let place = 0; place < count; place += 1) {
      const guest = await server.join(code, `${label} ${place}`);
      const { status } = await guest.vote(poll, { optionIds: [options[label === TABS ? 0 : 1]] });
      assert.equal(status, 201);
    }
  };
  /** Marks the document: a reload would lose the mark. */
  const mark = (page) => page.evaluate(() => void (globalThis.untouched = true));
  const assertNotReloaded = async (page) => assert.equal(await page.evaluate(() => globalThis.untouched), true);
  return { server, chromium, host, code, votes, mark, assertNotReloaded };
}

const link = (page, state) => page.locator(`[data-link="${state}"]`).waitFor({ state: "attached" });

test("a participant loses the network while votes come in, and catches up without a reload", async (t) => {
  const { server, chromium, host, code, votes, mark, assertNotReloaded } = await begin(t);
  const cable = await Cable.lay(t, server.port);
  const ada = await person(t, chromium, cable.url, PHONE);
  await joinSession(ada, code, "Ada");
  await choose(ada, TABS);
  await counted(ada);
  await mark(ada);
  await until("before", () => sharesOf(ada), [[TABS, "1 vote"], [SPACES, "0 votes"]]);

  cable.pull();
  await ada.context().setOffline(true);
  await link(ada, "lost");
  await ada.getByText("Connection lost.").waitFor();
  await votes(SPACES, 4);
  await votes(TABS, 2);
  const expected = [[TABS, "3 votes"], [SPACES, "4 votes"]];
  await until("at the presenter", () => sharesOf(host), expected);
  assert.deepEqual(await sharesOf(ada), [[TABS, "1 vote"], [SPACES, "0 votes"]], "nothing reached who was away");

  await ada.context().setOffline(false);
  cable.plug();
  await ada.getByText("You’re back.").waitFor();
  await until("caught up", () => sharesOf(ada), expected);
  await votes(SPACES, 1);
  await until("live again", () => sharesOf(ada), [[TABS, "3 votes"], [SPACES, "5 votes"]]);
  await assertNotReloaded(ada);
  assert.equal((await server.stats()).sessions_recovered, 1, "by recovery, not by reading everything anew");
  assertNoComplaints(host, ada);
});

test("a vote that is cast while the network is away is sent when it is back, once", async (t) => {
  const { server, chromium, host, code, mark, assertNotReloaded } = await begin(t);
  const cable = await Cable.lay(t, server.port);
  const ada = await person(t, chromium, cable.url, PHONE);
  await joinSession(ada, code, "Ada");
  await ada.locator(".option").first().waitFor();
  await mark(ada);
  cable.pull();
  await link(ada, "lost");
  await choose(ada, SPACES);
  await ada.getByText("Your vote is kept, and sent as soon as you are back.").waitFor();
  cable.plug();
  await counted(ada);
  for (const page of [host, ada]) await until("once", () => sharesOf(page), [[TABS, "0 votes"], [SPACES, "1 vote"]]);
  await assertNotReloaded(ada);
  assertNoComplaints(host, ada);
});

test("the server is killed and started again in the middle of a poll, and all screens go on with the right totals", async (t) => {
  const { server, chromium, host, code, votes, mark, assertNotReloaded } = await begin(t);
  const wall = await host.context().newPage();
  await wall.goto(`${host.url()}/present`);
  const [ada, bo] = await Promise.all(["Ada", "Bo"].map(async (name) => {
    const page = await person(t, chromium, server.url, PHONE);
    await joinSession(page, code, name);
    return page;
  }));
  await choose(ada, TABS);
  await counted(ada);
  await votes(SPACES, 3);
  const before = [[TABS, "1 vote"], [SPACES, "3 votes"]];
  for (const page of [host, wall, ada]) await until("before", () => sharesOf(page), before);
  const screens = [host, wall, ada, bo];
  for (const page of screens) await mark(page);

  await server.kill();
  for (const page of screens) await link(page, "lost");
  for (const page of [host, wall, ada]) assert.deepEqual(await sharesOf(page), before, "what was known stays on the screen");
  await server.again();
  for (const page of screens) await page.locator('[data-link="back"], [data-link="live"]').waitFor({ state: "attached" });

  await choose(bo, SPACES);
  await counted(bo);
  await votes(TABS, 2);
  for (const page of screens) await until("after", () => sharesOf(page), [[TABS, "3 votes"], [SPACES, "4 votes"]]);
  for (const page of screens) await assertNotReloaded(page);
  assert.equal((await server.stats()).sessions_recovered, screens.length);
  assertNoComplaints(host, ada, bo);
});

test("who comes when too many do is let in after a moment, without being asked again", async (t) => {
  // One per second; twenty at once.
  const server = await Server.start(t, { FANFARE_LIVEPOLL_JOINS_PER_IP_PER_SECOND: "1" });
  const chromium = await browser(t);
  const host = await person(t, chromium, server.url);
  const code = await openSession(host, "Full hall");
  const ada = await person(t, chromium, server.url, PHONE);
  await ada.goto(`/join/${code}`);
  let refused = 0;
  while (refused === 0) {
    const { status } = await server.ask("POST", "/sessions/join", { code, displayName: "Crowd" });
    refused += status === 429 ? 1 : 0;
  }
  const answers = [];
  ada.on("response", (response) => response.url().endsWith("/sessions/join") && answers.push(response.status()));
  await ada.getByRole("button", { name: "Join", exact: true }).click();
  await ada.getByRole("heading", { name: "You’re in" }).waitFor();
  assert.deepEqual([answers[0], answers.at(-1)], [429, 201]);
  assertNoComplaints(host, ada);
});
