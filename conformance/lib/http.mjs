// HTTP requests with nothing added, and bytes written by hand.
import http from "node:http";
import net from "node:net";
import { within } from "./suite.mjs";

/** Starts a request. `answer` is its response; `abort` drops the connection. */
export function begin(target, { method = "GET", query, path = target.path, headers = {}, body } = {}) {
  const where = query === undefined ? path : `${path}?${query}`;
  let request;
  const answer = new Promise((resolve, reject) => {
    request = http.request({ host: target.host, port: target.port, method, path: where, headers, agent: false });
    request.once("error", reject);
    request.once("response", (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.once("error", reject);
      response.once("end", () => resolve(answerOf(response, Buffer.concat(chunks))));
    });
    request.end(body);
  });
  answer.catch(() => {});
  return { answer: within(answer, `an answer to ${method} ${where}`), abort: () => request.destroy() };
}

function answerOf(response, bytes) {
  return {
    status: response.statusCode,
    headers: response.headers,
    bytes,
    text: bytes.toString("utf8"),
    json: () => JSON.parse(bytes.toString("utf8")),
  };
}

/** One request and its response. */
export const request = (target, options) => begin(target, options).answer;

/** Writes bytes to the port and returns what comes until the other side ends, or `enough` of it has come. */
export function exchange(target, bytes, enough = () => false) {
  const socket = net.connect(target.port, target.host);
  const chunks = [];
  const ended = new Promise((resolve, reject) => {
    socket.on("data", (chunk) => {
      chunks.push(chunk);
      if (enough(Buffer.concat(chunks))) resolve();
    });
    socket.once("error", (error) => (error.code === "ECONNRESET" ? resolve() : reject(error)));
    socket.once("close", resolve);
  });
  socket.write(bytes);
  return within(ended, "the end of the connection")
    .then(() => Buffer.concat(chunks))
    .finally(() => socket.destroy());
}

/** The request line and headers of a WebSocket upgrade, with replacements. */
export function upgradeRequest(target, { query, path = target.path, headers = {}, method = "GET", version = "1.1" }) {
  const fields = {
    Host: `${target.host}:${target.port}`,
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    ...headers,
  };
  const lines = Object.entries(fields).flatMap(([name, value]) => (value === null ? [] : [`${name}: ${value}`]));
  return `${method} ${path}?${query} HTTP/${version}\r\n${lines.join("\r\n")}\r\n\r\n`;
}

/** The status and the body of a raw HTTP/1.1 answer. */
export function parseAnswer(bytes) {
  const text = bytes.toString("latin1");
  const end = text.indexOf("\r\n\r\n");
  const head = end < 0 ? text : text.slice(0, end);
  const [statusLine, ...lines] = head.split("\r\n");
  const headers = Object.fromEntries(lines.map((line) => line.split(/:\s*/, 2)).map(([k, v]) => [k.toLowerCase(), v]));
  return { status: Number(statusLine.split(" ")[1]), headers, body: end < 0 ? "" : text.slice(end + 4) };
}
