import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type ErrorCode, exitCodeOf } from '#training';
import { recordContext } from '../terminal.fixture.js';
import { explain, readExplanations } from './explain.js';

const page = readFileSync(new URL('../../../../docs/errors.md', import.meta.url), 'utf8');
const inPage = [...page.matchAll(/^\| `([A-Z]+\.[A-Z_]+)`/gm)].map(([, code]) => code);

test('every code of the page is explained, with its exit code and without Markdown', () => {
  const explanations = readExplanations(page);
  expect(explanations.map(({ code }) => code)).toEqual(inPage);
  for (const { code, exitCode, meaning, remedy } of explanations) {
    expect(exitCode).toBe(exitCodeOf(code as ErrorCode));
    expect(`${meaning} ${remedy}`).not.toMatch(/\]\(|\\\|/);
  }
});

test('one is found whatever its case, and says what to do', async () => {
  const { context, results } = recordContext();
  expect(await explain('data.label', { json: false }, context)).toBe(0);
  expect(results()).toMatch(/^DATA\.LABEL\n {2}means .*\n {2}to do .*\n {2}exit {3}2: wrong usage, job or data\n/);
});

test('a mistyped one is refused with the one that was meant', async () => {
  const { context } = recordContext();
  await expect(explain('DATA.LABL', { json: false }, context)).rejects.toMatchObject({
    code: 'USAGE.ARGUMENT',
    hint: 'did you mean DATA.LABEL?',
  });
});

test('without a code there is a line for each', async () => {
  const { context, results } = recordContext();
  await explain(undefined, { json: true }, context);
  expect(JSON.parse(results())).toHaveLength(inPage.length);
});
