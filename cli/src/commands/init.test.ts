import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseJob } from '#job';
import { recordContext } from '../terminal.fixture.js';
import { type InitOptions, init } from './init.js';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ropeteam-init-test-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function run(file: string, options: Partial<InitOptions>) {
  const { context, results } = recordContext();
  const exitCode = await init(file, { force: false, json: false, ...options }, { ...context, directory: folder });
  return { exitCode, results: results(), text: await readFile(join(folder, file), 'utf8') };
}

const flowers = [
  'width,colour,kind',
  ...Array.from({ length: 60 }, (_, i) => `${i % 7},${i % 2 ? 'red' : 'blue'},${i % 3 ? 'iris' : 'rose'}`),
].join('\n');

test('words, numbers, classes and the split are found and written down as a job that can be read', async () => {
  await writeFile(join(folder, 'My Flowers.csv'), flowers);
  const { text, results } = await run('job.yaml', { data: 'My Flowers.csv', target: 'kind' });
  expect(results).toContain('60 rows, 3 inputs, classification into 2 classes');
  expect(results).toContain('ropeteam train job.yaml');
  expect(text).toContain('# 2 columns, 1 of words -> 3 inputs');
  expect(text).toMatch(/# 2 classes: (iris, rose|rose, iris)/);
  const job = parseJob(text, 'job.yaml', []);
  expect(job).toMatchObject({
    name: 'my-flowers',
    data: { source: 'My Flowers.csv', target: ['kind'], task: 'classification' },
  });
});

test('a column of many numbers is a regression', async () => {
  await writeFile(
    join(folder, 'line.csv'),
    ['x,y', ...Array.from({ length: 80 }, (_, i) => `${i},${i * 3_500.5}`)].join('\n'),
  );
  const { text, results } = await run('line.yaml', { data: 'line.csv', target: 'y' });
  expect(results).not.toContain('warning');
  expect(parseJob(text, 'line.yaml', []).data).toMatchObject({ task: 'regression', scaleTarget: 'standard' });
});

test('without data the digits come along, with their licence, into a folder that is made', async () => {
  await run('new/job.yaml', {});
  expect(await readFile(join(folder, 'new/digits.DATA.md'), 'utf8')).toContain('Creative Commons');
  expect((await readFile(join(folder, 'new/digits.csv'), 'utf8')).split('\n', 1)[0]).toContain('digit');
});

test('a file that is there stays as it is, unless it is forced', async () => {
  await writeFile(join(folder, 'job.yaml'), 'mine');
  await writeFile(join(folder, 'flowers.csv'), flowers);
  await expect(run('job.yaml', { data: 'flowers.csv', target: 'kind' })).rejects.toMatchObject({
    code: 'USAGE.ARGUMENT',
  });
  expect(await readFile(join(folder, 'job.yaml'), 'utf8')).toBe('mine');
  const { text } = await run('job.yaml', { data: 'flowers.csv', target: 'kind', force: true });
  expect(text).toContain('name: flowers');
});

test('without a target the columns are named, and nothing is written', async () => {
  await writeFile(join(folder, 'flowers.csv'), flowers);
  await expect(run('job.yaml', { data: 'flowers.csv' })).rejects.toMatchObject({
    code: 'USAGE.ARGUMENT',
    message: 'which column of flowers.csv is to be predicted?',
    hint: expect.stringContaining('width, colour, kind'),
  });
  await expect(readFile(join(folder, 'job.yaml'))).rejects.toThrow('ENOENT');
});

test('data outside of the folder is refused with the command that would do', async () => {
  await mkdir(join(folder, 'jobs'));
  await writeFile(join(folder, 'flowers.csv'), flowers);
  await expect(run('jobs/job.yaml', { data: 'flowers.csv', target: 'kind' })).rejects.toMatchObject({
    code: 'DATA.OUTSIDE_ROOT',
    hint: expect.stringContaining(`ropeteam init ${join(folder, 'job.yaml')}`),
  });
});
