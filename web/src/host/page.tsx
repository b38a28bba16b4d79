/** The presenter's page: open a session, or go on with one that was opened in this browser. */

import { useState } from "react";
import { useLocation } from "wouter";
import { presenting } from "../live/seats";
import { Brand } from "../parts/brand";
import { useTitle } from "../parts/controls";
import { Cockpit } from "./cockpit";
import { OpenForm } from "./open-form";
import "../style/host.css";

export default function HostPage({ id }: { id?: string | undefined }) {
  const [own] = useState(presenting);
  const place = own.find(({ sessionId }) => sessionId === id) ?? presenting().find(({ sessionId }) => sessionId === id);
  if (place) return <Cockpit place={place} />;
  return (
    <div className="open-page">
      <header className="plain-head"><Brand /></header>
      <main>
        {id && (
          <p className="notice">
            That session was opened in another browser; only that one can present it. Open a new one here.
          </p>
        )}
        <OpenForm own={own} />
      </main>
    </div>
  );
}

/** What stands where a session cannot be presented from. */
export function NotHere() {
  const [, go] = useLocation();
  useTitle("");
  return (
    <main className="loading">
      <section className="card ended">
        <h1>This session is presented elsewhere</h1>
        <p>Its presenter’s place is kept in the browser in which it was opened.</p>
        <button type="button" className="button button-main" onClick={() => go("/host")}>Open a session here</button>
      </section>
    </main>
  );
}
