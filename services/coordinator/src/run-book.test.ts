import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runId } from '#training';
import { Leads } from './leads.js';
import { RunBook } from './run-book.js';

const never = new AbortController().signal;

let folder = '';
let book: RunBook;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ropeteam-book-'));
  book = new RunBook(folder, new Leads(() => undefined));
});
afterEach(async () => {
  for (const { eventLog } of book.entries) await eventLog[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

function submit(name: string, named?: string) {
  const jobText = `apiVersion: ropeteam/v1
name: ${name}
data: { source: a.csv, target: y }
model: { layers: [] }
`;
  return book.submit({ jobText, jobFile: 'job.yaml', files: [], ...(named === undefined ? {} : { runId: named }) });
}

describe('the book of runs', () => {
  test('names a run after its job, each by another name, and makes its folder', async () => {
    const first = await submit('digits');
    const second = await submit('digits');
    for (const { run } of [first, second]) expect(run).toMatch(/^digits-[0-9a-f]{4}$/);
    expect(first.run).not.toBe(second.run);
    expect((await readdir(folder)).toSorted((a, b) => (a < b ? -1 : 1))).toEqual(
      [first.run, second.run].toSorted((a, b) => (a < b ? -1 : 1)),
    );
  });

  test('takes the name that is asked for, and refuses it a second time', async () => {
    expect(await submit('digits', 'mine')).toMatchObject({
      run: 'mine',
      state: 'queued',
      runPath: join(folder, 'mine'),
    });
    await expect(submit('digits', 'mine')).rejects.toMatchObject({ code: 'RUN.EXISTS', facts: { run: 'mine' } });
    expect(book.entries).toHaveLength(1);
  });

  test('refuses a name that would leave its folder, and a job that is wrong, without a trace', async () => {
    await expect(submit('digits', '../elsewhere')).rejects.toThrow(/run id/);
    await expect(submit('digits\nepoch: 3')).rejects.toMatchObject({ code: 'CONFIG.UNKNOWN_KEY' });
    expect(await readdir(folder)).toEqual([]);
    expect(book.entries).toEqual([]);
  });

  test('gives out runs in the order in which they came, to one who waits before or after', async () => {
    const early = book.next(never);
    await submit('a', 'first');
    await submit('b', 'second');
    expect((await early)?.run).toBe('first');
    expect((await book.next(never))?.run).toBe('second');
    const gone = new AbortController();
    const waiting = book.next(gone.signal);
    gone.abort();
    expect(await waiting).toBeUndefined();
  });

  test('watches, when no run is named, the one at work, and else the last', async () => {
    await submit('a', 'first');
    await submit('b', 'second');
    const watched = async (): Promise<string | undefined> => {
      const first = await book.watch(undefined, 0, never)[Symbol.asyncIterator]().next();
      return first.done === true ? undefined : first.value.run;
    };
    const [first] = book.entries;
    expect(await watched()).toBe('first');
    for (const entry of book.entries)
      entry.summary = { ...entry.summary, state: entry === first ? 'failed' : 'queued' };
    expect(await watched()).toBe('second');
    for (const entry of book.entries) entry.summary = { ...entry.summary, state: 'finished' };
    expect(await watched()).toBe('second');
  });

  test('stops a run once, and leaves one that is over as it is', async () => {
    await submit('a', 'first');
    const [entry] = book.entries;
    expect(book.stop(runId('first'), 'enough').state).toBe('queued');
    expect(entry?.stopping.signal.reason).toBe('enough');
    if (entry !== undefined) entry.summary = { ...entry.summary, state: 'finished' };
    expect(book.stop(runId('first'), 'again').state).toBe('finished');
    expect(entry?.eventLog.count).toBe(2);
    expect(() => book.stop(runId('nobody'), '')).toThrow(expect.objectContaining({ code: 'RUN.UNKNOWN' }));
  });
});
