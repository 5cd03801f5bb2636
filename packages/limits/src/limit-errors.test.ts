import { expect, test } from 'vitest';
import { fromEnvelope, RopeteamError } from '#training';
import { lackingLimit, limitReached } from './limit-errors.js';
import { LEAST_OPEN_FILES, parseLimits, readProcessLimits } from './process-limits.js';

const TABLE = `Limit                     Soft Limit           Hard Limit           Units
Max cpu time              unlimited            unlimited            seconds
Max processes             127235               127235               processes
Max open files            64                   1048576              files
Max address space         17179869184          unlimited            bytes
`;

/** As Node throws what the system refused. */
function refused(code: string, syscall: string, message: string): Error {
  return Object.assign(new Error(message), { code, syscall });
}

test('the soft limits are read, and what is unlimited is absent', () => {
  expect(parseLimits(TABLE)).toEqual({ openFiles: 64, processes: 127_235, addressSpace: 2 ** 34 });
  expect(parseLimits(TABLE.replaceAll(/\b(64|127235|17179869184)\b/g, 'unlimited'))).toEqual({});
  expect(readProcessLimits().openFiles ?? LEAST_OPEN_FILES).toBeGreaterThanOrEqual(LEAST_OPEN_FILES);
});

test('only too few open files keep a program from starting, and the error says how many there must be', () => {
  expect(lackingLimit({})).toBeUndefined();
  expect(lackingLimit({ openFiles: LEAST_OPEN_FILES, addressSpace: 1, processes: 1 })).toBeUndefined();
  expect(lackingLimit({ openFiles: LEAST_OPEN_FILES - 1 })).toMatchObject({
    code: 'ENVIRONMENT.LIMIT',
    message: 'a process may have 255 files open here, and ropeteam needs 256 to start',
    hint: expect.stringContaining('ulimit -n 1024'),
    facts: { granted: 255, needed: 256 },
  });
});

test.each([
  ['open files', refused('EMFILE', 'open', "EMFILE: too many open files, open '/data/rows.csv'"), 'ulimit -n'],
  ['open files', new Error('No connection established. Last error: connect EMFILE 127.0.0.1:1'), 'ulimit -n'],
  ['open files of the machine', refused('ENFILE', 'open', 'ENFILE: file table overflow'), 'fs.file-max'],
  ['processes', refused('EAGAIN', 'spawn node', 'spawn node EAGAIN'), 'ulimit -u'],
  ['processes', refused('ERR_WORKER_INIT_FAILED', '', 'Worker initialization failure: EAGAIN'), 'ulimit -u'],
  ['memory', refused('ENOMEM', 'spawn node', 'spawn node ENOMEM'), '--workers'],
  ['address space', new RangeError('WebAssembly.Memory(): could not allocate memory'), 'ulimit -v'],
  [
    'address space',
    new RangeError('WebAssembly.Instance(): Out of memory: Cannot allocate Wasm memory for new instance'),
    'ulimit -v',
  ],
])('%s: named behind whatever wrapped it: %s', (limit, cause, hint) => {
  const wrapped = new RopeteamError('DATA.FILE', { file: 'rows.csv' }, 'rows.csv cannot be read', { cause });
  for (const error of [cause, wrapped, new AggregateError([wrapped], 'all failed')]) {
    const reached = limitReached(error, { openFiles: 64, processes: 9, addressSpace: 2 ** 34 });
    expect(reached).toMatchObject({ code: 'ENVIRONMENT.LIMIT', facts: { limit }, hint: expect.stringContaining(hint) });
    expect(reached?.message).toContain(error.message);
  }
});

test('other troubles, and one that has its name, are left alone', () => {
  const named = fromEnvelope(limitReached(refused('EMFILE', 'open', 'EMFILE')) ?? { code: '', message: '', facts: {} });
  for (const other of [
    refused('ENOENT', 'open', 'ENOENT: no such file'),
    refused('EAGAIN', 'read', 'EAGAIN'),
    'EMFILE',
    undefined,
    named,
  ])
    expect(limitReached(other)).toBeUndefined();
});

test('causes in a circle are no endless search', () => {
  const one = new Error('one');
  one.cause = new Error('two', { cause: one });
  expect(limitReached(one)).toBeUndefined();
});
