// Socket.IO packets in and out, to the byte: the table in cases/packets.json, played over both
// transports and both protocols.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { check, suite } from "../lib/suite.mjs";
import { joined, WIRES } from "../lib/wires.mjs";

const cases = JSON.parse(readFileSync(new URL("cases/packets.json", import.meta.url), "utf8"));
const ECHO = ['2["message","still here"]', '2["message-back","still here"]'];

// The server's acknowledgement ids count up per namespace, so these are told step by step.
const QUESTIONS = [
  { name: "the client acknowledges", answer: (id) => [`3${id}["y",2]`], expect: ['37[null,"y",2]'] },
  { name: "the client acknowledges with nothing", answer: (id) => [`3${id}[]`], expect: ["37[null]"] },
  {
    name: "the client acknowledges twice",
    answer: (id) => [`3${id}["first"]`, `3${id}["second"]`],
    expect: ['37[null,"first"]'],
  },
  {
    name: "the client acknowledges with bytes",
    answer: (id) => [`61-${id}[{"_placeholder":true,"num":0}]`, { hex: "beef" }],
    expect: ['61-7[null,{"_placeholder":true,"num":0}]', { hex: "beef" }],
  },
  { name: "nobody acknowledges in time", deadline: 50, answer: () => [], expect: ['37["operation has timed out"]'] },
];

const message = (item) => (typeof item === "object" ? Buffer.from(item.hex, "hex") : item);

async function assertNext(connection, expected) {
  const found = await connection.next(JSON.stringify(expected));
  if (expected.oneOf) assert.ok(expected.oneOf.includes(found), `${found} is none of ${expected.oneOf.join(" | ")}`);
  else assert.deepEqual(found, message(expected));
}

async function assertEither(connection, expect, orExpect) {
  const found = [];
  while (found.length < expect.length) found.push(await connection.next());
  const as = (series) => JSON.stringify(series.map(message));
  assert.ok([as(expect), as(orExpect)].includes(JSON.stringify(found)), JSON.stringify(found));
}

for (const wire of WIRES) {
  suite(`packets over ${wire.name}`, wire.configuration, (target) => {
    for (const { name, send, expect, orExpect } of cases.answers) {
      check(name, async (t) => {
        const connection = await joined(t, target, wire);
        connection.send(...send.map(message));
        if (orExpect) await assertEither(connection, expect, orExpect);
        else for (const expected of expect) await assertNext(connection, expected);
        connection.send(ECHO[0]);
        await assertNext(connection, ECHO[1]);
      });
    }

    for (const { name, deadline = 60_000, answer, expect } of QUESTIONS) {
      check(`the server asks: ${name}`, async (t) => {
        const connection = await joined(t, target, wire);
        connection.send(`27["request",${deadline},"question","x"]`);
        const question = await connection.next("the question");
        const [, id] = question.match(/^2(\d+)\["question","x"\]$/);
        connection.send(...answer(id).map(message));
        for (const expected of expect) await assertNext(connection, expected);
        connection.send(ECHO[0]);
        await assertNext(connection, ECHO[1]);
      });
    }

    check("closes: an event for a namespace that was left", async (t) => {
      const connection = await joined(t, target, wire);
      connection.send("0/custom,");
      await connection.next("the CONNECT packet");
      assert.equal(await connection.next("the auth event"), '2/custom,["auth",{}]');
      connection.send("1/custom,", ECHO[0]);
      await assertNext(connection, ECHO[1]);
      connection.send('2/custom,["message"]');
      assert.deepEqual(await connection.closes(), []);
    });

    for (const { name, send } of cases.closes) {
      check(`closes: ${name}`, async (t) => {
        const connection = await joined(t, target, wire);
        connection.send(...send.map(message));
        assert.deepEqual(await connection.closes(), []);
      });
    }

    for (const { name, send } of cases["survives or closes"]) {
      check(`survives or closes: ${name}`, async (t) => {
        const connection = await joined(t, target, wire);
        connection.send(...send.map(message), ECHO[0]);
        const outcome = await connection.next("the echo").catch((error) => error.message);
        assert.ok(outcome === ECHO[1] || /closed|ended/.test(outcome), outcome);
      });
    }
  });
}
