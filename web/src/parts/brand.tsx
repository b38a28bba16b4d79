/** The sign of the house: bars that fan out like the bells of trumpets. */

export function Mark({ className = "mark" }: { className?: string }) {
  return (
    <svg className={className} viewBox="0 0 64 64" aria-hidden="true" focusable="false">
      <g fill="none" stroke="currentColor" strokeWidth="7" strokeLinecap="round">
        <path d="M17 49 L10 33" />
        <path d="M24.5 45 L22 19" />
        <path d="M33 44 L39 11" />
        <path d="M41 47 L55 24" />
      </g>
    </svg>
  );
}

export function Brand() {
  return (
    <span className="brand">
      <Mark />
      Fanfare
    </span>
  );
}

/** The same fan, large, behind what matters. */
export function Fan() {
  const rays = [-78, -61, -44, -27, -10, 7, 24, 41, 58, 75];
  const lengths = [300, 380, 520, 420, 600, 480, 660, 440, 540, 340];
  return (
    <svg className="fan" viewBox="-500 -700 1000 700" aria-hidden="true" focusable="false"
      preserveAspectRatio="xMidYMax meet">
      {rays.map((angle, place) => (
        <rect key={angle} className={`ray ray-${place % 3}`} x="-24" y={-(lengths[place] ?? 0) - 90}
          width="48" height={lengths[place]} rx="24" transform={`rotate(${angle})`} />
      ))}
    </svg>
  );
}
