/** The HTTP API of live polling, with its refusals as errors. */

import type {
  Ballot, Draft, ParticipantPage, Poll, Results, Session,
} from "./types";

/** How long an answer may take before the network counts as lost. */
const DEADLINE_MS = 10_000;

/** The server said no. */
export class Refusal extends Error {
  readonly code: string;
  readonly status: number;
  readonly field: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(status: number, problem: Problem) {
    super(sentence(problem.detail ?? problem.error?.message ?? problem.title ?? `The server answered ${status}.`));
    this.code = problem.code ?? problem.error?.code ?? "UNKNOWN";
    this.status = status;
    this.field = problem.field;
    this.retryAfterMs = problem.retryAfterMs;
  }
}

/** Fields as people know them. */
const FIELDS: Record<string, string> = { displayName: "Your name", title: "The title" };

/** What the server says, without the names that only programs know. */
const sentence = (detail: string) => detail.replace(/^`(\w+)`/, (_, field: string) => FIELDS[field] ?? field);

/** The server was not reached, or is out of order for the moment: the same can be tried again. */
export class Unreachable extends Error {
  constructor() {
    super("The server cannot be reached.");
  }
}

interface Problem {
  title?: string;
  detail?: string;
  code?: string;
  field?: string;
  retryAfterMs?: number;
  error?: { code?: string; message?: string };
}

/** Sends a request and reads the JSON of its answer. */
export async function ask<T>(
  method: string,
  path: string,
  { token, body, signal }: { token?: string; body?: unknown; signal?: AbortSignal } = {},
): Promise<T> {
  const response = await send(method, path, token, body, signal);
  // A server that stops, or a proxy without one behind it, says nothing about the request itself.
  if ([502, 503, 504].includes(response.status)) throw new Unreachable();
  const read: unknown = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refusal(response.status, read as Problem);
  return read as T;
}

async function send(
  method: string,
  path: string,
  token: string | undefined,
  body: unknown,
  signal: AbortSignal | undefined,
): Promise<Response> {
  const headers: Record<string, string> = {};
  if (token !== undefined) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const deadline = AbortSignal.timeout(DEADLINE_MS);
  try {
    return await fetch(path, {
      method,
      headers,
      signal: signal ? anyOf(signal, deadline) : deadline,
      cache: "no-store",
      credentials: "omit",
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Unreachable();
  }
}

/** `AbortSignal.any`, which browsers have had for a short time only. */
function anyOf(...signals: AbortSignal[]): AbortSignal {
  const controller = new AbortController();
  for (const signal of signals) {
    if (signal.aborted) controller.abort();
    signal.addEventListener("abort", () => controller.abort(), { once: true });
  }
  return controller.signal;
}

export interface Opened extends Session {
  presenterToken: string;
}

export interface Joined {
  sessionId: string;
  participantId: string;
  token: string;
  displayName: string;
  session: Session;
}

export const createSession = (title: string) =>
  ask<Opened>("POST", "/sessions", { body: { title } });

export const join = (code: string, displayName: string) =>
  ask<Joined>("POST", "/sessions/join", { body: { code, displayName } });

/** The requests of somebody with a token. */
export class Api {
  constructor(readonly token: string) {}

  private ask<T>(method: string, path: string, body?: unknown): Promise<T> {
    return ask<T>(method, path, { token: this.token, body });
  }

  session = (id: string) => this.ask<Session>("GET", `/sessions/${id}`);
  start = (id: string) => this.ask<Session>("POST", `/sessions/${id}/start`);
  end = (id: string) => this.ask<Session>("POST", `/sessions/${id}/end`);
  polls = (id: string) => this.ask<{ polls: Poll[] }>("GET", `/sessions/${id}/polls`);
  addPoll = (id: string, draft: Draft) => this.ask<Poll>("POST", `/sessions/${id}/polls`, draft);
  arrange = (id: string, pollIds: string[]) =>
    this.ask<{ polls: Poll[] }>("PUT", `/sessions/${id}/polls/order`, { pollIds });
  poll = (id: string) => this.ask<Poll & { myVote: string[] | null }>("GET", `/polls/${id}`);
  activate = (id: string) => this.ask<Poll>("POST", `/polls/${id}/activate`);
  close = (id: string) => this.ask<Poll>("POST", `/polls/${id}/close`);
  results = (id: string) => this.ask<Results>("GET", `/polls/${id}/results`);
  vote = (id: string, ballot: Ballot) => this.ask<{ changed: boolean }>("POST", `/polls/${id}/votes`, ballot);
  participants = (id: string, limit: number, after?: string) =>
    this.ask<ParticipantPage>(
      "GET",
      `/sessions/${id}/participants?limit=${limit}${after ? `&after=${encodeURIComponent(after)}` : ""}`,
    );

  /** The results of all polls as a file. */
  async table(id: string): Promise<Blob> {
    const response = await send("GET", `/sessions/${id}/results.csv`, this.token, undefined, undefined);
    if (!response.ok) throw new Refusal(response.status, (await response.json().catch(() => ({}))) as Problem);
    return response.blob();
  }
}
