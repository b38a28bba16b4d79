/** The audience's page: a code and a name, then the session. */

import { useState } from "react";
import { useLocation } from "wouter";
import { dropSeat, seatOf, type Seat } from "../live/seats";
import { cleanCode } from "../parts/code";
import { JoinForm } from "./form";
import { Room } from "./room";

export function JoinPage({ code: given }: { code: string }) {
  const code = cleanCode(given);
  const [, go] = useLocation();
  // Who comes back to the link has the place of before.
  const [seat, setSeat] = useState<Seat | undefined>(() => seatOf(code));
  const [note, setNote] = useState<string>();

  if (seat && seat.code === code) {
    const leave = (why?: string) => {
      dropSeat(seat.code);
      setSeat(undefined);
      setNote(why);
      go("/");
    };
    return <Room key={seat.participantId} seat={seat} leave={leave} />;
  }
  const joined = (fresh: Seat) => {
    setSeat(fresh);
    setNote(undefined);
    go(`/join/${fresh.code}`);
  };
  return <JoinForm code={code} note={note} joined={joined} />;
}
