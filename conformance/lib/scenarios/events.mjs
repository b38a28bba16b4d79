// Events and acknowledgements both ways, with everything that can be in them.
import assert from "node:assert/strict";
import { call, idOf, inbox, once } from "../clients.mjs";
import { check, within } from "../suite.mjs";

const JSON_VALUES = [
  ...[null, true, false, 0, -1, 1.5, 9007199254740991, "", "ß € Ж てすと 😀", "\u0000\u001e\"\\\n\u2028"],
  ...[[], {}, [[1, [2, [3]]]], { a: { b: { c: null } } }, { "é ü": 1, "": 2, _placeholder: true, num: 0 }],
];

/** Everything that is bytes, as a Buffer, whatever the client made of it. */
function normal(value) {
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return Buffer.from(value);
  if (Array.isArray(value)) return value.map(normal);
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, normal(inner)]));
  }
  return value;
}

export function events(client, target) {
  check("every JSON type comes back", async (t) => {
    const socket = await client.connect(t, target);
    socket.emit("message", ...JSON_VALUES);
    assert.deepEqual(await once(socket, "message-back"), JSON_VALUES);
    assert.deepEqual(await call(socket, "message-with-ack", ...JSON_VALUES), JSON_VALUES);
  });

  check("an event without arguments, and one with a hundred", async (t) => {
    const socket = await client.connect(t, target);
    const many = Array.from({ length: 100 }, (_, index) => index);
    for (const args of [[], many]) {
      socket.emit("message", ...args);
      assert.deepEqual(await once(socket, "message-back"), args);
      assert.deepEqual(await call(socket, "message-with-ack", ...args), args);
    }
  });

  check("bytes come back, of every kind, at every depth", async (t) => {
    const socket = await client.connect(t, target);
    const sent = [
      Buffer.of(0, 1, 2, 255),
      new Uint8Array([3, 4]),
      { a: [1, { b: Buffer.of(5) }], c: new Uint8Array([6]).buffer, d: null },
      "text between",
      Buffer.alloc(0),
    ];
    socket.emit("message", ...sent);
    assert.deepEqual(normal(await once(socket, "message-back")), normal(sent));
    assert.deepEqual(normal(await call(socket, "message-with-ack", ...sent)), normal(sent));
  });

  check("bytes and text keep their order", async (t) => {
    const socket = await client.connect(t, target);
    const back = inbox(socket, "message-back");
    const sent = Array.from({ length: 60 }, (_, index) => (index % 2 ? index : Buffer.of(index, index)));
    for (const value of sent) socket.emit("message", value);
    for (const value of sent) assert.deepEqual(normal(await back.next()), [value]);
  });

  check("fifty acknowledgements under way at once find their callers", async (t) => {
    const socket = await client.connect(t, target);
    const calls = Array.from({ length: 50 }, (_, index) => call(socket, "message-with-ack", index));
    assert.deepEqual((await Promise.all(calls)).flat(), [...Array(50).keys()]);
  });

  check("an acknowledgement arrives once", async (t) => {
    const socket = await client.connect(t, target);
    const answers = [];
    socket.emit("ack-twice", (answer) => answers.push(answer));
    await call(socket, "message-with-ack");
    assert.deepEqual(answers, ["first"]);
  });

  check("the server asks, the client acknowledges", async (t) => {
    const socket = await client.connect(t, target);
    socket.on("question", (a, b, answer) => answer("answer", { a, b }, Buffer.of(7)));
    const answer = await call(socket, "request", 60_000, "question", 1, Buffer.of(2));
    assert.deepEqual(normal(answer), [null, "answer", { a: 1, b: Buffer.of(2) }, Buffer.of(7)]);
  });

  check("the server asks, the client does not answer in time", async (t) => {
    const socket = await client.connect(t, target);
    const asked = once(socket, "question");
    assert.deepEqual(await call(socket, "request", 100, "question"), ["operation has timed out"]);
    await asked;
  });

  check("names of every kind", async (t) => {
    const socket = await client.connect(t, target);
    const id = await idOf(socket);
    for (const name of ["with space", "ünïcödé", "a:b/c,d[e", "__proto__x", "0"]) {
      const heard = once(socket, name);
      await call(socket, "broadcast", { self: true, to: [id] }, name, 1);
      assert.deepEqual(await heard, [1]);
    }
  });

  check("a packet middleware refuses an event", async (t) => {
    const socket = await client.connect(t, target);
    const refused = once(socket, "refused");
    socket.emit("forbidden", 1);
    assert.deepEqual(await refused, ["forbidden event"]);
  });

  check("a listener for everything, at the server", async (t) => {
    const socket = await client.connect(t, target);
    socket.emit("nobody-listens", 1);
    socket.emit("message", 2);
    assert.deepEqual(await call(socket, "seen"), [3]);
  });

  check("without compression", async (t) => {
    const socket = await client.connect(t, target);
    socket.compress(false).emit("message", 1);
    assert.deepEqual(await once(socket, "message-back"), [1]);
    const heard = once(socket, "news");
    await call(socket, "broadcast", { self: true, to: [await idOf(socket)], compress: false }, "news", 2);
    assert.deepEqual(await heard, [2]);
  });

  check("volatile events from the server come in order, if they come", async (t) => {
    const socket = await client.connect(t, target);
    const ticks = [];
    socket.on("tick", (index) => ticks.push(index));
    await call(socket, "volatile-burst", 100);
    assert.deepEqual(ticks, [...ticks].sort((a, b) => a - b));
    assert.equal(new Set(ticks).size, ticks.length);
    assert.deepEqual(await call(socket, "message-with-ack", "still here"), ["still here"]);
  });

  newerEvents(client, target);
}

// What only newer clients can do.
function newerEvents(client, target) {
  if (client.has("volatile")) {
    check("a volatile event from the client arrives when the way is free", async (t) => {
      const socket = await client.connect(t, target);
      const back = once(socket, "message-back");
      const retry = setInterval(() => socket.volatile.emit("message", "volatile"), 20);
      t.after(() => clearInterval(retry));
      assert.deepEqual(await back, ["volatile"]);
    });
  }

  if (client.has("onAny")) {
    check("a listener for everything, at the client", async (t) => {
      const socket = await client.connect(t, target);
      const heard = [];
      socket.onAny((event, ...args) => heard.push([event, ...args]));
      await call(socket, "burst", 3);
      assert.deepEqual(heard.filter(([event]) => event === "burst"), [0, 1, 2].map((index) => ["burst", index]));
    });
  }

  if (client.has("timeout")) {
    check("a deadline that passes, and one that does not", async (t) => {
      const socket = await client.connect(t, target);
      const timed = (ms, ...args) => {
        const answered = new Promise((resolve) => {
          socket.timeout(ms).emit(...args, (error, value) => resolve([error?.message, value]));
        });
        return within(answered, "an answer");
      };
      assert.deepEqual(await timed(50, "nobody-listens"), ["operation has timed out", undefined]);
      assert.deepEqual(await timed(5_000, "message-with-ack", 42), [undefined, 42]);
    });
  }

  if (client.has("promises")) {
    check("an acknowledgement as a promise", async (t) => {
      const socket = await client.connect(t, target);
      assert.equal(await socket.emitWithAck("message-with-ack", 42), 42);
      await assert.rejects(socket.timeout(50).emitWithAck("nobody-listens"), /timed out/);
    });

    check("retries send what was not acknowledged, in order", async (t) => {
      const socket = await client.connect(t, target, { retries: 2, ackTimeout: 2_000 });
      socket.io.opts.retries = 2;
      const answers = await Promise.all([1, 2, 3].map((value) => call(socket, "message-with-ack", value)));
      assert.deepEqual(answers.map((answer) => answer.at(-1)), [1, 2, 3]);
    });
  }
}
