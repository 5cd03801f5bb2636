import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { reportFailure } from '../failure.js';
import { type RecordedOptions, recordContext } from '../terminal.fixture.js';
import { runCommandLine } from './program.js';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ropeteam-cli-test-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** One command line from words to exit code, as `main` runs it. */
async function run(words: readonly string[], options: RecordedOptions = {}) {
  const { context, terminal, results, talk } = recordContext(options);
  const exitCode = await runCommandLine(words, context).catch((error: unknown) =>
    reportFailure(error, terminal, { debug: false, commandName: 'ropeteam' }),
  );
  return { exitCode, results: results(), talk: talk() };
}

const COMMANDS = [
  'train',
  'up',
  'validate',
  'verify',
  'chaos',
  'doctor',
  'bench',
  'schema',
  'predict',
  'evaluate',
  'export',
  'submit',
  'runs',
  'watch',
  'stop',
  'coordinator',
  'worker',
  'init',
  'explain',
  'completion',
];

describe('help', () => {
  test('alone it is one screen with every command and two examples, on stdout', async () => {
    const { exitCode, results, talk } = await run([]);
    expect([exitCode, talk]).toEqual([0, '']);
    const lines = results.trimEnd().split('\n');
    expect(lines.length).toBeLessThanOrEqual(40);
    for (const command of COMMANDS) expect(results).toMatch(new RegExp(`^  ${command}\\b`, 'm'));
    expect(lines.filter((line) => line.startsWith('  ropeteam '))).toHaveLength(2);
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);
  });

  test.each(COMMANDS)('%s has its own, with an example that it would accept', async (command) => {
    const { exitCode, results } = await run([command, '--help']);
    expect(exitCode).toBe(0);
    const example = /Example:\n {2}ropeteam (.*)/.exec(results)?.[1] ?? '';
    expect(example.startsWith(command)).toBe(true);
    for (const option of example.match(/--[a-z-]+/g) ?? []) expect(results).toContain(`  ${option} `);
  });

  test('the version is that of the package', async () => {
    expect(await run(['--version'])).toEqual({
      exitCode: 0,
      results: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
      talk: '',
    });
  });
});

describe('wrong usage is told shortly, with what was probably meant, and exits with 2', () => {
  test.each([
    ['a mistyped command', ['trian', 'job.yaml'], "unknown command 'trian'", 'did you mean train?'],
    [
      'a mistyped option',
      ['train', 'job.yaml', '--worker', '2'],
      "unknown option '--worker'",
      'did you mean --workers?',
    ],
    ['an unknown option', ['runs', '--frobnicate'], "unknown option '--frobnicate'", 'ropeteam --help'],
    ['a missing argument', ['train'], "missing required argument 'job'", 'ropeteam --help'],
    ['an argument too many', ['doctor', 'now'], 'too many arguments', 'ropeteam --help'],
    ['a number that is none', ['train', 'j', '--workers', 'two'], 'must be a whole number from 1 to 256', ''],
    ['a number out of range', ['up', '--port', '70000'], 'must be a whole number from 0 to 65535', ''],
    [
      'an engine that is none',
      ['train', 'j', '--kernel', 'gpu'],
      'Allowed choices are wasm, js, wasm-fma, blas, auto',
      '',
    ],
    ['a mistyped value', ['train', 'j', '--kernel', 'wsam'], "'wsam' is invalid", 'did you mean wasm?'],
    ['a mistyped value of an argument', ['certs', 'issue', 'wroker'], "'wroker' is invalid", 'did you mean worker?'],
    ['a mistyped command of certs', ['certs', 'isue', 'worker'], "unknown command 'isue'", 'did you mean issue?'],
    ['a benchmark that is none', ['bench', 'disk'], 'Allowed choices are kernel, step, peers', ''],
    [
      'an option of the other benchmark',
      ['bench', 'kernel', '--repeats', '2'],
      '--repeats is no option of bench kernel',
      'bench step and bench peers',
    ],
    [
      'and the other way round',
      ['bench', 'step', '--quick'],
      '--quick is no option of bench step',
      'bench kernel and bench peers',
    ],
    ['a run id that is none', ['stop', 'Not An Id'], 'a run id has 1..63 characters', ''],
  ])('%s', async (_what, words, message, hint) => {
    const { exitCode, results, talk } = await run(words);
    expect([exitCode, results]).toEqual([2, '']);
    expect(talk).toContain(message);
    expect(talk).toContain(hint);
    expect(talk.trimEnd().split('\n').length).toBeLessThanOrEqual(4);
  });
});

describe('a job file', () => {
  test('with a typo is refused before anything is started, with the place and what was meant', async () => {
    const job = join(folder, 'typo.yaml');
    await writeFile(
      job,
      'apiVersion: ropeteam/v1\nname: x\ndata: { source: x.csv, target: y }\nmodel: { layers: [] }\ntrain:\n  epochs: 3\n  bach: 7\n',
    );
    for (const command of ['train', 'submit', 'validate']) {
      const { exitCode, results, talk } = await run([command, job]);
      expect([exitCode, results]).toEqual([2, '']);
      expect(talk).toContain(`${job}:7:3`);
      expect(talk).toContain('did you mean "batch"?');
    }
  });

  test('that is not there is refused', async () => {
    expect(await run(['train', join(folder, 'none.yaml')])).toMatchObject({ exitCode: 2, results: '' });
  });

  test('that is sound is planned, as a person and as a script want to read it, with the changes of the command line', async () => {
    const rows = Array.from({ length: 100 }, (_, i) => `${i},${i % 7},${2 * i}`);
    await writeFile(join(folder, 'line.csv'), `a,b,y\n${rows.join('\n')}\n`);
    const job = join(folder, 'sound.yaml');
    await writeFile(
      job,
      'apiVersion: ropeteam/v1\nname: line\ndata: { source: line.csv, target: y, task: regression, split: { validation: 0.1, test: 0.1 } }\n' +
        'model: { layers: [{ dense: 3 }, relu] }\ntrain: { epochs: 3, batch: 16, optimizer: { sgd: { learningRate: 0.1 } } }\n',
    );
    const { exitCode, results } = await run(['validate', job, '--json', '--set', 'train.epochs=5', '--workers', '2']);
    expect(exitCode).toBe(0);
    expect(JSON.parse(results)).toMatchObject({
      valid: true,
      // 2·3 + 3 weights and biases of the hidden layer, 3 + 1 of the output.
      plan: {
        parameters: 13,
        samples: { train: 80 },
        stepsPerEpoch: 5,
        steps: 25,
        bytesPerStepPerWorker: { down: 52, up: 52 },
        // 100 rows of two features and a target.
        memory: {
          // Messages that hold the weights twice, and what 25 steps leave behind.
          worker: { rowBytes: 1200, wireBytes: 2 * 52 + 25 * 20_000 },
          // The weights as every worker gets them, once more.
          coordinator: { wireBytes: 3 * 52 + 25 * 20_000, checkpointBytes: 52 },
        },
      },
    });
    const { memory } = JSON.parse(results).plan;
    const { worker, coordinator } = memory;
    expect(worker.processBytes + worker.wireBytes + worker.kernelBytes + worker.rowBytes).toBe(worker.peakBytes);
    const training = coordinator.kernelBytes + coordinator.wireBytes + coordinator.checkpointBytes;
    expect(coordinator.processBytes + Math.max(training, coordinator.readingBytes)).toBe(coordinator.peakBytes);
    const text = await run(['validate', job]);
    expect(text.results).toContain('layers.0.weight  [3, 2]  6');
    expect(text.results).toContain('5 an epoch, 15 in 3 epochs');
    expect(text.results).not.toContain('different');
  });

  test('describes the columns when it is asked to, in both forms', async () => {
    const rows = Array.from(
      { length: 40 },
      (_, row) => `${row + 1},${(row * 31) % 97},${row % 2 === 0 ? 'no' : 'yes'}`,
    );
    await writeFile(join(folder, 'odd.csv'), `id,size,y\n${rows.join('\n')}\n`);
    const job = join(folder, 'odd.yaml');
    await writeFile(
      job,
      'apiVersion: ropeteam/v1\nname: odd\ndata: { source: odd.csv, target: y }\nmodel: { layers: [] }\ntrain: { epochs: 1 }\n',
    );
    const text = await run(['validate', job, '--data']);
    expect(text.results).toContain('40 rows of 2 columns and 1 target');
    expect(text.results).toMatch(/^ {2}y \(target\) +classes +2$/m);
    expect(text.results).toMatch(/^ {2}id +numbers +40 +1 to 40, mean 20\.5$/m);
    expect(text.results).toContain('look at id: counts the rows.');
    const { data } = JSON.parse((await run(['validate', job, '--data', '--json'])).results);
    expect(data.findings).toEqual([{ kind: 'rowNumber', names: ['id'] }]);
    expect(data.classes).toEqual([
      { label: 'no', rows: 20 },
      { label: 'yes', rows: 20 },
    ]);
  });

  test('with wrong rows is refused as JSON too', async () => {
    await writeFile(join(folder, 'bad.csv'), 'a,y\n1,2\nx,y,z\n');
    const job = join(folder, 'rows.yaml');
    await writeFile(
      job,
      'apiVersion: ropeteam/v1\nname: rows\ndata: { source: bad.csv, target: y, task: regression }\nmodel: { layers: [] }\ntrain: { epochs: 1 }\n',
    );
    const { exitCode, results, talk } = await run(['validate', job, '--json']);
    expect(exitCode).toBe(2);
    expect(JSON.parse(results)).toMatchObject({
      valid: false,
      error: { code: expect.stringMatching(/^(DATA|CONFIG)\./) },
    });
    expect(talk).toContain('bad.csv');
  });
});

test('a port that is taken is said to be, before anything is started', async () => {
  const holder = createServer();
  await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
  const address = holder.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  try {
    const { exitCode, talk } = await run(['up', '--port', String(port)]);
    expect(exitCode).toBe(3);
    expect(talk).toContain(`port ${port} of 127.0.0.1 cannot be used`);
    expect(talk).toContain('--port');
  } finally {
    holder.close();
  }
});

test('without a coordinator the commands for one exit with 3 and say how to start one', async () => {
  const { exitCode, talk } = await run(['runs', '--coordinator', '127.0.0.1:1']);
  expect(exitCode).toBe(3);
  expect(talk).toContain('ropeteam up');
});

test('the schema is JSON and names every part of a job', async () => {
  const { results } = await run(['schema']);
  expect(Object.keys((JSON.parse(results) as { properties: object }).properties)).toEqual(
    expect.arrayContaining(['apiVersion', 'name', 'data', 'model', 'train', 'checkpoint']),
  );
});
