// What a server's settings change on the wire: path, transports, CORS, cookie, compression, greeting.
import assert from "node:assert/strict";
import { gunzipSync, inflateSync } from "node:zlib";
import { exchange, parseAnswer, request, upgradeRequest } from "../lib/http.mjs";
import { PollingSession } from "../lib/polling.mjs";
import { check, suite } from "../lib/suite.mjs";
import { openSession } from "../lib/websocket.mjs";

const HANDSHAKE = "EIO=4&transport=polling";
const ALLOWED = { Origin: "https://app.example" };

suite("a path of one's own", "dressed", (target) => {
  check("the path is served, the default path is not", async () => {
    assert.equal(target.path, "/realtime/");
    assert.equal((await request(target, { query: HANDSHAKE })).status, 200);
    assert.equal((await request(target, { path: "/socket.io/", query: HANDSHAKE })).status, 404);
  });
});

suite("CORS with a list of origins", "dressed", (target) => {
  check("an allowed origin is named, with credentials", async () => {
    for (const origin of ["https://app.example", "https://other.example"]) {
      const { status, headers } = await request(target, { query: HANDSHAKE, headers: { Origin: origin } });
      assert.equal(status, 200);
      assert.equal(headers["access-control-allow-origin"], origin);
      assert.equal(headers["access-control-allow-credentials"], "true");
      assert.match(headers.vary, /\bOrigin\b/i);
    }
  });

  check("another origin is not named", async () => {
    const { status, headers } = await request(target, { query: HANDSHAKE, headers: { Origin: "https://evil.example" } });
    assert.equal(status, 200);
    assert.equal(headers["access-control-allow-origin"], undefined);
  });

  check("a preflight", async () => {
    const { status, headers, bytes } = await request(target, {
      method: "OPTIONS",
      query: HANDSHAKE,
      headers: {
        ...ALLOWED,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,x-token",
      },
    });
    assert.deepEqual([status, bytes.length], [204, 0]);
    assert.equal(headers["access-control-allow-origin"], "https://app.example");
    assert.equal(headers["access-control-allow-credentials"], "true");
    assert.equal(headers["access-control-allow-methods"], "GET,HEAD,PUT,PATCH,POST,DELETE");
    assert.equal(headers["access-control-allow-headers"], "content-type,x-token");
  });

  check("a POST and a refusal are readable too", async (t) => {
    const session = await PollingSession.open(target);
    t.after(() => session.close());
    const posted = await session.post("40", { ...ALLOWED, "Content-Type": "text/plain;charset=UTF-8" });
    assert.equal(posted.headers["access-control-allow-origin"], "https://app.example");
    const refused = await request(target, { query: "EIO=4&transport=polling&sid=abc", headers: ALLOWED });
    assert.equal(refused.status, 400);
    assert.equal(refused.headers["access-control-allow-origin"], "https://app.example");
  });

  check("a WebSocket is not bound by it", async (t) => {
    const { handshake } = await openSession(t, target, { headers: { Origin: "https://evil.example" } });
    assert.equal(typeof handshake.sid, "string");
  });
});

suite("CORS for everybody", "pollingOnly", (target) => {
  check("any origin, without credentials", async () => {
    const { headers } = await request(target, { query: HANDSHAKE, headers: ALLOWED });
    assert.equal(headers["access-control-allow-origin"], "*");
    assert.equal(headers["access-control-allow-credentials"], undefined);
  });

  check("a preflight", async () => {
    const headers = { ...ALLOWED, "Access-Control-Request-Method": "POST" };
    const answer = await request(target, { method: "OPTIONS", query: HANDSHAKE, headers });
    assert.equal(answer.status, 204);
    assert.equal(answer.headers["access-control-allow-origin"], "*");
  });
});

suite("the cookie", "dressed", (target) => {
  check("comes with the handshake over polling, and not again", async () => {
    const answer = await request(target, { query: HANDSHAKE });
    const { sid } = JSON.parse(answer.text.slice(1));
    assert.deepEqual(answer.headers["set-cookie"], [`io=${sid}; Path=/; HttpOnly; SameSite=Lax`]);
    const posted = await request(target, { method: "POST", query: `${HANDSHAKE}&sid=${sid}`, body: "40" });
    assert.equal(posted.headers["set-cookie"], undefined);
    const polled = await request(target, { query: `${HANDSHAKE}&sid=${sid}` });
    assert.deepEqual([polled.status, polled.headers["set-cookie"]], [200, undefined]);
  });

  check("does not come with a WebSocket", async () => {
    const query = "EIO=4&transport=websocket";
    const bytes = Buffer.concat([Buffer.from(upgradeRequest(target, { query })), Buffer.from([0x88, 0x80, 0, 0, 0, 0])]);
    const { status, headers } = parseAnswer(await exchange(target, bytes));
    assert.deepEqual([status, headers["set-cookie"]], [101, undefined]);
  });
});

suite("compression of polls", "dressed", (target) => {
  async function poll(t, size, encoding) {
    const session = await PollingSession.open(target);
    t.after(() => session.close());
    await session.join();
    await session.send(`421["make-text",${size}]`);
    const headers = encoding ? { "Accept-Encoding": encoding } : {};
    return request(target, { query: session.query, headers });
  }

  const unpackers = { gzip: gunzipSync, deflate: inflateSync };
  for (const [encoding, unpack] of Object.entries(unpackers)) {
    check(`${encoding} from 1024 bytes on`, async (t) => {
      const answer = await poll(t, 2000, encoding);
      assert.equal(answer.headers["content-encoding"], encoding);
      assert.equal(answer.headers["content-type"], "text/plain; charset=UTF-8");
      assert.equal(unpack(answer.bytes).toString(), `431["${"x".repeat(2000)}"]`);
    });
  }

  check("not below", async (t) => {
    const answer = await poll(t, 900, "gzip");
    assert.equal(answer.headers["content-encoding"], undefined);
    assert.equal(answer.text, `431["${"x".repeat(900)}"]`);
  });

  check("not when nobody asked", async (t) => {
    for (const encoding of [undefined, "identity", "br"]) {
      const answer = await poll(t, 2000, encoding);
      assert.equal(answer.headers["content-encoding"], undefined, encoding);
      assert.equal(answer.text, `431["${"x".repeat(2000)}"]`);
    }
  });
});

suite("compression of WebSocket messages", "dressed", (target) => {
  check("is agreed on, and carries messages of every size both ways", async (t) => {
    const { socket } = await openSession(t, target, { perMessageDeflate: { threshold: 0 } });
    assert.match(socket.ws.extensions, /permessage-deflate/);
    socket.send("40");
    await socket.next(), await socket.next();
    for (const size of [1, 1023, 1024, 5000, 200_000]) {
      const word = "x".repeat(size);
      socket.send(`42["message","${word}"]`);
      assert.equal(await socket.next(), `42["message-back","${word}"]`);
    }
    socket.send('451-["message",{"_placeholder":true,"num":0}]', Buffer.alloc(5000, 7));
    assert.equal(await socket.next(), '451-["message-back",{"_placeholder":true,"num":0}]');
    assert.deepEqual(await socket.next(), Buffer.alloc(5000, 7));
  });

  check("is not forced on a client that does not offer it", async (t) => {
    const { socket } = await openSession(t, target, { perMessageDeflate: false });
    assert.equal(socket.ws.extensions, "");
    socket.send("40");
    await socket.next(), await socket.next();
    socket.send(`42["message","${"x".repeat(5000)}"]`);
    assert.equal(await socket.next(), `42["message-back","${"x".repeat(5000)}"]`);
  });

  const outOfRange = "permessage-deflate; server_max_window_bits=99";
  for (const offer of ["constructor", "__proto__", outOfRange, "x-webkit-deflate-frame"]) {
    check(`the offer ${offer} does no harm`, async () => {
      const headers = { "Sec-WebSocket-Extensions": offer };
      const head = Buffer.from(upgradeRequest(target, { query: "EIO=4&transport=websocket", headers }));
      const answer = await exchange(target, Buffer.concat([head, Buffer.from([0x88, 0x80, 0, 0, 0, 0])]));
      assert.ok([101, 400].includes(parseAnswer(answer).status));
      assert.equal((await request(target, { path: "/health" })).status, 200);
    });
  }
});

suite("one transport only: WebSocket", "websocketOnly", (target) => {
  check("polling is unknown", async () => {
    const answer = await request(target, { query: HANDSHAKE });
    assert.deepEqual([answer.status, answer.json()], [400, { code: 0, message: "Transport unknown" }]);
  });

  check("the greeting is the message after the open packet", async (t) => {
    const { socket } = await openSession(t, target);
    assert.equal(await socket.next("the greeting"), "4hello");
  });
});

suite("one transport only: polling", "pollingOnly", (target) => {
  check("there is nothing to upgrade to", async () => {
    const answer = await request(target, { query: HANDSHAKE });
    const [open] = answer.text.split("\x1e");
    assert.deepEqual(JSON.parse(open.slice(1)).upgrades, []);
  });

  check("a WebSocket is refused", async () => {
    const bytes = await exchange(target, upgradeRequest(target, { query: "EIO=4&transport=websocket" }), isWhole);
    assert.equal(parseAnswer(bytes).status, 400);
  });

  check("the greeting is the message after the open packet", async () => {
    const answer = await request(target, { query: HANDSHAKE });
    const rest = answer.text.split("\x1e").slice(1);
    if (rest.length > 0) assert.deepEqual(rest, ["4hello"]);
    else {
      const { sid } = JSON.parse(answer.text.slice(1));
      assert.equal((await request(target, { query: `${HANDSHAKE}&sid=${sid}` })).text, "4hello");
    }
  });
});

// A refusal may leave the connection open for another request.
function isWhole(bytes) {
  return bytes.includes("\r\n\r\n");
}
