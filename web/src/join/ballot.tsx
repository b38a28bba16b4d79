/** A ballot for each kind of poll: chosen by tapping, sent by a button within reach of the thumb. */

import { type FormEvent, useState } from "react";
import { letterOf, plural, toneOf } from "../charts/figures";
import type { Ballot, Poll } from "../live/types";
import { Button } from "../parts/controls";

interface BallotProps {
  poll: Poll;
  mine: string[] | undefined;
  /** What is on its way. */
  pending: Ballot | undefined;
  busy: boolean;
  cast: (ballot: Ballot) => void;
}

export function BallotForm(props: BallotProps) {
  switch (props.poll.kind) {
    case "single_choice":
    case "multiple_choice":
      return <ChoiceBallot {...props} />;
    case "rating":
      return <RatingBallot {...props} />;
    case "word_cloud":
      return <WordBallot {...props} />;
  }
}

function Submit({ mine, busy, ready }: { mine: string[] | undefined; busy: boolean; ready: boolean }) {
  const text = mine ? "Change my vote" : "Vote";
  return (
    <Button type="submit" look="main" className="wide" busy={busy} disabled={!ready && !busy}>
      {busy ? "Sending…" : text}
    </Button>
  );
}

const sameItems = (a: string[], b: string[]) => a.length === b.length && a.every((it) => b.includes(it));

function ChoiceBallot({ poll, mine, pending, busy, cast }: BallotProps) {
  const single = poll.kind === "single_choice";
  const [min, max] = single ? [1, 1] : [poll.min ?? 1, poll.max ?? poll.options.length];
  const sent = pending && "optionIds" in pending ? pending.optionIds : undefined;
  const [picked, setPicked] = useState<string[]>(sent ?? mine ?? []);
  const pick = (id: string) => {
    if (busy) return;
    if (single) setPicked([id]);
    else if (picked.includes(id)) setPicked(picked.filter((it) => it !== id));
    else if (picked.length < max) setPicked([...picked, id]);
  };
  const fits = picked.length >= min && picked.length <= max;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!busy && fits) cast({ optionIds: picked });
  };
  return (
    <form className="ballot" onSubmit={submit}>
      <fieldset>
        <legend className={single ? "visually-hidden" : "hint"}>
          {single ? "Choose one" : howMany(min, max, poll.options.length)}
        </legend>
        {poll.options.map(({ id, label }, place) => {
          const checked = picked.includes(id);
          return (
            <label key={id} className={`option ${toneOf(place)}`}>
              <input
                type={single ? "radio" : "checkbox"} name={`poll-${poll.id}`} value={id}
                checked={checked} onChange={() => pick(id)}
                disabled={!single && !checked && picked.length >= max}
              />
              <span className="letter" aria-hidden="true">{letterOf(place)}</span>
              <span className="option-label">{label}</span>
              <span className="option-check" aria-hidden="true" />
            </label>
          );
        })}
      </fieldset>
      <Submit mine={mine} busy={busy} ready={fits && !(mine && sameItems(mine, picked))} />
    </form>
  );
}

function howMany(min: number, max: number, all: number): string {
  if (min === max) return `Choose ${min}`;
  if (max >= all) return min <= 1 ? "Choose as many as you like" : `Choose at least ${min}`;
  return min <= 1 ? `Choose up to ${max}` : `Choose ${min} to ${max}`;
}

function RatingBallot({ poll, mine, pending, busy, cast }: BallotProps) {
  const scale = Array.from({ length: poll.scale ?? 5 }, (_, place) => place + 1);
  const before = mine?.[0] === undefined ? undefined : Number(mine[0]);
  const sent = pending && "value" in pending ? pending.value : undefined;
  const [picked, setPicked] = useState<number | undefined>(sent ?? before);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!busy && picked !== undefined) cast({ value: picked });
  };
  return (
    <form className="ballot" onSubmit={submit}>
      <fieldset className="scale" data-scale={scale.length}>
        <legend className="visually-hidden">From 1, the lowest, to {scale.length}, the highest</legend>
        {scale.map((value) => (
          <label key={value} className={`step ${picked !== undefined && value <= picked ? "filled" : ""}`}>
            <input
              type="radio" name={`poll-${poll.id}`} value={value} checked={picked === value}
              onChange={() => !busy && setPicked(value)}
            />
            <span>{value}</span>
          </label>
        ))}
      </fieldset>
      <p className="scale-ends" aria-hidden="true"><span>lowest</span><span>highest</span></p>
      <Submit mine={mine} busy={busy} ready={picked !== undefined && picked !== before} />
    </form>
  );
}

function WordBallot({ poll, mine, pending, busy, cast }: BallotProps) {
  const most = poll.maxWords ?? 3;
  const sent = pending && "words" in pending ? pending.words : undefined;
  const [words, setWords] = useState<string[]>(sent ?? mine ?? []);
  const fields = Array.from({ length: most }, (_, place) => words[place] ?? "");
  const given = fields.map((word) => word.trim()).filter((word) => word !== "");
  // One field more than there are words: an empty form asks for one word, not for ten.
  const shown = Math.min(most, Math.max(1, fields.findLastIndex((word) => word !== "") + 2));
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!busy && given.length > 0) cast({ words: given });
  };
  return (
    <form className="ballot" onSubmit={submit}>
      <fieldset>
        <legend className="hint">{most === 1 ? "One word or short phrase" : `Up to ${plural(most, "word")} or short phrases`}</legend>
        {fields.slice(0, shown).map((word, place) => (
          <input
            key={place} className="word-input" aria-label={`Word ${place + 1}`} value={word}
            maxLength={poll.maxWordLength ?? 30} readOnly={busy} autoComplete="off" enterKeyHint="send"
            onChange={(event) => setWords(fields.with(place, event.target.value))}
          />
        ))}
      </fieldset>
      <Submit mine={mine} busy={busy} ready={given.length > 0 && !(mine && sameItems(mine, given))} />
    </form>
  );
}
