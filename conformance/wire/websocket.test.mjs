// The WebSocket transport, protocol 4: one packet a message, and what ends the session.
import assert from "node:assert/strict";
import { binary, continuation, ping, text, writeRaw } from "../lib/frames.mjs";
import { check, suite, within } from "../lib/suite.mjs";
import { openSession } from "../lib/websocket.mjs";

async function openAndJoin(t, target, options) {
  const { socket } = await openSession(t, target, options);
  socket.send("40");
  assert.match(await socket.next("the CONNECT packet"), /^40\{/);
  assert.equal(await socket.next("the auth event"), '42["auth",{}]');
  return socket;
}

async function assertAlive(socket) {
  socket.send('42["message","still here"]');
  assert.equal(await socket.next("the echo"), '42["message-back","still here"]');
}

suite("WebSocket messages", "plain", (target) => {
  check("text", async (t) => {
    const socket = await openAndJoin(t, target);
    socket.send('42["message","€ 😀"]');
    assert.equal(await socket.next(), '42["message-back","€ 😀"]');
  });

  check("binary, without a type byte", async (t) => {
    const socket = await openAndJoin(t, target);
    socket.send('451-["message",{"_placeholder":true,"num":0}]', Buffer.from([1, 2, 3, 4]));
    assert.equal(await socket.next(), '451-["message-back",{"_placeholder":true,"num":0}]');
    assert.deepEqual(await socket.next(), Buffer.from([1, 2, 3, 4]));
  });

  check("an attachment of no bytes", async (t) => {
    const socket = await openAndJoin(t, target);
    socket.send('451-["message",{"_placeholder":true,"num":0}]', Buffer.alloc(0));
    assert.equal(await socket.next(), '451-["message-back",{"_placeholder":true,"num":0}]');
    assert.deepEqual(await socket.next(), Buffer.alloc(0));
  });

  check("binary may come as text, b and base64", async (t) => {
    const socket = await openAndJoin(t, target);
    socket.send('451-["message",{"_placeholder":true,"num":0}]', "bAQIDBA==");
    assert.equal(await socket.next(), '451-["message-back",{"_placeholder":true,"num":0}]');
    assert.deepEqual(await socket.next(), Buffer.from([1, 2, 3, 4]));
  });

  check("with b64=1 binary leaves as text", async (t) => {
    const socket = await openAndJoin(t, target, { extra: "&b64=1" });
    socket.send('451-["message",{"_placeholder":true,"num":0}]', Buffer.from([1, 2, 3, 4]));
    assert.equal(await socket.next(), '451-["message-back",{"_placeholder":true,"num":0}]');
    assert.equal(await socket.next(), "bAQIDBA==");
  });

  check("packets between an event and its attachments do no harm", async (t) => {
    const socket = await openAndJoin(t, target);
    socket.send('451-["message",{"_placeholder":true,"num":0}]', "3", Buffer.from([9]));
    assert.equal(await socket.next(), '451-["message-back",{"_placeholder":true,"num":0}]');
    assert.deepEqual(await socket.next(), Buffer.from([9]));
  });

  check("a message in fragments, with a ping among them", async (t) => {
    const socket = await openAndJoin(t, target);
    const pong = new Promise((resolve) => socket.ws.once("pong", resolve));
    const parts = ['42["mess', 'age","a', 'b"]'];
    writeRaw(
      socket,
      text(parts[0], { fin: false }),
      ping("are you there"),
      continuation(parts[1], { fin: false }),
      continuation(parts[2]),
    );
    assert.equal(await socket.next(), '42["message-back","ab"]');
    assert.equal((await within(pong, "the pong")).toString(), "are you there");
  });

  check("a message in pieces of one byte", async (t) => {
    const socket = await openAndJoin(t, target);
    socket.ws._socket.setNoDelay(true);
    for (const byte of text('42["message",1]')) {
      socket.ws._socket.write(Buffer.of(byte));
      await new Promise(setImmediate);
    }
    assert.equal(await socket.next(), '42["message-back",1]');
  });

  check("many messages in one segment, answered in order", async (t) => {
    const socket = await openAndJoin(t, target);
    const count = 200;
    writeRaw(socket, ...Array.from({ length: count }, (_, index) => text(`42["message",${index}]`)));
    for (let index = 0; index < count; index += 1) {
      assert.equal(await socket.next(), `42["message-back",${index}]`);
    }
  });

  check("an unsolicited pong does no harm", async (t) => {
    const socket = await openAndJoin(t, target);
    socket.send("3", "3probe", "3");
    await assertAlive(socket);
  });

  check("a noop from the client does no harm", async (t) => {
    const socket = await openAndJoin(t, target);
    socket.send("6");
    await assertAlive(socket);
  });
});

suite("WebSocket: what ends the session", "plain", (target) => {
  const fatal = [
    { name: "an unknown packet type", message: "abc" },
    { name: "packet type 7", message: "7" },
    { name: "packet type 9", message: "9" },
    { name: "a NUL", message: "\0" },
    { name: "an empty text message", message: "" },
    { name: "an empty binary message nobody announced", message: Buffer.alloc(0) },
    { name: "a ping, which is the server's to send", message: "2" },
    { name: "a probe outside an upgrade", message: "2probe" },
  ];
  for (const { name, message } of fatal) {
    check(name, async (t) => {
      const socket = await openAndJoin(t, target);
      socket.send(message);
      await socket.closed();
      assert.deepEqual(socket.rest(), []);
    });
  }

  // The reference ignores these over a WebSocket; ending the session is as good.
  for (const message of ["0", "5", "1"]) {
    check(`packet ${message} is ignored or ends the session`, async (t) => {
      const socket = await openAndJoin(t, target);
      socket.send(message, '42["message","still here"]');
      const alive = socket.next().then((found) => found === '42["message-back","still here"]');
      assert.ok(await Promise.race([alive, socket.closed().then(() => true)]));
    });
  }

  const violations = [
    { name: "a frame without a mask", frames: [text("3", { masked: false })], code: 1002 },
    { name: "a reserved bit", frames: [text("3", { reserved: 4 })], code: 1002 },
    { name: "a continuation of nothing", frames: [continuation("3")], code: 1002 },
    { name: "text that is not UTF-8", frames: [text(Buffer.from([0x34, 0xff, 0xfe]))], code: 1007 },
    {
      name: "text that is not UTF-8 in its second fragment",
      frames: [text("4", { fin: false }), continuation(Buffer.from([0xc3]))],
      code: 1007,
    },
    { name: "a new message inside a fragmented one", frames: [text("4", { fin: false }), binary("x")], code: 1002 },
  ];
  for (const { name, frames, code } of violations) {
    check(`${name}: ${code}`, async (t) => {
      const socket = await openAndJoin(t, target);
      writeRaw(socket, ...frames);
      assert.equal((await socket.closed()).code, code);
    });
  }

  check("a close frame is answered", async (t) => {
    const socket = await openAndJoin(t, target);
    socket.ws.close(1000, "bye");
    assert.equal((await socket.closed()).code, 1000);
  });

  check("the session's id is unknown afterwards", async (t) => {
    const { socket, handshake } = await openSession(t, target);
    socket.ws.close();
    await socket.closed();
    const again = openSession(t, target, { extra: `&sid=${handshake.sid}` });
    await assert.rejects(again, /did not open|400/);
  });
});
