import { expect, test } from 'vitest';
import { RopeteamError, toEnvelope } from '#training';
import { formatError } from './format-error.js';
import { parseJob } from './parse-job.js';

const place = { file: 'job.yaml', line: 12, column: 3, length: 12, text: '  learning_rte: 0.01' };
const unknown = new RopeteamError('CONFIG.UNKNOWN_KEY', { key: 'learning_rte' }, 'unknown setting "learning_rte"', {
  place,
  hint: 'did you mean "learningRate"?',
});

test('one error has its code, its place, its line underlined, and what to do', () => {
  expect(formatError(unknown)).toBe(`error CONFIG.UNKNOWN_KEY: unknown setting "learning_rte"
  ┌─ job.yaml:12:3
12│   learning_rte: 0.01
  │   ^^^^^^^^^^^^
  fix: did you mean "learningRate"?`);
});

test('several errors come one after the other, with a count at the end', () => {
  const version = new RopeteamError('CONFIG.VERSION', { found: 'none' }, 'apiVersion is missing', {
    place: { file: 'job.yaml', line: 1, column: 1 },
  });
  const both = new RopeteamError('CONFIG.SEVERAL', { count: 2 }, '2 problems in job.yaml', {
    problems: [version, unknown],
  });
  expect(formatError(both)).toBe(`error CONFIG.VERSION: apiVersion is missing
  ┌─ job.yaml:1:1

error CONFIG.UNKNOWN_KEY: unknown setting "learning_rte"
  ┌─ job.yaml:12:3
12│   learning_rte: 0.01
  │   ^^^^^^^^^^^^
  fix: did you mean "learningRate"?

error 2 problems in job.yaml`);
});

test('an error that travelled looks the same', () => {
  expect(formatError(toEnvelope(unknown))).toBe(formatError(unknown));
});

test('colour only adds to the text', () => {
  const coloured = formatError(unknown, { color: true });
  expect(coloured).toContain('\u001b[31merror\u001b[39m');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are control characters
  expect(coloured.replaceAll(/\u001b\[\d+m/g, '')).toBe(formatError(unknown));
});

test('text from a user cannot steer the terminal, and the underline stays in place', () => {
  const nasty = '\u001b[2J\u202e\u0007\ud800';
  const error = new RopeteamError('CONFIG.RANGE', { key: nasty }, `a ${nasty}`, {
    hint: `b ${nasty}`,
    place: { file: `c${nasty}`, line: 1, column: 9, length: 3, text: `x\t: \u001b日本bad` },
  });
  const text = formatError(error);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be there
  expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/);
  expect(text).toContain('a \\u{1b}[2J\\u{202e}\\u{7}\\u{d800}');
  const [, , line = '', underline = ''] = text.split('\n');
  expect(line).toBe(' 1│ x : \\u{1b}日本bad');
  // the underline begins under the a of bad; each of 日本 is one character and two cells wide
  expect(underline.indexOf('^')).toBe(line.indexOf('ad') + 2);
  expect(underline.match(/\^+/)?.[0]).toBe('^^');
});

test('a line break in a message does not begin a line that could pass for an error', () => {
  const error = new RopeteamError('RUN.FAILED', { run: 'x' }, 'first\nerror second');
  expect(formatError(error).split('\n')[1]).toBe('    error second');
});

test('the cause is told in one line, without a stack', () => {
  const cause = new Error('connect ECONNREFUSED 127.0.0.1:6379');
  const error = new RopeteamError('REDIS.UNREACHABLE', { url: 'redis://localhost' }, 'Redis does not answer', {
    cause,
  });
  expect(formatError(error)).toContain('\n  = connect ECONNREFUSED 127.0.0.1:6379');
  expect(formatError(error)).not.toMatch(/\bat .*:\d+/);
});

test('a problem beyond the shown part of a long line has no underline', () => {
  const far = { file: 'job.yaml', line: 1, column: 130, length: 2, text: 'x'.repeat(120) };
  const error = new RopeteamError('CONFIG.RANGE', { key: 'x' }, 'x', { place: far });
  expect(formatError(error)).not.toContain('^');
});

test('no error of a job file takes more than six lines and its frame', () => {
  try {
    parseJob('nmae: x\ntrain: { lr: 1 }\n', 'job.yaml');
    expect.unreachable();
  } catch (error) {
    if (!(error instanceof RopeteamError)) throw error;
    for (const problem of error.problems) expect(formatError(problem).split('\n').length).toBeLessThanOrEqual(6);
  }
});
