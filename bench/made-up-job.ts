/** Jobs for measurements: as many rows as a few batches need, with values that follow from their place alone. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestJob } from '../test/support/cluster.js';
import { WORKLOADS } from './kernel/workloads.js';

const BATCHES = 3;

export interface MadeUp {
  readonly name: string;
  readonly workload: keyof typeof WORKLOADS;
  readonly steps: number;
  /** As in a job file. */
  readonly optimizer: string;
}

/** Writes the rows into `folder`. */
export async function makeUpJob({ name, workload, steps, optimizer }: MadeUp, folder: string): Promise<TestJob> {
  const { widths, batch } = WORKLOADS[workload];
  const [inputs = 0, ...units] = widths;
  const classes = units.at(-1) ?? 0;
  const head = [...Array.from({ length: inputs }, (_, column) => `p${column}`), 'label'].join();
  const rows = Array.from({ length: BATCHES * batch }, (_, row) => {
    const cells = Array.from({ length: inputs }, (__, column) => ((row * 31 + column * 17) % 255) / 255);
    return [...cells.map((cell) => cell.toFixed(3)), `c${row % classes}`].join();
  });
  const path = join(folder, 'rows.csv');
  await writeFile(path, `${[head, ...rows].join('\n')}\n`);
  const layers = units.slice(0, -1).map((width) => `{ dense: ${width} }, relu`);
  return {
    text: `apiVersion: ropeteam/v1
name: ${name}
data: { source: rows.csv, target: label, split: { validation: 0, test: 0 }, scale: none }
model: { layers: [${layers.join(', ')}] }
train: { steps: ${steps}, batch: ${batch}, optimizer: ${optimizer} }
checkpoint: { every: 1h }
`,
    files: { 'rows.csv': path },
  };
}
