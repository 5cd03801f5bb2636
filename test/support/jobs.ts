/** Jobs for tests, small enough to train in a second or two. */
import { fileURLToPath } from 'node:url';
import type { TestJob } from './cluster.js';

const EXAMPLES = fileURLToPath(new URL('../../../examples/', import.meta.url));

/** Digits as in the example, with as many epochs or steps, other `train` settings and other hidden layers as wanted. */
export function digitsJob(
  train: Readonly<Record<string, string | number>> = {},
  layers = '[{ dense: 64 }, relu]',
): TestJob {
  const limit = 'steps' in train ? {} : { epochs: 4 };
  const settings = Object.entries({ ...limit, batch: 256, optimizer: '{ adam: { learningRate: 0.003 } }', ...train });
  return {
    text: `apiVersion: ropeteam/v1
name: digits
data: { source: digits.csv, target: digit }
model: { layers: ${layers} }
train:
${settings.map(([key, value]) => `  ${key}: ${value}\n`).join('')}`,
    files: { 'digits.csv': `${EXAMPLES}digits/digits.csv` },
  };
}
