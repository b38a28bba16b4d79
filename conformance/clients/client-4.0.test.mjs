// socket.io-client 4.0 over every transport.
import { play } from "../lib/matrix.mjs";

play("4.0");
