// The reference server of the benchmark: socket.io from npm with its default engine (ws).
//
// The contract every server under test keeps:
//   - listens on 127.0.0.1, --port N (0, the default, takes a free one);
//   - prints one line of JSON, {"port": .., "pid": ..}, when it is ready;
//   - a socket with the query room=NAME joins that room when it connects;
//   - event "publish" (room, payload) is sent to the room as event "event" (payload) and is
//     acknowledged when an acknowledgement was asked for;
//   - event "echo" (...args) is acknowledged with its arguments.
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { Server } from "socket.io";

const { values } = parseArgs({ options: { port: { type: "string", default: "0" } } });

const http = createServer();
const io = new Server(http, { serveClient: false });

io.on("connection", (socket) => {
  const { room } = socket.handshake.query;
  if (typeof room === "string" && room !== "") socket.join(room);

  socket.on("publish", (target, payload, ack) => {
    io.to(target).emit("event", payload);
    if (typeof ack === "function") ack();
  });

  socket.on("echo", (...args) => {
    const ack = args.pop();
    if (typeof ack === "function") ack(...args);
  });
});

http.listen(Number(values.port), "127.0.0.1", () => {
  console.log(JSON.stringify({ port: http.address().port, pid: process.pid }));
});

process.on("SIGTERM", () => process.exit(0));
