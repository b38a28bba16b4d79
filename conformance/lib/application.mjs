// An application that the server asks or tells something, as a server of its own.
import { createServer } from "node:http";

/** Answers each request with what the function says, and remembers what it was asked. */
export async function application(t, answer) {
  const asked = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    asked.push({ path: request.url, headers: request.headers, body, json: body && JSON.parse(body) });
    const { status = 200, json, headers = {}, text, hold } = await answer(request.url, body && JSON.parse(body));
    if (hold) return;
    response.writeHead(status, headers).end(text ?? JSON.stringify(json ?? {}));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { asked, url: `http://127.0.0.1:${server.address().port}` };
}
