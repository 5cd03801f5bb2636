/** The packed package, unpacked where nothing of the checkout is but its dependencies, as a program uses it. */
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

/** dist/test/integration/package.test.js -> the checkout. */
const CHECKOUT = fileURLToPath(new URL('../../../', import.meta.url));

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ropeteam-package-'));
  const installed = join(folder, 'node_modules/ropeteam');
  await mkdir(installed, { recursive: true });
  // Without scripts: `prepare` would build what this very test is part of.
  const packed = execFileSync('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], {
    cwd: CHECKOUT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [{ filename }] = JSON.parse(packed) as [{ readonly filename: string }]; // npm's own output
  execFileSync('tar', ['-xzf', join(folder, filename), '-C', installed, '--strip-components', '1']);
  await symlink(join(CHECKOUT, 'node_modules'), join(installed, 'node_modules'));
}, 60_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

async function runFile(name: string, text: string): Promise<string> {
  await writeFile(join(folder, name), text);
  return execFileSync(process.execPath, [name], { cwd: folder, encoding: 'utf8' });
}

test('an ES module trains, watches and predicts with it', async () => {
  const output = await runFile(
    'train.mjs',
    `import { loadModel, train } from 'ropeteam';
     const job = 'node_modules/ropeteam/examples/linear-regression/job.yaml';
     const training = train(job, { run: 'line-1', threads: 1 });
     const events = [];
     for await (const { event } of training) events.push(event);
     const { modelPath, weightsSha256, run } = await training.result;
     const model = await loadModel(modelPath);
     const row = Object.fromEntries(model.encoder.names.map((name) => [name, 1]));
     console.log(JSON.stringify({ run, weightsSha256, first: events[0], last: events.at(-1), predicted: model.predict([row]) }));`,
  );
  const said: unknown = JSON.parse(output);
  expect(said).toEqual({
    run: 'line-1',
    weightsSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    first: 'run_queued',
    last: 'run_finished',
    predicted: [{ kind: 'numbers', values: expect.any(Object) }],
  });
}, 120_000);

test('an aborted signal ends a run early, with a model', async () => {
  const output = await runFile(
    'abort.mjs',
    `import { train } from 'ropeteam';
     const abort = new AbortController();
     const job = 'node_modules/ropeteam/examples/digits/job.yaml';
     const training = train(job, { run: 'stopped-1', threads: 1, set: ['train.epochs=100000'], signal: abort.signal });
     for await (const { event } of training) if (event === 'step_committed') abort.abort();
     console.log((await training.result).stoppedBy);`,
  );
  expect(output).toBe('user\n');
}, 120_000);

test('what is wrong with a job rejects the result and the iteration', async () => {
  const output = await runFile(
    'wrong.mjs',
    `import { RopeteamError, train } from 'ropeteam';
     const training = train('nowhere.yaml');
     const codes = [];
     await training.result.catch((error) => codes.push(error instanceof RopeteamError && error.code));
     try { for await (const event of training) codes.push(event); } catch (error) { codes.push(error.code); }
     console.log(codes.join());`,
  );
  expect(output).toBe('CONFIG.FILE,CONFIG.FILE\n');
});

test('CommonJS can require it', async () => {
  const output = await runFile(
    'use.cjs',
    `const { loadModel, train } = require('ropeteam'); console.log(typeof loadModel, typeof train);`,
  );
  expect(output).toBe('function function\n');
});

test('its types say what it takes and gives', async () => {
  const check = async (name: string, text: string): Promise<string> => {
    await writeFile(join(folder, name), text);
    const flags = ['--noEmit', '--strict', '--target', 'es2023', '--lib', 'es2023,esnext.disposable', '--skipLibCheck'];
    const modules = ['--module', 'nodenext', '--types', 'node', '--typeRoots', join(CHECKOUT, 'node_modules/@types')];
    const compiler = join(CHECKOUT, 'node_modules/typescript/bin/tsc');
    try {
      return execFileSync(process.execPath, [compiler, ...flags, ...modules, name], { cwd: folder, encoding: 'utf8' });
    } catch (error) {
      if (error instanceof Error && 'stdout' in error) return String(error.stdout);
      throw error;
    }
  };
  const right = `import { loadModel, train, type Prediction, type RunEvent } from 'ropeteam';
    export const seen: RunEvent[] = [];
    export async function both(signal: AbortSignal): Promise<readonly Prediction[]> {
      const training = train('job.yaml', { workers: 2, signal });
      for await (const event of training) seen.push(event);
      const { modelPath } = await training.result;
      return (await loadModel(modelPath)).predict([{ x: 1, colour: 'red', empty: null }]);
    }`;
  expect(await check('right.mts', right)).toBe('');
  const wrong = `import { train } from 'ropeteam'; export const training = train('job.yaml', { workers: 'two' });`;
  expect(await check('wrong.mts', wrong)).toContain("Type 'string' is not assignable to type 'number'");
}, 60_000);
