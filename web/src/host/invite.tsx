/** How people come in: the code, the link, the QR code. */

import { useState } from "react";
import { joinLink, JoinCode } from "../parts/code";
import { Button } from "../parts/controls";
import { QrCode } from "../parts/qr";

const COPIED_MS = 2_500;

export function Invite({ code }: { code: string }) {
  const [copied, setCopied] = useState<"" | "yes" | "no">("");
  const link = joinLink(code);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(link);
      setCopied("yes");
    } catch {
      setCopied("no"); // not allowed without encryption in some browsers
    }
    setTimeout(() => setCopied(""), COPIED_MS);
  };
  return (
    <section className="card invite" aria-label="How to join">
      <p className="invite-at">Join at <strong>{location.host}</strong> with the code</p>
      <p className="invite-code"><JoinCode code={code} /></p>
      <QrCode text={link} label={`QR code that leads to ${link}`} />
      <Button onClick={() => void copy()}>
        {copied === "yes" ? "Copied" : "Copy the link"}
      </Button>
      <p className="hint" role="status">{copied === "no" ? `This browser does not copy. The link is ${link}` : ""}</p>
    </section>
  );
}
