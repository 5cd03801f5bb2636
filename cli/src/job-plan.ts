/** What training a job takes, worked out from the job and its data without training anything. */
import { averagerMemoryBytes, workerMemoryBytes } from '#engine';
import { compileModel, type ModelSpec } from '#kernel';
import { type DatasetInfo, fence, type JobSpec, runId, shapeRun } from '#training';
import { formatBytes, formatCount, plural } from './plain-numbers.js';
import type { Paint } from './terminal.js';
import { alignColumns } from './text-columns.js';

export interface JobPlan {
  readonly job: string;
  readonly task: string;
  readonly samples: DatasetInfo['samples'];
  readonly features: number;
  readonly classes: number;
  readonly targets: readonly string[];
  readonly layers: readonly { readonly name: string; readonly shape: readonly number[]; readonly parameters: number }[];
  readonly parameters: number;
  readonly batch: number;
  readonly microBatches: number;
  readonly stepsPerEpoch: number;
  readonly epochs: number;
  readonly steps: number;
  /** Weights down and a gradient up, for one worker in one step. */
  readonly bytesPerStepPerWorker: { readonly down: number; readonly up: number };
  readonly workers: number;
  readonly threads: number;
  /** Kernel memory of one worker, all its rows not counted. */
  readonly workerMemoryBytes: number;
  /** Rows of the training split, which a worker keeps as it meets them. */
  readonly rowBytes: number;
  readonly coordinatorMemoryBytes: number;
  readonly skippedRows: number;
  readonly warnings: readonly string[];
}

const FLOAT_BYTES = 4;

export interface PlannedCluster {
  readonly workers: number;
  readonly threads: number;
}

export function planJob(job: JobSpec, model: ModelSpec, data: DatasetInfo, cluster: PlannedCluster): JobPlan {
  const { parameters, parameterCount } = compileModel(model);
  const shape = shapeRun(runId(job.name), fence(0), job.train, data.samples, parameterCount);
  const { batch, microBatches, stepsPerEpoch, epochs, steps } = shape;
  const { workers, threads } = cluster;
  const kernel = 'wasm' as const;
  const engine = {
    kernel,
    threads,
    model,
    seed: job.train.seed,
    trainSamples: data.samples.train,
    batch,
    microBatches,
  };
  const averager = { kernel, threads, model, optimizer: job.train.optimizer, microBatches };
  const weightBytes = FLOAT_BYTES * parameterCount;
  return {
    job: job.name,
    task: data.task,
    samples: data.samples,
    features: data.featureCount,
    classes: data.classes.length,
    targets: data.targetNames,
    layers: parameters.map(({ name, shape: dimensions, size }) => ({ name, shape: dimensions, parameters: size })),
    parameters: parameterCount,
    batch,
    microBatches,
    stepsPerEpoch,
    epochs,
    steps,
    bytesPerStepPerWorker: { down: weightBytes, up: weightBytes },
    workers,
    threads,
    workerMemoryBytes: workerMemoryBytes(engine),
    rowBytes: FLOAT_BYTES * data.samples.train * (data.featureCount + data.targetCount),
    coordinatorMemoryBytes: averagerMemoryBytes(averager, Math.min(workers, microBatches)),
    skippedRows: data.skippedRows,
    warnings: data.warnings,
  };
}

export function renderPlan(path: string, plan: JobPlan, paint: Paint): string {
  const { samples, bytesPerStepPerWorker: wire } = plan;
  const outcome = plan.classes > 0 ? plural(plan.classes, 'class', 'classes') : plan.targets.join(', ');
  const layers = alignColumns(
    plan.layers.map(({ name, shape, parameters }) => [name, `[${shape.join(', ')}]`, formatCount(parameters)]),
  );
  const rows: readonly (readonly [string, string])[] = [
    [
      'data',
      `${formatCount(samples.train)} training, ${formatCount(samples.validation)} validation and ` +
        `${plural(samples.test, 'test sample')}: ${plural(plan.features, 'feature')} -> ${outcome}`,
    ],
    ...(plan.skippedRows === 0 ? [] : [['', `${plural(plan.skippedRows, 'row')} skipped`] as const]),
    ['model', plural(plan.parameters, 'parameter')],
    ...layers.map((line) => ['', line] as const),
    [
      'steps',
      `${formatCount(plan.stepsPerEpoch)} an epoch, ${formatCount(plan.steps)} in ${plural(plan.epochs, 'epoch')}; ` +
        `batches of ${plan.batch} in ${plural(plan.microBatches, 'micro-batch', 'micro-batches')}`,
    ],
    ['wire', `${formatBytes(wire.down)} to and ${formatBytes(wire.up)} from each worker, each step`],
    [
      'memory',
      `${formatBytes(plan.workerMemoryBytes)} a worker (${plural(plan.threads, 'thread')}) and up to ` +
        `${formatBytes(plan.rowBytes)} of rows; ${formatBytes(plan.coordinatorMemoryBytes)} in the coordinator`,
    ],
    ...tooManyWorkers(plan),
    ...plan.warnings.map((warning) => ['warning', warning] as const),
  ];
  return [
    `${paint('green', '✓')} ${paint('bold', path)} can be trained: ${plan.task}`,
    ...rows.map(([name, value]) => `  ${paint('dim', name.padEnd(8))} ${value}`),
  ].join('\n');
}

function tooManyWorkers({ workers, microBatches }: JobPlan): readonly (readonly [string, string])[] {
  if (workers <= microBatches) return [];
  const idle = plural(workers - microBatches, 'worker');
  return [['warning', `${idle} would be idle: a step has ${microBatches} micro-batches (train.microBatches)`]];
}
