/** What was sent to a room, by position: the latest first, older ones page by page, new ones as they come. */

import { useCallback, useEffect, useState } from "react";
import { Button, Problem, Spinner, useAction } from "../parts/controls";
import type { HistoryEvent, Operator } from "./api";

const PAGE = 50;

/** How many events are kept on the page; older ones are a click away again. */
const MAX_SHOWN = 500;

/** How often is asked for new ones. */
const EVERY_MS = 2_000;

/** How much of an event's arguments is shown before it is opened. */
const MAX_LINE = 160;

export function Timeline({ operator, namespace, room }: { operator: Operator; namespace: string; room: string }) {
  const [events, setEvents] = useState<HistoryEvent[]>();
  const [next, setNext] = useState<string | null>(null);
  const [head, setHead] = useState<string>();
  const [following, setFollowing] = useState(true);

  const begin = useCallback(async () => {
    const page = await operator.history(room, { namespace, limit: PAGE, order: "desc" });
    setEvents(page.events);
    setNext(page.next);
    setHead(page.head);
  }, [operator, namespace, room]);
  const start = useAction(begin);
  const { run: runStart } = start;
  useEffect(() => void runStart(), [runStart]);

  const back = useCallback(async (before: string) => {
    const page = await operator.history(room, { namespace, limit: PAGE, order: "desc", before });
    setEvents((known) => [...(known ?? []), ...page.events].slice(-MAX_SHOWN));
    setNext(page.next);
    setFollowing(false);
  }, [operator, namespace, room]);
  const older = useAction(back);

  useEffect(() => {
    if (!following || head === undefined) return undefined;
    const timer = setTimeout(() => {
      operator.history(room, { namespace, limit: PAGE, order: "asc", after: head }).then(
        (page) => {
          setEvents((known) => [...page.events.toReversed(), ...(known ?? [])].slice(0, MAX_SHOWN));
          // A full page: there is more behind it.
          setHead(page.next ?? page.head);
        },
        () => setFollowing(false),
      );
    }, EVERY_MS);
    return () => clearTimeout(timer);
  }, [operator, namespace, room, head, following, events]);

  return (
    <section className="card table-card timeline" aria-labelledby="timeline-title">
      <div className="section-head">
        <h2 id="timeline-title"><span className="visually-hidden">Timeline of </span><code>{room}</code></h2>
        <Button look={following ? "main" : "plain"} aria-pressed={following} onClick={() => (following ? setFollowing(false) : (setFollowing(true), void runStart()))}>
          {following ? "Following" : "Follow"}
        </Button>
      </div>
      <Problem text={start.problem ?? older.problem} />
      {!events && start.busy && <p className="waiting"><Spinner /> Reading…</p>}
      {events?.length === 0 && <p className="empty">Nothing is kept of this room.</p>}
      <ol className="events">
        {events?.map((event) => <Row key={event.position} event={event} />)}
      </ol>
      {next && <Button look="plain" busy={older.busy} onClick={() => void older.run(next)}>Older</Button>}
    </section>
  );
}

function Row({ event }: { event: HistoryEvent }) {
  const whole = JSON.stringify(event.args);
  const long = whole.length > MAX_LINE;
  const [date, time] = event.time.split("T");
  return (
    <li>
      <p className="event-head">
        <code className="position" title="Position">{event.position}</code>
        <strong>{event.event}</strong>{kindOf(event.args[0])}
        <time dateTime={event.time} title={date}>{time?.replace("Z", "")}</time>
      </p>
      {long ? (
        <details>
          <summary><code>{whole.slice(0, MAX_LINE)}…</code></summary>
          <pre tabIndex={0}>{JSON.stringify(event.args, null, 2)}</pre>
        </details>
      ) : <code className="event-args">{whole}</code>}
    </li>
  );
}

/** What kind of event an envelope has in it. */
function kindOf(argument: unknown): string {
  const kind: unknown = (argument as { eventType?: unknown } | null | undefined)?.eventType;
  return typeof kind === "string" ? kind : "";
}
