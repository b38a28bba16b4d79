// The clients of `cargo xtask oracle` that are not ours: the real `socket.io-client` and the npm
// package `eventsource`, unmodified. Each writes what it sees as lines of the trace.
//
// Orders come as JSON lines on the standard input, one of them:
//   { "do": "start", "url", "key", "clients": [{ "name", "kind", "transports", "rooms" }] }
//   { "do": "want", "client", "room", "in" }   a client joins or leaves a room
//   { "do": "stop" }                            everybody goes home; the process ends
import { createInterface } from "node:readline";
import { io } from "client-4.8";
import { EventSource } from "eventsource";

const RETRY_MS = 300;
const clients = new Map();
let stopped = false;

// One clock for all processes: nanoseconds since the start of the machine. They fit a JSON number
// of full precision for the first 104 days only, so the digits are written as they are.
let pending = "";
function write(who, what, more = {}) {
  if (stopped) return;
  if (pending === "") setImmediate(flush);
  const rest = JSON.stringify({ who, what, ...more });
  pending += `{"at":${process.hrtime.bigint()},${rest.slice(1)}\n`;
}

function flush() {
  process.stdout.write(pending);
  pending = "";
}

/** What both kinds of clients do. */
class Client {
  constructor({ name }) {
    this.name = name;
    this.calls = 0;
    this.connected = false;
  }

  write(what, more) {
    write(this.name, what, more);
  }

  ask(what, room) {
    const call = ++this.calls;
    this.write(what, { call, room });
    return call;
  }

  /** A room nobody has to ask for. */
  isIn(room) {
    this.write("done", { call: this.ask("join", room) });
  }

  disconnected(reason) {
    if (this.connected) this.write("disconnect", { reason });
    this.connected = false;
  }
}

class SocketClient extends Client {
  constructor(plan, url) {
    super(plan);
    // By room: whether it is wanted, whether the server knows, the call that is under way.
    this.rooms = new Map(plan.rooms.map((room) => [room, { wanted: true, member: false, call: undefined }]));
    this.socket = io(url, {
      transports: plan.transports,
      forceNew: true,
      reconnectionDelay: 50,
      reconnectionDelayMax: 400,
      timeout: 3_000,
    });
    this.socket.on("connect", () => this.onConnect());
    this.socket.on("disconnect", (reason) => this.disconnected(reason));
    this.socket.onAny((name, ...args) => this.onEvent(args));
  }

  onConnect() {
    const { id } = this.socket;
    const recovered = Boolean(this.socket.recovered);
    this.connected = true;
    this.write("connect", { id, recovered });
    if (!recovered) this.isIn("*");
    for (const room of this.rooms.values()) {
      room.call = undefined; // it went down with the old connection
      if (!recovered) room.member = false;
    }
    this.settle();
  }

  onEvent(args) {
    const last = args.at(-1);
    this.write("receive", { id: args[0], ...(args.length > 1 && typeof last === "string" ? { position: last } : {}) });
  }

  want(room, wanted) {
    const known = this.rooms.get(room);
    if (known) known.wanted = wanted;
    else this.rooms.set(room, { wanted, member: false, call: undefined });
    this.settle();
  }

  settle() {
    if (!this.connected) return;
    for (const [name, room] of this.rooms) {
      if (room.call === undefined && room.wanted !== room.member) this.move(name, room);
    }
  }

  move(name, room) {
    const joins = room.wanted;
    const call = this.ask(joins ? "join" : "leave", name);
    room.call = call;
    // Whether it left is not known until it is acknowledged: a lost question is asked again.
    this.socket.emit(joins ? "room:join" : "room:leave", { roomId: name }, ({ ok }) => {
      if (ok) this.write("done", { call });
      const retry = () => {
        if (room.call !== call) return;
        room.call = undefined;
        if (ok) room.member = joins;
        this.settle();
      };
      if (ok) retry();
      else setTimeout(retry, RETRY_MS);
    });
  }

  close() {
    this.socket.disconnect();
  }
}

class StreamClient extends Client {
  constructor(plan, url, key) {
    super(plan);
    this.rooms = plan.rooms;
    this.lastId = "";
    this.open = () => {
      const after = this.lastId === "" ? "" : `&lastEventId=${encodeURIComponent(this.lastId)}`;
      const fetchWithKey = (address, init) =>
        fetch(address, { ...init, headers: { ...init.headers, Authorization: `Bearer ${key}` } });
      this.source = new EventSource(`${url}/v1/sse?rooms=${this.rooms.join(",")}${after}`, { fetch: fetchWithKey });
      this.source.addEventListener("open", () => this.onOpen());
      this.source.addEventListener("error", () => this.onError());
      this.source.addEventListener("reset", (event) => this.onReset(event));
      this.source.addEventListener("said", (event) => this.onEvent(event));
    };
    this.open();
  }

  onOpen() {
    const recovered = this.lastId !== "";
    this.connected = true;
    this.write("connect", { id: "stream", recovered });
    if (!recovered) this.isInAll();
  }

  /** Those of its address, and what is sent to everyone in the namespace. */
  isInAll() {
    [...this.rooms, "*"].forEach((room) => this.isIn(room));
  }

  onReset({ lastEventId }) {
    this.write("reset");
    if (lastEventId !== "") this.lastId = lastEventId;
    this.isInAll();
  }

  onEvent({ data, lastEventId }) {
    this.lastId = lastEventId;
    this.write("receive", { id: JSON.parse(data)[0], position: lastEventId });
  }

  onError() {
    this.disconnected("stream error");
    // It gives up when it is answered anything but 200: an application opens another one.
    if (this.source.readyState === EventSource.CLOSED && !stopped) setTimeout(() => stopped || this.open(), RETRY_MS);
  }

  want() {} // the rooms of a stream are those of its address

  close() {
    this.source.close();
  }
}

const ORDERS = {
  start({ url, key, clients: plans }) {
    for (const plan of plans) {
      clients.set(plan.name, plan.kind === "stream" ? new StreamClient(plan, url, key) : new SocketClient(plan, url));
    }
  },
  want({ client, room, in: wanted }) {
    clients.get(client).want(room, wanted);
  },
  stop() {
    stopped = true;
    flush();
    for (const client of clients.values()) client.close();
    setTimeout(() => process.exit(0), 100);
  },
};

const orders = createInterface({ input: process.stdin });
orders.on("line", (line) => {
  const order = JSON.parse(line);
  ORDERS[order.do](order);
});
// Whoever gave the orders is gone.
orders.on("close", () => process.exit(0));
