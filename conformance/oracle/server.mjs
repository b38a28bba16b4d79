// The reference of `cargo xtask oracle`: a Node.js Socket.IO server with connection state recovery,
// which publishes over HTTP as ours does. What it knows is in its memory.
//
// It prints the address it listens on. Clients join and leave by `room:join` and `room:leave`.
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { Server } from "socket.io";

const RECOVERY_MS = 120_000;
const MAX_BODY_BYTES = 1_000_000;

const { values: flags } = parseArgs({
  options: {
    "ping-interval": { type: "string", default: "25000" },
    "ping-timeout": { type: "string", default: "20000" },
  },
});

const http = createServer((request, response) => {
  if (request.method !== "POST" || request.url !== "/v1/publish") return answer(response, 404, { ok: false });
  let body = "";
  request.setEncoding("utf8");
  request.on("data", (text) => {
    body += text;
    if (body.length > MAX_BODY_BYTES) request.destroy();
  });
  request.on("end", () => publish(body, response));
});

const io = new Server(http, {
  connectionStateRecovery: { maxDisconnectionDuration: RECOVERY_MS },
  pingInterval: Number(flags["ping-interval"]),
  pingTimeout: Number(flags["ping-timeout"]),
  serveClient: false,
});

function answer(response, status, body) {
  response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
}

function publish(body, response) {
  let asked;
  try {
    asked = JSON.parse(body);
  } catch {
    return answer(response, 400, { ok: false });
  }
  const { event, args = [], rooms = [], except = [], all = false } = asked;
  if (!all && rooms.length === 0) return answer(response, 400, { ok: false });
  io.to(rooms).except(except).emit(event, ...args);
  answer(response, 200, { ok: true });
}

io.on("connection", (socket) => {
  socket.on("room:join", async ({ roomId }, ack) => {
    await socket.join(roomId);
    ack({ ok: true, room: roomId });
  });
  socket.on("room:leave", async ({ roomId }, ack) => {
    await socket.leave(roomId);
    ack({ ok: true, room: roomId });
  });
});

http.listen(0, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${http.address().port}`));

process.on("SIGTERM", () => io.close(() => process.exit(0)));
