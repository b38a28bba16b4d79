/** The polls in their order, which can be changed with the mouse and with the keyboard. */

import { useCallback, useRef } from "react";
import { plural } from "../charts/figures";
import type { Live } from "../live/live";
import type { LiveState } from "../live/state";
import type { Poll, PollKind } from "../live/types";
import { Button, Problem, useAction } from "../parts/controls";

export const KINDS: Record<PollKind, string> = {
  single_choice: "One choice",
  multiple_choice: "Several choices",
  rating: "Rating",
  word_cloud: "Word cloud",
};

const STATES = { draft: "Ready", active: "Open", closed: "Closed" };

interface ListProps {
  live: Live;
  state: LiveState;
  shown: string | undefined;
  select: (id: string) => void;
  open: (id: string) => Promise<void>;
}

export function PollList({ live, state, shown, select, open }: ListProps) {
  const { polls } = state;
  const list = useRef<HTMLOListElement>(null);
  const move = useCallback(async (id: string, by: number) => {
    const order = live.snapshot().polls.map((poll) => poll.id);
    const from = order.indexOf(id);
    const to = from + by;
    if (to < 0 || to >= order.length) return;
    order.splice(to, 0, ...order.splice(from, 1));
    // The button moves with its poll: whoever presses it again moves the same one.
    await live.arrange(order);
  }, [live]);
  const moving = useAction(move);
  if (polls.length === 0) return <p className="hint">The first one goes here.</p>;
  return (
    <>
      <ol className="poll-list" ref={list}>
        {polls.map((poll, place) => (
          <li key={poll.id} className={`poll-item poll-${poll.state} ${poll.id === shown ? "is-shown" : ""}`}>
            <div className="poll-place">
              <Step poll={poll} by={-1} disabled={place === 0} move={moving.run} />
              <span>{place + 1}</span>
              <Step poll={poll} by={1} disabled={place === polls.length - 1} move={moving.run} />
            </div>
            <button type="button" className="poll-name" aria-current={poll.id === shown || undefined}
              onClick={() => select(poll.id)}>
              <span className="poll-question">{poll.question}</span>
              <span className="hint">
                <span className="poll-chip">{STATES[poll.state]}</span> {KINDS[poll.kind]}
                {poll.state !== "draft" && <> · {plural(state.results[poll.id]?.votes ?? 0, "vote")}</>}
              </span>
            </button>
            <div className="poll-tools">
              <OpenClose live={live} state={state} poll={poll} open={open} />
            </div>
          </li>
        ))}
      </ol>
      <Problem text={moving.problem} />
    </>
  );
}

function Step({ poll, by, disabled, move }: {
  poll: Poll;
  by: 1 | -1;
  disabled: boolean;
  move: (id: string, by: number) => Promise<void>;
}) {
  const way = by < 0 ? "up" : "down";
  return (
    <button type="button" className="step-button" aria-disabled={disabled} aria-label={`Move “${poll.question}” ${way}`}
      onClick={() => !disabled && void move(poll.id, by)}>
      <svg viewBox="0 0 24 24" className="glyph" aria-hidden="true">
        <path d={by < 0 ? "M6 14l6-6 6 6" : "M6 10l6 6 6-6"} />
      </svg>
    </button>
  );
}

export function OpenClose({ live, state, poll, open, large = false }: {
  live: Live;
  state: LiveState;
  poll: Poll;
  open: (id: string) => Promise<void>;
  large?: boolean;
}) {
  const opening = useAction(open);
  const closing = useAction(live.close);
  if (poll.state === "closed" || state.session?.state === "ended") return null;
  const active = poll.state === "active";
  const action = active ? closing : opening;
  const word = active ? "Close" : "Open";
  return (
    <>
      <Button look={active ? "plain" : "main"} busy={action.busy} onClick={() => void action.run(poll.id)}
        {...(large ? {} : { "aria-label": `${word} “${poll.question}”` })}>
        {large && active ? "Close the poll" : large ? "Open for votes" : word}
      </Button>
      <Problem text={action.problem} />
    </>
  );
}
