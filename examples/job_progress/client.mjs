// Follows a job from wherever it stands to its end.
import { io } from "socket.io-client";

const jobId = process.argv[2] ?? "report-1";
const socket = io("http://127.0.0.1:3000");

socket.on("job:update", ({ status, progress, message }) => {
  const done = Math.round(progress / 10);
  console.log(`[${"#".repeat(done)}${".".repeat(10 - done)}] ${status}: ${message ?? ""}`);
  if (["completed", "failed", "cancelled"].includes(status)) socket.disconnect();
});

// Again after each connect: what was said meanwhile is in the first update.
socket.on("connect", () => {
  socket.emit("subscribe:job", { jobId }, ({ ok, job, error }) => {
    if (!ok) console.log("not subscribed:", error.code);
    else if (job === null) console.log("nothing is known of it yet");
  });
});
