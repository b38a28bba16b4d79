/** The last minutes of a few figures, as lines. */

import { scaleLinear } from "@visx/scale";
import { AreaClosed, LinePath } from "@visx/shape";
import { KEPT, short } from "./samples";

export interface Line {
  name: string;
  tone: string;
  values: Array<number | undefined>;
}

const WIDTH = 300;
const HEIGHT = 84;

/** The top of the scale: a round number above all values, so that it seldom changes. */
function ceiling(most: number): number {
  if (most <= 1) return 1;
  const step = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 5, 10].map((times) => times * step).find((top) => top >= most) ?? most;
}

export function Trend({ title, unit = "", lines }: { title: string; unit?: string; lines: Line[] }) {
  const most = Math.max(0, ...lines.flatMap(({ values }) => values.map((value) => value ?? 0)));
  const top = ceiling(most);
  const x = scaleLinear<number>({ domain: [0, KEPT - 1], range: [0, WIDTH] });
  const y = scaleLinear<number>({ domain: [0, top], range: [HEIGHT - 1, 3] });
  const words = lines.map(({ name, values }) => `${name} ${short(values.at(-1) ?? 0)}${unit}`).join(", ");
  return (
    <figure className="card trend">
      <figcaption>
        <h2>{title}</h2>
        <p className="trend-now">
          {lines.map(({ name, tone, values }) => (
            <span key={name} className={tone}>
              <i aria-hidden="true" />
              {lines.length > 1 && <span className="trend-name">{name}</span>}
              <strong>{short(values.at(-1) ?? 0)}</strong>{unit}
            </span>
          ))}
        </p>
      </figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={`${title}: ${words}`}>
        {lines.map(({ name, tone, values }) => {
          const points = values.map((value, at) => ({ at: KEPT - values.length + at, value: value ?? 0 }));
          const place = { x: (it: { at: number }) => x(it.at), y: (it: { value: number }) => y(it.value) };
          return (
            <g key={name} className={tone}>
              <AreaClosed data={points} {...place} yScale={y} className="trend-area" />
              <LinePath data={points} {...place} className="trend-line" />
            </g>
          );
        })}
      </svg>
      <p className="trend-scale" aria-hidden="true"><span>5 min ago</span><span>up to {short(top)}{unit}</span><span>now</span></p>
    </figure>
  );
}
