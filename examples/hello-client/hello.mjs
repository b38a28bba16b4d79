import { io } from "socket.io-client";

const socket = io("http://127.0.0.1:3000");

socket.on("connect", async () => {
  console.log(await socket.emitWithAck("room:join", { roomId: "news" }));
});

socket.on("hello", (name, details) => console.log("hello", name, details));
