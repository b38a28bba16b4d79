// A backend: something happens to a task, and the users it concerns are told, on all their devices.
const API = "http://127.0.0.1:3000/v1";
const headers = {
  "Authorization": `Bearer ${process.env.FANFARE_API_KEY}`,
  "Content-Type": "application/json",
};

async function ask(method, path, body, more = {}) {
  const request = { method, headers: { ...headers, ...more }, body: body && JSON.stringify(body) };
  const answer = await (await fetch(API + path, request)).json();
  if (!answer.ok) throw new Error(`${answer.error.code}: ${answer.error.message}`);
  return answer;
}

const task = { id: 7, title: "Write the minutes" };
const users = ["ada", "ben"];

// To both. Whoever is not sure that it arrived sends it again with the same key: it is told once.
const created = { event: "task.created", args: [task], users };
for (let attempt = 0; attempt < 2; attempt += 1) {
  const { repeated = false } = await ask("POST", "/publish", created, { "Idempotency-Key": "task-7-created" });
  console.log("task.created", { repeated });
}

// Ada has begun; she knows.
const started = { ...task, startedBy: "ada" };
await ask("POST", "/publish", { event: "task.started", args: [started], users, except: ["user:ada"] });

// Several at once, in this order.
await ask("POST", "/publish/batch", {
  events: [
    { event: "task.completed", args: [task], users },
    { event: "task.next", args: [{ id: 8, title: "Send them" }], users: ["ben"] },
  ],
});

// Who is not there could be sent a mail.
for (const user of [...users, "eve"]) {
  const { online, sockets } = await ask("GET", `/users/${user}`);
  console.log(user, { online, devices: sockets.length });
}
