// Live polling, for stock clients of the binary and over HTTP: presenters and participants, each kind of poll,
// who hears of what, results at a rate, and what is left of all that after lost connections and kills.
import assert from "node:assert/strict";
import { suiteOfBinary } from "../lib/binary.mjs";
import { Client, inbox } from "../lib/clients.mjs";
import { check, Inbox, pause } from "../lib/suite.mjs";

const ON = ["--livepoll-enabled=true"];
const PATIENT = { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 100 };
const LABELS = ["Red", "Green", "Blue"];

/** A session of live polling, seen by its presenter. */
class Session {
  static async open(server, title = "All hands") {
    const answer = await server.api("POST", "/sessions", { title }, { key: null });
    assert.equal(answer.status, 201, JSON.stringify(answer));
    return Object.assign(new Session(), { server, id: answer.id, code: answer.code, token: answer.presenterToken });
  }

  static async started(server) {
    const session = await Session.open(server);
    await session.done(200, "POST", `/sessions/${session.id}/start`);
    return session;
  }

  ask(method, path, body, token = this.token) {
    return this.server.api(method, path, body, { key: token });
  }

  /** What is answered with this status. */
  async done(status, method, path, body, token) {
    const answer = await this.ask(method, path, body, token);
    assert.equal(answer.status, status, `${method} ${path}: ${JSON.stringify(answer)}`);
    return answer;
  }

  /** The code of a refusal with this status. */
  async refused(status, method, path, body, token) {
    const { code, title, detail, type } = await this.done(status, method, path, body, token);
    assert.ok(title && detail && type === `urn:fanfare:problem:${code.toLowerCase().replaceAll("_", "-")}`);
    return code;
  }

  async join(displayName) {
    const joined = await this.done(201, "POST", "/sessions/join", { code: this.code, displayName }, null);
    return { id: joined.participantId, token: joined.token, name: joined.displayName };
  }

  /** An active poll. */
  async poll(kind, more = {}) {
    const options = kind.endsWith("choice") ? { options: LABELS } : {};
    const made = await this.done(201, "POST", `/sessions/${this.id}/polls`, { question: `${kind}?`, kind, ...options, ...more });
    return this.done(200, "POST", `/polls/${made.id}/activate`);
  }

  vote(poll, voter, ballot) {
    return this.done(201, "POST", `/polls/${poll.id}/votes`, ballot, voter.token);
  }

  async results(poll) {
    const { status, headers, ...results } = await this.done(200, "GET", `/polls/${poll.id}/results`);
    assert.ok(status && headers);
    return results;
  }
}

const stock = (version = "4.8", transport = "websocket") => new Client({ version, transport });

/** A socket of a seat, and all it hears of what happens from now on: events are told a moment after they happened. */
async function listen(t, server, token, { client = stock(), ...options } = {}) {
  await pause(2); // times of events are in milliseconds
  const since = new Date().toISOString();
  const socket = client.start(t, server, { namespace: "/livepoll", auth: { token }, ...options });
  const heard = new Inbox();
  socket.on("event", (event) => event.timestamp >= since && heard.push(event));
  const seat = { socket, heard, hello: inbox(socket, "connection:established"), again: inbox(socket, "connection:reconnected") };
  await client.connected(socket);
  return seat;
}

/** The next event, which must be of this type. */
async function next({ heard }, type, ms) {
  const event = await heard.next(type, ms);
  assert.equal(event.eventType, type, JSON.stringify(event));
  return event;
}

/** Events until one for which something holds, which is the last. */
async function until(seat, holds) {
  const events = [];
  while (events.length === 0 || !holds(events.at(-1))) events.push(await seat.heard.next("an event", 15_000));
  return events;
}

const votes = (count) => ({ eventType, payload }) => eventType === "results:updated" && payload.results.votes === count;
const types = (events) => events.map(({ eventType }) => eventType);

suiteOfBinary("live polling", (start) => {
  for (const version of ["4.8", "4.0", "3.1"]) {
    check(`a session from its first to its last event: ${version}`, async (t) => {
      const server = await start(t, ON);
      const session = await Session.open(server);
      const client = stock(version, "upgrade");
      const presenter = await listen(t, server, session.token, { client });
      const [hello] = await presenter.hello.next();
      assert.deepEqual([hello.socketId, hello.sessionId, hello.participantId, hello.role], [presenter.socket.id, session.id, null, "presenter"]);

      const ada = await session.join("  Ada   Lovelace ");
      assert.equal(ada.name, "Ada Lovelace");
      const joined = await next(presenter, "participant:joined");
      assert.deepEqual(Object.keys(joined), ["eventId", "eventType", "timestamp", "sessionId", "payload"]);
      assert.match(joined.eventId, /^evt_[0-9a-f]{24}$/);
      assert.match(joined.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      assert.equal(joined.sessionId, session.id);
      assert.deepEqual([joined.payload.participant.displayName, joined.payload.participants, joined.payload.returning], ["Ada Lovelace", 1, false]);
      const phone = await listen(t, server, ada.token, { client });
      const [mine] = await phone.hello.next();
      assert.deepEqual([mine.participantId, mine.role], [ada.id, "participant"]);

      await session.done(200, "POST", `/sessions/${session.id}/start`);
      const poll = await session.poll("single_choice");
      assert.deepEqual(poll.options, LABELS.map((label, index) => ({ id: `opt_${index + 1}`, label })));
      await session.vote(poll, ada, { optionIds: ["opt_2"] });
      await session.done(200, "POST", `/polls/${poll.id}/close`);
      await session.done(200, "POST", `/sessions/${session.id}/end`);
      const expected = ["session:started", "poll:created", "poll:activated", "vote:accepted", "poll:closed", "session:ended"];
      for (const seat of [presenter, phone]) {
        const events = await until(seat, ({ eventType }) => eventType === "session:ended");
        // The last results are told at their rate: perhaps behind the end.
        if (!events.some(votes(1))) await until(seat, votes(1));
        assert.deepEqual(types(events).filter((type) => type !== "results:updated"), expected);
        const closed = events.find(({ eventType }) => eventType === "poll:closed");
        assert.deepEqual(closed.payload.results, await session.results(poll));
        assert.deepEqual(closed.payload.results.options.map((it) => it.votes), [0, 1, 0]);
        assert.equal(events.at(-1).payload.session.state, "ended");
      }
    });
  }

  check("each kind of poll, as it is made, voted on, told and exported", async (t) => {
    const server = await start(t, ON);
    const session = await Session.started(server);
    const people = await Promise.all(["Ada", "Bob", "Cem"].map((name) => session.join(name)));
    const presenter = await listen(t, server, session.token);
    for (const [kind, more, ballots, expected] of [
      ["single_choice", {}, [["opt_1"], ["opt_3"], ["opt_1"]].map((optionIds) => ({ optionIds })), { options: [2, 0, 1] }],
      ["multiple_choice", { min: 1, max: 2 }, [["opt_1", "opt_2"], ["opt_2"], ["opt_3", "opt_2"]].map((optionIds) => ({ optionIds })), { options: [1, 3, 1] }],
      ["rating", { scale: 4 }, [4, 4, 3].map((value) => ({ value })), { average: 3.67, values: [0, 0, 1, 2] }],
      ["word_cloud", { maxWords: 2 }, [["Rust", "Tea"], ["rust"], ["RUST", "coffee"]].map((words) => ({ words })), { words: [["rust", 3], ["coffee", 1], ["tea", 1]], distinctWords: 3 }],
    ]) {
      const poll = await session.poll(kind, more);
      await Promise.all(people.map((voter, index) => session.vote(poll, voter, ballots[index])));
      const { payload } = (await until(presenter, (event) => votes(3)(event) && event.payload.pollId === poll.id)).at(-1);
      assert.deepEqual(payload.results, await session.results(poll));
      const { results } = payload;
      const shown = {
        ...(results.options && { options: results.options.map((it) => it.votes) }),
        ...(results.values && { average: results.average, values: results.values.map((it) => it.votes) }),
        ...(results.words && { words: results.words.map((it) => [it.text, it.votes]), distinctWords: results.distinctWords }),
      };
      assert.deepEqual([results.kind, results.votes, shown], [kind, 3, expected]);
      const own = await session.done(200, "GET", `/polls/${poll.id}`, undefined, people[0].token);
      assert.deepEqual(own.myVote, (ballots[0].optionIds ?? ballots[0].words?.map((it) => it.toLowerCase()) ?? [String(ballots[0].value)]).sort());
    }
    const table = await fetch(`${server.url}/sessions/${session.id}/results.csv`, { headers: { authorization: `Bearer ${session.token}` } });
    assert.equal(table.headers.get("content-type"), "text/csv; charset=utf-8");
    const lines = (await table.text()).trimEnd().split("\r\n");
    assert.equal(lines.length, 1 + 3 + 3 + 4 + 3);
    assert.ok(lines.at(-1).endsWith(",word_cloud,active," + lines.at(-1).split(",")[4] + ",,3,tea,1"), lines.at(-1));
  });

  check("who hears of a vote: its voter on all devices and presenters; of a refusal the voter alone", async (t) => {
    const server = await start(t, ON);
    const session = await Session.started(server);
    const [ada, bob] = [await session.join("Ada"), await session.join("Bob")];
    const poll = await session.poll("rating", { hideResults: true });
    const [presenter, second, phone, laptop, other] = await Promise.all([session.token, session.token, ada.token, ada.token, bob.token].map((token) => listen(t, server, token)));
    await session.vote(poll, ada, { value: 5 });
    assert.equal(await session.refused(409, "POST", `/polls/${poll.id}/votes`, { value: 1 }, ada.token), "ALREADY_VOTED");
    for (const seat of [phone, laptop]) {
      const { payload } = await next(seat, "vote:accepted");
      assert.deepEqual(payload, { pollId: poll.id, participantId: ada.id, changed: false });
      const rejected = await next(seat, "vote:rejected");
      assert.deepEqual([rejected.payload.pollId, rejected.payload.reason.code], [poll.id, "ALREADY_VOTED"]);
      assert.ok(rejected.payload.reason.detail);
    }
    await session.done(200, "POST", `/polls/${poll.id}/close`);
    for (const seat of [presenter, second]) {
      const events = await until(seat, ({ eventType, payload }) => eventType === "results:updated" && payload.results.state === "closed");
      assert.deepEqual(types(events).filter((type) => type !== "results:updated"), ["vote:accepted", "poll:closed"]);
      // While they are hidden they are the presenters'.
      assert.ok(events.some(votes(1)));
    }
    for (const seat of [phone, laptop, other]) {
      assert.equal((await next(seat, "poll:closed")).payload.results.average, 5);
      await next(seat, "results:updated");
      assert.deepEqual(seat.heard.rest(), []);
    }
  });

  check("a vote that may be changed counts once, with what was chosen last", async (t) => {
    const server = await start(t, ON);
    const session = await Session.started(server);
    const ada = await session.join("Ada");
    const poll = await session.poll("single_choice", { allowChange: true });
    const phone = await listen(t, server, ada.token);
    for (const [option, changed] of [["opt_1", false], ["opt_2", true], ["opt_3", true]]) {
      assert.equal((await session.vote(poll, ada, { optionIds: [option] })).changed, changed);
    }
    const events = await until(phone, ({ eventType, payload }) => eventType === "results:updated" && payload.results.options[2].votes === 1);
    assert.deepEqual(events.filter(({ eventType }) => eventType === "vote:accepted").map(({ payload }) => payload.changed), [false, true, true]);
    assert.deepEqual((await session.results(poll)).options.map((it) => it.votes), [0, 0, 1]);
  });

  check("results come at their rate, always the newest and always a last one", async (t) => {
    const server = await start(t, [...ON, "--livepoll-results-per-second", "4"]);
    const session = await Session.started(server);
    const people = await Promise.all(Array.from({ length: 80 }, (_, index) => session.join(`p${index}`)));
    const poll = await session.poll("single_choice");
    const screen = await listen(t, server, people[0].token);
    const begin = performance.now();
    for (let at = 0; at < people.length; at += 8) {
      await Promise.all(people.slice(at, at + 8).map((voter, index) => session.vote(poll, voter, { optionIds: [`opt_${1 + (index % 3)}`] })));
      await pause(60);
    }
    const events = (await until(screen, votes(80))).filter(({ eventType }) => eventType === "results:updated");
    const most = 1 + Math.ceil((performance.now() - begin) / 250);
    assert.ok(events.length >= 2 && events.length <= most, `${events.length} updates, ${most} allowed`);
    const told = events.map(({ payload }) => payload.results.votes);
    assert.deepEqual(told, told.toSorted((a, b) => a - b));
    await pause(600);
    assert.deepEqual(screen.heard.rest().filter(({ eventType }) => eventType === "results:updated"), [], "none without a change");
  });

  check("who lost its connection catches up with all of it, once, without asking", async (t) => {
    const server = await start(t, ON);
    const session = await Session.started(server);
    const people = await Promise.all(["Ada", "Bob", "Cem", "Dan"].map((name) => session.join(name)));
    const poll = await session.poll("single_choice");
    const screen = await listen(t, server, people[0].token, { ...PATIENT, reconnectionDelay: 700, reconnectionDelayMax: 800 });
    await session.vote(poll, people[0], { optionIds: ["opt_1"] });
    const before = await until(screen, votes(1));
    const id = screen.socket.id;
    screen.socket.io.engine.close();
    for (const voter of people.slice(1)) await session.vote(poll, voter, { optionIds: ["opt_2"] });
    await session.done(200, "POST", `/polls/${poll.id}/close`);
    const [again] = await screen.again.next("the return", 15_000);
    assert.deepEqual([screen.socket.recovered, screen.socket.id, again.socketId], [true, id, id]);
    const missed = await until(screen, ({ eventType, payload }) => eventType === "results:updated" && payload.results.state === "closed");
    assert.ok(types(missed).includes("poll:closed"));
    assert.deepEqual(missed.at(-1).payload.results.options.map((it) => it.votes), [1, 3, 0]);
    const ids = [...before, ...missed].map(({ eventId }) => eventId);
    assert.equal(new Set(ids).size, ids.length);
  });

  check("killed while votes come in: what was accepted counts, all go on, and nothing is told twice", async (t) => {
    const server = await start(t, ON);
    const session = await Session.started(server);
    const people = await Promise.all(Array.from({ length: 60 }, (_, index) => session.join(`p${index}`)));
    const poll = await session.poll("single_choice");
    const screens = await Promise.all([session.token, people[0].token].map((token) => listen(t, server, token, PATIENT)));
    const accepted = new Set();
    const cast = async (voter) => {
      const answer = await session.ask("POST", `/polls/${poll.id}/votes`, { optionIds: ["opt_3"] }, voter.token).catch(() => ({ status: 0 }));
      if (answer.status === 201) accepted.add(voter.id);
      return answer;
    };
    const casting = people.map(async (voter, index) => {
      await pause(index * 5);
      return cast(voter);
    });
    while (accepted.size < 15) await pause(1);
    await server.restart();
    await Promise.all(casting);
    const counted = (await session.results(poll)).votes;
    assert.ok(counted >= accepted.size, `${counted} counted, ${accepted.size} accepted`);
    const before = new Set(accepted);
    for (const voter of people) {
      const { status, code } = await cast(voter);
      if (before.has(voter.id)) assert.deepEqual([status, code], [409, "ALREADY_VOTED"]);
      else assert.ok(status === 201 || code === "ALREADY_VOTED", `${status} ${code}`);
    }
    const results = await session.results(poll);
    assert.deepEqual([results.votes, results.options[2].votes], [60, 60]);
    for (const screen of screens) {
      const events = await until(screen, votes(60));
      await pause(500);
      const all = [...events, ...screen.heard.rest()];
      const ids = all.map(({ eventId }) => eventId);
      assert.equal(new Set(ids).size, ids.length, "each event once");
      const told = all.filter(({ eventType }) => eventType === "vote:accepted");
      assert.equal(told.length, screen === screens[0] ? 60 : 1, "each vote is told once");
      assert.equal(screen.socket.recovered, true);
    }
    await session.done(200, "POST", `/polls/${poll.id}/close`);
  });

  check("who comes and goes, with a grace for those who change networks", async (t) => {
    const server = await start(t, [...ON, "--livepoll-away-after", "1s"]);
    const session = await Session.open(server);
    const ada = await session.join("Ada");
    const presenter = await listen(t, server, session.token);
    const listed = async () => {
      const { participants, total, connected } = await session.done(200, "GET", `/sessions/${session.id}/participants`);
      assert.deepEqual([participants.length, total], [1, 1]);
      assert.equal(participants[0].connected, connected === 1);
      return participants[0];
    };
    assert.equal((await listed()).connected, false);
    const phone = await listen(t, server, ada.token, PATIENT);
    await phone.hello.next();
    const here = async () => { while (!(await listed()).connected) await pause(20); };
    await here();
    // A change of networks is not told.
    phone.socket.io.engine.close();
    await phone.again.next("the return", 10_000);
    phone.socket.disconnect();
    const gone = await next(presenter, "participant:disconnected", 10_000);
    assert.deepEqual([gone.payload.participant.id, gone.payload.participant.connected], [ada.id, false]);
    assert.equal((await listed()).connected, false);
    phone.socket.connect();
    const back = await next(presenter, "participant:joined", 10_000);
    assert.deepEqual([back.payload.participant.connected, back.payload.participants, back.payload.returning], [true, 1, true]);
    assert.deepEqual(presenter.heard.rest(), []);
  });

  check("a time limit closes a poll, also over a kill", async (t) => {
    const server = await start(t, ON);
    const session = await Session.started(server);
    const ada = await session.join("Ada");
    const poll = await session.poll("word_cloud", { timeLimitSeconds: 2 });
    assert.equal(Date.parse(poll.closesAt) - Date.parse(poll.activatedAt), 2_000);
    await session.vote(poll, ada, { words: ["in time"] });
    const screen = await listen(t, server, ada.token, PATIENT);
    await server.restart();
    const events = await until(screen, ({ eventType }) => eventType === "poll:closed");
    assert.deepEqual(events.at(-1).payload.results.words, [{ text: "in time", votes: 1 }]);
    assert.equal(await session.refused(409, "POST", `/polls/${poll.id}/votes`, { words: ["late"] }, ada.token), "POLL_CLOSED");
  });

  check("nobody listens without a token of the session, and nobody can send", async (t) => {
    const server = await start(t, [...ON, "--auth-jwt-secret", "a-secret-that-only-this-test-knows"]);
    const [session, other] = [await Session.started(server), await Session.started(server)];
    const ada = await session.join("Ada");
    for (const auth of [undefined, {}, { token: "" }, { token: 7 }, { token: `${ada.token}x` }, { token: server.key }, { token: ["a"] }, { token: "x".repeat(5_000) }]) {
      const client = stock();
      const { data } = await client.refusal(client.start(t, server, { namespace: "/livepoll", auth }));
      assert.equal(data.code, "AUTH_REQUIRED", JSON.stringify(auth)?.slice(0, 50));
      assert.ok(data.message && data.timestamp);
    }
    const mine = await listen(t, server, ada.token);
    const strange = await listen(t, server, other.token);
    for (const [event, ...args] of [["room:join", { roomId: `session:${session.id}` }], ["event", { eventType: "vote:accepted" }], ["history", { roomId: `session:${session.id}` }], ["message", "hi"]]) {
      strange.socket.emit(event, ...args);
    }
    // Nor by the routes of other services: livepoll's namespace is not one of theirs.
    const asked = await server.api("GET", `/v1/rooms/${encodeURIComponent(`session:${session.id}`)}/history?namespace=/livepoll`, undefined, { key: null });
    assert.ok(asked.status >= 400, `${asked.status}`);
    const poll = await session.poll("rating");
    await session.vote(poll, ada, { value: 3 });
    assert.deepEqual(types(await until(mine, votes(1))), ["poll:created", "poll:activated", "vote:accepted", "results:updated"]);
    assert.deepEqual(strange.heard.rest(), []);
    assert.equal(strange.socket.connected, true);
  });
});
