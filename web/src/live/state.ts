/** What is known of a session, and how events change it. Pure, so that events may come twice or late. */

import type { Ballot, Envelope, Poll, PollState, Results, Session } from "./types";

/** How far a vote of this participant is. */
export type VoteState =
  /** On its way. */
  | { step: "sending"; ballot: Ballot }
  /** The server was not reached; it is sent when it is back. */
  | { step: "waiting"; ballot: Ballot }
  /** It counts. */
  | { step: "counted"; chosen: string[] }
  /** It does not count, and why. */
  | { step: "refused"; detail: string; chosen?: string[] };

export interface LiveState {
  session: Session | undefined;
  /** In the presenters' order. */
  polls: Poll[];
  results: Record<string, Results>;
  votes: Record<string, VoteState>;
  /** How many have joined, and how many of them are connected; as far as it is known. */
  joined: number;
  connected: number;
  /** Whether the first look at the session is over. */
  ready: boolean;
}

export const EMPTY: LiveState = {
  session: undefined,
  polls: [],
  results: {},
  votes: {},
  joined: 0,
  connected: 0,
  ready: false,
};

const RANK: Record<PollState, number> = { draft: 0, active: 1, closed: 2 };
const SESSION_RANK = { created: 0, started: 1, ended: 2 };

/** The state after an event. */
export function applied(state: LiveState, { eventType, payload }: Envelope): LiveState {
  let next = state;
  if (payload.session) next = withSession(next, payload.session);
  if (payload.poll) next = withPoll(next, payload.poll);
  if (payload.results) next = withResults(next, payload.results);
  if (eventType === "polls:arranged" && payload.pollIds) next = arranged(next, payload.pollIds);
  if (eventType === "participant:joined") {
    next = { ...next, joined: Math.max(next.joined, payload.participants ?? 0) };
  }
  return next;
}

/** Sessions go on, never back. */
export function withSession(state: LiveState, session: Session): LiveState {
  const known = state.session;
  const isOlder = known && SESSION_RANK[session.state] < SESSION_RANK[known.state];
  return isOlder ? state : { ...state, session };
}

/** So do polls. */
export function withPoll(state: LiveState, poll: Poll): LiveState {
  const at = state.polls.findIndex(({ id }) => id === poll.id);
  if (at < 0) return { ...state, polls: [...state.polls, poll] };
  const known = state.polls[at];
  if (known && RANK[poll.state] < RANK[known.state]) return state;
  return { ...state, polls: state.polls.with(at, poll) };
}

/** Results of a closed poll are not replaced by those of before. */
export function withResults(state: LiveState, results: Results): LiveState {
  const known = state.results[results.pollId];
  if (known && RANK[results.state] < RANK[known.state]) return state;
  return { ...state, results: { ...state.results, [results.pollId]: results } };
}

function arranged(state: LiveState, order: string[]): LiveState {
  const place = (poll: Poll) => {
    const at = order.indexOf(poll.id);
    return at < 0 ? order.length : at;
  };
  return { ...state, polls: state.polls.toSorted((a, b) => place(a) - place(b)) };
}

/** The poll that is talked about: the one opened last, be it open or closed; open ones first. */
export function currentPoll(polls: Poll[]): Poll | undefined {
  const opened = polls.filter(({ state }) => state !== "draft");
  const rank = (poll: Poll) => (poll.state === "active" ? 1 : 0);
  return opened.toSorted(
    (a, b) => rank(b) - rank(a) || (b.activatedAt ?? "").localeCompare(a.activatedAt ?? ""),
  )[0];
}
