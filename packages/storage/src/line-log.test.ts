import { expect, test } from 'vitest';
import { type AppendableFile, createLineLog } from './line-log.js';

/** A file in memory whose writes wait for `release`, and whose operations fail when told to. */
function fakeFile() {
  const state = {
    text: '',
    writes: 0,
    synced: '',
    closed: false,
    failing: undefined as 'appendFile' | 'sync' | undefined,
  };
  let release = (): void => undefined;
  let gate = Promise.resolve();
  const attempt = (operation: 'appendFile' | 'sync'): void => {
    if (state.failing === operation) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
  };
  const file: AppendableFile = {
    async appendFile(text) {
      await gate;
      attempt('appendFile');
      state.writes++;
      state.text += text;
    },
    async sync() {
      attempt('sync');
      state.synced = state.text;
    },
    async close() {
      state.closed = true;
    },
  };
  return {
    file,
    state,
    hold() {
      gate = new Promise((resolve) => {
        release = resolve;
      });
    },
    release: () => release(),
  };
}

test('lines keep their order, and those that come during a write go out together', async () => {
  const { file, state, hold, release } = fakeFile();
  const log = createLineLog(file, 'x', 0, {});
  hold();
  log.append('0');
  const first = log.flush({ sync: false });
  await Promise.resolve(); // the first write is under way
  for (let line = 1; line < 100; line++) log.append(String(line));
  expect(state.text).toBe('');
  release();
  await first;
  await log.flush({ sync: true });
  expect(state.synced).toBe(Array.from({ length: 100 }, (_, line) => `${line}\n`).join(''));
  expect(state.writes).toBe(2);
});

test.each(['appendFile', 'sync'] as const)(
  'after a failed %s every flush rejects, it is reported once, and the file is closed',
  async (operation) => {
    const { file, state } = fakeFile();
    const reported: string[] = [];
    const log = createLineLog(file, 'run/ledger.ndjson', 0, { onError: ({ code }) => reported.push(code) });
    log.append('a');
    await log.flush({ sync: true });
    state.failing = operation;
    log.append('b');
    const refused = {
      code: 'STORAGE.WRITE',
      facts: { file: 'run/ledger.ndjson' },
      hint: expect.stringMatching(/free space/),
    };
    await expect(log.flush({ sync: true })).rejects.toMatchObject(refused);
    state.failing = undefined;
    log.append('c');
    await expect(log.flush({ sync: true })).rejects.toMatchObject(refused);
    await expect(log[Symbol.asyncDispose]()).rejects.toMatchObject(refused);
    expect(reported).toEqual(['STORAGE.WRITE']);
    expect([state.synced, state.closed]).toEqual(['a\n', true]);
  },
);

test('a failed write is reported without anybody flushing', async () => {
  const { file, state } = fakeFile();
  state.failing = 'appendFile';
  const error = await new Promise((resolve) => createLineLog(file, 'x', 0, { onError: resolve }).append('a'));
  expect(error).toMatchObject({ code: 'STORAGE.WRITE' });
});

test('disposing puts everything on the disk, and a closed log takes no more lines', async () => {
  const { file, state } = fakeFile();
  const log = createLineLog(file, 'x', 3, {});
  log.append('a');
  expect(log.lines).toBe(4);
  await log[Symbol.asyncDispose]();
  await log[Symbol.asyncDispose]();
  expect([state.synced, state.closed]).toEqual(['a\n', true]);
  expect(() => log.append('b')).toThrow(/closed/);
});
