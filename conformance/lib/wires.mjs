// One face for both transports and both protocols, so that one table of Socket.IO packets is played
// over all of them: `send` messages, take the `next` one, wait until it `closes` (what was not taken
// comes out).
// A text message is given without the Engine.IO type (`2["e"]`), a binary one as a Buffer.
import assert from "node:assert/strict";
import { PollingSession } from "./polling.mjs";
import { Inbox, within } from "./suite.mjs";
import { openSession } from "./websocket.mjs";

class WebSocketWire {
  constructor(socket, protocol) {
    this.socket = socket;
    this.protocol = protocol;
  }

  send(...messages) {
    for (const message of messages) {
      if (typeof message === "string") this.socket.send(`4${message}`);
      else this.socket.send(this.protocol === 3 ? Buffer.concat([Buffer.of(4), message]) : message);
    }
  }

  async next(what) {
    return this.#read(await this.socket.next(what));
  }

  #read(message) {
    if (typeof message === "string") {
      assert.equal(message[0], "4", `a message packet, not ${message}`);
      return message.slice(1);
    }
    if (this.protocol === 4) return message;
    assert.equal(message[0], 4, "the type byte of protocol 3");
    return message.subarray(1);
  }

  async closes() {
    await this.socket.closed();
    return this.socket.rest().map((message) => this.#read(message));
  }
}

class PollingWire {
  #inbox = new Inbox();
  #sending = Promise.resolve();

  constructor(session) {
    this.session = session;
    this.ended = this.#pump();
  }

  // Polls until the session ends, as a client does.
  async #pump() {
    for (const packet of this.session.first) this.#take(packet);
    for (;;) {
      const answer = await this.session.pollAnswer().catch(() => ({ status: 0 }));
      if (answer.status !== 200) break;
      const packets = this.session.codec.decode(answer.text);
      packets.filter((packet) => packet !== "1").forEach((packet) => this.#take(packet));
      if (packets.includes("1")) break;
    }
    this.#inbox.finish(new Error("the polling session ended"));
  }

  #take(packet) {
    if (typeof packet !== "string") this.#inbox.push(packet);
    else if (packet[0] === "4") this.#inbox.push(packet.slice(1));
  }

  send(...messages) {
    if (messages.length === 0) return; // an empty body is a broken one
    const packets = messages.map((one) => (typeof one === "string" ? `4${one}` : one));
    this.#sending = this.#sending.then(() => this.session.post(this.session.codec.encode(packets))).catch(() => {});
  }

  next(what) {
    return this.#inbox.next(what);
  }

  async closes() {
    await within(this.ended, "the polling session to end");
    return this.#inbox.rest();
  }
}

/** The four wires: both transports, both protocols. */
export const WIRES = [
  { name: "WebSocket, v4", protocol: 4, configuration: "plain", open: openWebSocket },
  { name: "polling, v4", protocol: 4, configuration: "plain", open: openPolling },
  { name: "WebSocket, v3", protocol: 3, configuration: "v3", open: openWebSocket },
  { name: "polling, v3", protocol: 3, configuration: "v3", open: openPolling },
];

async function openWebSocket(t, target, protocol) {
  const { socket } = await openSession(t, target, { protocol });
  return new WebSocketWire(socket, protocol);
}

async function openPolling(t, target, protocol) {
  const session = await PollingSession.open(target, { protocol, extra: protocol === 3 ? "&b64=1" : "" });
  t.after(() => session.close());
  return new PollingWire(session);
}

/** A wire whose root namespace is entered; what the connection brings is taken off. */
export async function joined(t, target, wire) {
  const opened = await wire.open(t, target, wire.protocol);
  if (wire.protocol === 4) opened.send("0");
  const connect = await opened.next("the CONNECT packet");
  assert.equal(connect[0], "0");
  assert.equal(await opened.next("the auth event"), '2["auth",{}]');
  return opened;
}
