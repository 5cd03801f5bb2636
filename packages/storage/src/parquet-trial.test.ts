import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startParquetTrial } from './parquet-trial.js';

const COLUMNS = [
  { name: 'whole', data: [1, -2, 3, 4, 5, 6], type: 'INT32' },
  { name: 'word', data: ['red', 'blue', 'red', 'red', 'blue', 'red'], type: 'STRING' },
  { name: 'y', data: [0.5, 1, 2, 3, 4, 5], type: 'DOUBLE' },
] as const;
const NAMES = COLUMNS.map(({ name }) => name);
const whole = new Uint8Array(
  parquetWriteBuffer({ columnData: COLUMNS.map((column) => ({ ...column, data: [...column.data] })), rowGroupSize: 3 }),
);
/** A length in the header of the first page; with it the library counts on and on. Found by trying all of them. */
const HARMFUL_BYTE = 20;

const limits = { baseMs: 20_000, msPerByte: 0, heapMegabytes: 256 };

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ropeteam-parquet-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function trialOf(bytes: Uint8Array, name: string, baseMs = limits.baseMs) {
  const path = join(folder, name);
  await writeFile(path, bytes);
  return startParquetTrial({ name, path }, bytes.length, { ...limits, baseMs });
}

test('a sound file passes', async () => {
  await using trial = await trialOf(whole, 'sound.parquet');
  await trial.opened();
  await trial.decoded(NAMES);
});

test('a page that would be decoded for ever is told by name, while the event loop goes on turning', async () => {
  const damaged = Uint8Array.from(whole);
  damaged[HARMFUL_BYTE] = 255;
  await using trial = await trialOf(damaged, 'endless.parquet', 2_000);
  let turns = 0;
  const timer = setInterval(() => turns++, 10);
  await trial.opened();
  await expect(trial.decoded(NAMES)).rejects.toMatchObject({
    code: 'DATA.FORMAT',
    message: expect.stringMatching(/^endless\.parquet cannot be read as Parquet: it was not decoded in 2\.0 s$/),
  });
  clearInterval(timer);
  expect(turns).toBeGreaterThan(10);
});

test('what is no Parquet file at all is left to the reader, which says so in its own words', async () => {
  await using trial = await trialOf(new TextEncoder().encode('a,b\n1,2\n'), 'text.parquet');
  await trial.opened();
  await trial.decoded(NAMES);
});
