/**
 * A session as it happens: its state, kept up to date by a socket with recovery, and the way back
 * after the network or the server was away.
 *
 * After a recovery the events that were missed come by themselves. Without one (the first time, or
 * after too long) everything is read anew, and events that came meanwhile are applied on top.
 */

import { io, type Socket } from "socket.io-client";
import { Api, Refusal, Unreachable } from "./api";
import { NAMESPACE, SOCKET_PATH } from "./place";
import {
  applied, currentPoll, EMPTY, type LiveState, type VoteState, withPoll, withResults, withSession,
} from "./state";
import type { Ballot, Draft, Envelope, Poll, Results } from "./types";

/** How the connection is, in the words of people. */
export type Link =
  /** The first time. */
  | "connecting"
  | "live"
  /** It was lost, and is looked for. */
  | "lost"
  /** It is back; nothing was missed, or everything was read anew. Becomes `live` by itself. */
  | "back"
  /** The server does not know the token any more: there is no way back. */
  | "over";

/** How long it is said that the connection is back. */
const BACK_MS = 3_500;

/** After how long to try again what failed for the moment. */
const RETRY_MS = 1_500;

/** At most how often the participants are counted while people come and go. */
const COUNT_MS = 1_000;

interface Greeting {
  serverTime: string;
}

export class Live {
  readonly api: Api;
  private state: LiveState = EMPTY;
  private linkState: Link = "connecting";
  private readonly listeners = new Set<() => void>();
  private readonly socket: Socket;
  /** Events that came while everything was read anew. */
  private meanwhile: Envelope[] | undefined;
  private reading = 0;
  private clockAheadMs = 0;
  private timers = new Set<ReturnType<typeof setTimeout>>();
  /** Votes cast here whose events have not come yet, by poll: they tell nothing new. */
  private readonly cast = new Map<string, number>();
  private countSoon = false;

  constructor(
    readonly sessionId: string,
    token: string,
    readonly role: "presenter" | "participant",
  ) {
    this.api = new Api(token);
    this.socket = io(NAMESPACE, {
      path: SOCKET_PATH,
      auth: { token },
      transports: ["websocket", "polling"],
      tryAllTransports: true,
      reconnectionDelay: 400,
      reconnectionDelayMax: 3_000,
      autoConnect: false,
    });
    this.socket.on("connect", () => this.connected());
    this.socket.on("disconnect", (reason) => this.disconnected(reason));
    this.socket.on("connect_error", (error) => this.failed(error));
    this.socket.on("event", (envelope: Envelope) => this.happened(envelope));
    for (const greeting of ["connection:established", "connection:reconnected"]) {
      this.socket.on(greeting, ({ serverTime }: Greeting) => {
        this.clockAheadMs = Date.parse(serverTime) - Date.now();
      });
    }
  }

  /** Connects, until it is told to stop. */
  start(): () => void {
    this.socket.connect();
    return () => this.stop();
  }

  private stop(): void {
    this.socket.disconnect();
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
  }

  // What React reads.

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };
  snapshot = (): LiveState => this.state;
  link = (): Link => this.linkState;
  /** The time as the server has it. */
  now = (): number => Date.now() + this.clockAheadMs;

  private set(state: LiveState): void {
    if (state === this.state) return;
    this.state = state;
    this.tell();
  }

  private setLink(link: Link): void {
    if (link === this.linkState) return;
    this.linkState = link;
    this.tell();
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }

  private later(ms: number, act: () => void): void {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      act();
    }, ms);
    this.timers.add(timer);
  }

  // The connection.

  private connected(): void {
    const first = this.linkState === "connecting";
    if (this.socket.recovered && this.state.ready) this.isBack();
    else void this.readAnew(first);
  }

  private isBack(): void {
    this.setLink("back");
    this.later(BACK_MS, () => {
      if (this.linkState === "back") this.setLink("live");
    });
    this.count();
    void this.sendWaiting();
  }

  private disconnected(reason: Socket.DisconnectReason): void {
    if (this.linkState === "over" || reason === "io client disconnect") return;
    this.setLink("lost");
    // A server that ends a socket on purpose is not asked again by the client itself.
    if (reason === "io server disconnect") this.later(RETRY_MS, () => this.socket.connect());
  }

  private failed(error: Error & { data?: { code?: string } }): void {
    if (error.data?.code === "AUTH_REQUIRED" || error.data?.code === "CHANNEL_NOT_FOUND") {
      this.setLink("over");
      this.socket.disconnect();
      return;
    }
    if (this.linkState !== "connecting") this.setLink("lost");
    // Refused by the server for the moment: the client itself tries again only what did not arrive.
    if (!this.socket.active) this.later(RETRY_MS, () => this.socket.connect());
  }

  // What happens.

  private happened(envelope: Envelope): void {
    const { eventType, payload } = envelope;
    if (eventType.startsWith("participant:")) {
      // The audience is not told how many it is: nothing is drawn anew for each who joins.
      if (this.role === "participant") return;
      this.count();
    }
    this.meanwhile?.push(envelope);
    this.set(applied(this.state, envelope));
    if (eventType === "vote:accepted" && this.role === "participant" && payload.pollId) {
      this.voteAccepted(payload.pollId);
    }
  }

  /** A vote of this participant counts: one that was cast here, or on another device. */
  private voteAccepted(id: string): void {
    const expected = this.cast.get(id) ?? 0;
    if (expected > 0) this.cast.set(id, expected - 1);
    else void this.ownVote(id).then((vote) => vote && this.setVote(id, vote), () => undefined);
  }

  /** Reads everything. What is known meanwhile stays on the screen. */
  private async readAnew(first: boolean): Promise<void> {
    const turn = ++this.reading;
    this.meanwhile = [];
    try {
      let next = await this.read();
      if (turn !== this.reading) return;
      for (const envelope of this.meanwhile) next = applied(next, envelope);
      this.meanwhile = undefined;
      this.set({ ...next, ready: true });
      if (first) this.setLink("live");
      else this.isBack();
    } catch (error) {
      if (turn !== this.reading) return;
      if (error instanceof Refusal && (error.status === 401 || error.status === 404)) {
        this.setLink("over");
        this.socket.disconnect();
      } else {
        this.later(RETRY_MS, () => void (this.socket.connected && this.readAnew(first)));
      }
    }
  }

  private async read(): Promise<LiveState> {
    const [session, { polls }] = await Promise.all([
      this.api.session(this.sessionId),
      this.api.polls(this.sessionId),
    ]);
    let next: LiveState = { ...withSession(this.state, session), polls };
    // A hall that joins late asks for what is talked about, not for all of the past.
    const current = currentPoll(polls);
    const asked = polls.filter((poll) =>
      this.role === "presenter" ? poll.state !== "draft" : poll.state === "active" || poll === current);
    const [all, own, count] = await Promise.all([
      Promise.all(asked.map((poll) => this.readResults(poll))),
      Promise.all(asked.map(async ({ id }) => [id, await this.ownVote(id)] as const)),
      this.role === "presenter" ? this.api.participants(this.sessionId, 1) : undefined,
    ]);
    for (const results of all) if (results) next = withResults(next, results);
    for (const [id, vote] of own) if (vote) next = { ...next, votes: { ...next.votes, [id]: vote } };
    if (count) next = { ...next, joined: count.total, connected: count.connected };
    return next;
  }

  /** Somebody looks at a poll of before: its results are read, unless they are known. */
  look = async (poll: Poll): Promise<void> => {
    if (this.state.results[poll.id]?.state === poll.state) return;
    const [results, vote] = await Promise.all([this.readResults(poll), this.ownVote(poll.id)]);
    if (results) this.set(withResults(this.state, results));
    if (vote) this.setVote(poll.id, vote);
  };

  /** The results of a poll, if this place may see them. */
  private async readResults(poll: Poll): Promise<Results | undefined> {
    const hidden = this.role === "participant" && poll.hideResults && poll.state !== "closed";
    if (hidden) return undefined;
    try {
      return await this.api.results(poll.id);
    } catch (error) {
      if (error instanceof Refusal && error.status === 403) return undefined;
      throw error;
    }
  }

  private async ownVote(id: string): Promise<VoteState | undefined> {
    if (this.role !== "participant") return undefined;
    const { myVote } = await this.api.poll(id);
    return myVote ? { step: "counted", chosen: myVote } : undefined;
  }

  /** Counts who is there, soon and once for many who come and go. */
  private count(): void {
    if (this.role !== "presenter" || this.countSoon) return;
    this.countSoon = true;
    this.later(COUNT_MS, () => {
      this.countSoon = false;
      this.api.participants(this.sessionId, 1).then(
        ({ total, connected }) => this.set({ ...this.state, joined: total, connected }),
        () => undefined, // the next one who comes or goes has it counted again
      );
    });
  }

  // Voting.

  private setVote(id: string, vote: VoteState): void {
    this.set({ ...this.state, votes: { ...this.state.votes, [id]: vote } });
  }

  /** Votes. Shown at once; if the server is not reached it is sent when it is back. */
  async vote(id: string, ballot: Ballot): Promise<void> {
    const before = this.state.votes[id];
    this.setVote(id, { step: "sending", ballot });
    this.cast.set(id, (this.cast.get(id) ?? 0) + 1);
    try {
      await this.api.vote(id, ballot);
      this.setVote(id, { step: "counted", chosen: itemsOf(ballot) });
    } catch (error) {
      // Whether its event comes is unknown; if not, the next one that does is read for nothing.
      this.cast.delete(id);
      const wait = error instanceof Refusal ? error.retryAfterMs : undefined;
      if (error instanceof Unreachable || wait !== undefined) {
        this.setVote(id, { step: "waiting", ballot });
        // The server may answer again before the socket has noticed anything.
        if (this.socket.connected) this.later(wait ?? RETRY_MS, () => void this.sendWaiting());
      } else {
        await this.voteFailed(id, before, error as Error);
      }
    }
  }

  private async voteFailed(id: string, before: VoteState | undefined, error: Error): Promise<void> {
    const known = before?.step === "counted" ? before.chosen : undefined;
    if (error instanceof Refusal && error.code === "ALREADY_VOTED") {
      // The vote had arrived, only its answer was lost; or another device was quicker.
      const own = await this.ownVote(id).catch(() => undefined);
      if (own) return this.setVote(id, own);
    }
    this.setVote(id, {
      step: "refused",
      detail: error.message,
      ...(known ? { chosen: known } : {}),
    });
  }

  private async sendWaiting(): Promise<void> {
    for (const [id, vote] of Object.entries(this.state.votes)) {
      if (vote.step === "waiting") await this.vote(id, vote.ballot);
    }
  }

  // Presenting. What is changed is in the answer, and shown before the event of it comes.

  begin = async () => this.set(withSession(this.state, await this.api.start(this.sessionId)));
  end = async () => this.set(withSession(this.state, await this.api.end(this.sessionId)));
  add = async (draft: Draft): Promise<Poll> => {
    const poll = await this.api.addPoll(this.sessionId, draft);
    this.set(withPoll(this.state, poll));
    return poll;
  };
  open = async (id: string) => this.set(withPoll(this.state, await this.api.activate(id)));
  close = async (id: string) => this.set(withPoll(this.state, await this.api.close(id)));
  arrange = async (pollIds: string[]) => {
    const before = this.state;
    // At once; what is moved must not jump back while the server is asked.
    const byId = new Map(before.polls.map((poll) => [poll.id, poll]));
    const polls = pollIds.flatMap((id) => byId.get(id) ?? []);
    if (polls.length === before.polls.length) this.set({ ...before, polls });
    try {
      this.set({ ...this.state, ...(await this.api.arrange(this.sessionId, pollIds)) });
    } catch (error) {
      this.set({ ...this.state, polls: (await this.api.polls(this.sessionId)).polls });
      throw error;
    }
  };
}

/** What a ballot chooses, in the form in which the server keeps it. */
export function itemsOf(ballot: Ballot): string[] {
  if ("optionIds" in ballot) return ballot.optionIds;
  if ("value" in ballot) return [String(ballot.value)];
  return [...new Set(ballot.words.map((word) => word.trim().toLowerCase()))];
}
