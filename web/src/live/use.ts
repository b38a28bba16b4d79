/** The session for React. */

import { createContext, useContext, useEffect, useState, useSyncExternalStore } from "react";
import { Live, type Link } from "./live";
import type { LiveState } from "./state";

/** The session of a page, connected for as long as the page is shown. */
export function useLive(
  sessionId: string,
  token: string,
  role: "presenter" | "participant",
): { live: Live; state: LiveState; link: Link } {
  const [live] = useState(() => new Live(sessionId, token, role));
  useEffect(() => live.start(), [live]);
  const state = useSyncExternalStore(live.subscribe, live.snapshot);
  const link = useSyncExternalStore(live.subscribe, live.link);
  return { live, state, link };
}

/** The time by the clock of the server, for those who count down. */
export const ClockContext = createContext<() => number>(Date.now);
export const useClock = () => useContext(ClockContext);
