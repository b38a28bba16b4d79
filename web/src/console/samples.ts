/** What the counters did from one look to the next. Pure. */

import type { Counted, Stats } from "./api";

/** The server at one moment, and per second since the moment before. */
export interface Sample {
  at: number;
  connections: number;
  delivered: number;
  received: number;
  recorded: number;
  recovered: number;
  notRecovered: number;
  dropped: number;
  slow: number;
  /** In milliseconds, from being published to being written; none if nothing was. */
  latencyMs: number | undefined;
}

/** How many samples are kept: five minutes of two seconds each. */
export const KEPT = 150;

const sum = (counts: Counted) => Object.values(counts).reduce((all, count) => all + count, 0);

/** The reason under which the server closes who does not keep up. */
const SLOW = "slow client";

export function sampleOf(now: Stats, before: Stats | undefined, at: number, beforeAt: number): Sample {
  const seconds = Math.max(0.001, (at - beforeAt) / 1_000);
  // A server that was started anew counts from the beginning.
  const rate = (read: (stats: Stats) => number) =>
    before === undefined ? 0 : Math.max(0, read(now) - read(before)) / seconds;
  return {
    at,
    connections: now.sessions + now.streams,
    delivered: rate((it) => it.events_delivered),
    received: rate((it) => it.events_received),
    recorded: rate((it) => it.events_recorded),
    recovered: rate((it) => it.sessions_recovered),
    notRecovered: rate((it) => sum(it.not_recovered)),
    dropped: rate((it) => it.volatile_dropped + it.events_refused),
    slow: rate((it) => it.closed[SLOW] ?? 0),
    latencyMs: latency(now, before),
  };
}

function latency(now: Stats, before: Stats | undefined): number | undefined {
  if (!before) return undefined;
  const all = (stats: Stats) => stats.latency.classes.reduce((sum, count) => sum + count, 0);
  const count = all(now) - all(before);
  return count > 0 ? ((now.latency.seconds - before.latency.seconds) / count) * 1_000 : undefined;
}

/** A number as it fits into a tile. */
export function short(value: number): string {
  if (value >= 10_000) return new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(value);
  if (value >= 100 || Number.isInteger(value)) return Math.round(value).toLocaleString("en");
  return value.toFixed(1);
}

export function bytes(value: number): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  const step = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(value) / 3));
  return `${short(value / 1_000 ** step)} ${units[step]}`;
}

export function duration(seconds: number): string {
  const [days, hours, minutes] = [seconds / 86_400, (seconds / 3_600) % 24, (seconds / 60) % 60].map(Math.floor);
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${Math.floor(seconds)} s`;
}
