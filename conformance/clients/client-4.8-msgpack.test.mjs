// socket.io-client 4.8 over every transport, with packets in MessagePack.
import { play } from "../lib/matrix.mjs";

play("4.8", "msgpack");
