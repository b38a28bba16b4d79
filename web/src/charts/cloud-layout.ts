/**
 * Where the words of a cloud stand. Libraries for word clouds lay out all words anew whenever a
 * count changes, so that every word jumps. Here a word stays where it is unless something larger
 * has grown into it, and then goes to the nearest free place.
 */

export interface Word {
  text: string;
  votes: number;
}

/** A word in its place: the middle of it, and its size, in the measure of the field. */
export interface Placed extends Word {
  x: number;
  y: number;
  size: number;
  width: number;
  height: number;
}

export interface Field {
  width: number;
  height: number;
  /** How wide a text is at a size of 1. */
  measure: (text: string) => number;
}

/** How much of the field the words may fill before all of them get smaller. */
const FILL = 0.52;

/** The largest word against the smallest. */
const CONTRAST = 3.6;

/** The room around a word, as a part of its size. */
const MARGIN_X = 0.28;
const MARGIN_Y = 0.06;

/** How far apart the places are that are tried, and how many. */
const STEP = 0.012;
const TRIES = 2_400;

/** How much smaller everything gets when a word finds no place, and how often. */
const SHRINK = 0.9;
const ROUNDS = 8;

/** Lays out words, the most frequent first, given where they were. */
export function layout(words: Word[], field: Field, before: Map<string, Placed>): Placed[] {
  let scale = idealScale(words, field);
  for (let round = 0; ; round += 1) {
    const placed = place(words, field, before, scale);
    if (placed.length === words.length || round === ROUNDS) return placed;
    scale *= SHRINK;
  }
}

/** How large a word is against the smallest one: the root of its count, as the eye reads areas. */
function weight(votes: number, most: number): number {
  return most <= 1 ? 1.6 : 1 + (CONTRAST - 1) * Math.sqrt((votes - 1) / (most - 1));
}

/** The size of the smallest word with which all words fill their part of the field. */
function idealScale(words: Word[], field: Field): number {
  const most = words[0]?.votes ?? 1;
  let area = 0;
  let widest = 0;
  for (const { text, votes } of words) {
    const size = weight(votes, most);
    const width = (field.measure(text) + MARGIN_X) * size;
    area += width * size * (1 + MARGIN_Y);
    widest = Math.max(widest, width);
  }
  if (area === 0) return 0;
  const filling = Math.sqrt((FILL * field.width * field.height) / area);
  // In steps, so that a single vote does not change the size of every word.
  const stepped = 1.12 ** Math.floor(Math.log(filling) / Math.log(1.12));
  return Math.min(stepped, (field.width * 0.92) / widest, field.height / (CONTRAST * 1.6));
}

function place(words: Word[], field: Field, before: Map<string, Placed>, scale: number): Placed[] {
  const most = words[0]?.votes ?? 1;
  const placed: Placed[] = [];
  for (const { text, votes } of words) {
    const size = weight(votes, most) * scale;
    const box = {
      width: (field.measure(text) + MARGIN_X) * size,
      height: size * (1 + MARGIN_Y),
    };
    const start = before.get(text) ?? { x: field.width / 2, y: field.height / 2 };
    const found = nearestFree(start, box, field, placed);
    if (found) placed.push({ text, votes, size, ...box, ...found });
  }
  return placed;
}

/** The free place nearest to a start, along a spiral that is as wide as the field. */
function nearestFree(
  start: { x: number; y: number },
  box: { width: number; height: number },
  field: Field,
  placed: Placed[],
): { x: number; y: number } | undefined {
  const aspect = field.height / field.width;
  for (let turn = 0; turn < TRIES; turn += 1) {
    const angle = Math.sqrt(turn) * 2.4;
    const radius = Math.sqrt(turn) * STEP * field.width;
    const x = start.x + Math.cos(angle) * radius;
    const y = start.y + Math.sin(angle) * radius * aspect;
    const inside = x - box.width / 2 >= 0 && x + box.width / 2 <= field.width
      && y - box.height / 2 >= 0 && y + box.height / 2 <= field.height;
    if (inside && !placed.some((other) => overlaps({ x, y, ...box }, other))) return { x, y };
  }
  return undefined;
}

type Box = Pick<Placed, "x" | "y" | "width" | "height">;

function overlaps(a: Box, b: Box): boolean {
  return Math.abs(a.x - b.x) * 2 < a.width + b.width && Math.abs(a.y - b.y) * 2 < a.height + b.height;
}
