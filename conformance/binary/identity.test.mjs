// Identity and access, for stock clients of the binary: tokens of each door, guests, ends, revocation,
// rights in rooms, and the application that is asked.
import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import { application } from "../lib/application.mjs";
import { suiteOfBinary, token } from "../lib/binary.mjs";
import { call, Client, inbox, once } from "../lib/clients.mjs";
import { check, pause } from "../lib/suite.mjs";

const KEY = "a-secret-that-only-this-test-knows";
const SIGNED = ["--auth-jwt-secret", KEY];
const now = () => Math.floor(Date.now() / 1000);

const client = () => new Client({ version: "4.8", transport: "websocket" });
const refusedWith = async (t, server, options) => {
  const stock = client();
  return (await stock.refusal(stock.start(t, server, options))).data;
};

suiteOfBinary("identity", (start) => {
  for (const version of ["4.8", "4.0", "3.1"]) {
    for (const transport of ["websocket", "polling", "upgrade"]) {
      check(`a token opens, and names the user: ${version} over ${transport}`, async (t) => {
        const server = await start(t, SIGNED);
        const stock = new Client({ version, transport });
        const socket = stock.start(t, server, { auth: { token: token(KEY, { sub: "ada", name: "Ada" }) } });
        const said = inbox(socket, "said");
        await stock.connected(socket);
        await server.publish("user:ada", 1);
        assert.deepEqual((await said.next()).slice(0, 1), [1]);
      });
    }
  }

  check("what does not hold is refused, with the reason", async (t) => {
    const server = await start(t, [...SIGNED, "--auth-audiences", "fanfare"]);
    const good = { sub: "ada", aud: "fanfare" };
    for (const [auth, reason] of [
      [undefined, "missing"],
      [{}, "missing"],
      [{ token: "" }, "missing"],
      [{ token: 5 }, "malformed"],
      [{ token: "opaque" }, "malformed"],
      [{ token: token(KEY, { ...good, exp: now() - 11 }) }, "expired"],
      [{ token: token(KEY, { ...good, exp: undefined }) }, "no_expiry"],
      [{ token: token(KEY, { ...good, nbf: now() + 60 }) }, "not_yet_valid"],
      [{ token: token(KEY, { ...good, aud: "other" }) }, "audience"],
      [{ token: token(KEY, { sub: "ada" }) }, "audience"],
      [{ token: token(KEY, { aud: "fanfare" }) }, "subject"],
      [{ token: token(KEY, { ...good, sub: "a b" }) }, "subject"],
      [{ token: token(KEY, good, { alg: "none" }) }, "algorithm"],
      [{ token: token(KEY, good, { alg: "RS256" }) }, "no_key"],
      [{ token: token("another", good) }, "signature"],
      [{ token: `${token(KEY, good)}x` }, "signature"],
    ]) {
      const data = await refusedWith(t, server, { auth });
      assert.deepEqual([data.code, data.details.reason], ["AUTH_REQUIRED", reason], JSON.stringify(auth));
      assert.ok(data.message && data.timestamp.endsWith("Z"));
    }
    const holding = token(KEY, { ...good, aud: ["other", "fanfare"] });
    await client().connect(t, server, { auth: { token: holding } });
  });

  check("a token by each door; in the query only if that is set", async (t) => {
    const holding = token(KEY, { sub: "ada" });
    const headers = { authorization: `Bearer ${holding}` };
    const server = await start(t, SIGNED);
    await client().connect(t, server, { extraHeaders: headers });
    assert.equal((await refusedWith(t, server, { query: { token: holding } })).details.reason, "query");
    const history = (options) => server.api("GET", "/v1/rooms/user:ada/history", undefined, { key: null, ...options });
    assert.equal((await history({ headers })).ok, true);
    assert.equal((await history({})).error.code, "AUTH_REQUIRED");
    const others = { headers: { authorization: `Bearer ${token(KEY, { sub: "bob" })}` } };
    assert.equal((await history(others)).error.code, "PERMISSION_DENIED");
    // Two that are not the same.
    const data = await refusedWith(t, server, { extraHeaders: headers, auth: { token: token(KEY, { sub: "bob" }) } });
    assert.equal(data.details.reason, "ambiguous");
    await client().connect(t, server, { extraHeaders: headers, auth: { token: holding } });
    const open = await start(t, [...SIGNED, "--auth-query-token"]);
    await client().connect(t, open, { query: { token: holding } });
    const stream = await fetch(`${open.url}/v1/sse?user=ada&token=${holding}`);
    assert.equal(stream.status, 200);
    await stream.body.cancel();
  });

  check("guests are shown and never believed", async (t) => {
    const server = await start(t, [...SIGNED, "--auth-guests=true", "--access-private", "secret:*"]);
    const socket = await client().connect(t, server, { query: { username: "ada", email: "ada@example.org" } });
    const [own] = await call(socket, "room:join", { roomId: "user:ada" });
    assert.equal(own.error.code, "PERMISSION_DENIED");
    const [secret] = await call(socket, "room:join", { roomId: "secret:1" });
    assert.equal(secret.error.code, "AUTH_REQUIRED");
    assert.equal((await call(socket, "room:join", { roomId: "lobby" }))[0].ok, true);
    assert.equal((await refusedWith(t, server, { auth: { token: "x.y.z" } })).code, "AUTH_REQUIRED");
  });

  check("a token ends: told ahead, refreshed, closed", async (t) => {
    const server = await start(t, [...SIGNED, "--auth-notice", "1s"]);
    const stock = client();
    const socket = stock.start(t, server, { auth: { token: token(KEY, { sub: "ada", exp: now() + 3 }) } });
    const [expiring, errors] = [inbox(socket, "auth:expiring"), inbox(socket, "error")];
    await stock.connected(socket);
    const [notice] = await expiring.next();
    assert.ok(Date.parse(notice.expiresAt) > Date.now() - 500);
    const [others] = await call(socket, "auth:refresh", { token: token(KEY, { sub: "bob" }) });
    assert.equal(others.error.code, "PERMISSION_DENIED");
    const [bad] = await call(socket, "auth:refresh", { token: "bad" });
    assert.equal(bad.error.code, "AUTH_REQUIRED");
    const [good] = await call(socket, "auth:refresh", { token: token(KEY, { sub: "ada", exp: now() + 5 }) });
    assert.equal(good.ok, true);
    assert.equal(Date.parse(good.expiresAt) > Date.now(), true);
    const closed = once(socket, "disconnect", 10_000);
    await expiring.next("a second notice", 10_000);
    assert.equal((await closed)[0], "io server disconnect");
    const [error] = await errors.next();
    assert.deepEqual([error.code, error.details.reason], ["AUTH_REQUIRED", "expired"]);
  });

  check("a refresh with fewer rights leaves the rooms that are lost, and no others", async (t) => {
    const server = await start(t, [...SIGNED, "--access-open=false"]);
    const rights = (...rooms) => token(KEY, { sub: "ada", rooms: Object.fromEntries(rooms.map((it) => [it, ["join"]])) });
    const socket = await client().connect(t, server, { auth: { token: rights("team", "board") } });
    const [said, errors] = [inbox(socket, "said"), inbox(socket, "error")];
    for (const roomId of ["team", "board"]) {
      assert.equal((await call(socket, "room:join", { roomId }))[0].ok, true);
    }
    const [refreshed] = await call(socket, "auth:refresh", { token: rights("team") });
    assert.deepEqual([refreshed.ok, refreshed.left], [true, ["board"]]);
    const [error] = await errors.next();
    assert.deepEqual([error.code, error.details], ["PERMISSION_DENIED", { field: "token", room: "board" }]);
    await server.publish("board", "lost");
    await server.publish("team", "kept");
    await server.publish("user:ada", "own");
    assert.equal((await said.next())[0], "kept");
    assert.equal((await said.next())[0], "own");
    const members = await server.api("GET", "/v1/rooms/board/members");
    assert.deepEqual(members.members, []);
    const [same] = await call(socket, "auth:refresh", { token: rights("team") });
    assert.deepEqual([same.ok, same.left], [true, undefined]);
  });

  check("revoked by user, token and login: closed, and kept out, also after a restart", async (t) => {
    const server = await start(t, SIGNED);
    const holding = token(KEY, { sub: "ada", iat: now() - 2 });
    const other = await client().connect(t, server, { auth: { token: token(KEY, { sub: "bob" }) } });
    const socket = await client().connect(t, server, { auth: { token: holding } });
    const closed = once(socket, "disconnect");
    const answer = await server.api("POST", "/v1/auth/revoke", { user: "ada" });
    assert.deepEqual([answer.status, answer.closed], [200, 1]);
    assert.equal((await closed)[0], "io server disconnect");
    assert.equal(other.connected, true);
    assert.equal((await refusedWith(t, server, { auth: { token: holding } })).details.reason, "revoked");
    await server.restart();
    assert.equal((await refusedWith(t, server, { auth: { token: holding } })).details.reason, "revoked");
    for (const [what, id, claims] of [["token", "t9", { jti: "t9" }], ["session", "s9", { sid: "s9" }]]) {
      const holding = token(KEY, { sub: "eve", ...claims });
      const socket = await client().connect(t, server, { auth: { token: holding } });
      const closed = once(socket, "disconnect");
      assert.equal((await server.api("POST", "/v1/auth/revoke", { [what]: id })).closed, 1);
      await closed;
      await server.restart();
      assert.equal((await refusedWith(t, server, { auth: { token: holding } })).details.reason, "revoked");
      await client().connect(t, server, { auth: { token: token(KEY, { sub: "eve" }) } });
    }
    // A user who logs in again gets in: that token was made later.
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    await client().connect(t, server, { auth: { token: token(KEY, { sub: "ada" }) } });
    for (const body of [{}, { user: "" }, { user: "a", token: "b" }, { user: 5 }, { other: "x" }]) {
      const refused = await server.api("POST", "/v1/auth/revoke", body);
      assert.deepEqual([refused.status, refused.error.code], [400, "INVALID_REQUEST"], JSON.stringify(body));
    }
    assert.equal((await server.api("POST", "/v1/auth/revoke", { user: "a" }, { key: null })).status, 401);
  });

  check("revocation reaches streams, and who comes back", async (t) => {
    const server = await start(t, SIGNED);
    const holding = token(KEY, { sub: "ada", iat: now() - 2 });
    const stream = await fetch(`${server.url}/v1/sse?user=ada`, { headers: { authorization: `Bearer ${holding}` } });
    const reader = stream.body.getReader();
    const ended = (async () => { while (!(await reader.read()).done); })();
    const stock = client();
    const socket = stock.start(t, server, { auth: { token: holding }, reconnection: true, reconnectionDelay: 50 });
    await stock.connected(socket);
    await server.publish("user:ada", 1);
    const refused = new Promise((resolve) => socket.on("connect_error", resolve));
    const closed = once(socket, "disconnect");
    await server.api("POST", "/v1/auth/revoke", { user: "ada" });
    await Promise.all([ended, closed]);
    socket.connect();
    assert.equal((await refused).data.details.reason, "revoked");
    // One that is away at that moment, and would be recovered.
    const away = client().start(t, server, { auth: { token: token(KEY, { sub: "bob", jti: "b1" }) }, reconnection: true, reconnectionDelay: 300 });
    const said = inbox(away, "said");
    await once(away, "connect");
    await server.publish("user:bob", 1);
    await said.next();
    const outside = new Promise((resolve) => away.on("connect_error", resolve));
    away.io.engine.close();
    await server.api("POST", "/v1/auth/revoke", { token: "b1" });
    await server.publish("user:bob", "not for who is kept out");
    assert.equal((await outside).data.details.reason, "revoked");
    assert.deepEqual([away.connected, said.rest()], [false, []]);
  });

  check("keys of a set: each algorithm, fetched once, also after a restart; no others", async (t) => {
    const pairs = {
      RS256: generateKeyPairSync("rsa", { modulusLength: 2048 }),
      ES256: generateKeyPairSync("ec", { namedCurve: "P-256" }),
      EdDSA: generateKeyPairSync("ed25519"),
    };
    const keys = Object.entries(pairs).map(([alg, { publicKey }]) => ({ ...publicKey.export({ format: "jwk" }), kid: alg, alg, use: "sig" }));
    const app = await application(t, () => ({ json: { keys } }));
    const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const made = (alg, claims = {}, { kid = alg, by = pairs[alg].privateKey } = {}) => {
      const message = `${part({ alg, kid, typ: "JWT" })}.${part({ sub: "ada", exp: now() + 60, ...claims })}`;
      const key = { key: by, dsaEncoding: "ieee-p1363" };
      return `${message}.${sign(alg === "EdDSA" ? null : "sha256", Buffer.from(message), key).toString("base64url")}`;
    };
    const server = await start(t, ["--auth-jwks-url", `${app.url}/keys`, "--auth-issuers", "https://id.example"]);
    const iss = "https://id.example";
    for (const asked of [1, 2]) {
      for (const alg of Object.keys(pairs)) await client().connect(t, server, { auth: { token: made(alg, { iss }) } });
      assert.equal(app.asked.length, asked, "kept");
      if (asked === 1) await server.restart();
    }
    const stranger = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
    for (const [given, reason] of [
      [made("RS256", { iss }, { by: stranger }), "signature"],
      [made("RS256", { iss }, { kid: "ES256" }), "no_key"],
      [made("ES256", { iss: "https://evil.example" }), "issuer"],
      [made("ES256", {}), "issuer"],
      [made("EdDSA", { iss, exp: now() - 60 }), "expired"],
      ...["x", "y", "z"].map((kid) => [made("RS256", { iss }, { kid }), "no_key"]),
    ]) assert.equal((await refusedWith(t, server, { auth: { token: given } })).details.reason, reason);
    assert.ok(app.asked.length <= 3, `made-up keys do not make it ask: ${app.asked.length}`);
    const headers = { authorization: `Bearer ${made("EdDSA", { iss })}` };
    assert.equal((await server.api("GET", "/v1/rooms/user:ada/history", undefined, { key: null, headers })).ok, true);
  });

  check("rights in a token are exactly those", async (t) => {
    const server = await start(t, [...SIGNED, "--access-private", "*"]);
    const rooms = { "chat:*": ["join"], "docs.7": "*", "read": ["history"] };
    const socket = await client().connect(t, server, { auth: { token: token(KEY, { sub: "ada", rooms }) } });
    for (const [event, roomId, expected] of [
      ["room:join", "chat:1", undefined],
      ["history", "docs.7", undefined],
      ["history", "read", undefined],
      ["room:join", "read", "PERMISSION_DENIED"],
      ["room:join", "chat", "PERMISSION_DENIED"],
      ["history", "chat:2", "PERMISSION_DENIED"],
      ["room:join", "docs.77", "PERMISSION_DENIED"],
      ["room:join", "user:bob", "PERMISSION_DENIED"],
      ["room:join", "*", "INVALID_MESSAGE"],
    ]) {
      const [answer] = await call(socket, event, { roomId });
      assert.equal(answer.error?.code, expected, `${event} ${roomId}`);
    }
  });

  check("the past takes its own right, by every door", async (t) => {
    const server = await start(t, [...SIGNED, "--access-private", "*", "--replay-rooms", "*=5"]);
    const auth = { token: token(KEY, { sub: "ada", rooms: { live: ["join"], all: ["join", "history"], "session:live": ["join"], "session:all": "*" } }) };
    const before = await server.publish("nobody", 0);
    for (const room of ["live", "all", "session:live", "session:all"]) await server.publish(room, "past");
    const socket = await client().connect(t, server, { auth });
    const { error } = (await call(socket, "room:join", { roomId: "live", last: 5 }))[0];
    assert.equal(error.code, "PERMISSION_DENIED");
    assert.equal((await call(socket, "room:join", { roomId: "live", after: before }))[0].error.code, "PERMISSION_DENIED");
    assert.deepEqual((await call(socket, "room:join", { roomId: "live", last: 0 }))[0].events, []);
    assert.equal((await call(socket, "room:join", { roomId: "live" }))[0].events, undefined, "not unasked either");
    assert.equal((await call(socket, "history", { roomId: "live" }))[0].error.code, "PERMISSION_DENIED", "although it is there");
    for (const asked of [{}, { last: 5 }, { after: before }]) assert.equal((await call(socket, "room:join", { roomId: "all", ...asked }))[0].events.length, 1);
    assert.equal((await call(socket, "history", { roomId: "all" }))[0].events.length, 1);
    for (const [query, told] of [
      [{ rooms: "all", fromEventId: before }, "said"],
      [{ rooms: "all" }, "said"],
      [{ sessionId: "all", fromEventId: before }, "said"],
      [{ rooms: "live", fromEventId: before }, "connect_error PERMISSION_DENIED"],
      [{ rooms: "all,live", fromEventId: before }, "connect_error PERMISSION_DENIED"],
      [{ sessionId: "live", fromEventId: before }, "connection:error PERMISSION_DENIED"],
      [{ rooms: "live" }, undefined],
    ]) {
      const stock = client();
      const other = stock.start(t, server, { auth, query });
      const heard = [];
      other.onAny((event, argument) => {
        if (event === "connection:error") heard.push(`${event} ${argument.code}`);
        else if (!/^(connection|auth):/.test(event)) heard.push(event);
      });
      other.on("connect_error", ({ data }) => heard.push(`connect_error ${data.code}`));
      if (told?.includes("error")) {
        const until = Date.now() + 5_000;
        while (heard.length === 0 && Date.now() < until) await pause(10);
      } else {
        await stock.connected(other);
        await call(other, "room:leave", { roomId: "none" });
      }
      assert.equal(heard[0], told, JSON.stringify(query));
      assert.equal(heard.length, told ? 1 : 0, JSON.stringify([query, heard]));
      other.disconnect();
    }
    for (const [room, first] of [["all", "said"], ["live", "reset"]]) {
      const headers = { authorization: `Bearer ${auth.token}`, "last-event-id": before };
      const stream = await fetch(`${server.url}/v1/sse?rooms=${room}`, { headers });
      const reader = stream.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      while (!/event: ?(said|reset)/.test(text)) text += (await reader.read()).value;
      assert.match(text, new RegExp(`event: ?${first}`), text);
      await reader.cancel();
    }
  });

  check("a right that was taken meanwhile is gone for who comes back", async (t) => {
    const server = await start(t, [...SIGNED, "--access-private", "secret"]);
    const with_ = (rooms) => ({ token: token(KEY, { sub: "ada", rooms }) });
    const stock = client();
    const socket = stock.start(t, server, { auth: with_(["secret"]), reconnection: true, reconnectionDelay: 50 });
    const said = inbox(socket, "said");
    await stock.connected(socket);
    assert.equal((await call(socket, "room:join", { roomId: "secret" }))[0].ok, true);
    await server.publish("secret", 1);
    await said.next();
    socket.auth = with_([]);
    const back = once(socket, "connect", 15_000);
    socket.io.engine.close();
    await server.publish("secret", 2);
    await back;
    assert.equal(socket.recovered, false);
    assert.equal((await call(socket, "room:join", { roomId: "secret" }))[0].error.code, "PERMISSION_DENIED");
    assert.deepEqual(said.rest(), []);
  });

  check("an opaque token: the application says whose it is", async (t) => {
    const app = await application(t, (path, { token: given }) => {
      if (given === "good") return { json: { user: { id: "ada", name: "Ada" }, rooms: ["secret"], expiresIn: 60 } };
      if (given === "odd") return { json: { user: { id: 5 } } };
      if (given === "redirect") return { status: 302, headers: { location: "http://169.254.169.254/" } };
      if (given === "broken") return { status: 500 };
      if (given === "huge") return { text: "x".repeat(1 << 20) };
      return { status: 401 };
    });
    const flags = ["--auth-session-url", `${app.url}/check`, "--auth-signing-secret", "shared-secret", "--access-private", "secret"];
    const server = await start(t, flags);
    for (let turn = 0; turn < 3; turn += 1) {
      const socket = await client().connect(t, server, { auth: { token: "good" } });
      assert.equal((await call(socket, "room:join", { roomId: "secret" }))[0].ok, true);
    }
    assert.equal(app.asked.length, 1, "the answer is kept");
    const [{ headers, body, path }] = app.asked;
    const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
    assert.equal(headers["webhook-signature"], `v1,${createHmac("sha256", "shared-secret").update(signed).digest("base64")}`);
    assert.equal(path, "/check");
    for (const [given, reason] of [
      ["unknown", "unknown"],
      ["odd", "claims"],
      ["redirect", "unchecked"],
      ["broken", "unchecked"],
      ["huge", "unchecked"],
    ]) {
      const data = await refusedWith(t, server, { auth: { token: given } });
      assert.deepEqual([data.code, data.details.reason], ["AUTH_REQUIRED", reason], given);
    }
  });

  check("an application that does not answer holds up nobody else", async (t) => {
    const app = await application(t, () => ({ hold: true }));
    const server = await start(t, ["--auth-session-url", app.url, ...SIGNED]);
    const slow = refusedWith(t, server, { auth: { token: "opaque" }, timeout: 20_000 }).catch((error) => error);
    const other = await client().connect(t, server, { auth: { token: token(KEY, { sub: "ada" }) } });
    assert.equal((await call(other, "room:join", { roomId: "lobby" }))[0].ok, true);
    await slow;
  });

  check("the application decides about rooms, and its answers are kept", async (t) => {
    const app = await application(t, (path, { room, user }) => {
      if (room === "hidden") return { status: 404 };
      if (room === "broken") return { status: 500 };
      return { json: { allow: room.startsWith("open") || user?.id === "ada", holds: 60 } };
    });
    const server = await start(t, [...SIGNED, "--auth-guests=true", "--access-url", app.url]);
    const ada = await client().connect(t, server, { auth: { token: token(KEY, { sub: "ada" }) } });
    const guest = await client().connect(t, server);
    for (const [socket, roomId, expected] of [
      [ada, "mine", undefined],
      [guest, "mine", "PERMISSION_DENIED"],
      [guest, "open:1", undefined],
      [ada, "hidden", "CHANNEL_NOT_FOUND"],
      [ada, "broken", "PERMISSION_DENIED"],
    ]) {
      for (let turn = 0; turn < 2; turn += 1) {
        const [answer] = await call(socket, "room:join", { roomId });
        assert.equal(answer.error?.code, expected, roomId);
      }
    }
    const rooms = app.asked.map(({ json }) => json.room);
    assert.deepEqual(rooms, ["mine", "mine", "open:1", "hidden", "broken", "broken"]);
    assert.deepEqual(app.asked[0].json, { right: "join", namespace: "/", room: "mine", user: { id: "ada", name: null, moderator: false } });
    const history = await server.api("GET", "/v1/rooms/mine/history", undefined, { key: null });
    assert.equal(history.error.code, "PERMISSION_DENIED");
  });
});
