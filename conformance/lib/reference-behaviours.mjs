// What the conformance server does, namespace by namespace: the code to README.md's tables.

const ROOM_OF_OBSERVERS = "observers";

/** Gives the namespaces to a Socket.IO server. */
export function addNamespaces(io) {
  for (const name of ["/", "/custom", /^\/dynamic-\d+$/, onlyItsTenant]) {
    behave(io.of(name));
  }

  io.of("/refused").use((socket, next) => {
    next(failure("not authorized", { code: 4001, content: "retry later" }));
  });

  behave(
    io.of("/guarded").use((socket, next) => {
      const { token } = socket.handshake.auth;
      next(token === "secret" ? undefined : failure("bad token", { code: "E_TOKEN" }));
    }),
  );

  behave(io.of("/slow").use((socket, next) => setTimeout(next, 200)));
}

// A namespace made by a function: `/tenant-x` opens for those whose auth says `{tenant: "x"}`.
function onlyItsTenant(name, auth, decide) {
  decide(null, name.startsWith("/tenant-") && name.slice("/tenant-".length) === auth?.tenant);
}

function failure(message, data) {
  return Object.assign(new Error(message), { data });
}

function behave(namespace) {
  namespace.on("connection", (socket) => {
    let seen = 0;
    socket.onAny(() => {
      seen += 1;
    });
    refuseForbidden(socket);

    echo(socket);
    rooms(socket);
    ask(socket);
    payloads(socket);
    endings(socket);

    socket.on("seen", (ack) => ack(seen));
    socket.emit("auth", socket.handshake.auth);
  });
}

// A packet middleware's error comes out as the socket's "error" event, as other errors do too.
function refuseForbidden(socket) {
  const error = new Error("forbidden event");
  socket.use(([event], next) => next(event === "forbidden" ? error : undefined));
  socket.on("error", (found) => found === error && socket.emit("refused", error.message));
}

function echo(socket) {
  socket.on("message", (...args) => socket.emit("message-back", ...args));
  socket.on("message-with-ack", (...args) => args.pop()(...args));
  socket.on("ack-twice", (ack) => {
    ack("first");
    ack("second");
  });
}

// The sockets meant by a request: all of the namespace, or all but the sender.
function target(socket, { self = false, to = [], except = [], volatile = false, compress, local = false }) {
  let operator = self ? socket.nsp.except([]) : socket.broadcast;
  if (to.length > 0) operator = operator.to(to);
  if (except.length > 0) operator = operator.except(except);
  if (volatile) operator = operator.volatile;
  if (local) operator = operator.local;
  if (compress !== undefined) operator = operator.compress(compress);
  return operator;
}

function rooms(socket) {
  socket.on("join", async (names, ack) => ack?.(await socket.join(names)));
  socket.on("leave", async (name, ack) => ack?.(await socket.leave(name)));
  socket.on("rooms", (ack) => ack([...socket.rooms].sort()));
  socket.on("set-data", (data, ack) => {
    socket.data = data;
    ack?.();
  });

  socket.on("broadcast", (options, event, ...args) => {
    const ack = typeof args.at(-1) === "function" ? args.pop() : undefined;
    target(socket, options).emit(event, ...args);
    ack?.();
  });
  socket.on("broadcast-with-ack", (options, event, ...args) => {
    const ack = args.pop();
    target(socket, options)
      .timeout(options.timeout)
      .emit(event, ...args, (error, answers) => ack(error ? error.message : null, answers));
  });

  socket.on("fetch-sockets", async (room, ack) => {
    const found = await socket.nsp.in(room).fetchSockets();
    ack(found.map(({ id, rooms, data }) => ({ id, rooms: [...rooms].sort(), data })));
  });
  socket.on("sockets-join", (room, other, ack) => ack(socket.nsp.in(room).socketsJoin(other)));
  socket.on("sockets-leave", (room, other, ack) => ack(socket.nsp.in(room).socketsLeave(other)));
  socket.on("disconnect-sockets", (room, close) => socket.nsp.in(room).disconnectSockets(close));
}

function ask(socket) {
  socket.on("request", (timeout, event, ...args) => {
    const ack = args.pop();
    socket.timeout(timeout).emit(event, ...args, (error, ...answers) => ack(error ? error.message : null, ...answers));
  });
  socket.on("id", (ack) => ack(socket.id));
  socket.on("handshake", (ack) => {
    const { auth, query, headers, url, xdomain, secure } = socket.handshake;
    ack({ auth, query, headers, url, xdomain, secure, transport: socket.conn.transport.name });
  });
}

function payloads(socket) {
  socket.on("burst", (count, ack) => {
    for (let index = 0; index < count; index += 1) socket.emit("burst", index);
    ack?.();
  });
  socket.on("volatile-burst", (count, ack) => {
    for (let index = 0; index < count; index += 1) socket.volatile.emit("tick", index);
    ack?.();
  });
  socket.on("make-text", (size, ack) => ack("x".repeat(size)));
  socket.on("make-binary", (size, ack) => ack(Buffer.alloc(size).map((_, index) => index & 0xff)));
}

function endings(socket) {
  socket.on("disconnect-me", (close) => socket.disconnect(close));
  socket.on("emit-then-disconnect", (close) => {
    socket.emit("last-words", 1);
    socket.emit("last-words", 2);
    socket.disconnect(close);
  });
  socket.on("disconnecting", (reason) => {
    const left = [...socket.rooms].sort();
    socket.to(ROOM_OF_OBSERVERS).emit("going", socket.id, reason, left);
  });
  socket.on("disconnect", (reason) => {
    socket.nsp.to(ROOM_OF_OBSERVERS).emit("gone", socket.id, reason);
  });
}
