// Every scenario, for a version of the client over its transports and parsers.
import { Client, TRANSPORTS } from "./clients.mjs";
import { connecting } from "./scenarios/connecting.mjs";
import { endings } from "./scenarios/endings.mjs";
import { events } from "./scenarios/events.mjs";
import { rooms } from "./scenarios/rooms.mjs";
import { upgrading } from "./scenarios/upgrading.mjs";
import { volume } from "./scenarios/volume.mjs";
import { suite } from "./suite.mjs";

const SCENARIOS = { connecting, events, volume, rooms, endings };
const NEWEST = "4.8";

/** In a quick run the older clients show only the way that most of them take. */
function transportsOf(version) {
  const quick = process.env.CONFORMANCE_QUICK === "1";
  return quick && version !== NEWEST ? ["upgrade"] : Object.keys(TRANSPORTS);
}

export function play(version, parser = "json") {
  for (const transport of transportsOf(version)) {
    const client = new Client({ version, transport, parser });
    for (const [name, scenario] of Object.entries(SCENARIOS)) {
      suite(`${client.name}: ${name}`, client.configuration, (target) => scenario(client, target));
    }
    if (transport === "upgrade") {
      suite(`${client.name}: upgrading`, client.configuration, (target) => upgrading(client, target));
    }
  }
}
