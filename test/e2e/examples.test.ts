/** The examples on real data are as good as their READMEs say, and keep their best epoch. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadModel } from '#storage';
import { type NamedEvent, startCommand } from '../support/command.js';
import { openWorkspace, type Workspace } from '../support/workspace.js';

let workspace: Workspace;
beforeAll(async () => {
  workspace = await openWorkspace();
});
afterAll(() => workspace[Symbol.asyncDispose]());

async function train(example: string): Promise<NamedEvent<'run_finished'>> {
  const out = join(workspace.path, example);
  const words = ['train', `examples/${example}/job.yaml`, '--threads', '1', '--json', '--out', out, '--run-id', 'one'];
  await using command = startCommand(words, workspace.variables);
  const { code, stdout } = await command.ended;
  expect(code).toBe(0);
  const finished: NamedEvent<'run_finished'> = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '');
  const { kept, metrics } = await loadModel(join(out, 'one', 'model'));
  expect(kept).toEqual(finished.kept);
  expect(metrics.test).toEqual(finished.test);
  return finished;
}

test('penguins are told apart, each species by itself', async () => {
  const { test: found, kept } = await train('penguins');
  expect(found?.accuracy).toBeGreaterThanOrEqual(0.97);
  expect(found?.rocAuc).toBeGreaterThan(0.99);
  expect(found?.classes?.map(({ label }) => label)).toEqual(['Adelie', 'Chinstrap', 'Gentoo']);
  expect(kept).toMatchObject({ metric: 'validation.loss' });
}, 60_000);

test('diabetes: the error is well below the deviation of the targets', async () => {
  const { test: found, kept } = await train('diabetes');
  expect(found?.rootMeanSquaredError).toBeLessThan(66);
  expect(found?.r2).toBeGreaterThan(0.3);
  expect(kept?.value).toBeLessThan(66);
}, 60_000);
