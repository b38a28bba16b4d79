// An Engine.IO session over HTTP long-polling, one request at a time.
import assert from "node:assert/strict";
import { begin, request } from "./http.mjs";
import { v3, v4 } from "./payload.mjs";

export class PollingSession {
  constructor(target, protocol, handshake, extra) {
    this.target = target;
    this.protocol = protocol;
    this.handshake = handshake;
    this.sid = handshake.sid;
    this.codec = protocol === 4 ? v4 : v3;
    this.query = `EIO=${protocol}&transport=polling&sid=${this.sid}${extra}`;
  }

  /** A new session; `extra` is added to every query (`&b64=1`). */
  static async open(target, { protocol = 4, extra = "" } = {}) {
    const answer = await request(target, { query: `EIO=${protocol}&transport=polling${extra}` });
    assert.equal(answer.status, 200, `handshake: ${answer.text}`);
    const codec = protocol === 4 ? v4 : v3;
    const packets = codec.decode(answer.text);
    assert.equal(packets[0][0], "0");
    const session = new PollingSession(target, protocol, JSON.parse(packets[0].slice(1)), extra);
    session.first = packets.slice(1);
    return session;
  }

  /** POSTs a body as it is. */
  post(body, headers = { "Content-Type": "text/plain;charset=UTF-8" }) {
    return request(this.target, { method: "POST", query: this.query, headers, body });
  }

  /** POSTs packets and expects `ok`. */
  async send(...packets) {
    const answer = await this.post(this.codec.encode(packets));
    assert.deepEqual([answer.status, answer.text], [200, "ok"]);
  }

  /** Starts a poll: `{answer, abort}`. */
  beginPoll() {
    return begin(this.target, { query: this.query });
  }

  /** The answer to one poll, whatever it is. */
  pollAnswer() {
    return this.beginPoll().answer;
  }

  /** The packets of one poll. */
  async poll() {
    const answer = await this.pollAnswer();
    assert.equal(answer.status, 200, `poll: ${answer.text}`);
    return this.codec.decode(answer.text);
  }

  /** At least `count` packets, in as many polls as it takes. */
  async pollFor(count) {
    const packets = [];
    while (packets.length < count) packets.push(...(await this.poll()));
    return packets;
  }

  /** The session is gone: its id is unknown. */
  async assertGone() {
    const answer = await this.pollAnswer();
    assert.deepEqual([answer.status, answer.json()], [400, { code: 1, message: "Session ID unknown" }]);
  }

  /** Polls until the server's side is closed: a close packet, or an unknown session. */
  async assertCloses() {
    for (;;) {
      const answer = await this.pollAnswer();
      if (answer.status === 400) return;
      assert.equal(answer.status, 200);
      if (this.codec.decode(answer.text).includes("1")) return;
    }
  }

  /** Enters the root namespace and takes the packets of the connection: `40{…}` and `auth`. */
  async join(namespace = "") {
    if (this.protocol === 4) await this.send(`40${namespace}`);
    return this.pollFor(2);
  }

  close() {
    return this.post(this.codec.encode(["1"])).catch(() => {});
  }
}
