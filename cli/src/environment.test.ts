import { describe, expect, test } from 'vitest';
import { readEnvironment } from './environment.js';
import { recordTerminal } from './terminal.fixture.js';

const RED = '\u001b[31m';

describe('colour', () => {
  test.each([
    ['is on at a terminal', {}, 80, true],
    ['is off in a pipe', {}, undefined, false],
    ['is off with NO_COLOR', { NO_COLOR: '1' }, 80, false],
    ['stays on with an empty NO_COLOR, as no-color.org says', { NO_COLOR: '' }, 80, true],
    ['is off in CI', { CI: 'true' }, 80, false],
    ['is off at a dumb terminal', { TERM: 'dumb' }, 80, false],
    ['is on in a pipe with FORCE_COLOR', { FORCE_COLOR: '1' }, undefined, true],
    ['is off with FORCE_COLOR=0', { FORCE_COLOR: '0' }, 80, false],
    ['is off with both NO_COLOR and FORCE_COLOR', { NO_COLOR: '1', FORCE_COLOR: '1' }, 80, false],
  ] as const)('%s', (_what, variables, columns, isOn) => {
    const { terminal } = recordTerminal({ variables: { ...variables }, ...(columns === undefined ? {} : { columns }) });
    expect(terminal.paintTalk('red', 'x').includes(RED)).toBe(isOn);
    expect(terminal.paintResult('red', 'x').includes(RED)).toBe(isOn);
  });
});

test('nothing is redrawn in a pipe, in CI or at a dumb terminal', () => {
  expect(recordTerminal({ columns: 80 }).terminal.live).toBe(true);
  expect(recordTerminal().terminal.live).toBe(false);
  expect(recordTerminal({ columns: 80, variables: { CI: '1' } }).terminal.live).toBe(false);
  expect(recordTerminal({ columns: 80, variables: { TERM: 'dumb' } }).terminal.live).toBe(false);
});

test('0, false and nothing are ways to say no', () => {
  for (const value of ['0', 'false', '']) {
    expect(readEnvironment({ ROPETEAM_NO_FETCH: value, CI: value, ROPETEAM_DEBUG: value })).toMatchObject({
      allowFetch: true,
      redraw: true,
      debug: false,
    });
  }
});

test('an empty address is no address', () => {
  const environment = readEnvironment({ ROPETEAM_REDIS_URL: '', ROPETEAM_COORDINATOR: '' });
  expect(environment).toMatchObject({ redisUrl: undefined, coordinator: undefined });
});
