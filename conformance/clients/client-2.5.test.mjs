// socket.io-client 2.5 over every transport.
import { play } from "../lib/matrix.mjs";

play("2.5");
