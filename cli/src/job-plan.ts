/** What training a job takes, worked out from the job and its data without training anything. */
import { fitsWithLeases, ModelTooLargeError, workerFits } from '#engine';
import { classWeightsByLabel, modelTooLarge } from '#job';
import { compileModel, gradientBytes, type ModelSpec, weightBytes, windowRows } from '#kernel';
import {
  coordinatorUpdate,
  type DatasetInfo,
  fence,
  type InitFrom,
  type JobSpec,
  runId,
  shapeRun,
  windowsOf,
} from '#training';
import { type CoordinatorMemory, coordinatorMemory, type WorkerMemory, workerMemory } from './memory-forecast.js';
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
  /** By label, as computed; absent: all samples count alike. */
  readonly classWeights?: Readonly<Record<string, number>>;
  /** Present: a step is a round of local steps, `batch` its samples, and a micro-batch of it a replica. */
  readonly localSteps?: { readonly steps: number; readonly replicas: number; readonly batch: number };
  /** Samples that an epoch mixes at a time; absent: the whole training split. */
  readonly windowSamples?: number;
  readonly stepsPerEpoch: number;
  readonly epochs: number;
  readonly steps: number;
  /** Weights down and a gradient up, for one worker in one step. */
  readonly bytesPerStepPerWorker: { readonly down: number; readonly up: number };
  readonly workers: number;
  readonly threads: number;
  /** The most each process will have resident at once, with so many workers of so many threads. */
  readonly memory: { readonly worker: WorkerMemory; readonly coordinator: CoordinatorMemory };
  /** Absent: the first weights follow from the seed. */
  readonly initFrom?: InitFrom;
  readonly skippedRows: number;
  readonly warnings: readonly string[];
}

export interface PlannedCluster {
  readonly workers: number;
  /** Kernel threads of one worker. */
  readonly threads: number;
  readonly coordinatorThreads: number;
}

/** The weights a run would start from, and what to know about them. */
export interface PlannedStart {
  readonly initFrom?: InitFrom;
  readonly warnings: readonly string[];
}

/** @throws RopeteamError MODEL.TOO_LARGE when the model does not fit into the kernel's memory */
export function planJob(
  job: JobSpec,
  model: ModelSpec,
  data: DatasetInfo,
  cluster: PlannedCluster,
  start: PlannedStart,
): JobPlan {
  const { parameters, parameterCount } = compileModel(model);
  const classWeights = classWeightsByLabel(model.loss, data.classes);
  const { windows, shuffle } = windowsOf(job.train, data);
  const held = windows === undefined ? {} : { windows };
  const shape = shapeRun(runId(job.name), fence(0), { ...job.train, shuffle }, data.samples, parameterCount);
  const { batch, microBatches, stepsPerEpoch, epochs, steps } = shape;
  const { workers, threads, coordinatorThreads } = cluster;
  const kernel = 'wasm' as const;
  const engine = {
    kernel,
    threads,
    model,
    seed: job.train.seed,
    trainSamples: data.samples.train,
    ...held,
    batch,
    microBatches,
    wire: job.train.wire,
    ...(shape.local === undefined ? {} : { local: { ...ownUpdate(job), ...shape.local } }),
  };
  const averager = {
    kernel,
    threads: coordinatorThreads,
    model,
    optimizer: coordinatorUpdate(job.train).optimizer,
    microBatches,
    wire: job.train.wire,
  };
  const leases = shape.local === undefined && fitsWithLeases(averager);
  // One worker may be given leases of whole steps, and then updates by itself.
  const leasing = { ...engine, update: { optimizer: job.train.optimizer } };
  const floats = data.featureCount + data.targetCount;
  const keepsBest = job.train.keep === 'best';
  const run = { samples: data.samples, floats, steps, workers, keepsBest, ...held };
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
    ...(classWeights === undefined ? {} : { classWeights }),
    ...(shape.local === undefined
      ? {}
      : { localSteps: { steps: shape.local.steps, replicas: microBatches, batch: shape.local.batch } }),
    ...(windows === undefined ? {} : { windowSamples: windowRows(windows) }),
    stepsPerEpoch,
    epochs,
    steps,
    bytesPerStepPerWorker: {
      down: weightBytes(job.train.wire, parameterCount),
      up: gradientBytes(job.train.wire, parameterCount),
    },
    workers,
    threads,
    memory: memoryOf(() => ({
      worker: workerMemory(leases && workerFits(leasing) ? leasing : engine, run),
      coordinator: coordinatorMemory({ ...averager, leases }, run),
    })),
    ...(start.initFrom === undefined ? {} : { initFrom: start.initFrom }),
    skippedRows: data.skippedRows,
    warnings: [...data.warnings, ...start.warnings],
  };
}

const ownUpdate = ({ train }: JobSpec) => ({ optimizer: train.optimizer });

function memoryOf(forecast: () => JobPlan['memory']): JobPlan['memory'] {
  try {
    return forecast();
  } catch (error) {
    throw error instanceof ModelTooLargeError ? modelTooLarge(error) : error;
  }
}

export function renderPlan(path: string, plan: JobPlan, paint: Paint): string {
  const { samples, bytesPerStepPerWorker: wire } = plan;
  const { worker, coordinator } = plan.memory;
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
    ...(plan.classWeights === undefined ? [] : [['weights', weightsOf(plan.classWeights)] as const]),
    ['model', plural(plan.parameters, 'parameter')],
    ...layers.map((line) => ['', line] as const),
    [
      'steps',
      `${formatCount(plan.stepsPerEpoch)} an epoch, ${formatCount(plan.steps)} in ${plural(plan.epochs, 'epoch')}; ` +
        cutOf(plan),
    ],
    ['wire', `${formatBytes(wire.down)} to and ${formatBytes(wire.up)} from each worker, each step`],
    ...(plan.windowSamples === undefined
      ? []
      : [
          [
            'windows',
            `an epoch mixes ${plural(plan.windowSamples, 'sample')} at a time, and each worker holds two such windows`,
          ] as const,
        ]),
    [
      'memory',
      `${formatBytes(worker.peakBytes)} at the peak in each of ${plural(plan.workers, 'worker')} with ${plural(plan.threads, 'thread')}:`,
    ],
    [
      '',
      `  ${formatBytes(worker.kernelBytes)} kernel, ${formatBytes(worker.rowBytes)} rows, ` +
        `${formatBytes(worker.wireBytes)} messages, ${formatBytes(worker.processBytes)} process`,
    ],
    ['', `${formatBytes(coordinator.peakBytes)} in the coordinator:`],
    ['', `  ${coordinatorParts(coordinator)}`],
    ...(plan.initFrom === undefined
      ? []
      : [['start', `${plan.initFrom.file}, sha256 ${plan.initFrom.weightsSha256}`] as const]),
    ...tooManyWorkers(plan),
    ...plan.warnings.map((warning) => ['warning', warning] as const),
  ];
  return [
    `${paint('green', '✓')} ${paint('bold', path)} can be trained: ${plan.task}`,
    ...rows.map(([name, value]) => `  ${paint('dim', name.padEnd(8))} ${value}`),
  ].join('\n');
}

function cutOf({ batch, microBatches, localSteps }: JobPlan): string {
  if (localSteps === undefined) return `batches of ${batch} in ${plural(microBatches, 'micro-batch', 'micro-batches')}`;
  const { steps, replicas, batch: own } = localSteps;
  return `each a round: ${plural(steps, 'local step')} of ${own} samples by ${plural(replicas, 'replica')}`;
}

function coordinatorParts(memory: CoordinatorMemory): string {
  const { processBytes, readingBytes, kernelBytes, wireBytes, checkpointBytes } = memory;
  const own = `${formatBytes(processBytes)} process`;
  if (readingBytes > kernelBytes + wireBytes + checkpointBytes) {
    return `${formatBytes(readingBytes)} while it reads the rows, ${own}`;
  }
  const [kernel, wire, checkpoint] = [kernelBytes, wireBytes, checkpointBytes].map(formatBytes);
  return `${kernel} kernel, ${wire} weights on their way, ${checkpoint} while a checkpoint is due, ${own}`;
}

function tooManyWorkers(plan: JobPlan): readonly (readonly [string, string])[] {
  const { workers, microBatches, localSteps } = plan;
  if (workers <= microBatches) return [];
  const idle = plural(workers - microBatches, 'worker');
  if (localSteps !== undefined) {
    return [['warning', `${idle} would be idle: there are ${microBatches} replicas (train.localSteps.replicas)`]];
  }
  return [['warning', `${idle} would be idle: a step has ${microBatches} micro-batches (train.microBatches)`]];
}

/** `no 0.55, yes 5.3` */
function weightsOf(classWeights: Readonly<Record<string, number>>): string {
  const entries = Object.entries(classWeights);
  const shown = entries.slice(0, 8).map(([label, weight]) => `${label} ${Number(weight.toPrecision(3))}`);
  return `of a sample by class: ${shown.join(', ')}${entries.length > 8 ? `, … (${entries.length})` : ''}`;
}
