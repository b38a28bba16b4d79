// Somebody who looks at the same document, moves in a circle, and prints who is there.
import { io } from "socket.io-client";

const [name = "Robot", documentId = "d1"] = process.argv.slice(2);
const socket = io("http://127.0.0.1:3000", { query: { username: name } });
const called = ({ id, name }) => name ?? id;

socket.on("presence:state", ({ users }) => console.log("here:", users.map(called).sort().join(", ")));
socket.on("presence:user-joined", ({ user }) => console.log("came:", called(user)));
socket.on("presence:user-left", ({ userId }) => console.log("left:", userId.replace(/:.*/, "")));

socket.on("connect", () => socket.emit("subscribe:presence", { documentId }));

// Sixty times a second, as a mouse does. The others get the latest place, twenty times a second.
const begin = Date.now();
setInterval(() => {
  const angle = (Date.now() - begin) / 500;
  const cursor = { x: Math.round(200 + 100 * Math.cos(angle)), y: Math.round(200 + 100 * Math.sin(angle)) };
  if (socket.connected) socket.volatile.emit("presence:update", { documentId, cursor });
}, 1000 / 60);
