/** The largest rooms, those whose names contain a text, and the timeline of one. */

import { useCallback, useEffect, useState } from "react";
import { type Operator, usePolled } from "./api";
import { NamespaceChoice } from "./namespaces";
import { short } from "./samples";
import { Timeline } from "./timeline";

const EVERY_MS = 3_000;
const TYPING_MS = 250;

export function Rooms({ operator, refused }: { operator: Operator; refused: () => void }) {
  const [namespace, setNamespace] = useState("/");
  const [typed, setTyped] = useState("");
  const contains = useSettled(typed);
  const [room, setRoom] = useState<string>();
  const look = useCallback(() => operator.rooms(namespace, contains), [operator, namespace, contains]);
  const { answer, problem } = usePolled(look, EVERY_MS, refused);
  const choose = (namespace: string) => {
    setNamespace(namespace);
    setRoom(undefined);
  };
  return (
    <div className="split">
      <section className="card table-card" aria-labelledby="rooms-title">
        <h2 id="rooms-title">Rooms</h2>
        <div className="filters">
          <NamespaceChoice operator={operator} refused={refused} value={namespace} choose={choose} />
          <div className="field">
            <label htmlFor="contains">Name contains</label>
            <input id="contains" type="search" value={typed} autoComplete="off" onChange={(event) => setTyped(event.target.value)} />
          </div>
        </div>
        {problem && <p className="problem" role="alert">{problem}</p>}
        {answer && (
          <p className="hint" role="status">
            {answer.rooms.length < answer.matching
              ? `The ${answer.rooms.length} largest of ${short(answer.matching)}`
              : `${answer.rooms.length} in use`}
          </p>
        )}
        <ul className="room-list">
          {answer?.rooms.map(({ room: name, sockets }) => (
            <li key={name}>
              <button type="button" aria-current={name === room || undefined} onClick={() => setRoom(name)}>
                <span className="room-name">{name}</span>
                <span>{short(sockets)}</span>
              </button>
            </li>
          ))}
        </ul>
        {/* A room whose people have left still has its past. */}
        {typed !== "" && !answer?.rooms.some(({ room: name }) => name === typed) && (
          <button type="button" className="button button-plain" onClick={() => setRoom(typed)}>Timeline of “{typed}”</button>
        )}
      </section>
      {room
        ? <Timeline key={`${namespace} ${room}`} operator={operator} namespace={namespace} room={room} />
        : <p className="empty">Choose a room to see what was sent to it.</p>}
    </div>
  );
}

/** A text once it has not changed for a moment. */
function useSettled(text: string): string {
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), TYPING_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return settled;
}
