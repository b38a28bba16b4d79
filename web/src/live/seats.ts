/** Places in sessions that this browser holds: their tokens, kept over reloads. */

const PRESENTING = "fanfare.presenting";
const TAKING_PART = "fanfare.seats";
const NAME = "fanfare.name";

/** How many of each are kept, the newest ones. */
const MAX_KEPT = 20;

/** A session that was opened here. */
export interface Presenting {
  sessionId: string;
  title: string;
  token: string;
  opened: string;
}

/** A place in a session that was joined here. */
export interface Seat {
  code: string;
  sessionId: string;
  participantId: string;
  displayName: string;
  token: string;
}

function read<T>(key: string): T[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(key) ?? "[]");
    return Array.isArray(kept) ? (kept as T[]) : [];
  } catch {
    // Storage that is forbidden or damaged: the place lasts as long as the page.
    return [];
  }
}

function write<T>(key: string, kept: T[]): void {
  try {
    localStorage.setItem(key, JSON.stringify(kept.slice(0, MAX_KEPT)));
  } catch {
    // As above.
  }
}

export const presenting = () => read<Presenting>(PRESENTING);

export function keepPresenting(it: Presenting): void {
  write(PRESENTING, [it, ...presenting().filter(({ sessionId }) => sessionId !== it.sessionId)]);
}

export function dropPresenting(id: string): void {
  write(PRESENTING, presenting().filter(({ sessionId }) => sessionId !== id));
}

export const seatOf = (code: string) => read<Seat>(TAKING_PART).find((seat) => seat.code === code);

export function keepSeat(it: Seat): void {
  write(TAKING_PART, [it, ...read<Seat>(TAKING_PART).filter(({ code }) => code !== it.code)]);
}

export function dropSeat(code: string): void {
  write(TAKING_PART, read<Seat>(TAKING_PART).filter((seat) => seat.code !== code));
}

export function lastName(): string {
  try {
    return localStorage.getItem(NAME) ?? "";
  } catch {
    return "";
  }
}

export function keepName(name: string): void {
  try {
    localStorage.setItem(NAME, name);
  } catch {
    // As above.
  }
}
