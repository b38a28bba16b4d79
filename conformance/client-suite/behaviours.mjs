// What the client project's own tests want of their server, in Node.js: the code to README.md here.

/** A handshake is answered this much later, so that a client may lose patience first. */
export const HANDSHAKE_DELAY_MS = 10;

const TEXTS = ["てすと", "Я Б Г Д Ж Й", "Ä ä Ü ü ß", "utf8 — string", "utf8 — string"];
const BYTES = () => Buffer.from("asdfasdf");

/** Gives the namespaces to a Socket.IO server. */
export function addClientSuite(io) {
  for (const name of ["/timeout_socket", "/valid", "/asd"]) io.of(name);
  io.of("/foo").on("connection", tellId);
  io.of("/abc").on("connection", (socket) => socket.emit("handshake", socket.handshake));
  io.of("/no").use((socket, next) => next(new Error("Auth failed (custom namespace)")));
  io.use((socket, next) => {
    next(socket.handshake.query.fail ? new Error("Auth failed (main namespace)") : undefined);
  });
  io.on("connection", (socket) => {
    tellId(socket);
    answers(socket);
    bytes(socket);
  });
}

function tellId(socket) {
  socket.on("getId", (ack) => ack(socket.id));
}

function answers(socket) {
  socket.on("hi", () => socket.emit("hi"));
  socket.on("echo", (value, ack) => ack?.(value));
  socket.on("ack", () => {
    socket.emit("ack", (number, object) => {
      if (number === 5 && object.test) socket.emit("got it");
    });
  });
  socket.on("false", () => socket.emit("false", false));
  socket.on("getAckDate", (value, ack) => ack(new Date()));
  socket.on("getDate", () => socket.emit("takeDate", new Date()));
  socket.on("getDateObj", () => socket.emit("takeDateObj", { date: new Date() }));
  socket.on("getUtf8", () => TEXTS.forEach((text) => socket.emit("takeUtf8", text)));
  socket.on("getHandshake", (ack) => ack(socket.handshake));
}

function bytes(socket) {
  const isMixed = (value) => value.hello === "lol" && Buffer.isBuffer(value.message) && value.goodbye === "gotcha";
  const answerIf = (event, test, answer) => socket.on(event, (value) => test(value) && socket.emit(answer));
  // Of a series, the last answers only when the earlier ones have been right.
  const seen = new Set();
  const series = (names, tests, answer) => {
    names.forEach((name, index) => {
      socket.on(name, (value) => {
        if (!tests[index](value) || names.slice(0, index).some((earlier) => !seen.has(earlier))) return;
        seen.add(name);
        if (index === names.length - 1) socket.emit(answer);
      });
    });
  };
  socket.on("doge", () => socket.emit("doge", BYTES()));
  socket.on("getbin", () => socket.emit("takebin", BYTES()));
  answerIf("buffa", Buffer.isBuffer, "buffack");
  answerIf("blob", Buffer.isBuffer, "back");
  answerIf("jsonbuff", isMixed, "jsonbuff-ack");
  answerIf("jsonblob", isMixed, "jsonblob-ack");
  series(["abuff1", "abuff2"], [Buffer.isBuffer, () => true], "abuff2-ack");
  series(["blob1", "blob2", "blob3"], [Buffer.isBuffer, (value) => value === "second", Buffer.isBuffer], "blob3-ack");
}
