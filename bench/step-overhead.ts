/**
 * What does a step cost besides computing? Two workers, a batch of two samples, real processes, queues and sockets.
 *
 *     node dist/bench/step-overhead.js [--repeats 3] [--json]
 *
 * Prints medians over all steps after a warm-up, by phase; `overhead` is the step without its slowest block's time in
 * the kernel. `floor` is the limit in the same run: the same bytes over the same streams, and nothing else. Models, formats and
 * limit alternate, so that a noisy machine disturbs all alike.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { WIRE_FORMATS, type WireFormat } from '#kernel';
import type { RunEvent, StepPhases } from '#training';
import { startTestCluster, type TestCluster } from '../test/support/cluster.js';
import { digitsJob } from '../test/support/jobs.js';
import { wireRounds } from './wire-floor.js';

interface Model {
  readonly name: string;
  readonly layers: string;
  readonly parameters: number;
  readonly steps: number;
  readonly warmup: number;
  /** Milliseconds that the overhead should stay under. */
  readonly goalsMs: Readonly<Record<WireFormat, number>>;
}

/** What takes turns: a model on one wire. */
interface Contestant {
  readonly model: Model;
  readonly wire: WireFormat;
}

const MODELS: readonly Model[] = [
  {
    name: '0.1 M',
    layers: '[{ dense: 1360 }, relu]',
    parameters: 102_010,
    steps: 400,
    warmup: 50,
    goalsMs: { float32: 3, bfloat16: 3, int8: 3 },
  },
  {
    name: '8.4 M',
    layers: '[{ dense: 2048 }, relu, { dense: 4000 }, relu]',
    parameters: 8_369_130,
    steps: 24,
    warmup: 4,
    goalsMs: { float32: 200, bfloat16: 110, int8: 110 },
  },
];

const PHASES = [
  'broadcastMs',
  'computeMs',
  'uploadMs',
  'waitMs',
  'averageMs',
  'commitMs',
] as const satisfies readonly (keyof StepPhases)[];

type Step = RunEvent & { readonly event: 'step_committed' };

async function stepsOf(cluster: TestCluster, { model, wire }: Contestant): Promise<readonly Step[]> {
  const { layers, steps, warmup } = model;
  const { text, files } = digitsJob({ batch: 2, microBatches: 2, wire, optimizer: '{ sgd: { learningRate: 0.001 } }' });
  const job = text.replace(/layers: .*\]/, `layers: ${layers}`).replace('epochs: 4', `steps: ${steps}`);
  const { runPath } = await cluster.finish({
    text: job.replace('target: digit', 'target: digit, split: { validation: 0, test: 0 }'),
    files,
  });
  // From the run's folder: to be told of every step as it comes would be part of what is measured.
  const lines = (await readFile(join(runPath, 'events.ndjson'), 'utf8')).trimEnd().split('\n');
  return lines
    .map((line) => JSON.parse(line) as RunEvent)
    .filter((event): event is Step => event.event === 'step_committed' && event.step >= warmup);
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { repeats: { type: 'string', default: '3' }, json: { type: 'boolean', default: false } },
  });
  const contestants = MODELS.flatMap((model) => WIRE_FORMATS.map((wire): Contestant => ({ model, wire })));
  const measured = new Map<Contestant, Step[]>(contestants.map((contestant) => [contestant, []]));
  const floors = new Map<Contestant, number[]>(contestants.map((contestant) => [contestant, []]));
  await using cluster = await startTestCluster({ workers: 2 });
  for (let repeat = 0; repeat < Number(values.repeats); repeat++) {
    for (const [contestant, steps] of measured) {
      const { model, wire } = contestant;
      steps.push(...(await stepsOf(cluster, contestant)));
      floors.get(contestant)?.push(...(await wireRounds(model.parameters, wire, model.steps)).slice(model.warmup));
    }
  }
  const rows = [...measured].map(([contestant, steps]) => {
    const { model, wire } = contestant;
    const overheads = steps.map(({ durationMs, phases }) => durationMs - phases.computeMs);
    return {
      model: model.name,
      wire,
      steps: steps.length,
      overheadMs: quantile(overheads, 0.5),
      p90Ms: quantile(overheads, 0.9),
      goalMs: model.goalsMs[wire],
      floorMs: quantile(floors.get(contestant) ?? [], 0.5),
      ...Object.fromEntries(
        PHASES.map((phase) => [
          phase,
          quantile(
            steps.map(({ phases }) => phases[phase]),
            0.5,
          ),
        ]),
      ),
    };
  });
  if (values.json) {
    process.stdout.write(`${JSON.stringify({ node: process.version, redis: cluster.redis.version, rows })}\n`);
    return;
  }
  const table = new Table({ head: Object.keys(rows[0] ?? {}), style: { head: [], border: [] } });
  for (const row of rows) {
    table.push(
      Object.values(row).map((value) =>
        typeof value === 'number' && !Number.isInteger(value) ? value.toFixed(2) : value,
      ),
    );
  }
  process.stdout.write(
    `${table.toString()}\nmedians in ms; Node ${process.version}, Redis ${cluster.redis.version}, 2 workers of 1 thread\n`,
  );
}

await main();
