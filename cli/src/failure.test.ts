import { CommanderError } from 'commander';
import { describe, expect, test } from 'vitest';
import { RopeteamError } from '#training';
import { reportFailure } from './failure.js';
import { Interrupted } from './interrupts.js';
import { recordTerminal } from './terminal.fixture.js';

function report(error: unknown, debug = false) {
  const { terminal, talk, results } = recordTerminal();
  const exitCode = reportFailure(error, terminal, { debug, commandName: 'ropeteam' });
  expect(results()).toBe('');
  return { exitCode, talk: talk() };
}

describe('exit codes', () => {
  test.each([
    ['1 for a failed run', new RopeteamError('RUN.NONFINITE', { step: 3 }, 'x'), 1],
    ['2 for a bad job', new RopeteamError('CONFIG.UNKNOWN_KEY', { key: 'x' }, 'x'), 2],
    ['2 for wrong usage', new CommanderError(1, 'commander.unknownOption', "error: unknown option '--x'"), 2],
    ['3 for a missing Redis', new RopeteamError('REDIS.UNREACHABLE', { url: 'x' }, 'x'), 3],
    ['130 for Ctrl-C', new Interrupted('SIGINT'), 130],
    ['143 for SIGTERM', new Interrupted('SIGTERM'), 143],
    ['0 for help', new CommanderError(0, 'commander.helpDisplayed', '(outputHelp)'), 0],
    ['1 for the unforeseen', new TypeError('x is not a function'), 1],
  ])('%s', (_what, error, exitCode) => {
    expect(report(error).exitCode).toBe(exitCode);
  });
});

test('the unforeseen is one line and how to get more, never a stack trace', () => {
  const { talk } = report(new TypeError('x is not a function\n    at secret.js:1'));
  expect(talk).toBe(
    'error: x is not a function\nThis was not foreseen. Repeat it with ROPETEAM_DEBUG=1 for the details.\n',
  );
});

test('with ROPETEAM_DEBUG=1 there is a stack trace with its causes', () => {
  const cause = new Error('the disk is gone');
  const { talk } = report(new Error('cannot save', { cause }), true);
  expect(talk).toMatch(/ at .*failure\.test/);
  expect(talk).toContain('caused by: Error: the disk is gone');
});

test('an error is not hidden by one that came while everything was closed', () => {
  const fail = (): void => {
    using _resource = {
      [Symbol.dispose]: () => {
        throw new Error('could not be closed');
      },
    };
    throw new RopeteamError('RUN.NONFINITE', { step: 3 }, 'not finite');
  };
  const thrown = ((): unknown => {
    try {
      return fail();
    } catch (error) {
      return error;
    }
  })();
  expect(report(thrown)).toMatchObject({ exitCode: 1, talk: expect.stringContaining('not finite') });
});

test('a reader that has enough, as `head`, is no failure and nothing to talk about', () => {
  const closed = Object.assign(new Error('write EPIPE'), { code: 'EPIPE', syscall: 'write' });
  expect(report(closed)).toEqual({ exitCode: 0, talk: '' });
});

test('an interrupt says nothing: the user knows', () => {
  expect(report(new Interrupted('SIGINT')).talk).toBe('');
});
