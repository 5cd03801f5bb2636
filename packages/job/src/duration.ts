/** Durations as a job file writes them: a number and a unit, `500ms`, `30s`, `5m`, `2h`. */

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;
type Unit = keyof typeof unitMs;

/** What a duration looks like; whether it is a whole number of milliseconds is for `parseDuration` to say. */
export const durationPattern = /^\d{1,9}(\.\d{1,6})?(ms|s|m|h)$/;

/** Milliseconds of `30s` and the like; undefined when it is no duration or no whole number of milliseconds. */
export function parseDuration(text: string): number | undefined {
  if (!durationPattern.test(text)) return undefined;
  const unit = (/[a-z]+$/.exec(text)?.[0] ?? 'ms') as Unit; // the pattern admits no other unit
  const milliseconds = Number(text.slice(0, -unit.length)) * unitMs[unit];
  // 0.0009s * 1000 and the like miss the whole number by a rounding error only
  const whole = Math.round(milliseconds);
  return Math.abs(milliseconds - whole) < 1e-6 ? whole : undefined;
}

/** The shortest exact form: 30000 is `30s`, 90000 is `90s`, 120000 is `2m`. */
export function formatDuration(milliseconds: number): string {
  const unit = (['h', 'm', 's'] as const).find((name) => milliseconds % unitMs[name] === 0) ?? 'ms';
  return `${milliseconds / unitMs[unit]}${unit}`;
}
