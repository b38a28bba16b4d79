import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/** The server that the pages of `npm run dev` talk to. */
const SERVER = "http://127.0.0.1:3000";

export default defineConfig({
  plugins: [react()],
  build: {
    outDir: "dist",
    target: "es2022",
    // What is inlined as `data:` or as a script would ask for a looser Content-Security-Policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    proxy: {
      "/socket.io": { target: SERVER, ws: true },
      "/sessions": SERVER,
      "/polls": SERVER,
      "/v1": SERVER,
    },
  },
});
