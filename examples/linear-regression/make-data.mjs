// Writes line.csv here and in ../perceptron: 100 rows of y = 3x + 2 + noise, x uniform in [0, 10), noise uniform in [-0.5, 0.5).
// The same rows every time: the numbers come from a small generator with a fixed seed (mulberry32).
import { writeFileSync } from 'node:fs';

const rows = 100;
let state = 20_240_607;

function uniform() {
  state = (state + 0x6d2b79f5) | 0;
  let bits = Math.imul(state ^ (state >>> 15), 1 | state);
  bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
  return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
}

const lines = Array.from({ length: rows }, () => {
  const x = uniform() * 10;
  const y = 3 * x + 2 + (uniform() - 0.5);
  return `${x.toFixed(4)},${y.toFixed(4)}`;
});
for (const file of ['line.csv', '../perceptron/line.csv']) {
  writeFileSync(new URL(file, import.meta.url), `x,y\n${lines.join('\n')}\n`);
}
