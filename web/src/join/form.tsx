/** Code, name, in. The name is there already: who came by the link or the QR code taps once. */

import { type FormEvent, useCallback, useState } from "react";
import { join, type Joined, Refusal } from "../live/api";
import { keepName, keepSeat, lastName, type Seat } from "../live/seats";
import { Brand, Fan } from "../parts/brand";
import { cleanCode, CODE_LENGTH, isCode } from "../parts/code";
import { Button, Field, Problem, useAction, useTitle } from "../parts/controls";
import { suggestedName } from "./names";

/** The longest name, as the server has it. */
const MAX_NAME = 40;

/** How long one waits without being told why, when all of a hall join at the same moment. */
const MAX_TURN_MS = 4_000;
const MAX_TURNS = 12;

/** Joins; when too many do at once, after a moment that is not everybody's. */
async function joinInTurn(code: string, name: string): Promise<Joined> {
  for (let turn = 1; ; turn += 1) {
    try {
      return await join(code, name);
    } catch (error) {
      const wait = error instanceof Refusal ? error.retryAfterMs : undefined;
      if (wait === undefined || wait > MAX_TURN_MS || turn === MAX_TURNS) throw error;
      await new Promise((resolve) => setTimeout(resolve, wait + Math.random() * 1_000));
    }
  }
}

export function JoinForm({ code: given, note, joined }: {
  code: string;
  note: string | undefined;
  joined: (seat: Seat) => void;
}) {
  const [code, setCode] = useState(given);
  const [name, setName] = useState(() => lastName() || suggestedName());
  useTitle("Join");

  const enter = useCallback(async (code: string, name: string) => {
    if (!isCode(code)) {
      throw new Error(`A code has ${CODE_LENGTH} letters and digits, as the screen shows them.`);
    }
    const { sessionId, participantId, token, displayName, session } = await joinInTurn(code, name);
    const seat = { code: session.code, sessionId, participantId, displayName, token };
    keepName(displayName);
    keepSeat(seat);
    joined(seat);
  }, [joined]);
  const { run, busy, problem } = useAction(enter);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!busy) void run(code, name);
  };

  return (
    <div className="join-page">
      <header className="join-banner">
        <Brand />
        <Fan />
      </header>
      <main>
        <form className="join-card card" onSubmit={submit} noValidate>
          <h1>{given ? "You’re almost in" : "Join the session"}</h1>
          {note && <p className="notice">{note}</p>}
          <Field label="Code" id="code" hint={given ? undefined : "Six letters and digits, from the big screen"}>
            <input
              id="code" className="code-input" value={code} name="code" translate="no"
              onChange={(event) => setCode(cleanCode(event.target.value))}
              aria-describedby={given ? undefined : "code-hint"}
              autoComplete="off" autoCapitalize="characters" autoCorrect="off" spellCheck={false}
              inputMode="text" autoFocus={!given} placeholder="ABC234" required
            />
          </Field>
          <Field label="Your name" id="name" hint="Shown to the presenter. Any name will do.">
            <input
              id="name" value={name} name="name" maxLength={MAX_NAME}
              onChange={(event) => setName(event.target.value)}
              aria-describedby="name-hint" autoComplete="nickname" enterKeyHint="go" required
            />
          </Field>
          <Button type="submit" look="main" className="wide" busy={busy}>
            {busy ? "Joining…" : "Join"}
          </Button>
          <Problem text={problem} />
        </form>
        <p className="aside">Presenting? <a href="/host">Open a session</a></p>
      </main>
    </div>
  );
}
