/** Where this server has its sockets: its settings, as it writes them into the document. */

function meta(name: string, fallback: string): string {
  const found = document.querySelector(`meta[name="${name}"]`);
  return found?.getAttribute("content") ?? fallback;
}

export const SOCKET_PATH = meta("fanfare-path", "/socket.io");
export const NAMESPACE = meta("fanfare-namespace", "/livepoll");
