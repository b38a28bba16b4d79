// HTTP long-polling, protocol 4: payloads, and every way in which a session is used wrongly.
import assert from "node:assert/strict";
import http from "node:http";
import net from "node:net";
import { request } from "../lib/http.mjs";
import { PollingSession } from "../lib/polling.mjs";
import { check, pause, suite, within } from "../lib/suite.mjs";
import { openSession } from "../lib/websocket.mjs";

const BAD_REQUEST = { code: 3, message: "Bad request" };

async function open(t, target) {
  const session = await PollingSession.open(target);
  t.after(() => session.close());
  return session;
}

async function openAndJoin(t, target) {
  const session = await open(t, target);
  await session.join();
  return session;
}

suite("polling payloads", "plain", (target) => {
  check("the answer to a POST", async (t) => {
    const session = await open(t, target);
    const answer = await session.post("40");
    assert.deepEqual([answer.status, answer.text], [200, "ok"]);
    assert.equal(answer.headers["content-type"], "text/html");
    assert.equal(answer.headers["content-length"], "2");
    assert.equal(answer.headers["cache-control"], "no-store");
  });

  check("one packet each way", async (t) => {
    const session = await openAndJoin(t, target);
    await session.post('42["message","hello"]');
    assert.equal((await session.pollAnswer()).text, '42["message-back","hello"]');
  });

  check("several packets in one payload, joined by 0x1E, in order", async (t) => {
    const session = await openAndJoin(t, target);
    const answer = await session.post('42["message",1]\x1e42["message",2]\x1e42["message",3]');
    assert.equal(answer.text, "ok");
    const back = (await session.pollFor(3)).join("\x1e");
    assert.equal(back, '42["message-back",1]\x1e42["message-back",2]\x1e42["message-back",3]');
  });

  check("what waits for a poll comes in one payload", async (t) => {
    const session = await openAndJoin(t, target);
    await session.post('42["message",1]');
    await session.post('421["message-with-ack",2]');
    await pause(100); // both handlers have run
    assert.equal((await session.pollAnswer()).text, '42["message-back",1]\x1e431[2]');
  });

  check("binary is b and base64, in the same payload as its header", async (t) => {
    const session = await openAndJoin(t, target);
    await session.post('451-["message",{"_placeholder":true,"num":0}]\x1ebAQIDBA==');
    assert.equal((await session.pollAnswer()).text, '451-["message-back",{"_placeholder":true,"num":0}]\x1ebAQIDBA==');
  });

  check("binary in a payload of its own", async (t) => {
    const session = await openAndJoin(t, target);
    await session.post('451-["message",{"_placeholder":true,"num":0}]');
    await session.post("b//79/A==");
    assert.equal((await session.pollAnswer()).text, '451-["message-back",{"_placeholder":true,"num":0}]\x1eb//79/A==');
  });

  check("text beyond ASCII: lengths are counted in bytes", async (t) => {
    const session = await openAndJoin(t, target);
    await session.post('42["message","€ 😀"]');
    const answer = await session.pollAnswer();
    assert.equal(answer.text, '42["message-back","€ 😀"]');
    assert.equal(answer.headers["content-length"], String(Buffer.byteLength('42["message-back","€ 😀"]')));
  });

  check("a character may be cut in two between two pieces of the body", async (t) => {
    const session = await openAndJoin(t, target);
    const body = Buffer.from('42["message","€"]');
    const posting = http.request({
      ...{ host: target.host, port: target.port, agent: false, method: "POST" },
      path: `${target.path}?${session.query}`,
    });
    const done = new Promise((resolve, reject) => posting.once("response", resolve).once("error", reject));
    posting.write(body.subarray(0, 15));
    await pause(20);
    posting.end(body.subarray(15));
    assert.equal((await within(done, "the answer")).statusCode, 200);
    assert.deepEqual(await session.poll(), ['42["message-back","€"]']);
  });

  check("a poll waits until there is something to say", async (t) => {
    const session = await openAndJoin(t, target);
    const waiting = session.pollAnswer();
    await session.post('42["message",1]');
    assert.equal((await waiting).text, '42["message-back",1]');
  });
});

suite("polling used wrongly", "plain", (target) => {
  check("two polls at once end the session", async (t) => {
    const session = await openAndJoin(t, target);
    const first = session.pollAnswer();
    await pause(50);
    const second = await session.pollAnswer();
    assert.equal(second.status, 400);
    assert.deepEqual([(await first).status, (await first).text], [200, "1"]);
    await session.assertGone();
  });

  check("two POSTs at once end the session", async (t) => {
    const session = await openAndJoin(t, target);
    // The first body never ends by itself.
    const slow = net.connect(target.port, target.host);
    t.after(() => slow.destroy());
    slow.on("error", () => {});
    slow.write(`POST ${target.path}?${session.query} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n42["mess`);
    await pause(50);
    const second = await session.post('42["message",1]').catch((error) => ({ status: 400, error }));
    assert.equal(second.status, 400);
    await session.assertCloses();
    await session.assertGone();
  });

  check("a poll that is dropped ends the session", async (t) => {
    const session = await openAndJoin(t, target);
    const poll = session.beginPoll();
    poll.answer.catch(() => {});
    await pause(50);
    poll.abort();
    await pause(50);
    const answer = await session.pollAnswer();
    // The reference ends it at once; another server may keep it for the rest of the heartbeat.
    assert.ok(answer.status === 400 || answer.status === 200);
  });

  check("a POST that is cut in the middle is not applied and ends the session", async (t) => {
    const session = await openAndJoin(t, target);
    const half = net.connect(target.port, target.host);
    half.on("error", () => {});
    half.write(`POST ${target.path}?${session.query} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n42["message",1]`);
    await pause(50);
    half.destroy();
    await session.assertCloses();
    await session.assertGone();
  });

  const broken = [
    { name: "an unknown packet type", body: "abc" },
    { name: "an empty body", body: "" },
    { name: "an empty packet between two", body: "42[\"a\"]\x1e\x1e42[\"b\"]" },
    { name: "packet type 7", body: "7" },
    { name: "a ping, which is the server's to send", body: "2" },
  ];
  for (const { name, body } of broken) {
    check(`${name} ends the session`, async (t) => {
      const session = await openAndJoin(t, target);
      const answer = await session.post(body);
      assert.ok([200, 400].includes(answer.status), String(answer.status));
      await session.assertCloses();
      await session.assertGone();
    });
  }

  check("application/octet-stream belongs to protocol 3", async (t) => {
    const session = await openAndJoin(t, target);
    const answer = await session.post("42[\"message\"]", { "Content-Type": "application/octet-stream" });
    assert.equal(answer.status, 400);
    await session.assertGone();
  });

  for (const method of ["PUT", "DELETE", "PATCH"]) {
    check(`${method} with a session is refused and the session lives`, async (t) => {
      const session = await openAndJoin(t, target);
      const answer = await request(target, { method, query: session.query });
      assert.ok([400, 405, 500].includes(answer.status), String(answer.status));
      await session.post('42["message",1]');
      assert.deepEqual(await session.poll(), ['42["message-back",1]']);
    });
  }

  check("another protocol in the middle is refused and the session lives", async (t) => {
    const session = await openAndJoin(t, target);
    const answer = await request(target, { query: `EIO=3&transport=polling&sid=${session.sid}` });
    assert.deepEqual([answer.status, answer.json()], [400, BAD_REQUEST]);
    await session.post('42["message",1]');
    assert.deepEqual(await session.poll(), ['42["message-back",1]']);
  });

  check("transport=websocket without an upgrade is refused and the session lives", async (t) => {
    const session = await openAndJoin(t, target);
    const answer = await request(target, { query: `EIO=4&transport=websocket&sid=${session.sid}` });
    assert.deepEqual([answer.status, answer.json()], [400, BAD_REQUEST]);
    await session.post('42["message",1]');
    assert.deepEqual(await session.poll(), ['42["message-back",1]']);
  });

  check("a WebSocket's session cannot be polled, and is not harmed", async (t) => {
    const { socket, handshake } = await openSession(t, target);
    const query = `EIO=4&transport=polling&sid=${handshake.sid}`;
    for (const method of ["GET", "POST"]) {
      const answer = await request(target, { method, query, body: method === "POST" ? "40" : undefined });
      assert.deepEqual([answer.status, answer.json()], [400, BAD_REQUEST], method);
    }
    socket.send("40");
    assert.match(await socket.next(), /^40\{"sid":"/);
  });
});

suite("polling: the end of a session", "plain", (target) => {
  check("a close packet ends the session and answers the poll with a noop", async (t) => {
    const session = await openAndJoin(t, target);
    const waiting = session.pollAnswer();
    await pause(50);
    const answer = await session.post("1");
    assert.deepEqual([answer.status, answer.text], [200, "ok"]);
    assert.deepEqual([(await waiting).status, (await waiting).text], [200, "6"]);
    await session.assertGone();
  });

  check("a close packet without a poll: one that comes late is told so, and no other", async (t) => {
    const session = await openAndJoin(t, target);
    await session.post("1");
    const { status, text } = await session.pollAnswer();
    assert.ok(status === 400 || text === "6", `${status} ${text}`);
    await session.assertGone();
  });

  // The published suites send both at once and rely on the poll to be heard first.
  check("a close packet beside a poll", async (t) => {
    const session = await openAndJoin(t, target);
    const [polled] = await Promise.all([session.pollAnswer(), session.post("1")]);
    assert.deepEqual([polled.status, polled.text], [200, "6"]);
    await session.assertGone();
  });

  check("the server closes while a poll waits: the poll gets a close packet", async (t) => {
    const session = await openAndJoin(t, target);
    const waiting = session.pollAnswer();
    await pause(50);
    await session.post('42["disconnect-me",true]');
    const packets = session.codec.decode((await waiting).text);
    if (!packets.includes("1")) await session.assertCloses();
    await session.assertGone();
  });

  check("the server closes while no poll waits: what was said before comes first", async (t) => {
    const session = await openAndJoin(t, target);
    await session.post('42["emit-then-disconnect",true]');
    const packets = [];
    while (!packets.includes("1")) packets.push(...(await session.poll()));
    assert.deepEqual(packets.slice(0, 3), ['42["last-words",1]', '42["last-words",2]', "41"]);
    assert.deepEqual(packets.slice(3).filter((packet) => packet !== "6"), ["1"]);
    await session.assertGone();
  });
});
