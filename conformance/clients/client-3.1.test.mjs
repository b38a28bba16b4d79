// socket.io-client 3.1 over every transport.
import { play } from "../lib/matrix.mjs";

play("3.1");
