// The reference: a Node.js Socket.IO server with the behaviours of README.md. Whatever the suites
// ask of another server must first be true of this one.
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { Server } from "socket.io";
import * as msgpackParser from "socket.io-msgpack-parser";
import { addClientSuite, HANDSHAKE_DELAY_MS } from "./client-suite/behaviours.mjs";
import { addNamespaces } from "./lib/reference-behaviours.mjs";

const { values: flags } = parseArgs({
  options: {
    host: { type: "string", default: "127.0.0.1" },
    port: { type: "string", default: "0" },
    path: { type: "string", default: "/socket.io" },
    transports: { type: "string", default: "polling,websocket" },
    "ping-interval": { type: "string", default: "25000" },
    "ping-timeout": { type: "string", default: "20000" },
    "upgrade-timeout": { type: "string", default: "10000" },
    "connect-timeout": { type: "string", default: "45000" },
    "max-payload": { type: "string", default: "1000000" },
    "allow-v3": { type: "boolean", default: false },
    parser: { type: "string", default: "json" },
    cors: { type: "string" },
    cookie: { type: "string" },
    "initial-packet": { type: "string" },
    "http-compression": { type: "boolean", default: false },
    "per-message-deflate": { type: "boolean", default: false },
    "client-suite": { type: "boolean", default: false },
  },
});

const http = createServer((request, response) => {
  const found = request.url === "/health";
  response.writeHead(found ? 200 : 404, { "Content-Type": "text/plain" });
  response.end(found ? "ok" : "not found");
});

// A handshake with `?refuse` is refused; what the parameter holds becomes the message.
function allowRequest(request, decide) {
  const refuse = new URL(request.url, "http://localhost").searchParams.get("refuse");
  const wait = flags["client-suite"] ? HANDSHAKE_DELAY_MS : 0;
  setTimeout(decide, wait, refuse || null, refuse === null);
}

const io = new Server(http, {
  path: flags.path,
  transports: flags.transports.split(","),
  pingInterval: Number(flags["ping-interval"]),
  pingTimeout: Number(flags["ping-timeout"]),
  upgradeTimeout: Number(flags["upgrade-timeout"]),
  connectTimeout: Number(flags["connect-timeout"]),
  maxHttpBufferSize: Number(flags["max-payload"]),
  allowEIO3: flags["allow-v3"],
  cors: flags.cors && (flags.cors === "*" ? { origin: "*" } : { origin: flags.cors.split(","), credentials: true }),
  cookie: flags.cookie ? { name: flags.cookie } : false,
  initialPacket: flags["initial-packet"],
  httpCompression: flags["http-compression"] ? { threshold: 1024 } : false,
  perMessageDeflate: flags["per-message-deflate"] ? { threshold: 1024 } : false,
  serveClient: false,
  allowRequest,
  ...(flags.parser === "msgpack" ? { parser: msgpackParser.default ?? msgpackParser } : {}),
});

if (flags["client-suite"]) addClientSuite(io);
else addNamespaces(io);

http.listen(Number(flags.port), flags.host, () => {
  const { address, port } = http.address();
  console.log(JSON.stringify({ url: `http://${address}:${port}`, path: io.path() + "/" }));
});

for (const signal of ["SIGTERM", "SIGINT"]) {
  process.on(signal, () => {
    http.closeAllConnections?.call(http);
    io.close(() => process.exit(0));
  });
}
