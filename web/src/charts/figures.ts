/** What charts show of results, and in which words. */

import type { ChoiceResults, CloudResults, Poll, RatingResults, Results } from "../live/types";

/** How many colours there are; options beyond them begin again, and have letters besides. */
export const TONES = 8;

/** A, B, C … of an option, the same on every screen. */
export const letterOf = (place: number) => String.fromCharCode(65 + (place % 26));

export const toneOf = (place: number) => `tone-${place % TONES}`;

/** A share as people read it: whole numbers, and never 0 % of something. */
export function percent(part: number, whole: number): string {
  if (whole === 0 || part === 0) return "0%";
  const share = Math.round((part / whole) * 100);
  return share === 0 ? "<1%" : `${share}%`;
}

export const plural = (count: number, one: string, many = `${one}s`) =>
  `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

/** The results of a poll on which nobody has voted yet. */
export function noResults(poll: Poll): Results {
  const counted = { pollId: poll.id, state: poll.state, votes: 0 };
  switch (poll.kind) {
    case "single_choice":
    case "multiple_choice":
      return {
        ...counted,
        kind: poll.kind,
        options: poll.options.map((option) => ({ ...option, votes: 0 })),
      };
    case "rating": {
      const scale = Array.from({ length: poll.scale ?? 5 }, (_, place) => place + 1);
      return {
        ...counted,
        kind: "rating",
        average: null,
        values: scale.map((value) => ({ value, votes: 0 })),
      };
    }
    case "word_cloud":
      return { ...counted, kind: "word_cloud", words: [], distinctWords: 0 };
  }
}

/** The results in a sentence, for those who hear them. */
export function spoken(results: Results): string {
  const votes = plural(results.votes, "vote");
  switch (results.kind) {
    case "single_choice":
    case "multiple_choice":
      return `${votes}. ${leading(results)}`;
    case "rating":
      return `${votes}. ${average(results)}`;
    case "word_cloud":
      return `${votes}. ${frequent(results)}`;
  }
}

function leading({ options, votes }: ChoiceResults): string {
  const most = Math.max(0, ...options.map((option) => option.votes));
  if (most === 0) return "";
  const first = options.filter((option) => option.votes === most).map(({ label }) => label);
  return `${first.length > 1 ? "Tied" : "Leading"}: ${first.join(", ")}, ${percent(most, votes)}.`;
}

function average({ average, values }: RatingResults): string {
  return average === null ? "" : `Average ${average.toFixed(1)} of ${values.length}.`;
}

function frequent({ words }: CloudResults): string {
  const first = words.slice(0, 3).map(({ text }) => text);
  return first.length === 0 ? "" : `Most frequent: ${first.join(", ")}.`;
}
