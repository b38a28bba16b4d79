// A WebSocket whose messages are taken one at a time. A text message is a string, a binary one a
// Buffer, so that a test cannot confuse them.
import WebSocket from "ws";
import { Inbox, within } from "./suite.mjs";

export class RawSocket {
  #inbox = new Inbox();

  constructor(target, query, options = {}) {
    const { path = target.path, answersPings = false, ...rest } = options;
    const where = `ws://${target.host}:${target.port}${path}?${query}`;
    this.ws = new WebSocket(where, { perMessageDeflate: false, ...rest });
    this.ended = new Promise((resolve) => {
      this.ws.on("error", (error) => {
        this.error = error;
      });
      this.ws.on("close", (code, reason) => {
        resolve({ code, reason: reason.toString(), error: this.error });
        this.#inbox.finish(new Error(`the WebSocket closed (${code} ${this.error?.message ?? ""})`));
      });
    });
    this.ws.on("message", (data, isBinary) => {
      const message = isBinary ? data : data.toString("utf8");
      if (answersPings && message === "2") this.ws.send("3");
      else this.#inbox.push(message);
    });
  }

  /** A WebSocket that ends with the test. */
  static async open(t, target, query, options) {
    const socket = new RawSocket(target, query, options);
    t.after(() => socket.ws.terminate());
    const opened = new Promise((resolve) => socket.ws.once("open", resolve));
    const ended = socket.ended.then(({ code, error }) => {
      throw new Error(`the WebSocket did not open (${error?.message ?? code})`);
    });
    ended.catch(() => {});
    await within(Promise.race([opened, ended]), "the WebSocket to open");
    return socket;
  }

  send(...messages) {
    for (const message of messages) this.ws.send(message);
  }

  next(what, ms) {
    return this.#inbox.next(what, ms);
  }

  rest() {
    return this.#inbox.rest();
  }

  /** The code and reason with which the other side closed. */
  closed(ms) {
    return within(this.ended, "the WebSocket to close", ms);
  }
}

/** The `open` packet of a new WebSocket session, and its socket. */
export async function openSession(t, target, { protocol = 4, extra = "", ...options } = {}) {
  const socket = await RawSocket.open(t, target, `EIO=${protocol}&transport=websocket${extra}`, options);
  const first = await socket.next("the open packet");
  return { socket, handshake: JSON.parse(first.slice(1)), first };
}
