/** Options as bars that grow in place: their order never changes, nor does the scale. */

import { scaleLinear } from "@visx/scale";
import { Bar } from "@visx/shape";
import type { ChoiceResults } from "../live/types";
import { letterOf, percent, plural, toneOf } from "./figures";

/** The whole: of all who voted, so that a bar only moves when its own share does. */
const FULL = 100;

export function Choices({ results, mine = [] }: { results: ChoiceResults; mine?: string[] }) {
  const share = scaleLinear<number>({ domain: [0, Math.max(1, results.votes)], range: [0, FULL] });
  return (
    <ol className={`choices ${results.options.length > 6 ? "dense" : ""}`}>
      {results.options.map(({ id, label, votes }, place) => (
        <li key={id} className={`choice ${toneOf(place)}`}>
          <span className="letter" aria-hidden="true">{letterOf(place)}</span>
          <span className="choice-label">
            {label}
            {mine.includes(id) && <span className="mine">Your vote</span>}
          </span>
          <span className="choice-share">{percent(votes, results.votes)}</span>
          <span className="choice-votes">{plural(votes, "vote")}</span>
          <svg className="track" aria-hidden="true" focusable="false">
            <Bar className="track-back" x={0} y={0} width="100%" height="100%" />
            <Bar className="track-fill" x={0} y={0} height="100%" style={{ width: `${share(votes)}%` }} />
          </svg>
        </li>
      ))}
    </ol>
  );
}
