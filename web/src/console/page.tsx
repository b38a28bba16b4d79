/** The operator's page: what the server does, by way of the HTTP API and its key. */

import { type FormEvent, useCallback, useState } from "react";
import { Brand } from "../parts/brand";
import { Button, Field, Problem, useAction, useTitle } from "../parts/controls";
import { keepKey, keptKey, Operator } from "./api";
import { Overview } from "./overview";
import { Rooms } from "./rooms";
import { Sockets } from "./sockets";
import "../style/host.css";
import "../style/console.css";

const TABS = { overview: "Overview", rooms: "Rooms", sockets: "Users and sockets" };
type Tab = keyof typeof TABS;

export default function ConsolePage() {
  const [key, setKey] = useState(keptKey);
  useTitle("Console");
  const forget = useCallback(() => {
    keepKey("");
    setKey("");
  }, []);
  if (key === "") return <Gate enter={setKey} />;
  return <Inside operator={new Operator(key)} key={key} forget={forget} />;
}

function Gate({ enter }: { enter: (key: string) => void }) {
  const [key, setKey] = useState("");
  const check = useCallback(async (key: string) => {
    await new Operator(key).stats();
    keepKey(key);
    enter(key);
  }, [enter]);
  const { run, busy, problem } = useAction(check);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!busy) void run(key.trim());
  };
  return (
    <div className="gate">
      <header className="plain-head"><Brand /></header>
      <main>
        <form className="card gate-card" onSubmit={submit}>
          <h1>Console</h1>
          <Field label="API key" id="key" hint={<>The server keeps it in <code>api_key</code> of its data directory, unless it was set.</>}>
            <input id="key" type="password" value={key} autoComplete="off" autoFocus required aria-describedby="key-hint"
              onChange={(event) => setKey(event.target.value)} />
          </Field>
          <Button type="submit" look="main" className="wide" busy={busy}>Look inside</Button>
          <Problem text={problem} />
        </form>
      </main>
    </div>
  );
}

function Inside({ operator: given, forget }: { operator: Operator; forget: () => void }) {
  const [operator] = useState(given);
  const [tab, setTab] = useState<Tab>("overview");
  return (
    <div className="console">
      <header className="console-head">
        <Brand />
        <h1 className="visually-hidden">Console</h1>
        <nav aria-label="Console">
          {Object.entries(TABS).map(([name, title]) => (
            <button key={name} type="button" className="tab" aria-current={tab === name ? "page" : undefined}
              onClick={() => setTab(name as Tab)}>{title}</button>
          ))}
        </nav>
        <Button look="quiet" onClick={forget}>Forget the key</Button>
      </header>
      <main className="console-main">
        {tab === "overview" && <Overview operator={operator} refused={forget} />}
        {tab === "rooms" && <Rooms operator={operator} refused={forget} />}
        {tab === "sockets" && <Sockets operator={operator} refused={forget} />}
      </main>
    </div>
  );
}
