/** How much is measured. */
import type { FoundKernels } from './contestants.js';
import type { Turns } from './take-turns.js';
import { WORKLOADS, type Workload } from './workloads.js';

export interface Plan {
  readonly found: FoundKernels;
  readonly blasLibrary: string | undefined;
  /** Finds out in seconds that everything runs; its figures are only rough. */
  readonly quick: boolean;
  readonly turns: Turns;
  readonly workloads: readonly Workload[];
  /** Of the loops over parameters. */
  readonly parameters: number;
}

export function planOf(found: FoundKernels, blasLibrary: string | undefined, quick: boolean): Plan {
  const { W3, W4, W5, W6 } = WORKLOADS;
  const base = { found, blasLibrary, quick };
  if (quick) return { ...base, turns: { rounds: 3, leastMs: 1 }, workloads: [W3], parameters: 2 ** 18 };
  return { ...base, turns: { rounds: 7, leastMs: 8 }, workloads: [W3, W4, W5, W6], parameters: 8_400_000 };
}
