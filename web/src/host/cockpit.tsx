/** The presenter's session: who is there, what is asked, what comes back. */

import { useCallback, useEffect, useState } from "react";
import { Link } from "wouter";
import { plural } from "../charts/figures";
import type { Live } from "../live/live";
import { dropPresenting, type Presenting } from "../live/seats";
import { currentPoll, type LiveState } from "../live/state";
import { ClockContext, useLive } from "../live/use";
import { Mark } from "../parts/brand";
import { Button, Problem, Spinner, useAction, useTitle } from "../parts/controls";
import { LinkStatus } from "../parts/status";
import { Composer } from "./composer";
import { Invite } from "./invite";
import { NotHere } from "./page";
import { People } from "./people";
import { PollList } from "./poll-list";
import { PollDetail } from "./poll-detail";

export function Cockpit({ place }: { place: Presenting }) {
  const { live, state, link } = useLive(place.sessionId, place.token, "presenter");
  useTitle(state.session?.title ?? place.title);
  useEffect(() => {
    if (link === "over") dropPresenting(place.sessionId);
  }, [link, place.sessionId]);
  if (link === "over") return <NotHere />;
  return (
    <ClockContext.Provider value={live.now}>
      <div className="cockpit">
        <Head live={live} state={state} title={place.title} />
        <LinkStatus link={link} words={{ lost: "Connection lost. Coming back by itself; votes are counted meanwhile." }} />
        {state.ready ? <Desk live={live} state={state} /> : <main className="loading"><Spinner /></main>}
      </div>
    </ClockContext.Provider>
  );
}

function Head({ live, state, title }: { live: Live; state: LiveState; title: string }) {
  const { session } = state;
  return (
    <header className="cockpit-head">
      <Link href="/host" className="head-home" aria-label="All sessions"><Mark /></Link>
      <div className="head-title">
        <h1>{session?.title ?? title}</h1>
        <p data-joined={state.joined} data-connected={state.connected}>
          <span className="dot" aria-hidden="true" />
          {plural(state.connected, "person", "people")} here
          {state.joined > state.connected && <span className="of-joined"> · {state.joined.toLocaleString("en")} joined</span>}
        </p>
      </div>
      <nav aria-label="Session">
        <a className="button button-plain" href={`/host/${live.sessionId}/present`} target={`present-${live.sessionId}`}>
          Big screen
        </a>
        {session && session.state !== "ended" && <EndButton live={live} started={session.state === "started"} />}
      </nav>
    </header>
  );
}

/** Asks once more: what has ended does not begin again. */
function EndButton({ live, started }: { live: Live; started: boolean }) {
  const [asking, setAsking] = useState(false);
  const { run, busy, problem } = useAction(live.end);
  if (!started) return null;
  if (!asking) return <Button look="quiet" onClick={() => setAsking(true)}>End session</Button>;
  return (
    <div className="asking" role="group" aria-label="End the session for everybody?">
      <span>End for everybody?</span>
      <Button look="danger" busy={busy} onClick={() => void run()} autoFocus>End it</Button>
      <Button look="quiet" onClick={() => setAsking(false)}>Go on</Button>
      <Problem text={problem} />
    </div>
  );
}

function Desk({ live, state }: { live: Live; state: LiveState }) {
  const [chosen, setChosen] = useState<string>();
  const [composing, setComposing] = useState(false);
  const current = currentPoll(state.polls);
  const shown = state.polls.find(({ id }) => id === chosen) ?? current ?? state.polls[0];
  const ended = state.session?.state === "ended";
  const begins = composing || (state.polls.length === 0 && !ended);

  const open = useCallback(async (id: string) => {
    // The session begins with its first poll: one thing less to know.
    if (live.snapshot().session?.state === "created") await live.begin();
    await live.open(id);
    setChosen(undefined);
  }, [live]);
  const select = (id: string) => {
    setChosen(id);
    setComposing(false);
  };

  return (
    <main className="desk">
      <section className="desk-polls" aria-labelledby="polls-title">
        <div className="section-head">
          <h2 id="polls-title">Polls</h2>
          {!ended && !begins && <Button look="plain" onClick={() => setComposing(true)}>Add a poll</Button>}
        </div>
        <PollList live={live} state={state} shown={begins ? undefined : shown?.id} select={select} open={open} />
      </section>
      <section className="desk-stage" aria-label={begins ? "New poll" : "Results"}>
        {ended && <EndedNote live={live} />}
        {begins && (
          <Composer
            live={live} first={state.polls.length === 0}
            done={(poll) => select(poll.id)} cancel={() => setComposing(false)}
          />
        )}
        {!begins && shown && <PollDetail key={shown.id} live={live} state={state} poll={shown} open={open} />}
      </section>
      <aside className="desk-side" aria-label="Joining">
        {state.session && !ended && <Invite code={state.session.code} />}
        <People live={live} state={state} />
      </aside>
    </main>
  );
}

function EndedNote({ live }: { live: Live }) {
  const save = useCallback(async () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await live.api.table(live.sessionId));
    link.download = `${live.snapshot().session?.title ?? "results"}.csv`;
    link.click();
    URL.revokeObjectURL(link.href);
  }, [live]);
  const { run, busy, problem } = useAction(save);
  return (
    <div className="card ended-note">
      <p><strong>The session has ended.</strong> Results stay for 30 days unless the server is set otherwise.</p>
      <Button onClick={() => void run()} busy={busy}>Download all results (CSV)</Button>
      <Problem text={problem} />
    </div>
  );
}
