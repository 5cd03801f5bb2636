/** Numbers and times as the page says them. */

export const counted = (count: number, what: string): string =>
  `${count.toLocaleString('en')} ${what}${count === 1 ? '' : 's'}`;

export const percent = (share: number): string => `${(share * 100).toFixed(2)} %`;

/** A wait or a delay. */
export function elapsed(ms: number): string {
  if (ms < 100) return `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
  return ms < 1_000 ? `${Math.round(ms)} ms` : ms < 90_000 ? `${(ms / 1000).toFixed(1)} s` : duration(ms / 1000);
}

export function duration(wholeSeconds: number): string {
  if (wholeSeconds < 90) return `${wholeSeconds < 10 ? wholeSeconds.toFixed(1) : Math.round(wholeSeconds)} s`;
  const minutes = Math.round(wholeSeconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function bytes(count: number): string {
  const units = ['bytes', 'KB', 'MB', 'GB', 'TB'];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, count)) / 3));
  const value = count / 1000 ** power;
  return `${power === 0 ? value : value.toPrecision(3)} ${units[power]}`;
}

export const clock = (time: string): string => new Date(time).toLocaleTimeString('en-GB');

export function medianOf(values: readonly number[]): number | undefined {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

/** `a`, `a and b`, `a, b and c`. */
export function listed(parts: readonly string[]): string {
  return parts.length < 2 ? (parts[0] ?? '') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`;
}
