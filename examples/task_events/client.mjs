// A device of a user: prints what happens to the user's tasks. Nothing is subscribed to: the token says
// who it is, and what is sent to that user comes.
import { io } from "socket.io-client";

const socket = io("http://127.0.0.1:3000", { auth: { token: process.env.TOKEN } });

socket.on("connect", () => console.log(socket.recovered ? "back, with what was missed" : "connected"));
socket.on("connect_error", (error) => console.log("not let in:", error.data?.code ?? error.message));
socket.onAny((event, task) => console.log(event, task));
