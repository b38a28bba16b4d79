/** The operator's side of the HTTP API. */

import { useEffect, useRef, useState } from "react";
import { ask, Refusal } from "../live/api";

const KEPT = "fanfare.console.key";

/** The key lasts as long as the tab: it opens everything. */
export function keptKey(): string {
  try {
    return sessionStorage.getItem(KEPT) ?? "";
  } catch {
    return "";
  }
}

export function keepKey(key: string): void {
  try {
    if (key === "") sessionStorage.removeItem(KEPT);
    else sessionStorage.setItem(KEPT, key);
  } catch {
    // It lasts as long as the page, then.
  }
}

export type Counted = Record<string, number>;

export interface Stats {
  sessions: number;
  sockets: number;
  websockets: number;
  streams: number;
  sessions_opened: number;
  events_received: number;
  events_delivered: number;
  events_recorded: number;
  events_refused: number;
  events_replayed: number;
  volatile_dropped: number;
  reads_held: number;
  handler_panics: number;
  sessions_recovered: number;
  sessions_expired: number;
  log_gaps: number;
  latency: { classes: number[]; seconds: number };
  not_recovered: Counted;
  not_replayed: Counted;
  rejected: Counted;
  closed: Counted;
  streams_ended: Counted;
  load: {
    lag_seconds: number;
    waiting_sessions: number;
    waiting_events: number;
    waiting_bytes: number;
    largest_bytes: number;
    slow_sessions: number;
    memory_short: boolean;
  };
  event_log: {
    health: string;
    reason: string | null;
    head: string;
    entries: number;
    bytes: number;
    sessions: number;
    queued_bytes: number;
  } | null;
}

export interface Node {
  id: string;
  version: string;
  this: boolean;
  startedAt: string;
  uptimeSeconds: number;
  shards: number;
  stopping: boolean;
  sessions: number;
  sockets: number;
  streams: number;
  namespaces: Array<{ name: string; sockets: number; rooms: number }>;
}

export interface LiveSocket {
  socketId: string;
  user: string;
  address: string;
  connectedAt: string | null;
  rooms: string[];
}

export interface HistoryEvent {
  position: string;
  event: string;
  args: unknown[];
  time: string;
}

export interface HistoryPage {
  events: HistoryEvent[];
  next: string | null;
  head: string;
}

export interface User {
  id: string;
  online: boolean;
  sockets: Array<{ socketId: string; namespace: string; connectedAt: string | null; rooms: string[] }>;
}

const query = (parameters: Record<string, string | number | undefined>) =>
  new URLSearchParams(
    Object.entries(parameters).flatMap(([name, value]) => (value === undefined || value === "" ? [] : [[name, String(value)]])),
  ).toString();

export class Operator {
  constructor(private readonly key: string) {}

  private get = <T>(path: string, signal?: AbortSignal) =>
    ask<T>("GET", path, { token: this.key, ...(signal ? { signal } : {}) });

  stats = () => this.get<Stats>("/v1/stats");
  nodes = () => this.get<{ nodes: Node[] }>("/v1/nodes");
  rooms = (namespace: string, contains: string, signal?: AbortSignal) =>
    this.get<{ rooms: Array<{ room: string; sockets: number }>; matching: number }>(
      `/v1/live/rooms?${query({ namespace, contains, limit: 50 })}`, signal,
    );
  sockets = (namespace: string) =>
    this.get<{ sockets: LiveSocket[]; total: number }>(`/v1/live/sockets?${query({ namespace, limit: 50 })}`);
  user = (id: string) => this.get<User>(`/v1/users/${encodeURIComponent(id)}`);
  history = (room: string, parameters: Record<string, string | number | undefined>) =>
    this.get<HistoryPage>(`/v1/rooms/${encodeURIComponent(room)}/history?${query(parameters)}`);
}

/** Asks again and again, one question at a time: the newest answer, and what went wrong last. */
export function usePolled<T>(
  question: () => Promise<T>,
  everyMs: number,
  refused: () => void,
): { answer: T | undefined; problem: string | undefined } {
  const [answer, setAnswer] = useState<T>();
  const [problem, setProblem] = useState<string>();
  const latest = useRef(refused);
  latest.current = refused;
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let over = false;
    const turn = async () => {
      try {
        // Nobody looks at a tab in the background.
        const read = document.hidden ? undefined : await question();
        if (over) return;
        if (read !== undefined) setAnswer(read);
        setProblem(undefined);
      } catch (error) {
        if (over) return;
        if (error instanceof Refusal && error.status === 401) latest.current();
        setProblem(error instanceof Error ? error.message : String(error));
      }
      timer = setTimeout(() => void turn(), everyMs);
    };
    void turn();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [question, everyMs]);
  return { answer, problem };
}
