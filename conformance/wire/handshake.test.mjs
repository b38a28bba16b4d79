// The handshake: what a new session is told, and with which headers.
import assert from "node:assert/strict";
import { exchange, parseAnswer, request, upgradeRequest } from "../lib/http.mjs";
import { PollingSession } from "../lib/polling.mjs";
import { check, suite } from "../lib/suite.mjs";
import { openSession } from "../lib/websocket.mjs";

// A session id is a secret: 120 bits or more, in characters that need no escaping in a query.
const SECRET = /^[A-Za-z0-9_-]{20,}$/;

function assertHandshake(handshake, expected) {
  const { sid, ...rest } = handshake;
  assert.match(sid, SECRET);
  assert.deepEqual(rest, { pingInterval: 25000, pingTimeout: 20000, maxPayload: 1000000, ...expected });
}

suite("handshake", "plain", (target) => {
  check("polling: the open packet, with its members in order", async () => {
    const answer = await request(target, { query: "EIO=4&transport=polling" });
    assert.equal(answer.status, 200);
    const rest = '"upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}';
    assert.equal(answer.text.replace(/^0\{"sid":"[^"]+",/, ""), rest);
    assertHandshake(JSON.parse(answer.text.slice(1)), { upgrades: ["websocket"] });
  });

  check("polling: the headers of a poll", async () => {
    const { headers, bytes } = await request(target, { query: "EIO=4&transport=polling" });
    assert.equal(headers["content-type"], "text/plain; charset=UTF-8");
    assert.equal(headers["content-length"], String(bytes.length));
    assert.equal(headers["cache-control"], "no-store");
    for (const absent of ["set-cookie", "access-control-allow-origin", "content-encoding"]) {
      assert.equal(headers[absent], undefined, absent);
    }
  });

  check("WebSocket: the open packet, without upgrades", async (t) => {
    const { handshake, first } = await openSession(t, target);
    const rest = '"upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}';
    assert.equal(first.replace(/^0\{"sid":"[^"]+",/, ""), rest);
    assertHandshake(handshake, { upgrades: [] });
  });

  check("WebSocket: the upgrade's answer", async () => {
    // The key and its answer are those of RFC 6455, section 1.3.
    const bytes = upgradeRequest(target, { query: "EIO=4&transport=websocket" });
    const closeFrame = Buffer.from([0x88, 0x80, 0, 0, 0, 0]);
    const { status, headers } = parseAnswer(await exchange(target, Buffer.concat([Buffer.from(bytes), closeFrame])));
    assert.equal(status, 101);
    assert.equal(headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert.equal(headers.upgrade.toLowerCase(), "websocket");
    assert.equal(headers.connection.toLowerCase(), "upgrade");
    assert.equal(headers["sec-websocket-extensions"], undefined);
  });

  check("every session has an id of its own", async (t) => {
    const ids = new Set();
    for (let count = 0; count < 20; count += 1) {
      const session = await PollingSession.open(target);
      t.after(() => session.close());
      ids.add(session.sid);
    }
    assert.equal(ids.size, 20);
  });

  check("other parameters and their order do not matter", async () => {
    const queries = ["transport=polling&EIO=4", "a=b&EIO=4&t=N8h&transport=polling&x", "EIO=4&transport=polling&sid="];
    for (const query of queries) {
      const answer = await request(target, { query });
      assert.equal(answer.status, 200, query);
    }
  });

  check("whatever follows the path belongs to it", async () => {
    const answer = await request(target, { path: `${target.path}anything`, query: "EIO=4&transport=polling" });
    assert.equal(answer.status, 200);
  });

  check("an old Internet Explorer is told not to look for cross-site scripts", async () => {
    const headers = { "User-Agent": "Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko" };
    const answer = await request(target, { query: "EIO=4&transport=polling", headers });
    assert.equal(answer.headers["x-xss-protection"], "0");
  });
});
