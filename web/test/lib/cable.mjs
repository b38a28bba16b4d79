// A network cable between a browser and the server: it can be pulled and put back.
import { connect, createServer } from "node:net";

export class Cable {
  #sockets = new Set();
  #pulled = false;

  static async lay(t, port) {
    const cable = new Cable();
    cable.server = createServer((near) => cable.#carry(near, port));
    await new Promise((resolve) => cable.server.listen(0, "127.0.0.1", resolve));
    cable.url = `http://127.0.0.1:${cable.server.address().port}`;
    t.after(() => {
      cable.pull();
      cable.server.close();
    });
    return cable;
  }

  #carry(near, port) {
    if (this.#pulled) return void near.destroy();
    const far = connect(port, "127.0.0.1");
    for (const [from, to] of [[near, far], [far, near]]) {
      this.#sockets.add(from);
      from.pipe(to);
      from.on("error", () => undefined);
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
  }

  /** Cuts what is open, and lets nothing through. */
  pull() {
    this.#pulled = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  plug() {
    this.#pulled = false;
  }
}
