/** All at one look: how much, how quick, what went wrong; then the nodes. */

import { useCallback, useRef, useState } from "react";
import { Spinner } from "../parts/controls";
import { type Counted, type Operator, type Stats, usePolled } from "./api";
import { bytes, duration, KEPT, type Sample, sampleOf, short } from "./samples";
import { type Line, Trend } from "./trend";

const EVERY_MS = 2_000;
const NODES_EVERY_MS = 5_000;

interface Props {
  operator: Operator;
  refused: () => void;
}

export function Overview({ operator, refused }: Props) {
  const [samples, setSamples] = useState<Sample[]>([]);
  const before = useRef<{ stats: Stats; at: number }>(undefined);
  const look = useCallback(async () => {
    const stats = await operator.stats();
    const at = Date.now();
    const known = before.current;
    before.current = { stats, at };
    setSamples((all) => [...all, sampleOf(stats, known?.stats, at, known?.at ?? at)].slice(-KEPT));
    return stats;
  }, [operator]);
  const { answer: stats, problem } = usePolled(look, EVERY_MS, refused);
  if (!stats) return problem ? <p className="problem">{problem}</p> : <p className="waiting"><Spinner /> Looking…</p>;
  const line = (name: string, tone: number, read: (sample: Sample) => number | undefined): Line => ({
    name, tone: `tone-${tone}`, values: samples.map(read),
  });
  return (
    <>
      {problem && <p className="problem" role="alert">The server does not answer: {problem} These figures are old.</p>}
      <Tiles stats={stats} latest={samples.at(-1)} />
      <div className="trends">
        <Trend title="Connections" lines={[line("open", 0, (it) => it.connections)]} />
        <Trend title="Events" unit="/s" lines={[
          line("delivered", 0, (it) => it.delivered), line("received", 2, (it) => it.received), line("recorded", 3, (it) => it.recorded),
        ]} />
        <Trend title="Came back" unit="/s" lines={[
          line("recovered", 2, (it) => it.recovered), line("had to begin anew", 1, (it) => it.notRecovered),
        ]} />
        <Trend title="Lost on the way" unit="/s" lines={[
          line("dropped", 1, (it) => it.dropped), line("slow clients cut", 4, (it) => it.slow),
        ]} />
      </div>
      <Nodes operator={operator} refused={refused} />
      <div className="reasons">
        <Reasons title="Closed, by reason" counts={stats.closed} />
        <Reasons title="Refused, by reason" counts={stats.rejected} />
        <Reasons title="Not recovered, by reason" counts={stats.not_recovered} />
      </div>
    </>
  );
}

function Tiles({ stats, latest }: { stats: Stats; latest: Sample | undefined }) {
  const { load, event_log: log } = stats;
  const polling = Math.max(0, stats.sessions - stats.websockets);
  const came = stats.sessions_recovered + Object.values(stats.not_recovered).reduce((a, b) => a + b, 0);
  return (
    <dl className="tiles">
      <Tile name="Connections" value={short(stats.sessions + stats.streams)}
        more={`${short(stats.websockets)} WebSocket, ${short(polling)} polling, ${short(stats.streams)} SSE`} />
      <Tile name="Delivery" value={latest?.latencyMs === undefined ? "–" : `${short(latest.latencyMs)} ms`}
        more={`threads answer within ${short(load.lag_seconds * 1_000)} ms`} alarm={load.lag_seconds > 0.5} />
      <Tile name="Waiting for clients" value={bytes(load.waiting_bytes)}
        more={`${short(load.waiting_events)} events for ${short(load.waiting_sessions)} sessions`} />
      <Tile name="Slow clients" value={short(load.slow_sessions)}
        more={`${short(stats.closed["slow client"] ?? 0)} were cut so far`} alarm={load.slow_sessions > 0} />
      <Tile name="Recovered" value={came === 0 ? "–" : `${Math.floor((stats.sessions_recovered / came) * 100)}%`}
        more={`${short(stats.sessions_recovered)} of ${short(came)}, ${short(stats.events_replayed)} events sent again`} />
      <Tile name="Event log" value={log ? (log.health === "ready" ? short(log.entries) : log.health) : "off"}
        more={log ? (log.reason ?? `events kept, ${bytes(log.bytes)}`) : "nothing is remembered"} alarm={log !== null && log.health !== "ready"} />
      {load.memory_short && <Tile name="Memory" value="short" more="nobody new is let in" alarm />}
    </dl>
  );
}

function Tile({ name, value, more, alarm = false }: { name: string; value: string; more: string; alarm?: boolean }) {
  return (
    <div className={`card tile ${alarm ? "alarm" : ""}`}>
      <dt>{name}</dt>
      <dd className="tile-value">{value}</dd>
      <dd className="hint">{more}</dd>
    </div>
  );
}

function Nodes({ operator, refused }: Props) {
  const { answer } = usePolled(operator.nodes, NODES_EVERY_MS, refused);
  if (!answer) return null;
  return (
    <section className="card table-card">
      <h2 id="nodes-title">Nodes</h2>
      <div className="table-scroll" tabIndex={0} role="region" aria-labelledby="nodes-title">
        <table>
          <thead>
            <tr><th>Node</th><th>Version</th><th>Up</th><th className="number">Threads</th><th className="number">Sessions</th><th className="number">Sockets</th><th>Namespaces</th></tr>
          </thead>
          <tbody>
            {answer.nodes.map((node) => (
              <tr key={node.id}>
                <td><code>{node.id}</code> {node.this && <span className="poll-chip">answers</span>}{node.stopping && <span className="poll-chip">stopping</span>}</td>
                <td>{node.version}</td>
                <td>{duration(node.uptimeSeconds)}</td>
                <td className="number">{node.shards}</td>
                <td className="number">{short(node.sessions)}</td>
                <td className="number">{short(node.sockets)}</td>
                <td>{node.namespaces.map(({ name, sockets, rooms }) => (
                  <span key={name} className="namespace"><code>{name}</code> {short(sockets)} in {short(rooms)} rooms</span>
                ))}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Reasons({ title, counts }: { title: string; counts: Counted }) {
  const rows = Object.entries(counts).filter(([, count]) => count > 0).sort((a, b) => b[1] - a[1]);
  return (
    <section className="card table-card">
      <h2>{title}</h2>
      {rows.length === 0 ? <p className="hint">None so far.</p> : (
        <dl className="counts">
          {rows.map(([reason, count]) => <div key={reason}><dt>{reason}</dt><dd>{count.toLocaleString("en")}</dd></div>)}
        </dl>
      )}
    </section>
  );
}
