// Broadcasts to the byte: every receiver gets them as its own protocol and transport spell them.
// Receivers over all four wires share one room.
import assert from "node:assert/strict";
import { check, suite } from "../lib/suite.mjs";
import { joined, WIRES } from "../lib/wires.mjs";

let rooms = 0;

suite("broadcasts", "v3", (target) => {
  /** A sender, and one member of a new room on each wire. */
  async function gathering(t) {
    const room = `room-${(rooms += 1)}`;
    const sender = await joined(t, target, WIRES[0]);
    const members = [];
    for (const wire of WIRES) {
      const member = await joined(t, target, wire);
      member.name = wire.name;
      member.send(`21["join",${JSON.stringify(room)}]`);
      assert.match(await member.next("the acknowledgement"), /^31\[/);
      members.push(member);
    }
    return { room, sender, members };
  }

  async function assertReceive(members, ...expected) {
    for (const member of members) {
      for (const one of expected) assert.deepEqual(await member.next(`${one} at ${member.name}`), one, member.name);
    }
  }

  const to = (room, more) => JSON.stringify({ to: [room], ...more });

  check("text", async (t) => {
    const { room, sender, members } = await gathering(t);
    sender.send(`2["broadcast",${to(room)},"news",1,{"a":["€"]}]`);
    await assertReceive(members, '2["news",1,{"a":["€"]}]');
  });

  check("bytes", async (t) => {
    const { room, sender, members } = await gathering(t);
    sender.send(`51-["broadcast",${to(room)},"news",{"_placeholder":true,"num":0}]`, Buffer.of(0, 127, 128, 255));
    await assertReceive(members, '51-["news",{"_placeholder":true,"num":0}]', Buffer.of(0, 127, 128, 255));
  });

  check("text and bytes keep their order", async (t) => {
    const { room, sender, members } = await gathering(t);
    for (let index = 0; index < 20; index += 1) {
      if (index % 3 > 0) sender.send(`2["broadcast",${to(room)},"news",${index}]`);
      else sender.send(`51-["broadcast",${to(room)},"news",{"_placeholder":true,"num":0}]`, Buffer.of(index));
    }
    const expected = Array.from({ length: 20 }, (_, index) =>
      index % 3 > 0 ? [`2["news",${index}]`] : ['51-["news",{"_placeholder":true,"num":0}]', Buffer.of(index)],
    ).flat();
    await assertReceive(members, ...expected);
  });

  check("nobody outside the room, and nobody excepted, hears it", async (t) => {
    const { room, sender, members } = await gathering(t);
    members[1].send('22["join","muted"]');
    await members[1].next("the acknowledgement");
    sender.send(`2["broadcast",${to(room, { except: ["muted"] })},"secret"]`);
    sender.send(`2["broadcast",${to(room)},"open"]`);
    await assertReceive([members[1]], '2["open"]');
    await assertReceive([members[0], members[2], members[3]], '2["secret"]', '2["open"]');
    sender.send('2["message",1]');
    assert.equal(await sender.next(), '2["message-back",1]');
  });

  check("with acknowledgements from everybody", async (t) => {
    const { room, sender, members } = await gathering(t);
    sender.send(`29["broadcast-with-ack",${to(room, { timeout: 60_000 })},"vote","x"]`);
    const ids = new Set();
    for (const [index, member] of members.entries()) {
      const [, id] = (await member.next("the question")).match(/^2(\d+)\["vote","x"\]$/);
      ids.add(id);
      member.send(`3${id}[${index}]`);
    }
    const [error, answers] = JSON.parse((await sender.next("the answers")).replace(/^39/, ""));
    assert.equal(error, null);
    assert.deepEqual(answers.sort(), [0, 1, 2, 3]);
    assert.equal(ids.size, 1, "one id for all receivers");
  });

  check("with acknowledgements that do not all come", async (t) => {
    const { room, sender, members } = await gathering(t);
    sender.send(`29["broadcast-with-ack",${to(room, { timeout: 150 })},"vote"]`);
    const [, id] = (await members[0].next("the question")).match(/^2(\d+)\["vote"\]$/);
    members[0].send(`3${id}["only me"]`);
    assert.equal(await sender.next("the answers"), '39["operation has timed out",["only me"]]');
  });

  check("to a room of nobody, with acknowledgements", async (t) => {
    const sender = await joined(t, target, WIRES[0]);
    sender.send('29["broadcast-with-ack",{"to":["nobody"],"timeout":60000},"vote"]');
    assert.equal(await sender.next("the answers"), "39[null,[]]");
  });
});
