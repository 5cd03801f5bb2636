import { NORMAL_PEAK } from '../coefficients.js';
import type { MemoryViews } from '../linear-memory.js';
import { bell, normalCumulative } from './elementary.js';

const { fround } = Math;

/** `Routines.gelu`. Source: Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016. */
export function gelu({ floats }: MemoryViews, from: number, into: number, count: number): void {
  for (let i = 0; i < count; i++) {
    const x = floats[from / 4 + i]!;
    floats[into / 4 + i] = x * normalCumulative(x, bell(x));
  }
}

/** `Routines.geluBackward`. */
export function geluBackward({ floats }: MemoryViews, gradient: number, input: number, count: number): void {
  for (let i = 0; i < count; i++) {
    const x = floats[input / 4 + i]!;
    const e = bell(x);
    const derivative = fround(normalCumulative(x, e) + fround(fround(x * e) * NORMAL_PEAK));
    floats[gradient / 4 + i] = floats[gradient / 4 + i]! * derivative;
  }
}
