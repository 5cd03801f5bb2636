/**
 * The table of bad input, B15 to B50: what is given, where it is wrong, why, what to do, and the exit code. Each row is a
 * command line as a user types it, run in this process. What needs services, or can't be given at all, is named in
 * `ELSEWHERE`.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCommandLine } from '../../cli/src/command-line/program.js';
import { reportFailure } from '../../cli/src/failure.js';
import { recordContext } from '../../cli/src/terminal.fixture.js';
import { JOB_AND_DATA } from '../support/bad-input/job-and-data.js';
import { MODEL_AND_COMMANDS } from '../support/bad-input/model-and-commands.js';
import { CHECKOUT } from '../support/command.js';

const TABLE = [...JOB_AND_DATA, ...MODEL_AND_COMMANDS];

/** Rows without a command line here: why, and the test that holds what they ask for. */
const ELSEWHERE: Readonly<
  Record<string, { readonly why: string; readonly test?: readonly [file: string, name: string] }>
> = {
  B15: {
    why: 'A job can not say it: inputs follow from the columns, outputs from the target, and each layer from the one before',
  },
  B35: {
    why: 'Needs a run that was begun',
    test: [
      'test/faults/data.test.ts',
      'without its shards a run goes on from the file, if that is what it was begun with',
    ],
  },
  B45: {
    why: 'No input is wrong: terminals that are narrow, plain or none',
    test: ['cli/src/progress/progress-block.test.ts', 'no line is wider than the terminal'],
  },
  B46: {
    why: 'Needs a reader that goes away from a run',
    test: ['test/e2e/train.test.ts', 'a reader that goes away ends everything quietly'],
  },
};

const home = process.cwd();
let root = '';
let born = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'ropeteam-bad-table-'));
});
afterAll(async () => {
  process.chdir(home);
  await rm(root, { recursive: true, force: true });
});

test.each(TABLE)('$number $what', async ({ files, words, says, prints = [], exitCode = 2 }) => {
  const folder = join(root, String(born++));
  await mkdir(folder);
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name);
    await mkdir(dirname(path), { recursive: true });
    if (typeof content === 'function') await content(path);
    else await writeFile(path, content);
  }
  process.chdir(folder); // names are shown as they were typed, so they are typed as relative ones
  const { context, terminal, talk, results } = recordContext();
  const code = await runCommandLine(words, context).catch((error: unknown) =>
    reportFailure(error, terminal, { debug: false, commandName: 'ropeteam' }),
  );
  for (const word of says) {
    if (word instanceof RegExp) expect(talk()).toMatch(word);
    else expect(talk()).toContain(word);
  }
  for (const word of prints) expect(results()).toContain(word);
  if (prints.length === 0) expect(results()).toBe('');
  expect(talk()).not.toMatch(/\n {4}at |TypeError|not foreseen/);
  expect(code).toBe(exitCode);
});

test('no number is left out, and what is said to be elsewhere is there', async () => {
  const numbers = new Set<string>([...TABLE.map(({ number }) => number), ...Object.keys(ELSEWHERE)]);
  expect(Array.from({ length: 36 }, (_, index) => `B${15 + index}`).filter((number) => !numbers.has(number))).toEqual(
    [],
  );
  for (const { test: place } of Object.values(ELSEWHERE)) {
    if (place !== undefined) expect(await readFile(join(CHECKOUT, place[0]), 'utf8')).toContain(place[1]);
  }
});
