/**
 * What local steps save and cost: Fashion-MNIST with and without, bytes on the wire in an epoch and accuracy on the test images.
 *
 *     node dist/bench/local-steps.js [--data /usr/share/datasets/fashion-mnist] [--seeds 1,2,3] [--epochs 8] [--markdown]
 *
 * Two workers on this machine, every step or round exchanged; the files are those of Debian's `dataset-fashion-mnist`.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startTestCluster, type TestCluster } from '../test/support/cluster.js';
import { printTable } from './print-table.js';

const { values } = parseArgs({
  options: {
    data: { type: 'string', default: '/usr/share/datasets/fashion-mnist' },
    seeds: { type: 'string', default: '1,2,3' },
    epochs: { type: 'string', default: '8' },
    markdown: { type: 'boolean', default: false },
  },
});

const LOCAL = 'localSteps: { steps: 59, replicas: 4, outer: { learningRate: 0.7, momentum: 0.5 } }';
const WAYS: readonly { readonly name: string; readonly lines: readonly string[] }[] = [
  { name: 'every step', lines: [] },
  { name: 'every step, int8', lines: ['wire: int8'] },
  { name: '59 local steps', lines: [LOCAL] },
  { name: '59 local steps, bfloat16', lines: [LOCAL, 'wire: bfloat16'] },
  { name: '59 local steps, int8', lines: [LOCAL, 'wire: int8'] },
];

const JOB = 'examples/fashion-mnist/job.yaml';
const FILES = ['train-images-idx3', 'train-labels-idx1', 't10k-images-idx3', 't10k-labels-idx1'];

interface Trained {
  readonly accuracy: number;
  readonly bytesPerEpoch: number;
  readonly seconds: number;
}

async function train(cluster: TestCluster, lines: readonly string[], seed: string): Promise<Trained> {
  const example = await readFile(JOB, 'utf8');
  const settings = [`epochs: ${values.epochs}`, ...lines].map((line) => `  ${line}`).join('\n');
  const text = example.replace(/ {2}epochs: \d+/, settings).replace(/seed: \d+/, `seed: ${seed}`);
  const names = FILES.map((name) => `${name}-ubyte.gz`);
  const files = Object.fromEntries(names.map((name) => [name, join(values.data, name)]));
  const carried: Promise<number>[] = [];
  const end = await cluster.finish({ text, files }, (event) => {
    if (event.event === 'epoch_finished') carried.push(wireBytes(cluster));
  });
  const totals = await Promise.all(carried);
  // Not to the end of the last epoch: the test images are fetched by then.
  const [first = 0, last = 0] = [totals[0], totals.at(-2)];
  return {
    accuracy: end.test?.accuracy ?? Number.NaN,
    bytesPerEpoch: (last - first) / (totals.length - 2),
    seconds: end.seconds,
  };
}

/** Of all connections in both directions, since the coordinator started. */
async function wireBytes({ http }: TestCluster): Promise<number> {
  const text = await (await fetch(new URL('/metrics', http))).text();
  const lines = text.split('\n').filter((line) => line.startsWith('ropeteam_wire_bytes_total{'));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

await using cluster = await startTestCluster({ workers: 2 });
const seeds = values.seeds.split(',');
const trained = new Map<string, Trained[]>(WAYS.map(({ name }) => [name, []]));
for (const seed of seeds) {
  for (const { name, lines } of WAYS) {
    const one = await train(cluster, lines, seed);
    process.stderr.write(`${JSON.stringify({ seed, name, ...one })}\n`);
    trained.get(name)?.push(one);
  }
}
const mean = (numbers: readonly number[]): number => numbers.reduce((sum, one) => sum + one, 0) / numbers.length;
const plainBytes = mean((trained.get('every step') ?? []).map(({ bytesPerEpoch }) => bytesPerEpoch));
const head = ['exchanged', 'MB an epoch', 'less by', ...seeds.map((seed) => `seed ${seed}`), 'mean, %', 'seconds'];
const rows = [...trained].map(([name, all]) => {
  const bytes = mean(all.map(({ bytesPerEpoch }) => bytesPerEpoch));
  const percent = all.map(({ accuracy }) => 100 * accuracy);
  return [
    ...[name, (bytes / 1e6).toPrecision(3), (plainBytes / bytes).toPrecision(3)],
    ...[...percent, mean(percent)].map((share) => share.toFixed(2)),
    mean(all.map(({ seconds }) => seconds)).toPrecision(3),
  ];
});
printTable(head, rows, values.markdown);
