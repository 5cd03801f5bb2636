/**
 * What faults cost, and whether anything piles up under them: the nemesis of `ropeteam chaos` on W3 (784-128-10, batch 256).
 *
 *     node dist/bench/faults.js goodput [--steps 2500] [--seeds 1,2,3] [--every 2s] [--workers 4] [--markdown]
 *     node dist/bench/faults.js soak [--minutes 10] [--seeds 1] [--every 2s] [--workers 3] [--span 30] [--markdown]
 *
 * `goodput`: a random worker is killed every so often, in a run for each seed. Goodput is `ropeteam_goodput_ratio`: the share
 * of the run's time not lost to workers that died. Beside it stands the time of the calm run on the same workers over that of
 * the troubled one, which also counts what the starting of new workers takes from the others.
 * `soak`: every fault but the coordinator's death for so many minutes, then the same steps calmly by one worker.
 * Exit code 1 when bits differ.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parseDuration } from '#job';
import { soak } from './faults/soak.js';
import { type Laboratory, openLaboratory, sameBits } from './faults/trouble.js';
import { printTable } from './print-table.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    steps: { type: 'string', default: '2500' },
    seeds: { type: 'string', default: '1,2,3' },
    every: { type: 'string', default: '2s' },
    workers: { type: 'string', default: '4' },
    minutes: { type: 'string', default: '10' },
    span: { type: 'string', default: '30' },
    markdown: { type: 'boolean', default: false },
  },
});
const seeds = values.seeds.split(',').map(Number);
const workers = Number(values.workers);
const everyMs = parseDuration(values.every) ?? 2_000;
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);

/** @returns whether all bits are the calm run's */
async function measureGoodput(laboratory: Laboratory): Promise<boolean> {
  const steps = Number(values.steps);
  const cluster = { workers, grain: 'step' } as const;
  const calm = await laboratory.calm(steps, cluster);
  const rows = [['calm', '0', calm.seconds.toFixed(1), percent(calm.finished.goodput), '', '0', 'yes']];
  let same = true;
  for (const seed of seeds) {
    const troubled = await laboratory.troubled(steps, cluster, { seed, everyMs, kinds: ['worker-kill'] });
    const { finished, seconds, struck } = troubled;
    const bits = sameBits(troubled, calm);
    same &&= bits;
    const time = percent(calm.seconds / seconds);
    const cells = [seconds.toFixed(1), percent(finished.goodput), time, String(finished.blocksReissued)];
    rows.push([`seed ${seed}`, String(struck), ...cells, bits ? 'yes' : 'NO']);
  }
  const head = ['run', 'kills', 'seconds', 'goodput', 'calm time / time', 'blocks again', 'same bits'];
  printTable(head, rows, values.markdown);
  process.stdout.write(`${workers} workers, ${steps} steps, a kill every ${values.every}\n`);
  return same;
}

async function measureSoak(laboratory: Laboratory): Promise<boolean> {
  const [seed = 1] = seeds;
  const options = { minutes: Number(values.minutes), seed, everyMs, workers, spanSeconds: Number(values.span) };
  const { troubled, spans, memoryGrowth, sameBits: bits } = await soak(laboratory, options);
  printTable(
    ['seconds', 'coordinator RSS, MiB', 'descriptors', 'keys in Redis', 'Redis memory, MiB'],
    spans.map((span) => [
      ...[String(span.seconds), mebibytes(span.residentBytes), String(span.descriptors)],
      ...[String(span.mostKeys), mebibytes(span.mostRedisBytes)],
    ]),
    values.markdown,
  );
  const { finished, struck, seconds } = troubled;
  process.stdout.write(
    `${finished.steps} steps in ${seconds.toFixed(0)} s, ${struck} faults, ${finished.workersLost} workers lost, ` +
      `${finished.blocksReissued} blocks again, goodput ${percent(finished.goodput)}\n` +
      `memory, last third over the middle third: ${percent(memoryGrowth)}; same bits: ${bits ? 'yes' : 'NO'}\n`,
  );
  return bits;
}

const folder = await mkdtemp(join(tmpdir(), 'ropeteam-faults-'));
try {
  using laboratory = await openLaboratory(folder);
  const [what = 'goodput'] = positionals;
  const same = what === 'soak' ? await measureSoak(laboratory) : await measureGoodput(laboratory);
  const [load = 0] = loadavg();
  process.stdout.write(`${new Date().toISOString().slice(0, 10)}, ${cpus().length} × ${cpus()[0]?.model}, `);
  process.stdout.write(`Node ${process.versions.node}, load ${load.toFixed(1)} at the end\n`);
  if (!same) process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}
