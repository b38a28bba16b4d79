/** Options as parts of one bar, in the poll's order. */

import { scaleBand, scaleLinear, scaleOrdinal } from "@visx/scale";
import { BarStackHorizontal } from "@visx/shape";
import type { ChoiceResults } from "../live/types";
import { letterOf, percent, plural, spoken, toneOf } from "./figures";

/** The bar's own measure; it is drawn as wide as there is room. */
const WIDTH = 1_000;
const HEIGHT = 100;

/** A part narrower than this has no room for its letter. */
const LETTER_WIDTH = 44;

export function Stacked({ results, legend = true }: { results: ChoiceResults; legend?: boolean }) {
  const { options } = results;
  const given = options.reduce((sum, { votes }) => sum + votes, 0);
  const row = { bar: "all", ...Object.fromEntries(options.map(({ id, votes }) => [id, votes])) };
  const keys = options.map(({ id }) => id);
  const places = new Map(keys.map((id, place) => [id, place]));
  return (
    <div className="stacked">
      <svg
        className="stack"
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={spoken(results)}
      >
        <rect className="track-back" width={WIDTH} height={HEIGHT} />
        <BarStackHorizontal<Record<string, string | number>, string>
          data={[row]}
          keys={keys}
          y={(it) => String(it.bar)}
          value={(it, key) => Number(it[key] ?? 0)}
          xScale={scaleLinear<number>({ domain: [0, Math.max(1, given)], range: [0, WIDTH] })}
          yScale={scaleBand({ domain: [row.bar], range: [0, HEIGHT] })}
          color={scaleOrdinal({ domain: keys, range: keys })}
        >
          {(stacks) =>
            stacks.flatMap(({ key, bars }) =>
              bars.map((bar) => (
                <rect
                  key={key}
                  className={`part ${toneOf(places.get(key) ?? 0)}`}
                  height={HEIGHT}
                  style={{ x: `${bar.x}px`, width: `${Math.max(0, bar.width)}px` }}
                />
              )),
            )
          }
        </BarStackHorizontal>
      </svg>
      <div className="stack-letters" aria-hidden="true">
        {options.map(({ id, votes }, place) => (
          <span key={id} className={toneOf(place)} style={{ flexGrow: votes }}>
            {(votes / Math.max(1, given)) * WIDTH > LETTER_WIDTH ? letterOf(place) : ""}
          </span>
        ))}
      </div>
      {legend && (
        <ol className="legend">
          {options.map(({ id, label, votes }, place) => (
            <li key={id} className={toneOf(place)}>
              <span className="letter" aria-hidden="true">{letterOf(place)}</span>
              <span className="choice-label">{label}</span>
              <span className="choice-share">{percent(votes, results.votes)}</span>
              <span className="visually-hidden">{plural(votes, "vote")}</span>
            </li>
          ))}
        </ol>
      )}
    </div>
  );
}
