// Every refusal of a request that has no session: status, content type and body, over HTTP and over
// the WebSocket upgrade. The table is cases/refusals.json.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { exchange, parseAnswer, request, upgradeRequest } from "../lib/http.mjs";
import { check, suite } from "../lib/suite.mjs";

const cases = JSON.parse(readFileSync(new URL("cases/refusals.json", import.meta.url), "utf8"));

suite("requests that are refused", "plain", (target) => {
  for (const { name, method, query, body, status = 400, code, message } of cases.http) {
    check(`HTTP: ${name}`, async () => {
      const answer = await request(target, { method, query, body });
      assert.equal(answer.status, status);
      assert.match(answer.headers["content-type"], /^application\/json\b/);
      assert.equal(answer.text, JSON.stringify({ code, message }));
    });
  }

  for (const { name, query, message, quirk } of cases.upgrade) {
    check(`upgrade: ${name}`, async () => {
      const isQuirk = (bytes) => quirk && parseAnswer(bytes).status === 101;
      const bytes = await exchange(target, upgradeRequest(target, { query }), isQuirk);
      if (isQuirk(bytes)) return;
      const answer = parseAnswer(bytes);
      assert.equal(answer.status, 400);
      assert.equal(answer.body, message);
      assert.equal(answer.headers["content-length"], String(message.length));
    });
  }

  check("HEAD opens no session", async () => {
    const answer = await request(target, { method: "HEAD", query: "EIO=4&transport=polling" });
    assert.ok([400, 405].includes(answer.status), String(answer.status));
  });

  check("an Origin with control characters is refused", async () => {
    const lines = `GET ${target.path}?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nConnection: close\r\n`;
    const answer = parseAnswer(await exchange(target, Buffer.from(`${lines}Origin: a\x01b\r\n\r\n`, "latin1")));
    assert.equal(answer.status, 400);
  });
});

suite("WebSocket handshakes that are refused", "plain", (target) => {
  const query = "EIO=4&transport=websocket";
  const broken = [
    { name: "no key", headers: { "Sec-WebSocket-Key": null } },
    { name: "a key that is too short", headers: { "Sec-WebSocket-Key": "c2hvcnQ=" } },
    { name: "a key that is no base64", headers: { "Sec-WebSocket-Key": "not base64 at all, no!!=" } },
    { name: "version 12", headers: { "Sec-WebSocket-Version": "12" } },
    { name: "no version", headers: { "Sec-WebSocket-Version": null } },
    { name: "POST", method: "POST" },
  ];
  for (const { name, ...how } of broken) {
    check(name, async () => {
      const answer = parseAnswer(await exchange(target, upgradeRequest(target, { query, ...how })));
      assert.ok([400, 405, 426].includes(answer.status), String(answer.status));
    });
  }

  check("a version that is not 13 is told which one is", async () => {
    const headers = { "Sec-WebSocket-Version": "12" };
    const answer = parseAnswer(await exchange(target, upgradeRequest(target, { query, headers })));
    assert.match(answer.headers["sec-websocket-version"], /\b13\b/);
  });
});

suite("requests that are somebody else's", "plain", (target) => {
  const elsewhere = [
    { name: "the path without its slash", path: "/socket.io", query: "EIO=4&transport=polling" },
    { name: "another path", path: "/engine.io/", query: "EIO=4&transport=polling" },
    { name: "a path that begins alike", path: "/socket.iox/", query: "EIO=4&transport=polling" },
  ];
  for (const { name, ...where } of elsewhere) {
    check(`${name} is left to the application`, async () => {
      assert.equal((await request(target, where)).status, 404);
    });
  }

  check("the application's own route answers beside Engine.IO", async () => {
    const answer = await request(target, { path: "/health" });
    assert.deepEqual([answer.status, answer.text], [200, "ok"]);
  });

  check("a WebSocket upgrade elsewhere is answered or ended", async () => {
    const bytes = upgradeRequest(target, { path: "/elsewhere", query: "EIO=4&transport=websocket" });
    const answer = await exchange(target, bytes, (found) => found.includes("\r\n\r\n"));
    assert.notEqual(parseAnswer(answer).status, 101);
  });
});
