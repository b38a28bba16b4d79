/** The words of a cloud: each grows where it stands. */

import { Group } from "@visx/group";
import { useLayoutEffect, useRef, useState } from "react";
import type { CloudResults } from "../live/types";
import { type Placed, layout } from "./cloud-layout";
import { plural, TONES } from "./figures";

/** How many words are shown: more cannot be read from a seat. */
const MAX_SHOWN = 50;

/** At which size texts are measured. */
const MEASURED_AT = 100;

const FONT = `650 ${MEASURED_AT}px "Bricolage Grotesque Variable", sans-serif`;

let canvas: CanvasRenderingContext2D | null | undefined;

function measure(text: string): number {
  canvas ??= document.createElement("canvas").getContext("2d");
  if (!canvas) return text.length * 0.6;
  canvas.font = FONT;
  return canvas.measureText(text).width / MEASURED_AT;
}

/** A colour of its own, the same on every screen. */
function toneOfWord(text: string): string {
  let sum = 0;
  for (const letter of text) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) % 9_973;
  return `tone-${sum % TONES}`;
}

export function Cloud({ results }: { results: CloudResults }) {
  const [frame, size] = useSize();
  const placed = usePlaced(results, size);
  const hidden = results.distinctWords - placed.length;
  return (
    <div className="cloud">
      <div className="cloud-frame" ref={frame}>
        {size && (
          <svg viewBox={`0 0 ${size.width} ${size.height}`} aria-hidden="true" focusable="false">
            {placed.map(({ text, x, y, size: fontSize }) => (
              <Group key={text} className="word" style={{ transform: `translate(${x}px, ${y}px)` }}>
                <text
                  className={toneOfWord(text)}
                  textAnchor="middle"
                  dominantBaseline="central"
                  fontSize={MEASURED_AT}
                  style={{ transform: `scale(${fontSize / MEASURED_AT})` }}
                >
                  {text}
                </text>
              </Group>
            ))}
          </svg>
        )}
        {results.words.length === 0 && <p className="cloud-empty">The first word stands here.</p>}
      </div>
      <ol className="visually-hidden">
        {results.words.slice(0, MAX_SHOWN).map(({ text, votes }) => (
          <li key={text}>{text}: {plural(votes, "time")}</li>
        ))}
      </ol>
      {hidden > 0 && <p className="cloud-more">and {plural(hidden, "more word")}</p>}
    </div>
  );
}

/** The words in their places, each as near as can be to where it was. */
function usePlaced(results: CloudResults, size: { width: number; height: number } | undefined): Placed[] {
  const [placed, setPlaced] = useState<Placed[]>([]);
  const before = useRef(new Map<string, Placed>());
  const shape = useRef("");
  const { words } = results;
  useLayoutEffect(() => {
    if (!size) return;
    // In another frame the old places mean nothing.
    const now = `${size.width} ${size.height}`;
    if (shape.current !== now) before.current = new Map();
    shape.current = now;
    const next = layout(words.slice(0, MAX_SHOWN), { ...size, measure }, before.current);
    before.current = new Map(next.map((word) => [word.text, word]));
    setPlaced(next.toSorted((a, b) => a.text.localeCompare(b.text)));
  }, [words, size]);
  return placed;
}

function useSize() {
  const frame = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState<{ width: number; height: number }>();
  useLayoutEffect(() => {
    const element = frame.current;
    if (!element) return;
    const observer = new ResizeObserver(() => {
      const { width, height } = element.getBoundingClientRect();
      if (width > 0 && height > 0) setSize({ width: Math.round(width), height: Math.round(height) });
    });
    observer.observe(element);
    // What is measured before the font is there would overlap.
    void document.fonts.load(FONT).then(() => setSize((known) => known && { ...known }));
    return () => observer.disconnect();
  }, []);
  return [frame, size] as const;
}
