/** Who has joined, a page at a time. */

import { useCallback, useEffect, useState } from "react";
import type { Live } from "../live/live";
import type { LiveState } from "../live/state";
import type { Participant } from "../live/types";
import { Button } from "../parts/controls";

/** How many names a page has. */
const PAGE = 50;

export function People({ live, state }: { live: Live; state: LiveState }) {
  const [open, setOpen] = useState(false);
  return (
    <details className="card people" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>People <span className="count">{state.joined.toLocaleString("en")}</span></summary>
      {open && <Names live={live} counted={`${state.joined} ${state.connected}`} />}
    </details>
  );
}

function Names({ live, counted }: { live: Live; counted: string }) {
  const [pages, setPages] = useState<Array<string | undefined>>([undefined]);
  const [people, setPeople] = useState<Participant[]>([]);
  const [next, setNext] = useState<string | null>(null);
  const after = pages.at(-1);

  const read = useCallback(async () => {
    const page = await live.api.participants(live.sessionId, PAGE, after);
    setPeople(page.participants);
    setNext(page.next);
  }, [live, after]);
  // Anew when somebody has come or gone.
  useEffect(() => void read().catch(() => undefined), [read, counted]);

  return (
    <>
      <ul className="names" tabIndex={0} aria-label="Names">
        {people.map(({ id, displayName, connected }) => (
          <li key={id} className={connected ? "" : "is-away"}>
            <span className="dot" aria-hidden="true" />
            <bdi>{displayName}</bdi>
            {!connected && <span className="hint">away</span>}
          </li>
        ))}
      </ul>
      {people.length === 0 && <p className="hint">Nobody yet.</p>}
      {(next || pages.length > 1) && (
        <nav className="pager" aria-label="Pages of names">
          <Button look="quiet" disabled={pages.length === 1} onClick={() => setPages(pages.slice(0, -1))}>Earlier</Button>
          <Button look="quiet" disabled={!next} onClick={() => setPages([...pages, next ?? undefined])}>Later</Button>
        </nav>
      )}
    </>
  );
}
