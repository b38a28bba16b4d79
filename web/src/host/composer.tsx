/** Writes a poll: what is asked, how it is answered. */

import { type FormEvent, useCallback, useRef, useState } from "react";
import { letterOf, toneOf } from "../charts/figures";
import type { Live } from "../live/live";
import type { Draft, Poll, PollKind } from "../live/types";
import { Button, Field, Problem, Toggle, useAction } from "../parts/controls";
import { KINDS } from "./poll-list";

const MAX_QUESTION = 300;
const MAX_LABEL = 100;
const MAX_OPTIONS = 20;

/** The time limits that are offered, in seconds. */
const LIMITS = [0, 15, 30, 60, 120, 300];

interface Sheet {
  question: string;
  kind: PollKind;
  options: string[];
  max: number;
  scale: number;
  maxWords: number;
  limit: number;
  hideResults: boolean;
  allowChange: boolean;
}

const BLANK: Sheet = {
  question: "",
  kind: "single_choice",
  options: ["", ""],
  max: 0,
  scale: 5,
  maxWords: 3,
  limit: 0,
  hideResults: false,
  allowChange: false,
};

/** The fields that mean something for the kind; the server refuses the others. */
function draftOf(sheet: Sheet): Draft {
  const options = sheet.options.map((label) => label.trim()).filter((label) => label !== "");
  const draft: Draft = {
    question: sheet.question.trim(),
    kind: sheet.kind,
    hideResults: sheet.hideResults,
    allowChange: sheet.allowChange,
  };
  if (sheet.kind === "single_choice" || sheet.kind === "multiple_choice") draft.options = options;
  if (sheet.kind === "multiple_choice" && sheet.max > 0) draft.max = Math.min(sheet.max, options.length);
  if (sheet.kind === "rating") draft.scale = sheet.scale;
  if (sheet.kind === "word_cloud") draft.maxWords = sheet.maxWords;
  if (sheet.limit > 0) draft.timeLimitSeconds = sheet.limit;
  return draft;
}

export function Composer({ live, first, done, cancel }: {
  live: Live;
  first: boolean;
  done: (poll: Poll) => void;
  cancel: () => void;
}) {
  const [sheet, setSheet] = useState(BLANK);
  const write = (change: Partial<Sheet>) => setSheet((before) => ({ ...before, ...change }));
  const add = useCallback(async (draft: Draft) => {
    const poll = await live.add(draft);
    setSheet(BLANK);
    done(poll);
  }, [live, done]);
  const { run, busy, problem } = useAction(add);
  const choice = sheet.kind === "single_choice" || sheet.kind === "multiple_choice";
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!busy) void run(draftOf(sheet));
  };
  return (
    <form className="card composer" onSubmit={submit}>
      <h2>{first ? "Ask your first question" : "New poll"}</h2>
      <fieldset className="kinds">
        <legend className="label">How people answer</legend>
        {Object.entries(KINDS).map(([kind, name]) => (
          <label key={kind} className="kind">
            <input type="radio" name="kind" value={kind} checked={sheet.kind === kind}
              onChange={() => write({ kind: kind as PollKind })} />
            <KindGlyph kind={kind as PollKind} />
            <span>{name}</span>
          </label>
        ))}
      </fieldset>
      <Field label="Question" id="question">
        <input id="question" value={sheet.question} maxLength={MAX_QUESTION} required autoFocus
          autoComplete="off" onChange={(event) => write({ question: event.target.value })} />
      </Field>
      {choice && <Options options={sheet.options} write={(options) => write({ options })} />}
      <Numbers sheet={sheet} write={write} />
      <Toggle label="Hide the results until it is closed" checked={sheet.hideResults}
        onChange={(hideResults) => write({ hideResults })} />
      <Toggle label="Votes can be changed while it is open" checked={sheet.allowChange}
        onChange={(allowChange) => write({ allowChange })} />
      <Problem text={problem} />
      <div className="composer-foot">
        <Button type="submit" look="main" busy={busy}>Add this poll</Button>
        {!first && <Button look="quiet" onClick={cancel}>Cancel</Button>}
      </div>
    </form>
  );
}

function Options({ options, write }: { options: string[]; write: (options: string[]) => void }) {
  const list = useRef<HTMLFieldSetElement>(null);
  const add = () => {
    if (options.length >= MAX_OPTIONS) return;
    write([...options, ""]);
    // Once it is there: who adds an option wants to write it.
    requestAnimationFrame(() => list.current?.querySelector<HTMLInputElement>("li:last-child input")?.focus());
  };
  return (
    <fieldset className="options-edit" ref={list}>
      <legend className="label">Options</legend>
      <ol>
        {options.map((label, place) => (
          <li key={place} className={toneOf(place)}>
            <span className="letter" aria-hidden="true">{letterOf(place)}</span>
            <input
              value={label} maxLength={MAX_LABEL} aria-label={`Option ${letterOf(place)}`} autoComplete="off"
              required={place < 2}
              onChange={(event) => write(options.with(place, event.target.value))}
              onKeyDown={(event) => {
                if (event.key === "Enter" && place === options.length - 1 && label.trim() !== "") {
                  event.preventDefault();
                  add();
                }
              }}
            />
            <Button look="quiet" className="icon" disabled={options.length <= 2}
              aria-label={`Remove option ${letterOf(place)}`}
              onClick={() => write(options.filter((_, at) => at !== place))}>
              <svg viewBox="0 0 24 24" className="glyph" aria-hidden="true"><path d="M7 7l10 10M17 7L7 17" /></svg>
            </Button>
          </li>
        ))}
      </ol>
      <Button look="quiet" onClick={add} disabled={options.length >= MAX_OPTIONS}>Add an option</Button>
    </fieldset>
  );
}

function Numbers({ sheet, write }: { sheet: Sheet; write: (change: Partial<Sheet>) => void }) {
  const number = (text: string) => Number(text);
  return (
    <div className="numbers">
      {sheet.kind === "multiple_choice" && (
        <Field label="At most" id="max">
          <select id="max" value={sheet.max} onChange={(event) => write({ max: number(event.target.value) })}>
            <option value={0}>any number</option>
            {sheet.options.slice(1).map((_, place) => <option key={place} value={place + 1}>{place + 1}</option>)}
          </select>
        </Field>
      )}
      {sheet.kind === "rating" && (
        <Field label="Scale" id="scale">
          <select id="scale" value={sheet.scale} onChange={(event) => write({ scale: number(event.target.value) })}>
            {[3, 4, 5, 7, 10].map((scale) => <option key={scale} value={scale}>1 to {scale}</option>)}
          </select>
        </Field>
      )}
      {sheet.kind === "word_cloud" && (
        <Field label="Words per person" id="words">
          <select id="words" value={sheet.maxWords} onChange={(event) => write({ maxWords: number(event.target.value) })}>
            {[1, 2, 3, 5, 10].map((count) => <option key={count} value={count}>{count}</option>)}
          </select>
        </Field>
      )}
      <Field label="Time limit" id="limit">
        <select id="limit" value={sheet.limit} onChange={(event) => write({ limit: number(event.target.value) })}>
          {LIMITS.map((seconds) => (
            <option key={seconds} value={seconds}>
              {seconds === 0 ? "none" : seconds < 60 ? `${seconds} seconds` : `${seconds / 60} min`}
            </option>
          ))}
        </select>
      </Field>
    </div>
  );
}

/** The shape of the answer, at a glance. */
function KindGlyph({ kind }: { kind: PollKind }) {
  const paths: Record<PollKind, string> = {
    single_choice: "M5 18V9M12 18V4M19 18v-6",
    multiple_choice: "M4 7h11M4 12h16M4 17h7",
    rating: "M12 4l2.3 5.2 5.7.6-4.3 3.8 1.3 5.6-5-3-5 3 1.3-5.6L4 9.8l5.7-.6z",
    word_cloud: "M4 8h9M15 8h5M4 12h4M10 12h10M4 16h7M13 16h5",
  };
  return <svg viewBox="0 0 24 24" className="glyph" aria-hidden="true"><path d={paths[kind]} /></svg>;
}
