/** House prices in the hundred thousands: what `data.scaleTarget` makes of a job that gets nowhere without it. */
import { execFileSync } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { loadModel } from '#model';
import { type NamedEvent, type RunningCommand, runCommand, startCommand } from '../support/command.js';
import { solveLeastSquares } from '../support/least-squares.js';
import { openWorkspace, type Workspace } from '../support/workspace.js';

vi.setConfig({ testTimeout: 120_000 });

interface House {
  readonly area: number;
  readonly price: number;
  /** Near 1: a second target of other units. */
  readonly yield: number;
}

/** Noise that looks like some: the fraction of a sine. */
const noise = (index: number): number => ((Math.sin(index * 12.9898) * 43_758.5453) % 1) / 2;
const HOUSES: readonly House[] = Array.from({ length: 200 }, (_, index) => {
  const area = 40 + ((index * 37) % 160);
  return {
    area,
    price: Math.round(85_000 + 2_750 * area + 60_000 * noise(index)),
    yield: Number((1.2 - 0.003 * area + 0.2 * noise(index + 500)).toFixed(4)),
  };
});
const csv = (houses: readonly House[]): string =>
  ['area,price,yield', ...houses.map((house) => `${house.area},${house.price},${house.yield}`), ''].join('\n');
/** The answer in closed form, and its r². */
function bestLine(of: 'price' | 'yield') {
  const line = solveLeastSquares(HOUSES.map((house) => [house.area, house[of]]));
  const mean = HOUSES.reduce((sum, house) => sum + house[of], 0) / HOUSES.length;
  const squares = HOUSES.reduce((sum, house) => sum + (house[of] - line.slope * house.area - line.intercept) ** 2, 0);
  const spread = HOUSES.reduce((sum, house) => sum + (house[of] - mean) ** 2, 0);
  return { ...line, r2: 1 - squares / spread, rootMeanSquaredError: Math.sqrt(squares / HOUSES.length) };
}

/** The copy is measured after each epoch, so that training figures and those of `evaluate` are of the same rows. */
const job = (data: string, train = 'epochs: 80, batch: 200'): string => `apiVersion: ropeteam/v1
name: houses
data: { source: houses.csv, features: [area], split: { validation: copy.csv, test: 0 }, task: regression, ${data} }
model: { layers: [] }
train: { ${train}, optimizer: { sgd: { learningRate: 0.3 } } }
`;
const SCALED = job('target: [price, yield], scaleTarget: standard');

let workspace: Workspace;
beforeAll(async () => {
  workspace = await openWorkspace();
});
afterAll(() => workspace[Symbol.asyncDispose]());

async function written(name: string, text: string): Promise<string> {
  const folder = join(workspace.path, name);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'houses.csv'), csv(HOUSES));
  await writeFile(join(folder, 'copy.csv'), csv(HOUSES));
  await writeFile(join(folder, 'job.yaml'), text);
  return join(folder, 'job.yaml');
}

async function trained(path: string, ...words: readonly string[]): Promise<NamedEvent<'run_finished'>> {
  await using command = startCommand(['train', path, '--json', '--out', workspace.runs, ...words], workspace.variables);
  const finished = await command.event('run_finished');
  expect((await command.ended).code).toBe(0);
  return finished;
}

async function told(...words: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runCommand(words, workspace.variables);
  expect(code, stderr).toBe(0);
  return stdout;
}

test('without scaling the run warns and names the setting that helps, and its model is no use', async () => {
  const path = await written('plain', job('target: price').replace('sgd: { learningRate: 0.3 }', 'adam: {}'));
  const { stdout, stderr } = await runCommand(['train', path, '--out', workspace.runs], workspace.variables);
  expect(stderr).toMatch(/warning: price goes up to \d+,000 and is not scaled: .*; set data\.scaleTarget: standard/);
  expect(stdout).toMatch(/validation r2 -\d/);
});

test('prices and a figure near 1 are learned as least squares has them, and told in their own units everywhere', async () => {
  const path = await written('scaled', SCALED);
  const finished = await trained(path);
  const price = bestLine('price');
  const yields = bestLine('yield');

  const houses = join(workspace.path, 'scaled/houses.csv');
  const evaluation = JSON.parse(await told('evaluate', finished.modelPath, '--data', houses, '--json'));
  const [ofPrice, ofYield] = evaluation.numbers.targets;
  expect(ofPrice.r2).toBeCloseTo(price.r2, 5);
  expect(ofPrice.rootMeanSquaredError / price.rootMeanSquaredError).toBeCloseTo(1, 4);
  expect(ofYield.r2).toBeCloseTo(yields.r2, 5);
  // What was measured while training, by workers, is the same as what is measured now.
  expect(finished.validation?.r2).toBeCloseTo((price.r2 + yields.r2) / 2, 5);
  for (const figure of ['meanAbsoluteError', 'rootMeanSquaredError'] as const) {
    expect(finished.validation?.[figure]).toBeCloseTo(evaluation.numbers[figure], 5);
  }
  expect(finished.validation?.loss).toBeLessThan(1); // that of training: in deviations, not in prices

  const expected = HOUSES.map(({ area }) => [
    price.intercept + price.slope * area,
    yields.intercept + yields.slope * area,
  ]);
  const [header, ...rows] = (await told('predict', finished.modelPath, '--input', houses)).trimEnd().split('\n');
  expect(header).toBe('area,price,yield,predicted_price,predicted_yield');
  expectClose(
    rows.map((row) => row.split(',').slice(3).map(Number)),
    expected,
  );
  const model = await loadModel(finished.modelPath);
  const ofRows = model.predict(HOUSES.map(({ area }) => ({ area })));
  expectClose(
    ofRows.map((each) => (each.kind === 'numbers' ? Object.values(each.values) : [])),
    expected,
  );

  const module = join(workspace.path, 'houses.mjs');
  await told('export', finished.modelPath, '--format', 'js', '--out', module);
  const ask = `import { predict } from ${JSON.stringify(module)};
process.stdout.write(JSON.stringify(${JSON.stringify(HOUSES)}.map((row) => Object.values(predict(row)))));`;
  const answers = execFileSync(process.execPath, ['--input-type=module', '-e', ask], { encoding: 'utf8' });
  expectClose(JSON.parse(answers), expected);

  const description = join(workspace.path, 'houses.json');
  await told('export', finished.modelPath, '--format', 'json', '--out', description);
  const { preprocessing, parameters } = JSON.parse(await readFile(description, 'utf8'));
  const [column] = preprocessing.columns;
  const byHand = HOUSES.map(({ area }) =>
    [0, 1].map((target) => {
      const [weight] = parameters['layers.0.weight'].values[target];
      const output = weight * (area - column.shift) * column.factor + parameters['layers.0.bias'].values[target];
      return output / preprocessing.targets[target].factor + preprocessing.targets[target].shift;
    }),
  );
  expectClose(byHand, expected);
});

/** To 1e-5 of the value: the descent ends that near to the closed form, and no way to predict may add to it. */
function expectClose(found: readonly (readonly number[])[], expected: readonly (readonly number[])[]): void {
  expect(found).toHaveLength(expected.length);
  const worst = Math.max(...found.flatMap((row, n) => row.map((value, at) => Math.abs(value / expected[n]![at]! - 1))));
  expect(worst).toBeLessThan(1e-5);
}

test('one worker, two, and a coordinator that dies on the way leave the same bits and figures', async () => {
  const path = await written('bits', job('target: [price, yield], scaleTarget: standard', 'epochs: 60, batch: 20'));
  const one = await trained(path, '--workers', '1');
  const two = await trained(path, '--workers', '2', '--grain', 'step');
  const words = ['train', path, '--json', '--every-step', '--grain', 'step', '--out', workspace.runs];
  await using command = startCommand(words, workspace.variables);
  await command.event('step_committed', ({ step }) => step === 20);
  process.kill(await coordinatorOf(command), 'SIGKILL');
  const resumed = await command.event('run_finished');
  expect(command.events.map(({ event }) => event)).toContain('run_resumed');
  const facts = [one, two, resumed].map(({ weightsSha256, optimizerSha256, validation }) => ({
    weightsSha256,
    optimizerSha256,
    validation,
  }));
  expect(facts[1]).toEqual(facts[0]);
  expect(facts[2]).toEqual(facts[0]);
  await told('verify', resumed.runPath, '--recompute', '3', '--data', join(workspace.path, 'bits'));
});

async function coordinatorOf(command: RunningCommand): Promise<number> {
  for (const pid of await command.offspring()) {
    if ((await readFile(`/proc/${pid}/cmdline`, 'utf8')).includes('services/coordinator')) return pid;
  }
  throw new Error('no process of the coordinator');
}
