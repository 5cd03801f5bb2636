/** Numbers as people read them. Never used where a script reads. */

/** `18 240` -> `18,240`: groups of three with commas, no decimals. */
export function formatCount(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** `1 run`, `3 runs`. */
export function plural(count: number, noun: string, nouns = `${noun}s`): string {
  return `${formatCount(count)} ${count === 1 ? noun : nouns}`;
}

/** A share in 0..1 as percent with one decimal; 99.96 % is not shown as 100. */
export function formatPercent(share: number): string {
  const percent = share * 100;
  return `${(share < 1 ? Math.min(99.9, percent) : percent).toFixed(1)} %`;
}

/** Loss, norm and the like: four significant digits, an exponent only where it is shorter. */
export function formatSignificant(value: number): string {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2);
  return value.toPrecision(4);
}

/** `0.003` -> `3.0e-3`: rates span decades, so the exponent is what one compares. */
export function formatRate(value: number): string {
  return value === 0 ? '0' : value.toExponential(1);
}

export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'] as const;
  const power = bytes < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1000 ** power;
  return `${power === 0 ? String(value) : value.toPrecision(3)} ${units[power]}`;
}

/** A few milliseconds: two significant digits below 10, none after the point above. */
export function formatMilliseconds(milliseconds: number): string {
  return milliseconds < 10 ? milliseconds.toFixed(1) : String(Math.round(milliseconds));
}

/** `4.2 s`, `3 min 07 s`, `2 h 05 min`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${pad(Math.floor((whole % 3600) / 60))} min`;
}

/** Time left as a clock: `0:07`, `12:30`, `2:05:00`. */
export function formatClock(seconds: number): string {
  const whole = Math.max(0, Math.ceil(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)];
  return hours > 0 ? `${hours}:${pad(minutes)}:${pad(whole % 60)}` : `${minutes}:${pad(whole % 60)}`;
}

function pad(value: number): string {
  return String(value).padStart(2, '0');
}
