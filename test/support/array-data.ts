/** A data set of arrays, as large as a test wants: classes that follow from the numbers, so that there is something to learn. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestJob } from './cluster.js';

export interface ArrayData {
  readonly rows: number;
  readonly features: number;
  readonly classes: number;
}

const ROWS_A_WRITE = 4096;

/** Writes `x.npy` (float32) and `y.npy` (uint8) into a folder. @returns them by the names a job gives them */
export async function writeArrays(directory: string, data: ArrayData): Promise<Readonly<Record<string, string>>> {
  const { rows, features, classes } = data;
  const [x, y] = [join(directory, 'x.npy'), join(directory, 'y.npy')];
  await using xFile = await open(x, 'w');
  await using yFile = await open(y, 'w');
  await xFile.write(npyHeader('<f4', [rows, features]));
  await yFile.write(npyHeader('|u1', [rows]));
  let state = 12345;
  for (let begin = 0; begin < rows; begin += ROWS_A_WRITE) {
    const count = Math.min(ROWS_A_WRITE, rows - begin);
    const values = new Float32Array(count * features);
    const labels = new Uint8Array(count);
    for (let row = 0; row < count; row++) {
      let sum = 0;
      for (let column = 0; column < features; column++) {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        const value = state / 2 ** 31 - 1;
        values[row * features + column] = value;
        if (column < 8) sum += value;
      }
      labels[row] = Math.min(classes - 1, Math.max(0, Math.floor(((sum + 4) / 8) * classes)));
    }
    await xFile.write(new Uint8Array(values.buffer));
    await yFile.write(labels);
  }
  return { 'x.npy': x, 'y.npy': y };
}

/** @param train settings as they stand in a job file */
export function arrayJob(
  files: Readonly<Record<string, string>>,
  train: Readonly<Record<string, string | number>>,
): TestJob {
  const settings = Object.entries({ optimizer: '{ adam: { learningRate: 0.003 } }', ...train });
  return {
    text: `apiVersion: ropeteam/v1
name: arrays
data: { source: x.npy, labels: y.npy, target: label }
model: { layers: [{ dense: 24 }, relu] }
train:
${settings.map(([key, value]) => `  ${key}: ${value}\n`).join('')}`,
    files,
  };
}

function npyHeader(type: string, shape: readonly number[]): Uint8Array {
  const text = `{'descr': '${type}', 'fortran_order': False, 'shape': (${shape.join(', ')},), }`;
  const padded = `${text.padEnd(128 - 11)}\n`;
  const header = new Uint8Array(10 + padded.length);
  header.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, padded.length & 255, padded.length >> 8]);
  header.set(new TextEncoder().encode(padded), 10);
  return header;
}
