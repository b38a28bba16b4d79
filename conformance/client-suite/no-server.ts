// Takes the place of the client project's test/support/server.ts: the server runs already.
export function createServer() {
  return { close() {} };
}
