/** How large the WebAssembly modules are. */
import { readFile } from 'node:fs/promises';
import { type Figure, judge, type Section } from './figures.js';

const MODULES = { wasm: 'kernel.wasm', 'wasm-fma': 'kernel-fma.wasm' } as const;
const GOAL = { text: '64 KB', kind: 'at most', value: 64 } as const;

export async function measureModules(): Promise<Section> {
  const figures = await Promise.all(
    Object.entries(MODULES).map(async ([way, file]): Promise<Figure> => {
      const { length } = await readFile(new URL(`../../packages/kernel/${file}`, import.meta.url));
      const size = length / 1024;
      return { subject: 'module', way, median: size, best: size, unit: 'KB', goals: [judge(GOAL, size)] };
    }),
  );
  return { name: 'modules', about: 'size of each WebAssembly module; `blas` uses that of `wasm`', figures };
}
