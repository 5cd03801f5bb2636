import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { type AveragerEngine, type AveragerEngineOptions, fitsWithLeases, openAveragerEngine } from '#engine';
import { formatJob, resolveModel } from '#job';
import { compileModel, type ModelSpec, type Program } from '#kernel';
import { type Ledger, type PreparedDataset, readRollbacks, takeFence, writeFileAtomically } from '#storage';
import {
  coordinatorUpdate,
  effectiveCut,
  isShuffled,
  type JobSpec,
  type LeaseSettings,
  type LocalSettings,
  type RunPlan,
  type RunShape,
  shapeRun,
  windowsOf,
} from '#training';
import { BestWeights } from './best-weights.js';
import { checkKernelMemory, mostBlocks } from './kernel-memory.js';
import { prepareRows } from './prepare-rows.js';
import { openResumedLedger, type Resumed, resumeRun } from './resume-run.js';
import type { RunEntry } from './run-book.js';
import type { RunContext } from './run-context.js';
import { type StartingWeights, writeStartingWeights } from './starting-weights.js';

/** Everything a run needs before its first step. */
export interface PreparedRun extends AsyncDisposable {
  /** The effective job: what was left open is filled in from the data. */
  readonly job: JobSpec;
  /** Of the effective `job.yaml`. */
  readonly jobSha256: string;
  readonly dataset: PreparedDataset;
  readonly model: ModelSpec;
  readonly program: Program;
  readonly shape: RunShape;
  readonly plan: RunPlan;
  readonly engine: AveragerEngine;
  readonly best: BestWeights;
  /** Blocks of a step that the engine can receive at the most: a power of two. */
  readonly mostBlocks: number;
  readonly ledger: Ledger;
  readonly start: StartingWeights;
  /** Steps it went back to because a later one was not finite, oldest first. */
  readonly rollbacks: readonly number[];
  /** Present: an earlier coordinator had begun it. */
  readonly resumed?: Resumed;
}

export async function prepareRun(context: RunContext, entry: RunEntry, signal: AbortSignal): Promise<PreparedRun> {
  const opened: AsyncDisposable[] = [];
  const close = async (): Promise<void> => {
    for (const resource of opened.reverse()) await resource[Symbol.asyncDispose]();
  };
  try {
    const dataset = await prepareRows(context, entry, signal);
    return { ...(await open(context, entry, dataset, opened, signal)), [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function open(
  { configuration, kernel, queues, onFenced }: RunContext,
  entry: RunEntry,
  dataset: PreparedDataset,
  opened: AsyncDisposable[],
  signal: AbortSignal,
): Promise<Omit<PreparedRun, keyof AsyncDisposable>> {
  const model = resolveModel(entry.job, dataset.info);
  const program = compileModel(model);
  const fence = await takeFence(entry.folder, await queues.nextFence(entry.run));
  entry.fence = fence;
  await queues.claimFence(entry.run, fence);
  const { windows, shuffle } = windowsOf(entry.job.train, dataset.info);
  const cut = shapeRun(
    entry.run,
    fence,
    { ...entry.job.train, shuffle },
    dataset.info.samples,
    program.parameterCount,
    entry.job.checkpoint.everySteps,
  );
  const shape: RunShape = windows === undefined ? cut : { ...cut, windows };
  const job = effectiveJob(entry.job, dataset, model, shape, shuffle);
  const steps: AveragerEngineOptions = {
    kernel: kernel.name,
    ...(configuration.blasLibrary === undefined ? {} : { blasLibrary: configuration.blasLibrary }),
    threads: configuration.threads,
    model,
    ...coordinatorUpdate(job.train),
    microBatches: shape.microBatches,
    wire: job.train.wire,
    seed: job.train.seed,
  };
  const local = localSettings(job, shape);
  checkKernelMemory(steps, shape, local);
  const rollbacks = (await readRollbacks(entry.folder)).map(({ to }) => to);
  const leases =
    configuration.grain === 'step' || local !== undefined ? undefined : leaseSettings(job, shape, steps, rollbacks);
  const averager: AveragerEngineOptions = { ...steps, leases: leases !== undefined };
  const engine = await openAveragerEngine(averager);
  opened.push(engine);
  const best = new BestWeights();
  const resumed = await resumeRun(entry, { fence, engine, best, program, seed: job.train.seed });
  const wanted = { program, model, dataset, seed: job.train.seed };
  const start: StartingWeights =
    resumed?.position === undefined
      ? await writeStartingWeights(entry, wanted, engine.weights, signal)
      : { ...(resumed.initFrom === undefined ? {} : { initFrom: resumed.initFrom }), warnings: [] };
  await engine.roundWeights();
  const jobText = (resumed === undefined ? undefined : await jobOf(entry)) ?? formatJob(job);
  const origin = {
    jobSha256: createHash('sha256').update(jobText).digest('hex'),
    dataSha256: dataset.info.dataSha256,
    trainSamples: dataset.info.samples.train,
  };
  const ledger = await openResumedLedger(entry, fence, resumed, { origin, initFrom: start.initFrom }, onFenced);
  opened.push(ledger);
  await writeFileAtomically(entry.folder.jobPath, [new TextEncoder().encode(jobText)]);
  const plan: RunPlan = {
    run: entry.run,
    fence,
    kernelId: engine.kernelId,
    model,
    parameterCount: program.parameterCount,
    seed: job.train.seed,
    shuffle: isShuffled(job.train.shuffle),
    ...(windows === undefined ? {} : { windows }),
    epochs: shape.epochs,
    batch: shape.batch,
    microBatches: shape.microBatches,
    wire: job.train.wire,
    dataset: dataset.info,
    dataPath: entry.folder.dataPath,
    ...(leases === undefined ? {} : { leases }),
    ...(local === undefined ? {} : { local }),
  };
  return {
    job,
    jobSha256: origin.jobSha256,
    dataset,
    model,
    program,
    shape,
    plan,
    engine,
    best,
    mostBlocks: mostBlocks(averager),
    ledger,
    start,
    rollbacks,
    ...(resumed === undefined ? {} : { resumed }),
  };
}

/** What workers need to take leases; undefined where the coordinator has no room for what leases leave behind. */
function leaseSettings(
  job: JobSpec,
  shape: RunShape,
  options: AveragerEngineOptions,
  rollbacks: readonly number[],
): LeaseSettings | undefined {
  if (!fitsWithLeases(options)) return undefined;
  return { ...ownUpdate(job), steps: shape.steps, ...(rollbacks.length === 0 ? {} : { rollbacks }) };
}

/** What workers need to train as replicas; undefined for a job without local steps. */
function localSettings(job: JobSpec, { local }: RunShape): LocalSettings | undefined {
  return local === undefined ? undefined : { ...ownUpdate(job), ...local };
}

/** What a worker updates with when it does so by itself. */
function ownUpdate({ train: { optimizer, schedule, clipNorm, l2 } }: JobSpec): Omit<LeaseSettings, 'steps'> {
  return {
    optimizer,
    schedule,
    ...(clipNorm === undefined ? {} : { clipNorm }),
    ...(l2 === undefined ? {} : { l2 }),
  };
}

/** A run that goes on keeps its job as it was written out first: another version has other defaults to write. */
async function jobOf({ folder }: RunEntry): Promise<string | undefined> {
  try {
    return await readFile(folder.jobPath, 'utf8');
  } catch (error) {
    // It ended before there was one.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** The job with what the data decided written out, so that `job.yaml` in the run's folder leaves nothing open. */
function effectiveJob(
  job: JobSpec,
  dataset: PreparedDataset,
  model: ModelSpec,
  shape: RunShape,
  shuffle: JobSpec['train']['shuffle'],
): JobSpec {
  return {
    ...job,
    data: { ...job.data, task: dataset.info.task },
    model: { ...job.model, loss: model.loss },
    train: { ...job.train, ...effectiveCut(shape), shuffle },
  };
}
