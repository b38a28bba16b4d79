/** What became of one's vote. It is said at once, and again when the server has counted it. */

import type { VoteState } from "../live/state";
import type { Poll } from "../live/types";
import { Spinner } from "../parts/controls";

export function VoteNote({ poll, vote }: { poll: Poll; vote: VoteState | undefined }) {
  return (
    <div className="vote-note" role="status" data-vote={vote?.step ?? "none"}>
      <Words poll={poll} vote={vote} />
    </div>
  );
}

function Words({ poll, vote }: { poll: Poll; vote: VoteState | undefined }) {
  if (!vote) {
    return poll.state === "closed" ? <p className="note">You did not vote on this one.</p> : null;
  }
  switch (vote.step) {
    case "sending":
      return <p className="note note-sending"><Spinner /> Sending your vote…</p>;
    case "waiting":
      return <p className="note note-sending"><Spinner /> Your vote is kept, and sent as soon as you are back.</p>;
    case "refused":
      return <p className="note note-refused">Not counted: {vote.detail}</p>;
    case "counted":
      return (
        <p className="note note-counted">
          <span className="tick" aria-hidden="true">✓</span> Your vote counts
          {poll.kind === "word_cloud" && <>: {vote.chosen.join(", ")}</>}
          {poll.kind === "rating" && <>: {vote.chosen[0]}</>}
          {poll.state === "active" && poll.hideResults && ". Results come when the poll is closed"}.
        </p>
      );
  }
}
