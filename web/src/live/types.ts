/** What the server sends: the answers of its HTTP API and the payloads of its events. */

export type SessionState = "created" | "started" | "ended";
export type PollState = "draft" | "active" | "closed";
export type PollKind = "single_choice" | "multiple_choice" | "rating" | "word_cloud";

export interface Session {
  id: string;
  code: string;
  title: string;
  state: SessionState;
  createdAt: string;
  startedAt: string | null;
  endedAt: string | null;
}

export interface Option {
  id: string;
  label: string;
}

export interface Poll {
  id: string;
  sessionId: string;
  question: string;
  kind: PollKind;
  options: Option[];
  min?: number;
  max?: number;
  scale?: number;
  maxWords?: number;
  maxWordLength?: number;
  timeLimitSeconds: number | null;
  hideResults: boolean;
  allowChange: boolean;
  state: PollState;
  createdAt: string;
  activatedAt: string | null;
  closesAt: string | null;
  closedAt: string | null;
}

export interface OptionCount extends Option {
  votes: number;
}

export interface ValueCount {
  value: number;
  votes: number;
}

export interface WordCount {
  text: string;
  votes: number;
}

interface Counted {
  pollId: string;
  state: PollState;
  /** How many participants have voted. */
  votes: number;
}

export type ChoiceResults = Counted & {
  kind: "single_choice" | "multiple_choice";
  options: OptionCount[];
};
export type RatingResults = Counted & {
  kind: "rating";
  average: number | null;
  values: ValueCount[];
};
export type CloudResults = Counted & {
  kind: "word_cloud";
  words: WordCount[];
  distinctWords: number;
};
export type Results = ChoiceResults | RatingResults | CloudResults;

export interface Participant {
  id: string;
  displayName: string;
  joinedAt: string;
  lastSeenAt: string;
  connected: boolean;
}

export interface ParticipantPage {
  participants: Participant[];
  total: number;
  connected: number;
  next: string | null;
}

/** What is to be asked, as the server takes it. */
export interface Draft {
  question: string;
  kind: PollKind;
  options?: string[];
  min?: number;
  max?: number;
  scale?: number;
  maxWords?: number;
  timeLimitSeconds?: number;
  hideResults?: boolean;
  allowChange?: boolean;
}

/** A vote as the server takes it: one of the three, by the kind of the poll. */
export type Ballot = { optionIds: string[] } | { value: number } | { words: string[] };

/** What every event of a session comes in. */
export interface Envelope {
  eventId: string;
  eventType: string;
  timestamp: string;
  sessionId: string;
  payload: Payload;
}

/** All fields that payloads have; which ones says the type of the event. */
export interface Payload {
  session?: Session;
  poll?: Poll;
  pollId?: string;
  pollIds?: string[];
  results?: Results;
  participant?: Participant;
  participants?: number;
  participantId?: string;
  changed?: boolean;
  reason?: { code: string; detail: string };
}
