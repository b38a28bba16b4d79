/** How the connection is, in words, where it matters and only then. */

import type { Link } from "../live/live";
import { Spinner } from "./controls";

const WORDS: Record<Link, string> = {
  connecting: "Connecting…",
  live: "",
  lost: "Connection lost. Your place is kept; this page comes back by itself.",
  back: "You’re back. Everything is up to date.",
  over: "This place is no longer known here.",
};

export function LinkStatus({ link, words = {} }: { link: Link; words?: Partial<Record<Link, string>> }) {
  const text = words[link] ?? WORDS[link];
  return (
    <div className="link-status" data-link={link} role="status" aria-live="polite">
      {text !== "" && (
        <p className={`pill pill-${link}`}>
          {link === "lost" || link === "connecting" ? <Spinner /> : <span aria-hidden="true">✓</span>}
          {text}
        </p>
      )}
    </div>
  );
}
