import type { MemoryViews } from '../linear-memory.js';
import { philox4x32 } from '../philox.js';

/** `Routines.dropout`. */
export function dropout(
  { floats }: MemoryViews,
  from: number,
  into: number,
  rows: number,
  width: number,
  position: number,
  key0: number,
  key1: number,
  threshold: number,
  factor: number,
): void {
  const rounded = Math.fround(factor);
  for (let row = 0; row < rows; row++) {
    const low = (position + row) >>> 0;
    const high = Math.floor((position + row) / 2 ** 32);
    for (let group = 0; group < width; group += 16) {
      const words = [0, 1, 2, 3].map((lane) => philox4x32([group / 4 + lane, low, high, 0], [key0, key1]));
      for (let unit = group; unit < Math.min(width, group + 16); unit++) {
        const i = row * width + unit;
        const word = words[unit % 4]![Math.floor(unit / 4) % 4]!;
        floats[into / 4 + i] = word >= threshold ? floats[from / 4 + i]! * rounded : 0;
      }
    }
  }
}
