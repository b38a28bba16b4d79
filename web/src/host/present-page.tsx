/** The big screen: one thing at a time, legible from the back row. */

import { type CSSProperties, useCallback, useEffect, useState } from "react";
import { ResultsChart } from "../charts/results";
import type { Live } from "../live/live";
import { presenting, type Presenting } from "../live/seats";
import { currentPoll, type LiveState } from "../live/state";
import type { Poll } from "../live/types";
import { ClockContext, useLive } from "../live/use";
import { Fan, Mark } from "../parts/brand";
import { joinLink, JoinCode } from "../parts/code";
import { Button, Countdown, useTitle } from "../parts/controls";
import { QrCode } from "../parts/qr";
import { LinkStatus } from "../parts/status";
import { NotHere } from "./page";
import "../style/host.css";
import "../style/present.css";

/** So many options stand below each other; more of them in two columns. */
const ONE_COLUMN = 6;

export default function PresentPage({ id }: { id: string }) {
  const [place] = useState(() => presenting().find(({ sessionId }) => sessionId === id));
  return place ? <BigScreen place={place} /> : <NotHere />;
}

function BigScreen({ place }: { place: Presenting }) {
  const { live, state, link } = useLive(place.sessionId, place.token, "presenter");
  const { session } = state;
  useTitle(session?.title ?? place.title);
  const view = useView(live, state);
  if (link === "over") return <NotHere />;
  return (
    <ClockContext.Provider value={live.now}>
      <div className="screen" data-view={view.poll ? "poll" : "lobby"}>
        <header className="screen-head">
          <p className="screen-title"><Mark /> {session?.title ?? place.title}</p>
          {session && view.poll && session.state !== "ended" && (
            <p className="screen-join">
              <span>{location.host}</span> <JoinCode code={session.code} />
            </p>
          )}
        </header>
        <main className="screen-main">
          {view.poll && <Question state={state} poll={view.poll} form={view.form} />}
          {!view.poll && session && <Lobby code={session.code} title={session.title} ended={session.state === "ended"} />}
        </main>
        <footer className="screen-foot">
          <p className="screen-figures">
            {view.poll && view.poll.state !== "draft" && (
              <span data-figure="votes">
                <strong>{(state.results[view.poll.id]?.votes ?? 0).toLocaleString("en")}</strong>{" "}
                {state.results[view.poll.id]?.votes === 1 ? "vote" : "votes"}
              </span>
            )}
            <span data-figure="people"><strong>{state.connected.toLocaleString("en")}</strong> {state.connected === 1 ? "person" : "people"} here</span>
            {view.poll?.state === "active" && <Countdown until={view.poll.closesAt} />}
            {view.poll?.state === "closed" && <span className="screen-closed">Closed</span>}
          </p>
          <Tools live={live} state={state} view={view} />
        </footer>
        <LinkStatus link={link} words={{ lost: "Connection lost. Coming back by itself." , back: "" }} />
      </div>
    </ClockContext.Provider>
  );
}

interface View {
  poll: Poll | undefined;
  form: "bars" | "stacked";
  turnForm: () => void;
  step: (by: number) => void;
  lobby: () => void;
}

/** What is shown: the poll that was opened last, unless the presenter turns to another one. */
function useView(live: Live, state: LiveState): View {
  const current = currentPoll(state.polls);
  const [turned, setTurned] = useState<{ to: string | "lobby"; from: string | undefined }>();
  const [form, setForm] = useState<"bars" | "stacked">("bars");
  // A poll that is opened takes the screen, whatever was turned to before.
  const isTurned = turned !== undefined && turned.from === current?.id;
  const poll = isTurned ? state.polls.find(({ id }) => id === turned.to) : current;

  const step = useCallback((by: number) => {
    const { polls } = live.snapshot();
    const now = currentPoll(polls);
    const at = polls.findIndex(({ id }) => id === poll?.id);
    const next = polls[Math.min(polls.length - 1, Math.max(0, at + by))];
    if (next) setTurned({ to: next.id, from: now?.id });
  }, [live, poll?.id]);
  const lobby = useCallback(() => {
    const now = currentPoll(live.snapshot().polls)?.id;
    setTurned((before) => (before?.to === "lobby" && before.from === now ? undefined : { to: "lobby", from: now }));
  }, [live]);
  const turnForm = useCallback(() => setForm((it) => (it === "bars" ? "stacked" : "bars")), []);

  useEffect(() => {
    const keys: Record<string, () => void> = {
      ArrowRight: () => step(1),
      ArrowLeft: () => step(-1),
      j: lobby,
      s: turnForm,
      f: () => void toggleFull(),
    };
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      keys[event.key.length === 1 ? event.key.toLowerCase() : event.key]?.();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, [step, lobby, turnForm]);
  return { poll, form, turnForm, step, lobby };
}

async function toggleFull(): Promise<void> {
  if (document.fullscreenElement) await document.exitFullscreen();
  else await document.documentElement.requestFullscreen();
}

function Question({ state, poll, form }: { state: LiveState; poll: Poll; form: "bars" | "stacked" }) {
  // Many options share the height of the screen, in two columns if need be.
  const many = poll.options.length > ONE_COLUMN;
  const count = many ? Math.ceil(poll.options.length / 2) : poll.options.length;
  const rows = { "--rows": Math.max(count, 3) } as CSSProperties;
  return (
    <article className={`screen-poll kind-${poll.kind} ${many ? "many" : ""}`} style={rows}>
      <h1>{poll.question}</h1>
      {poll.state === "draft"
        ? <p className="screen-soon">Opens in a moment</p>
        : <div className="screen-chart"><ResultsChart poll={poll} results={state.results[poll.id]} form={form} /></div>}
    </article>
  );
}

function Lobby({ code, title, ended }: { code: string; title: string; ended: boolean }) {
  if (ended) {
    return (
      <section className="lobby lobby-ended">
        <Fan />
        <h1>Thank you!</h1>
      </section>
    );
  }
  return (
    <section className="lobby">
      <Fan />
      <div className="lobby-words">
        <h1 className="visually-hidden">{title}</h1>
        <p className="lobby-at">Join at <strong>{location.host}</strong></p>
        <p className="lobby-code"><JoinCode code={code} /></p>
        <p className="lobby-hint">or point a camera at the square</p>
      </div>
      <QrCode text={joinLink(code)} label={`QR code that leads to ${joinLink(code)}`} />
    </section>
  );
}

function Tools({ live, state, view }: { live: Live; state: LiveState; view: View }) {
  const { poll } = view;
  const open = async (id: string) => {
    if (state.session?.state === "created") await live.begin();
    await live.open(id);
  };
  const choice = poll?.kind === "single_choice" || poll?.kind === "multiple_choice";
  const running = state.session?.state !== "ended";
  return (
    <div className="screen-tools" role="toolbar" aria-label="Presenter">
      {running && poll?.state === "draft" && <Button look="main" onClick={() => void open(poll.id)}>Open for votes</Button>}
      {running && poll?.state === "active" && <Button onClick={() => void live.close(poll.id)}>Close</Button>}
      <Button look="quiet" className="icon" onClick={() => view.step(-1)} aria-label="Poll before" title="Poll before (←)">
        <svg viewBox="0 0 24 24" className="glyph" aria-hidden="true"><path d="M14 6l-6 6 6 6" /></svg>
      </Button>
      <Button look="quiet" className="icon" onClick={() => view.step(1)} aria-label="Next poll" title="Next poll (→)">
        <svg viewBox="0 0 24 24" className="glyph" aria-hidden="true"><path d="M10 6l6 6-6 6" /></svg>
      </Button>
      {choice && (
        <Button look="quiet" onClick={view.turnForm} title="One bar or several (S)">
          {view.form === "bars" ? "One bar" : "Bars"}
        </Button>
      )}
      {running && state.polls.length > 0 && (
        <Button look="quiet" onClick={view.lobby} title="The code, large (J)">
          {view.poll ? "Code" : "Poll"}
        </Button>
      )}
      <Button look="quiet" className="icon" onClick={() => void toggleFull()} aria-label="Full screen" title="Full screen (F)">
        <svg viewBox="0 0 24 24" className="glyph" aria-hidden="true"><path d="M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5" /></svg>
      </Button>
    </div>
  );
}
