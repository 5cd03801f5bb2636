/** `ropeteam validate JOB`: everything that can be known before training, and what training would take. */
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { resolveModel } from '#job';
import { compileModel, type ModelSpec } from '#kernel';
import { type DataReport, describeData, prepareDataset, readInitialWeights } from '#storage';
import { type DatasetInfo, isObjectUrl, RopeteamError, toEnvelope } from '#training';
import { coordinatorThreads, threadsPerWorker } from '../cluster/cluster.js';
import type { Context } from '../context.js';
import { type JobPlan, type PlannedStart, planJob, renderPlan } from '../job-plan.js';
import { renderDataReport } from '../render-data-report.js';
import { fetchObject } from './fetch-object.js';
import { type JobInput, type JobOverrides, loadJob } from './job-input.js';

export interface ValidateOptions extends JobOverrides {
  readonly workers: number;
  readonly threads?: number;
  /** Also what lies in the columns. */
  readonly data: boolean;
  readonly json: boolean;
}

interface Findings {
  readonly plan: JobPlan;
  readonly data?: DataReport;
}

/** Prints the plan and returns 0. @throws RopeteamError with every problem found; with `json` it is printed before */
export async function validate(path: string, options: ValidateOptions, context: Context): Promise<number> {
  const { terminal } = context;
  try {
    const { plan, data } = await lookAt(await loadJob(path, context.directory, options), options, context);
    if (options.json) {
      terminal.result(JSON.stringify({ valid: true, plan, ...(data === undefined ? {} : { data }) }));
    } else {
      terminal.result(renderPlan(path, plan, terminal.paintResult));
      if (data !== undefined) terminal.result(renderDataReport(data, terminal.paintResult));
    }
    return 0;
  } catch (error) {
    if (options.json && error instanceof RopeteamError) {
      terminal.result(JSON.stringify({ valid: false, error: toEnvelope(error) }));
    }
    throw error;
  }
}

/** Reads the data as the coordinator will, into a folder that is gone afterwards. */
async function lookAt(input: JobInput, options: ValidateOptions, context: Context): Promise<Findings> {
  const { job, data, files } = input;
  const directory = await mkdtemp(join(tmpdir(), 'ropeteam-validate-'));
  const places = new Map(files.map(({ path, absolutePath }) => [path, absolutePath]));
  try {
    const reading = {
      spec: data,
      resolve: (path: string) =>
        isObjectUrl(path) ? fetchObject(path, directory, context) : (places.get(path) ?? path),
      directory,
      signal: context.interrupts.orderly,
    };
    const dataset = await prepareDataset({ ...reading, order: job.train, seed: job.train.seed });
    const cores = availableParallelism();
    const cluster = {
      workers: options.workers,
      threads: options.threads ?? threadsPerWorker(options.workers, cores),
      coordinatorThreads: coordinatorThreads(options.threads, cores),
    };
    const model = resolveModel(job, dataset.info);
    const start = await startOf(input, model, dataset.info, context.interrupts.orderly);
    const plan = planJob(job, model, dataset.info, cluster, start);
    return options.data ? { plan, data: await describeData(reading) } : { plan };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Reads the weights as the coordinator will; they are gone afterwards too. */
async function startOf(
  { initFrom }: JobInput,
  spec: ModelSpec,
  dataset: DatasetInfo,
  signal: AbortSignal,
): Promise<PlannedStart> {
  if (initFrom === undefined) return { warnings: [] };
  const { weights, model } = initFrom;
  const { parameters, parameterCount } = compileModel(spec);
  const modelPath = model === undefined ? {} : { modelPath: model.absolutePath };
  const file = { path: weights.absolutePath, name: weights.path, ...modelPath };
  const into = new Float32Array(parameterCount);
  const { from, notes } = await readInitialWeights(file, { parameters, spec, dataset }, into, signal);
  return { initFrom: from, warnings: notes };
}
