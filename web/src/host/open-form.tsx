/** Opens a session: a title, and it is open. */

import { type FormEvent, useCallback, useState } from "react";
import { Link, useLocation } from "wouter";
import { createSession } from "../live/api";
import { keepPresenting, type Presenting } from "../live/seats";
import { Fan } from "../parts/brand";
import { Button, Field, Problem, useAction, useTitle } from "../parts/controls";

const MAX_TITLE = 120;

export function OpenForm({ own }: { own: Presenting[] }) {
  const [title, setTitle] = useState("");
  const [, go] = useLocation();
  useTitle("Present");
  const open = useCallback(async (title: string) => {
    const session = await createSession(title);
    keepPresenting({
      sessionId: session.id,
      title: session.title,
      token: session.presenterToken,
      opened: session.createdAt,
    });
    go(`/host/${session.id}`);
  }, [go]);
  const { run, busy, problem } = useAction(open);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!busy) void run(title.trim());
  };
  return (
    <div className="open-columns">
      <section className="open-hero">
        <h1>Ask the room.<br />Watch it answer.</h1>
        <p>Open a session, show the code, and every vote moves the big screen the moment it is cast.</p>
        <Fan />
      </section>
      <div className="open-side">
        <form className="card open-form" onSubmit={submit}>
          <h2>Open a session</h2>
          <Field label="Title" id="title" hint="Everybody who joins sees it.">
            <input id="title" value={title} maxLength={MAX_TITLE} required autoFocus autoComplete="off"
              aria-describedby="title-hint" onChange={(event) => setTitle(event.target.value)}
              placeholder="Monday all-hands" />
          </Field>
          <Button type="submit" look="main" className="wide" busy={busy}>Open</Button>
          <Problem text={problem} />
        </form>
        {own.length > 0 && (
          <section className="own" aria-label="Your sessions">
            <h3>Opened in this browser</h3>
            <ul>
              {own.map(({ sessionId, title, opened }) => (
                <li key={sessionId}>
                  <Link href={`/host/${sessionId}`}>{title}</Link>
                  <time dateTime={opened}>{new Date(opened).toLocaleDateString()}</time>
                </li>
              ))}
            </ul>
          </section>
        )}
        <p className="aside">Joining? <Link href="/">Enter a code</Link></p>
      </div>
    </div>
  );
}
