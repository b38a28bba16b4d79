/** One poll at the presenter's: its results as they come in, and what can be done with it. */

import { useState } from "react";
import { plural } from "../charts/figures";
import { ResultsChart } from "../charts/results";
import type { Live } from "../live/live";
import type { LiveState } from "../live/state";
import type { Poll } from "../live/types";
import { Button, Countdown } from "../parts/controls";
import { KINDS, OpenClose } from "./poll-list";

export function PollDetail({ live, state, poll, open }: {
  live: Live;
  state: LiveState;
  poll: Poll;
  open: (id: string) => Promise<void>;
}) {
  const [form, setForm] = useState<"bars" | "stacked">("bars");
  const choice = poll.kind === "single_choice" || poll.kind === "multiple_choice";
  const votes = state.results[poll.id]?.votes ?? 0;
  return (
    <article className={`card detail poll-${poll.state}`}>
      <header className="detail-head">
        <p className="poll-state">
          <span>
            {poll.state === "active" && "Open now"}
            {poll.state === "draft" && "Ready to open"}
            {poll.state === "closed" && "Closed"} · {KINDS[poll.kind]}
          </span>
          {poll.state === "active" && <Countdown until={poll.closesAt} />}
        </p>
        <h2>{poll.question}</h2>
      </header>
      {poll.state === "draft" ? <Preview poll={poll} /> : (
        <ResultsChart poll={poll} results={state.results[poll.id]} form={form} />
      )}
      <footer className="detail-foot">
        {poll.state !== "draft" && (
          <p className="detail-votes"><strong>{votes.toLocaleString("en")}</strong> of {plural(state.joined, "person", "people")} voted</p>
        )}
        {choice && poll.state !== "draft" && (
          <Button look="quiet" aria-pressed={form === "stacked"}
            onClick={() => setForm(form === "bars" ? "stacked" : "bars")}>
            {form === "bars" ? "Show as one bar" : "Show as bars"}
          </Button>
        )}
        <OpenClose live={live} state={state} poll={poll} open={open} large />
      </footer>
    </article>
  );
}

/** What will be asked, and how. */
function Preview({ poll }: { poll: Poll }) {
  const rules = [
    poll.kind === "rating" && `From 1 to ${poll.scale}`,
    poll.kind === "word_cloud" && `Up to ${plural(poll.maxWords ?? 3, "word")} each`,
    poll.kind === "multiple_choice" && `${poll.min ?? 1} to ${poll.max ?? poll.options.length} choices each`,
    poll.timeLimitSeconds && `Closes by itself after ${poll.timeLimitSeconds} s`,
    poll.hideResults && "Results are hidden until it is closed",
    poll.allowChange && "Votes can be changed while it is open",
  ].filter((rule) => typeof rule === "string");
  return (
    <>
      {poll.options.length > 0 && (
        <ul className="preview-options">{poll.options.map(({ id, label }) => <li key={id}>{label}</li>)}</ul>
      )}
      {rules.length > 0 && <ul className="rules">{rules.map((rule) => <li key={rule}>{rule}</li>)}</ul>}
    </>
  );
}
