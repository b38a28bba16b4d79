// Polling through script tags: the answer is a call of a function, the body of a POST is a form.
import assert from "node:assert/strict";
import { request } from "../lib/http.mjs";
import { check, suite } from "../lib/suite.mjs";

const form = { "Content-Type": "application/x-www-form-urlencoded" };

/** The payload in `___eio[<j>]("…");`. */
function unwrap(text, j) {
  const head = `___eio[${j}](`;
  assert.ok(text.startsWith(head) && text.endsWith(");"), text);
  return JSON.parse(text.slice(head.length, -2));
}

suite("JSONP", "plain", (target) => {
  async function open() {
    const answer = await request(target, { query: "EIO=4&transport=polling&j=0" });
    assert.equal(answer.status, 200);
    const { sid } = JSON.parse(unwrap(answer.text, 0).slice(1));
    return `EIO=4&transport=polling&sid=${sid}&j=0`;
  }
  const post = (query, payload) =>
    request(target, { method: "POST", query, headers: form, body: `d=${encodeURIComponent(payload)}` });
  const poll = async (query) => unwrap((await request(target, { query })).text, 0);

  async function openAndJoin() {
    const query = await open();
    assert.equal((await post(query, "40")).text, "ok");
    const packets = [];
    while (packets.length < 2) packets.push(...(await poll(query)).split("\x1e"));
    return query;
  }

  check("the open packet", async () => {
    const answer = await request(target, { query: "EIO=4&transport=polling&j=7" });
    const packet = unwrap(answer.text, 7);
    assert.equal(packet[0], "0");
    assert.equal(answer.headers["content-length"], String(answer.bytes.length));
  });

  check("events both ways", async () => {
    const query = await openAndJoin();
    const answer = await post(query, '42["message","a+b&c=d €"]\x1e42["message",2]');
    assert.deepEqual([answer.status, answer.text], [200, "ok"]);
    let text = await poll(query);
    if (!text.includes("\x1e")) text += `\x1e${await poll(query)}`;
    assert.equal(text, '42["message-back","a+b&c=d €"]\x1e42["message-back",2]');
  });

  check("binary", async () => {
    const query = await openAndJoin();
    await post(query, '451-["message",{"_placeholder":true,"num":0}]\x1ebAQIDBA==');
    assert.equal(await poll(query), '451-["message-back",{"_placeholder":true,"num":0}]\x1ebAQIDBA==');
  });

  check("line separators, which end a line of a script, are escaped", async () => {
    const query = await openAndJoin();
    await post(query, '42["message","\u2028\u2029"]');
    const { text } = await request(target, { query });
    assert.equal(text, String.raw`___eio[0]("42[\"message-back\",\"\u2028\u2029\"]");`);
  });

  check("escaped newlines are restored", async () => {
    const query = await openAndJoin();
    // The client writes a newline as \n and a backslash with an n as \\n.
    await post(query, String.raw`42["message","a\\nb"]`);
    assert.equal(await poll(query), String.raw`42["message-back","a\nb"]`);
  });

  check("nothing but digits of j comes back", async () => {
    const answer = await request(target, { query: "EIO=4&transport=polling&j=1);alert(2" });
    assert.ok(answer.status === 400 || answer.text.startsWith("___eio[12]("), answer.text);
    const script = await request(target, { query: "EIO=4&transport=polling&j=%3Cscript%3E" });
    assert.ok(script.status === 400 || script.text.startsWith("___eio[]("), script.text);
  });
});
