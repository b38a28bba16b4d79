// socket.io-client 4.8 over every transport.
import { play } from "../lib/matrix.mjs";

play("4.8");
