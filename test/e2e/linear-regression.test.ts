/** The example with an answer in closed form: gradient descent must arrive at the normal equations, and stop for its reason. */
import { mkdtemp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseJob } from '#job';
import { decodeShard, loadModel, prepareDataset, type TrainedModel } from '#storage';
import { CHECKOUT, type NamedEvent, startCommand } from '../support/command.js';
import { type Line, solveLeastSquares } from '../support/least-squares.js';
import { openWorkspace, type Workspace } from '../support/workspace.js';

const EXAMPLE = join(CHECKOUT, 'examples/linear-regression');
const DEADLINE_MS = 60_000;
/** Distance of float32 gradient descent from the float64 solution. */
const TOLERANCE = 1e-5;

let workspace: Workspace;
beforeAll(async () => {
  workspace = await openWorkspace();
});
afterAll(() => workspace[Symbol.asyncDispose]());

async function trainLine(...settings: readonly string[]): Promise<NamedEvent<'run_finished'>> {
  const words = ['train', join(EXAMPLE, 'job.yaml'), '--json', '--threads', '1', '--out', workspace.runs];
  await using command = startCommand([...words, ...settings.flatMap((one) => ['--set', one])], workspace.variables);
  const finished = await command.event('run_finished');
  expect((await command.ended).code).toBe(0);
  return finished;
}

/** All rows of the example as [x, y]. */
async function readLine(): Promise<readonly (readonly [number, number])[]> {
  const [, ...rows] = (await readFile(join(EXAMPLE, 'line.csv'), 'utf8')).trimEnd().split('\n');
  return rows.map((row) => {
    const [x = Number.NaN, y = Number.NaN] = row.split(',').map(Number);
    return [x, y];
  });
}

interface Scaling {
  readonly shift: number;
  readonly factor: number;
}

function scalingOf({ dataset }: TrainedModel): Scaling {
  const [column] = dataset.preprocessing.columns;
  if (column?.kind !== 'number') throw new Error('x is not a number in this model');
  return column;
}

/** Weight and bias as they stand in the model: of scaled x. */
function lineOf({ weights }: TrainedModel): Line {
  const [slope = Number.NaN, intercept = Number.NaN] = weights;
  return { slope, intercept };
}

/** The training split of a job over the example's rows, as the workers are given it: [scaled x, y]. */
async function trainingRows(jobPath: string): Promise<readonly (readonly [number, number])[]> {
  const { data, train } = parseJob(await readFile(jobPath, 'utf8'), jobPath);
  const directory = await mkdtemp(join(workspace.path, 'rows-'));
  const resolve = (path: string): string => join(EXAMPLE, path);
  const signal = new AbortController().signal;
  const { info, readShard } = await prepareDataset({ spec: data, seed: train.seed, resolve, directory, signal });
  const shards = info.shards.filter(({ split }) => split === 'train');
  const decoded = await Promise.all(
    shards.map(async (shard) => decodeShard(await readShard('train', shard.index), shard, info)),
  );
  return decoded.flatMap(({ features, targets }) =>
    Array.from(features, (x, row) => [x, targets[row] ?? Number.NaN] as const),
  );
}

test(
  'the weights are those of the normal equations on the training split, in scaled and in data units',
  async () => {
    const finished = await trainLine();
    expect(finished.stoppedBy).toBe('tolerance');
    expect(finished.epochs).toBeLessThan(200);
    const model = await loadModel(finished.modelPath);
    const trained = lineOf(model);

    const scaled = await trainingRows(join(finished.runPath, 'job.yaml'));
    expect(scaled).toHaveLength(80);
    const best = solveLeastSquares(scaled);
    expect(Math.abs(trained.slope - best.slope)).toBeLessThan(TOLERANCE);
    expect(Math.abs(trained.intercept - best.intercept)).toBeLessThan(TOLERANCE);

    const { shift, factor } = scalingOf(model);
    const isTraining = new Set(scaled.map(([x, y]) => `${x} ${y}`));
    const rows = (await readLine()).filter(([x, y]) =>
      isTraining.has(`${Math.fround((x - shift) * factor)} ${Math.fround(y)}`),
    );
    expect(rows).toHaveLength(80);
    const mean = rows.reduce((sum, [x]) => sum + x, 0) / rows.length;
    const variance = rows.reduce((sum, [x]) => sum + (x - mean) ** 2, 0) / rows.length;
    expect(shift).toBeCloseTo(mean, 12);
    expect(factor).toBeCloseTo(1 / Math.sqrt(variance), 12);
    const inDataUnits = solveLeastSquares(rows);
    expect(Math.abs(trained.slope * factor - inDataUnits.slope)).toBeLessThan(TOLERANCE);
    const intercept = trained.intercept - trained.slope * factor * shift;
    expect(Math.abs(intercept - inDataUnits.intercept)).toBeLessThan(TOLERANCE);
  },
  DEADLINE_MS,
);

test(
  'with nothing held back the weights are those of the normal equations on every row of the file',
  async () => {
    const finished = await trainLine('data.split={ validation: 0, test: 0 }');
    expect(finished).toMatchObject({ stoppedBy: 'tolerance' });
    expect(finished).not.toHaveProperty('validation');
    expect(finished).not.toHaveProperty('test');
    const model = await loadModel(finished.modelPath);
    const { slope, intercept } = lineOf(model);
    const { shift, factor } = scalingOf(model);
    const best = solveLeastSquares(await readLine());
    expect(Math.abs(slope * factor - best.slope)).toBeLessThan(TOLERANCE);
    expect(Math.abs(intercept - slope * factor * shift - best.intercept)).toBeLessThan(TOLERANCE);
  },
  DEADLINE_MS,
);

test(
  'three epochs are three epochs, and the run says that they ended it',
  async () => {
    const finished = await trainLine('train.epochs=3', 'train.batch=20');
    expect(finished).toMatchObject({ stoppedBy: 'epochs', epochs: 3, steps: 12 });
  },
  DEADLINE_MS,
);

test(
  'a limit in steps ends the run within an epoch, and says so',
  async () => {
    const finished = await trainLine(
      'train={ steps: 6, batch: 20, optimizer: { sgd: { learningRate: 0.1 } }, seed: 7 }',
    );
    expect(finished).toMatchObject({ stoppedBy: 'steps', epochs: 1, steps: 6 });
  },
  DEADLINE_MS,
);

test(
  'patience ends the run that many epochs after the best validation loss',
  async () => {
    // Each step overshoots a little more than the one before: the first epoch stays the best one.
    const worse =
      'train={ epochs: 50, batch: 100, optimizer: { sgd: { learningRate: 1.05 } }, stop: { patience: 3 }, seed: 7 }';
    const finished = await trainLine(worse);
    expect(finished.stoppedBy).toBe('patience');
    const losses = (await readFile(join(finished.runPath, 'events.ndjson'), 'utf8'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
      .filter(({ event }) => event === 'epoch_finished')
      .map(({ validation }) => Number(validation.loss));
    const best = losses.indexOf(Math.min(...losses));
    expect(losses).toHaveLength(best + 1 + 3);
    expect(finished.epochs).toBe(losses.length);
  },
  DEADLINE_MS,
);
