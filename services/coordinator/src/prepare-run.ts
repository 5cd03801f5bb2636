import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { type AveragerEngine, type AveragerEngineOptions, fitsWithLeases, openAveragerEngine } from '#engine';
import { formatJob, resolveModel } from '#job';
import { compileModel, type ModelSpec, type Program } from '#kernel';
import { type Ledger, type PreparedDataset, takeFence } from '#storage';
import { type JobSpec, type LeaseSettings, type RunPlan, type RunShape, shapeRun, windowsOf } from '#training';
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
  /** Blocks of a step that the engine can receive at the most: a power of two. */
  readonly mostBlocks: number;
  readonly ledger: Ledger;
  readonly start: StartingWeights;
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
    optimizer: job.train.optimizer,
    ...(job.train.l2 === undefined ? {} : { l2: job.train.l2 }),
    microBatches: shape.microBatches,
    wire: job.train.wire,
    seed: job.train.seed,
  };
  checkKernelMemory(steps, shape);
  const leases = configuration.grain === 'step' ? undefined : leaseSettings(job, shape, steps);
  const averager: AveragerEngineOptions = { ...steps, leases: leases !== undefined };
  const engine = await openAveragerEngine(averager);
  opened.push(engine);
  const resumed = await resumeRun(entry, { fence, engine, program, seed: job.train.seed });
  const wanted = { program, model, dataset, seed: job.train.seed };
  const start: StartingWeights =
    resumed?.position === undefined
      ? await writeStartingWeights(entry, wanted, engine.weights, signal)
      : { ...(resumed.initFrom === undefined ? {} : { initFrom: resumed.initFrom }), warnings: [] };
  await engine.roundWeights();
  const jobText = formatJob(job);
  const origin = {
    jobSha256: createHash('sha256').update(jobText).digest('hex'),
    dataSha256: dataset.info.dataSha256,
    trainSamples: dataset.info.samples.train,
  };
  const ledger = await openResumedLedger(entry, fence, resumed, { origin, initFrom: start.initFrom }, onFenced);
  opened.push(ledger);
  await writeFile(entry.folder.jobPath, jobText);
  const plan: RunPlan = {
    run: entry.run,
    fence,
    kernelId: engine.kernelId,
    model,
    parameterCount: program.parameterCount,
    seed: job.train.seed,
    shuffle: job.train.shuffle !== false,
    ...(windows === undefined ? {} : { windows }),
    epochs: shape.epochs,
    batch: shape.batch,
    microBatches: shape.microBatches,
    wire: job.train.wire,
    dataset: dataset.info,
    dataPath: entry.folder.dataPath,
    ...(leases === undefined ? {} : { leases }),
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
    mostBlocks: mostBlocks(averager),
    ledger,
    start,
    ...(resumed === undefined ? {} : { resumed }),
  };
}

/** What workers need to take leases; undefined where the coordinator has no room for what leases leave behind. */
function leaseSettings(job: JobSpec, shape: RunShape, options: AveragerEngineOptions): LeaseSettings | undefined {
  if (!fitsWithLeases(options)) return undefined;
  const { optimizer, schedule, clipNorm, l2 } = job.train;
  return {
    optimizer,
    schedule,
    steps: shape.steps,
    ...(clipNorm === undefined ? {} : { clipNorm }),
    ...(l2 === undefined ? {} : { l2 }),
  };
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
    train: { ...job.train, batch: shape.batch, microBatches: shape.microBatches, shuffle },
  };
}
