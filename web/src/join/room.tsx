/** The session on a phone: what is asked now, one's own vote, and the results as far as they are shown. */

import { useEffect, useRef } from "react";
import { ResultsChart } from "../charts/results";
import type { Live } from "../live/live";
import type { Seat } from "../live/seats";
import { currentPoll, type LiveState } from "../live/state";
import type { Poll } from "../live/types";
import { ClockContext, useLive } from "../live/use";
import { Mark } from "../parts/brand";
import { Button, Countdown, Problem, Spinner, useAction, useTitle } from "../parts/controls";
import { LinkStatus } from "../parts/status";
import { BallotForm } from "./ballot";
import { VoteNote } from "./note";

export function Room({ seat, leave }: { seat: Seat; leave: (why?: string) => void }) {
  const { live, state, link } = useLive(seat.sessionId, seat.token, "participant");
  const { session } = state;
  useTitle(session?.title ?? "");
  useEffect(() => {
    if (link === "over") leave("That session is gone. Type the code of another one.");
  }, [link, leave]);

  return (
    <ClockContext.Provider value={live.now}>
      <div className="room">
        <header className="room-head">
          <Mark />
          <h1>{session?.title ?? "Fanfare"}</h1>
          <p className="whoami" title={seat.displayName}>{seat.displayName}</p>
        </header>
        <LinkStatus link={link} />
        <p className="visually-hidden" role="status">{news(state)}</p>
        <main className="room-main">
          {state.ready ? <Stage live={live} state={state} leave={leave} /> : <Joining />}
        </main>
      </div>
    </ClockContext.Provider>
  );
}

/** What has just changed, for those who do not see it. */
function news({ polls, session }: LiveState): string {
  if (session?.state === "ended") return "The session has ended.";
  const current = currentPoll(polls);
  if (!current) return "";
  return current.state === "active" ? `Open now: ${current.question}` : `Closed: ${current.question}`;
}

function Joining() {
  return <p className="waiting"><Spinner /> One moment…</p>;
}

function Stage({ live, state, leave }: { live: Live; state: LiveState; leave: () => void }) {
  const open = state.polls.filter((poll) => poll.state === "active");
  const current = currentPoll(state.polls);
  const shown = current && !open.includes(current) ? [current] : open.toReversed();
  const earlier = state.polls.filter((poll) => poll.state === "closed" && !shown.includes(poll));
  const ended = state.session?.state === "ended";
  return (
    <>
      {ended && (
        <section className="card ended">
          <h2>That’s it. Thank you!</h2>
          <p>The session has ended. Its results stay here for as long as you keep this page.</p>
          <Button onClick={() => leave()}>Join another session</Button>
        </section>
      )}
      {!ended && shown.length === 0 && <Waiting />}
      {shown.map((poll) => <PollCard key={poll.id} live={live} state={state} poll={poll} />)}
      {!ended && shown.length > 0 && open.length === 0 && (
        <p className="next-hint">The next question appears here by itself.</p>
      )}
      {earlier.length > 0 && (
        <section className="earlier" aria-label="Earlier questions">
          {earlier.toReversed().map((poll) => <Earlier key={poll.id} live={live} state={state} poll={poll} />)}
        </section>
      )}
    </>
  );
}

/** A question of before, whose results are read when somebody looks. */
function Earlier({ live, state, poll }: { live: Live; state: LiveState; poll: Poll }) {
  const { run, problem } = useAction(live.look);
  return (
    <details className="card" onToggle={(event) => event.currentTarget.open && void run(poll)}>
      <summary>{poll.question}</summary>
      <Problem text={problem} />
      <ResultsChart poll={poll} results={state.results[poll.id]} mine={chosen(state, poll.id)} />
    </details>
  );
}

function Waiting() {
  return (
    <section className="waiting-card">
      <div className="pulse" aria-hidden="true"><i /><i /><i /><i /></div>
      <h2>You’re in</h2>
      <p>The first question appears here by itself.</p>
    </section>
  );
}

/** What one has voted, as far as it counts. */
function chosen(state: LiveState, id: string): string[] | undefined {
  const vote = state.votes[id];
  if (!vote || vote.step === "sending" || vote.step === "waiting") return undefined;
  return vote.chosen;
}

function PollCard({ live, state, poll }: { live: Live; state: LiveState; poll: Poll }) {
  const vote = state.votes[poll.id];
  const mine = chosen(state, poll.id);
  const active = poll.state === "active";
  const showsResults = poll.state === "closed" || (!poll.hideResults && mine !== undefined);
  const canVote = active && (mine === undefined || poll.allowChange);
  const heading = useRef<HTMLHeadingElement>(null);
  return (
    <article className={`card poll poll-${poll.state}`} data-poll={poll.id} aria-labelledby={`q-${poll.id}`}>
      <p className="poll-state">
        {active ? "Open now" : "Closed"}
        {active && <Countdown until={poll.closesAt} />}
      </p>
      <h2 id={`q-${poll.id}`} ref={heading} tabIndex={-1}>{poll.question}</h2>
      {canVote && (
        <BallotForm
          key={mine?.join() ?? ""}
          poll={poll} mine={mine} busy={vote?.step === "sending" || vote?.step === "waiting"}
          pending={vote?.step === "sending" || vote?.step === "waiting" ? vote.ballot : undefined}
          cast={(ballot) => void live.vote(poll.id, ballot)}
        />
      )}
      <VoteNote poll={poll} vote={vote} />
      {showsResults && <ResultsChart poll={poll} results={state.results[poll.id]} mine={mine} />}
    </article>
  );
}
