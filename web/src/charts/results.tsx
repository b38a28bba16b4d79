/** The results of a poll in the chart of its kind, told to those who listen as well. */

import { useEffect, useRef, useState } from "react";
import type { Poll, Results } from "../live/types";
import { Choices } from "./choices";
import { Cloud } from "./cloud";
import { noResults, spoken } from "./figures";
import { Rating } from "./rating";
import { Stacked } from "./stacked";

/** How often changing results are spoken at most: nobody can listen to five sentences a second. */
const SPOKEN_EVERY_MS = 8_000;

interface Shown {
  poll: Poll;
  results: Results | undefined;
  mine?: string[] | undefined;
  form?: "bars" | "stacked";
}

export function ResultsChart({ poll, results: known, mine, form = "bars" }: Shown) {
  const results = known ?? noResults(poll);
  return (
    <div className="results" data-poll={poll.id} data-votes={results.votes}>
      <Chart results={results} mine={mine} form={form} />
      <Spoken text={spoken(results)} />
    </div>
  );
}

function Chart({ results, mine, form }: { results: Results; mine: string[] | undefined; form: string }) {
  switch (results.kind) {
    case "single_choice":
    case "multiple_choice":
      return form === "stacked"
        ? <Stacked results={results} />
        : <Choices results={results} {...(mine ? { mine } : {})} />;
    case "rating":
      return <Rating results={results} mine={mine?.[0] === undefined ? undefined : Number(mine[0])} />;
    case "word_cloud":
      return <Cloud results={results} />;
  }
}

/** Says the newest text, and not more often than one can listen. */
function Spoken({ text }: { text: string }) {
  const [said, setSaid] = useState("");
  const last = useRef(0);
  useEffect(() => {
    const wait = Math.max(0, last.current + SPOKEN_EVERY_MS - Date.now());
    const timer = setTimeout(() => {
      last.current = Date.now();
      setSaid(text);
    }, wait);
    return () => clearTimeout(timer);
  }, [text]);
  return <p className="visually-hidden" role="status">{said}</p>;
}
