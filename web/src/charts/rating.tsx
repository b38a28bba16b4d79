/** A rating: a column for each value, and where the average lies between them. */

import { scaleBand, scaleLinear } from "@visx/scale";
import { Bar } from "@visx/shape";
import type { RatingResults } from "../live/types";
import { percent, plural, spoken } from "./figures";

const HEIGHT = 100;

export function Rating({ results, mine }: { results: RatingResults; mine?: number | undefined }) {
  const { values, votes, average } = results;
  const names = values.map(({ value }) => value);
  const across = scaleBand<number>({ domain: names, range: [0, HEIGHT], paddingInner: 0.18, paddingOuter: 0.09 });
  // The columns are parts of all votes: none moves because another one grows past it.
  const most = Math.max(...values.map((it) => it.votes), 1);
  // Up to half of them as long as none has more, so that there is something to see.
  const whole = most * 2 <= votes ? votes / 2 : votes;
  const up = scaleLinear<number>({ domain: [0, Math.max(1, whole)], range: [0, HEIGHT] });
  const middle = (value: number) => (across(Math.floor(value)) ?? 0) + across.bandwidth() / 2
    + (value - Math.floor(value)) * across.step();
  return (
    <div className="rating">
      <p className="rating-average">
        <span className="rating-number">{average === null ? "–" : average.toFixed(1)}</span>
        <span className="rating-of">of {values.length}</span>
        <span className="visually-hidden">on average</span>
      </p>
      <div className="rating-chart">
        <svg className="columns" role="img" aria-label={spoken(results)}>
          {values.map((it) => (
            <g key={it.value} className={it.votes === most && votes > 0 ? "column most" : "column"}>
              <Bar
                className="track-back"
                x={`${across(it.value) ?? 0}%`} y="0%"
                width={`${across.bandwidth()}%`} height="100%"
              />
              <Bar
                className="track-fill"
                x={`${across(it.value) ?? 0}%`} width={`${across.bandwidth()}%`}
                style={{ y: `${HEIGHT - up(it.votes)}%`, height: `${up(it.votes)}%` }}
              />
            </g>
          ))}
        </svg>
        <div className="average-mark" aria-hidden="true" hidden={average === null}
          style={{ left: `${average === null ? 0 : middle(average)}%` }} />
        <ol className="column-labels">
          {values.map((it) => (
            <li key={it.value} className={mine === it.value ? "is-mine" : undefined}>
              <strong>{it.value}</strong>
              <span className="choice-share">{percent(it.votes, votes)}</span>
              <span className="visually-hidden">
                {plural(it.votes, "vote")}{mine === it.value ? ", your vote" : ""}
              </span>
            </li>
          ))}
        </ol>
      </div>
    </div>
  );
}
