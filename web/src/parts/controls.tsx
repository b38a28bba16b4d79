/** Small things that all pages use. */

import {
  type ButtonHTMLAttributes, type ReactNode, useCallback, useEffect, useState,
} from "react";
import { useClock } from "../live/use";

type ButtonProps = ButtonHTMLAttributes<HTMLButtonElement> & {
  look?: "main" | "plain" | "quiet" | "danger";
  busy?: boolean;
};

export function Button({ look = "plain", busy = false, className = "", children, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      className={`button button-${look} ${className}`}
      aria-disabled={busy || undefined}
      // A button that is disabled loses the focus, and with it the place of who uses a keyboard.
      onClick={busy ? (event) => event.preventDefault() : rest.onClick}
    >
      {busy && <Spinner />}
      {children}
    </button>
  );
}

export const Spinner = () => <span className="spinner" aria-hidden="true" />;

export function Problem({ text }: { text: string | undefined }) {
  return <div role="alert">{text && <p className="problem">{text}</p>}</div>;
}

/** Does something that takes a while: whether it is on its way, and what went wrong. */
export function useAction<Arguments extends unknown[]>(
  act: (...given: Arguments) => Promise<unknown>,
): { run: (...given: Arguments) => Promise<void>; busy: boolean; problem: string | undefined } {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string>();
  const run = useCallback(
    async (...given: Arguments) => {
      setBusy(true);
      setProblem(undefined);
      try {
        await act(...given);
      } catch (error) {
        setProblem(error instanceof Error ? error.message : String(error));
      } finally {
        setBusy(false);
      }
    },
    [act],
  );
  return { run, busy, problem };
}

/** The seconds until a moment by the server's clock; undefined without one. */
export function useSecondsLeft(until: string | null): number | undefined {
  const now = useClock();
  const left = until === null ? undefined : Math.max(0, Math.ceil((Date.parse(until) - now()) / 1_000));
  const [, turn] = useState(0);
  const running = left !== undefined && left > 0;
  useEffect(() => {
    if (!running) return undefined;
    const timer = setInterval(() => turn((it) => it + 1), 250);
    return () => clearInterval(timer);
  }, [running]);
  return left;
}

export function Countdown({ until }: { until: string | null }) {
  const left = useSecondsLeft(until);
  if (left === undefined) return null;
  const text = left >= 60
    ? `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`
    : `${left} s`;
  return (
    <span className={`countdown ${left <= 10 ? "soon" : ""}`} role="timer">
      <span className="visually-hidden">Time left: </span>
      {text}
    </span>
  );
}

/** The page's name in the tab. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title === "" ? "Fanfare" : `${title} · Fanfare`;
  }, [title]);
}

export function Field({ label, hint, children, id }: {
  label: string;
  hint?: ReactNode;
  id: string;
  children: ReactNode;
}) {
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children}
      {hint && <p className="hint" id={`${id}-hint`}>{hint}</p>}
    </div>
  );
}

export function Toggle({ label, hint, checked, onChange }: {
  label: string;
  hint?: string;
  checked: boolean;
  onChange: (checked: boolean) => void;
}) {
  return (
    <label className="toggle">
      <input type="checkbox" role="switch" checked={checked}
        onChange={(event) => onChange(event.target.checked)} />
      <span className="toggle-track" aria-hidden="true" />
      <span>
        {label}
        {hint && <span className="hint">{hint}</span>}
      </span>
    </label>
  );
}
