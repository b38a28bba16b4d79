// A worker: says how far it is. What it says is kept, so that it need not know who looks.
const jobId = process.argv[2] ?? "report-1";
let sequence = 0;

async function say(update) {
  const answer = await fetch(`http://127.0.0.1:3000/v1/jobs/${encodeURIComponent(jobId)}`, {
    method: "PUT",
    headers: {
      "Authorization": `Bearer ${process.env.FANFARE_API_KEY}`,
      "Content-Type": "application/json",
    },
    // Its own count: an update that arrives late, or twice, changes nothing.
    body: JSON.stringify({ ...update, sequence: (sequence += 1) }),
  });
  if (!answer.ok) throw new Error((await answer.json()).error.message);
}

await say({ status: "queued", message: "waits for its turn" });
for (const [progress, message] of [[0, "reads"], [40, "counts"], [80, "writes"]]) {
  await say({ status: "running", progress, message });
  await new Promise((resolve) => setTimeout(resolve, 500)); // the work
}
await say({ status: "completed", message: "is there" });
