/** Who a user is connected by, and a sample of all sockets. */

import { type FormEvent, useCallback, useState } from "react";
import { Button, Problem, useAction } from "../parts/controls";
import { type Operator, type User, usePolled } from "./api";
import { NamespaceChoice } from "./namespaces";
import { short } from "./samples";

const EVERY_MS = 5_000;

export function Sockets({ operator, refused }: { operator: Operator; refused: () => void }) {
  const [namespace, setNamespace] = useState("/");
  const look = useCallback(() => operator.sockets(namespace), [operator, namespace]);
  const { answer, problem } = usePolled(look, EVERY_MS, refused);
  return (
    <div className="stack-cards">
      <Search operator={operator} />
      <section className="card table-card">
        <h2 id="sockets-title">A sample of sockets</h2>
        <div className="filters">
          <NamespaceChoice operator={operator} refused={refused} value={namespace} choose={setNamespace} />
        </div>
        {problem && <p className="problem" role="alert">{problem}</p>}
        {answer && <p className="hint">{answer.sockets.length} of {short(answer.total)}</p>}
        <div className="table-scroll" tabIndex={0} role="region" aria-labelledby="sockets-title">
          <table>
            <thead><tr><th>Socket</th><th>User</th><th>From</th><th>Since</th><th>Rooms</th></tr></thead>
            <tbody>
              {answer?.sockets.map((it) => (
                <tr key={it.socketId}>
                  <td><code>{it.socketId}</code></td>
                  <td><bdi>{it.user}</bdi></td>
                  <td>{it.address}</td>
                  <td>{since(it.connectedAt)}</td>
                  <td>{it.rooms.join(", ")}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </section>
    </div>
  );
}

const since = (time: string | null) => (time ? new Date(time).toLocaleTimeString() : "");

function Search({ operator }: { operator: Operator }) {
  const [id, setId] = useState("");
  const [user, setUser] = useState<User>();
  const find = useCallback(async (id: string) => {
    setUser(undefined);
    setUser(await operator.user(id));
  }, [operator]);
  const { run, busy, problem } = useAction(find);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!busy) void run(id.trim());
  };
  return (
    <section className="card table-card" aria-labelledby="user-title">
      <h2 id="user-title">Find a user</h2>
      <form className="filters" role="search" onSubmit={submit}>
        <div className="field">
          <label htmlFor="user-id">User id</label>
          <input id="user-id" value={id} required autoComplete="off" onChange={(event) => setId(event.target.value)} />
        </div>
        <Button type="submit" look="main" busy={busy}>Find</Button>
      </form>
      <Problem text={problem} />
      <div role="status">
        {user && (
          <p className="user-found">
            <bdi><strong>{user.id}</strong></bdi> {user.online ? `is connected, by ${user.sockets.length} sockets` : "is not connected"}
          </p>
        )}
      </div>
      {user && user.sockets.length > 0 && (
        <ul className="user-sockets">
          {user.sockets.map((it) => (
            <li key={`${it.namespace} ${it.socketId}`}>
              <code>{it.socketId}</code> in <code>{it.namespace}</code> since {since(it.connectedAt)}
              <span className="hint">{it.rooms.join(", ") || "in no rooms"}</span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
