import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { RopeteamError } from '#training';
import { type Lead, takeLead } from './lead.js';

const leads: Lead[] = [];
const lost: RopeteamError[] = [];
let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ropeteam-lead-'));
  lost.length = 0;
});
afterEach(async () => {
  for (const lead of leads.splice(0)) await lead.release();
  await rm(folder, { recursive: true, force: true });
});

async function lead(beatMs: number, silenceMs = 300): Promise<Lead> {
  const taken = await takeLead(folder, { onLost: (error) => lost.push(error), beatMs, silenceMs });
  leads.push(taken);
  return taken;
}
const NEVER_MS = 1_000_000;

test('one that touches its file keeps the lead, and whoever asks is told who it is', async () => {
  await lead(20, 5_000);
  await expect(lead(20, 5_000)).rejects.toMatchObject({ code: 'COORD.HELD', facts: { pid: process.pid, fence: 1 } });
});

test('one that was let go is taken at once, and terms rise', async () => {
  const first = await lead(20);
  await leads.pop()?.release();
  const second = await lead(20);
  expect([first.term, second.term]).toEqual([1, 2]);
});

test('one that has fallen silent loses the lead, and is refused from then on', async () => {
  const frozen = await lead(NEVER_MS);
  await frozen.check();
  expect((await lead(NEVER_MS)).term).toBe(2);
  await expect(frozen.check()).rejects.toMatchObject({ code: 'COORD.FENCED', facts: { held: 1, current: 2 } });
});

test('of many that want a silent one’s place at once, one gets each term', async () => {
  await lead(NEVER_MS);
  const taken = await Promise.allSettled(Array.from({ length: 4 }, () => lead(10)));
  const terms = taken.flatMap((one) => (one.status === 'fulfilled' ? [one.value.term] : []));
  expect(new Set(terms).size).toBe(terms.length);
  expect(terms.length).toBeGreaterThanOrEqual(1);
});
