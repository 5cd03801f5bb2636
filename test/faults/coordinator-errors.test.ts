/** F35, F36, F67: a coordinator with an error nobody foresaw, one that stands still, one that dies while it deletes. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadCheckpoint } from '#storage';
import { type RunEvent, runId } from '#training';
import { calmRun, finished, hashesOf, type Lives, openLives, type RunHashes } from '../support/coordinator-life.js';
import { digitsJob } from '../support/jobs.js';

const RUN = runId('erring');
const KEEP = 3;
/** Many times what it takes to save as often as the deaths below want it, however slow the disk. */
const STEPS = 300;
const small = digitsJob({ steps: STEPS, batch: 256, microBatches: 4 }, '[{ dense: 16 }, relu]');
const job = { ...small, text: `${small.text}checkpoint: { every: 1ms, keep: ${KEEP} }\n` };

let calm: RunHashes;
beforeAll(async () => {
  calm = await calmRun(job, RUN);
}, 60_000);

/** A coordinator that something will happen to, two workers, and the run begun. */
async function begin(failpoints: string) {
  const lives = await openLives();
  const life = await lives.live({ failpoints });
  await lives.submit(job, RUN);
  await Promise.all([lives.work(), lives.work()]);
  return { lives, life };
}

const checkpointsOf = ({ runsDirectory }: Lives): string => join(runsDirectory, RUN, 'checkpoints');

describe('F35: an error nobody foresaw', { timeout: 60_000 }, () => {
  test.each([
    ['throw', 'uncaughtException', 'a failpoint threw'],
    ['reject', 'unhandledRejection', 'a failpoint rejected'],
  ])(
    '%s: ends the coordinator with 70, one line and a report, and the next one ends with the same bits',
    async (how, origin, message) => {
      const { lives: opened, life } = await begin(`after-average:9:${how}`);
      await using lives = opened;
      const { code, signal, stderr } = await life.ended;
      expect({ code, signal }).toEqual({ code: 70, signal: null });
      const lines = stderr.trimEnd().split('\n');
      const said = lines.filter((line) => line.startsWith('unforeseen error'));
      expect(said).toEqual([expect.stringContaining(`TypeError: ${message}; report: ${lives.runsDirectory}`)]);
      expect(lines.filter((line) => line.startsWith('    at '))).toEqual([]);
      const report: unknown = JSON.parse(await readFile(said[0]?.split('report: ')[1] ?? '', 'utf8'));
      expect(report).toMatchObject({ origin, pid: life.process.pid, error: { message, stack: expect.any(String) } });
      expect(JSON.stringify(report)).not.toContain('REDIS');
      await lives.live();
      expect(hashesOf(finished(await lives.follow(RUN)))).toEqual(calm);
    },
  );
});

describe('F36: an event loop that stands still for 5 s', { timeout: 60_000 }, () => {
  test.each(['after-average:9:stall', 'mid-broadcast:9:stall', 'after-first-gradient:9:stall'])(
    '%s: is told of by its name, the workers come back, and the bits are the same',
    async (failpoints) => {
      const { lives: opened, life } = await begin(failpoints);
      await using lives = opened;
      const events = await lives.follow(RUN);
      expect(hashesOf(finished(events))).toEqual(calm);
      expect(life.process.exitCode).toBeNull();
      const stalls = events.filter(
        (event): event is Extract<RunEvent, { event: 'coordinator_stalled' }> => event.event === 'coordinator_stalled',
      );
      expect(stalls.some(({ seconds }) => seconds >= 4.5)).toBe(true);
      // No worker is to blame: none is held back, and no block is taken for poison.
      expect(events.filter(({ event }) => event === 'worker_quarantined')).toEqual([]);
    },
  );
});

describe('F67: as many checkpoints as the disk takes, three to keep', { timeout: 60_000 }, () => {
  test('killed while it deletes, again and again: no more than four files, the newest whole, the same bits', async () => {
    const places = ['mid-retention:2:kill', 'before-retention:2:kill', 'mid-retention:1:kill', 'mid-retention:1:kill'];
    const { lives: opened, life: first } = await begin(places[0] ?? '');
    await using lives = opened;
    let life = first;
    for (const next of [...places.slice(1), undefined]) {
      expect((await life.ended).signal).toBe('SIGKILL');
      const names = (await readdir(checkpointsOf(lives))).filter((name) => name.endsWith('.safetensors')).sort();
      expect(names.length).toBeLessThanOrEqual(KEEP + 1);
      const { step } = await loadCheckpoint(join(checkpointsOf(lives), names.at(-1) ?? ''));
      expect(step).toBeGreaterThanOrEqual(await lastToldOf(lives));
      life = await lives.live(next === undefined ? {} : { failpoints: next });
    }
    expect(hashesOf(finished(await lives.follow(RUN)))).toEqual(calm);
    expect((await readdir(checkpointsOf(lives))).length).toBeLessThanOrEqual(KEEP + 1);
  });
});

/** The newest checkpoint that the run's events tell of; 0 where there is none. */
async function lastToldOf({ runsDirectory }: Lives): Promise<number> {
  const lines = (await readFile(join(runsDirectory, RUN, 'events.ndjson'), 'utf8')).trimEnd().split('\n');
  const events = lines.map((line) => JSON.parse(line) as RunEvent);
  const saved = events.findLast((event) => event.event === 'checkpoint_saved');
  return saved?.event === 'checkpoint_saved' ? saved.step : 0;
}
