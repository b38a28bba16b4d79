// Joining and leaving namespaces: the table in cases/namespaces.json over both transports, and what
// one connection in several namespaces means.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { check, suite } from "../lib/suite.mjs";
import { joined, WIRES } from "../lib/wires.mjs";

const { cases } = JSON.parse(readFileSync(new URL("cases/namespaces.json", import.meta.url), "utf8"));

async function assertNext(connection, expected) {
  const found = await connection.next(expected);
  if (expected.startsWith("^")) assert.match(found, new RegExp(expected));
  else assert.equal(found, expected);
}

async function expectAll(connection, ...expected) {
  for (const one of expected) await assertNext(connection, one);
}

for (const wire of WIRES.filter(({ protocol }) => protocol === 4)) {
  suite(`namespaces over ${wire.name}`, wire.configuration, (target) => {
    for (const { name, send, expect = [], then = [], closes = false } of cases) {
      check(`${closes ? "closes: " : ""}${name}`, async (t) => {
        const connection = await wire.open(t, target, 4);
        connection.send(...send);
        await expectAll(connection, ...expect);
        connection.send(...then);
        if (closes) return assert.deepEqual(await connection.closes(), []);
        connection.send("0/dynamic-999,");
        await expectAll(connection, "^0/dynamic-999,", '2/dynamic-999,["auth",{}]');
      });
    }

    check("events, acks and bytes carry their namespace", async (t) => {
      const connection = await joined(t, target, wire);
      connection.send("0/custom,");
      await expectAll(connection, "^0/custom,", '2/custom,["auth",{}]');
      connection.send('2/custom,["message",1]');
      await assertNext(connection, '2/custom,["message-back",1]');
      connection.send('2/custom,12["message-with-ack","q"]');
      await assertNext(connection, '3/custom,12["q"]');
      connection.send('51-/custom,7["message-with-ack",{"_placeholder":true,"num":0}]', Buffer.of(1, 2));
      await assertNext(connection, '61-/custom,7[{"_placeholder":true,"num":0}]');
      assert.deepEqual(await connection.next(), Buffer.of(1, 2));
      connection.send('2["message","root"]');
      await assertNext(connection, '2["message-back","root"]');
    });

    check("each namespace has its own socket id, and none is the session's", async (t) => {
      const connection = await joined(t, target, wire);
      connection.send("0/custom,", '21["id"]');
      const ids = [];
      for (let count = 0; count < 3; count += 1) ids.push((await connection.next()).match(/"([A-Za-z0-9_-]{20})"/)?.[1]);
      const known = ids.filter(Boolean);
      assert.equal(known.length, 2);
      assert.notEqual(known[0], known[1]);
    });

    check("leaving one namespace leaves the other", async (t) => {
      const connection = await joined(t, target, wire);
      connection.send("0/custom,");
      await expectAll(connection, "^0/custom,", '2/custom,["auth",{}]');
      connection.send("1/custom,", '2["message","root"]');
      await assertNext(connection, '2["message-back","root"]');
      connection.send("0/custom,");
      await expectAll(connection, "^0/custom,", '2/custom,["auth",{}]');
    });

    check("a namespace may be entered again, with a new id", async (t) => {
      const connection = await joined(t, target, wire);
      connection.send('21["id"]');
      const before = await connection.next();
      connection.send("1");
      connection.send("0/custom,"); // shows that the first packet was handled
      await expectAll(connection, "^0/custom,", '2/custom,["auth",{}]');
      connection.send("0");
      await expectAll(connection, "^0\\{", '2["auth",{}]');
      connection.send('21["id"]');
      assert.notEqual(await connection.next(), before);
    });

    check("the server ends a namespace: the connection stays", async (t) => {
      const connection = await joined(t, target, wire);
      connection.send("0/custom,");
      await expectAll(connection, "^0/custom,", '2/custom,["auth",{}]');
      connection.send('2/custom,["disconnect-me",false]');
      await assertNext(connection, "1/custom,");
      connection.send('2["message",1]');
      await assertNext(connection, '2["message-back",1]');
    });

    check("the server ends the connection: every namespace is told, then it closes", async (t) => {
      const connection = await joined(t, target, wire);
      connection.send("0/custom,");
      await expectAll(connection, "^0/custom,", '2/custom,["auth",{}]');
      connection.send('2/custom,["disconnect-me",true]');
      assert.deepEqual((await connection.closes()).sort(), ["1", "1/custom,"]);
    });

    check("what was said before the end arrives before it", async (t) => {
      const connection = await joined(t, target, wire);
      connection.send('2["emit-then-disconnect",true]');
      await expectAll(connection, '2["last-words",1]', '2["last-words",2]');
      assert.deepEqual(await connection.closes(), ["1"]);
    });
  });
}
