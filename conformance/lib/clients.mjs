// The real clients behind one face: what differs between their versions is told here and nowhere else.
import { createRequire } from "node:module";
import { ANSWER_MS, Inbox, within } from "./suite.mjs";

const require = createRequire(import.meta.url);
const msgpackParser = require("socket.io-msgpack-parser");

/** What a version can do, and the server it needs. */
const VERSIONS = {
  4.8: { package: "client-4.8", configuration: "plain", has: ["auth", "volatile", "onAny", "timeout", "promises"] },
  "4.0": { package: "client-4.0", configuration: "plain", has: ["auth", "volatile", "onAny"] },
  3.1: { package: "client-3.1", configuration: "plain", has: ["auth", "volatile", "onAny"] },
  2.5: { package: "client-2.5", configuration: "v3", has: [] },
};

export const TRANSPORTS = {
  polling: ["polling"],
  websocket: ["websocket"],
  upgrade: ["polling", "websocket"],
};

/** A version of the client with a transport and a parser, connecting to one server. */
export class Client {
  #sockets = new Set();

  constructor({ version, transport, parser = "json" }) {
    const known = VERSIONS[version];
    this.version = version;
    this.transport = transport;
    this.parser = parser;
    this.configuration = parser === "msgpack" ? "msgpack" : known.configuration;
    this.io = require(known.package);
    this.name = `socket.io-client ${version} over ${transport}${parser === "msgpack" ? " in msgpack" : ""}`;
    this.known = new Set(known.has);
  }

  has(feature) {
    return this.known.has(feature);
  }

  /** A socket that begins to connect on a connection of its own, and ends with the test. */
  start(t, target, { namespace = "/", auth, ...options } = {}) {
    const manager = new this.io.Manager(target.url, {
      path: target.path.replace(/\/$/, ""),
      transports: TRANSPORTS[this.transport],
      reconnection: false,
      ...(this.parser === "msgpack" ? { parser: msgpackParser } : {}),
      ...options,
    });
    t.after(() => (manager._close ? manager._close() : manager.close()));
    return this.join(manager, namespace, auth);
  }

  /** Another namespace on a connection that is there; it begins to connect by itself. */
  join(manager, namespace, auth) {
    if (this.has("auth")) return manager.socket(namespace, { auth });
    // Version 2 sends credentials in the query of the namespace.
    return manager.socket(namespace, { query: auth && new URLSearchParams(auth).toString() });
  }

  /** A socket that is connected. */
  async connect(t, target, options) {
    const socket = this.start(t, target, options);
    await this.connected(socket);
    return socket;
  }

  connected(socket) {
    if (socket.connected) return Promise.resolve();
    const opened = new Promise((resolve, reject) => {
      socket.once("connect", resolve);
      for (const event of ["connect_error", "error"]) {
        socket.once(event, (error) => reject(new Error(`${event}: ${error?.message ?? JSON.stringify(error)}`)));
      }
    });
    return within(opened, `${this.name} to connect to ${socket.nsp}`);
  }

  /** Why a namespace was refused: `{message, data}`. Version 2 gets the data or the message alone. */
  async refusal(socket) {
    const event = this.has("auth") ? "connect_error" : "error";
    const error = await within(new Promise((resolve) => socket.once(event, resolve)), `${event} of ${socket.nsp}`);
    if (this.has("auth")) return { message: error.message, data: error.data };
    return error;
  }

  /** The polling connection has become a WebSocket. */
  async upgraded(socket) {
    const { engine } = socket.io;
    if (engine.transport.name !== "websocket") {
      await within(new Promise((resolve) => engine.once("upgrade", resolve)), "the upgrade");
    }
  }
}

/** The arguments of the next event. */
export function once(socket, event, ms = ANSWER_MS) {
  return within(new Promise((resolve) => socket.once(event, (...args) => resolve(args))), `the event ${event}`, ms);
}

/** Emits and waits for the acknowledgement; its arguments. */
export function call(socket, event, ...args) {
  const answered = new Promise((resolve) => socket.emit(event, ...args, (...answer) => resolve(answer)));
  return within(answered, `the acknowledgement of ${event}`);
}

/** The id the server knows the socket by. A client of version 2 is not told it. */
export async function idOf(socket) {
  const [id] = await call(socket, "id");
  return id;
}

/** Every event of a name from now on, in order. */
export function inbox(socket, event) {
  const box = new Inbox();
  socket.on(event, (...args) => box.push(args));
  return box;
}
