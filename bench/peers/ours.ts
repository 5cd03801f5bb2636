/** Ropeteam on a workload: real processes, a real Redis, the bytes and first weights of the peers. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { KernelChoice } from '#engine';
import type { RunEvent } from '#training';
import { startTestCluster } from '../../test/support/cluster.js';
import { mostResidentBytes } from '../../test/support/memory-peaks.js';
import { median } from '../kernel/take-turns.js';
import type { Contestant, Outcome, Workload } from './outcome.js';

type Step = RunEvent & { readonly event: 'step_committed' };

export interface OurWay {
  readonly workers: number;
  readonly threads: number;
  readonly kernel: KernelChoice;
  readonly grain: 'auto' | 'step';
}

export function ours({ workers, threads, kernel, grain }: OurWay): Contestant {
  const how = grain === 'step' ? ', step by step' : '';
  return {
    name: `Ropeteam ${workers}x${threads} ${kernel}${how}`,
    kind: 'ours',
    run: async (workload) => {
      await using cluster = await startTestCluster({ workers, threads, kernel, grain });
      const files = ['x', 'y', ...(workload.limit.kind === 'epochs' ? ['test-x', 'test-y'] : [])];
      const start = { path: 'start.safetensors', absolutePath: join(workload.folder, 'start.safetensors') };
      const finished = await cluster.finish({
        text: jobOf(workload),
        files: Object.fromEntries(files.map((stem) => [`${stem}.npy`, join(workload.folder, `${stem}.npy`)])),
        initFrom: { weights: start },
      });
      const processes = [cluster.coordinator, ...cluster.workers.map(({ process }) => process)];
      return {
        ...timesOf(await stepsOf(finished.runPath), workload),
        ...(finished.test !== undefined && 'accuracy' in finished.test ? { accuracy: finished.test.accuracy } : {}),
        peakBytes: await Promise.all(processes.map(({ pid }) => mostResidentBytes(pid))),
        versions: { node: process.version, redis: cluster.redis.version, kernel: finished.kernel },
      };
    },
  };
}

function jobOf({ name, layers, batch, optimizer, learningRate, limit }: Workload): string {
  const hidden = layers.slice(1, -1).flatMap((units) => [`{ dense: ${units} }`, 'relu']);
  const regression = layers.at(-1) === 1;
  const [length, test] =
    limit.kind === 'epochs'
      ? [`epochs: ${limit.epochs}`, '{ source: test-x.npy, labels: test-y.npy }']
      : // In the order of the file and all of it in memory, as the peers have it.
        [`steps: ${limit.warmup + limit.steps}, shuffle: { window: 1000000000, mix: false }`, '0'];
  return `apiVersion: ropeteam/v1
name: ${name.toLowerCase()}
data:
  source: x.npy
  labels: y.npy
  target: label
  task: ${regression ? 'regression' : 'classification'}
  scale: none
  split: { validation: 0, test: ${test} }
model: { layers: [${hidden.join(', ')}] }
train: { ${length}, batch: ${batch}, optimizer: { ${optimizer}: { learningRate: ${learningRate} } } }
`;
}

/** From the run's folder: to be told of every step as it comes would be part of what is measured. */
async function stepsOf(runPath: string): Promise<readonly Step[]> {
  const lines = (await readFile(join(runPath, 'events.ndjson'), 'utf8')).trimEnd().split('\n');
  return lines
    .map((line) => JSON.parse(line) as RunEvent)
    .filter((event): event is Step => event.event === 'step_committed');
}

/** A lease's steps share its time; the whole loop is the time between two commits as the clock showed it. */
function timesOf(all: readonly Step[], { limit }: Workload): Pick<Outcome, 'stepMs' | 'seconds' | 'steps' | 'loss'> {
  const warmup = limit.kind === 'steps' ? limit.warmup : 0;
  const steps = all.filter(({ step }) => step >= warmup);
  const [before, last] = [all.findLast(({ step }) => step < warmup) ?? all[0], steps.at(-1)];
  if (before === undefined || last === undefined) throw new Error('the run has no steps to time');
  return {
    stepMs: median(steps.map(({ durationMs }) => durationMs)),
    seconds: (Date.parse(last.time) - Date.parse(before.time)) / 1000,
    steps: steps.length,
    loss: last.loss,
  };
}
