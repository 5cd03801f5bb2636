/** `ropeteam verify RUN`: proves from a run's folder what was trained, and on demand computes steps of it again. */
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import {
  checkAuditLog,
  expandSources,
  listInside,
  openPreparedDataset,
  openRunFolder,
  type PreparedDataset,
  prepareDataset,
  type RunFolder,
  resolveInside,
} from '#storage';
import { describeFiles, isObjectUrl, type JobSpec, RopeteamError, runId } from '#training';
import type { Context } from '../context.js';
import type { Check } from '../verification/check.js';
import { checkRun } from '../verification/check-run.js';
import { type Evidence, readEvidence } from '../verification/evidence.js';
import { recompute } from '../verification/recompute.js';
import { renderChecks } from '../verification/render-checks.js';
import { fetchObject } from './fetch-object.js';

export interface VerifyOptions {
  /** Where runs are, for a run that is named by its id. */
  readonly out: string;
  /** How many steps to compute again. */
  readonly recompute?: number;
  /** Folder of the files that the job names; absent: where the user is. */
  readonly data?: string;
  readonly json: boolean;
}

const EXIT_BROKEN = 1;
/** A coordinator's, beside its runs. */
const AUDIT_LOG = 'audit.ndjson';

/**
 * Prints every check with its answer; 0 when nothing is broken, 1 otherwise.
 * @throws RopeteamError RUN.UNKNOWN when there is no such run, DATA or ENVIRONMENT when steps cannot be computed again here
 */
export async function verify(run: string, options: VerifyOptions, context: Context): Promise<number> {
  if (basename(run) === AUDIT_LOG) return await verifyAudit(run, options, context);
  const evidence = await readEvidence(await findRun(run, options.out, context.directory));
  const checks = checkRun(evidence);
  const isSound = checks.every(({ outcome }) => outcome !== 'broken');
  const count = options.recompute ?? 0;
  // What is broken already need not be computed: the answer would say nothing new, or cost hours to say it.
  const again = count > 0 && isSound ? await attempt(() => computeAgain(evidence, count, options, context)) : undefined;
  const all = again?.check === undefined ? checks : [...checks, again.check];
  print(evidence, all, options, context);
  if (again?.error !== undefined) throw again.error;
  return all.every(({ outcome }) => outcome !== 'broken') ? 0 : EXIT_BROKEN;
}

/** Follows the chain of a coordinator's audit log. */
async function verifyAudit(file: string, { json }: VerifyOptions, { directory, terminal }: Context): Promise<number> {
  const path = resolve(directory, file);
  if (!(await isFile(path))) {
    throw new RopeteamError('RUN.UNKNOWN', { run: file }, `there is no audit log ${file}`, {
      hint: 'a coordinator keeps it in its folder of runs: runs/audit.ndjson',
    });
  }
  const { records, head, broken } = await checkAuditLog(path);
  if (json) terminal.result(JSON.stringify({ path, valid: broken === undefined, records, head, broken }));
  else if (broken !== undefined)
    terminal.result(`✗ ${file}: line ${broken.line} is not as it was written: ${broken.why}`);
  else terminal.result(`✓ ${file}: ${records} records, the chain is whole\n  last hash ${head}`);
  return broken === undefined ? 0 : EXIT_BROKEN;
}

/** The checks are told also when steps cannot be computed here: the error follows them. */
async function attempt(
  work: () => Promise<Check>,
): Promise<{ readonly check?: Check; readonly error?: RopeteamError }> {
  try {
    return { check: await work() };
  } catch (error) {
    if (error instanceof RopeteamError) return { error };
    throw error;
  }
}

function print({ folder }: Evidence, checks: readonly Check[], { json }: VerifyOptions, { terminal }: Context): void {
  const valid = checks.every(({ outcome }) => outcome !== 'broken');
  if (json) terminal.result(JSON.stringify({ run: folder.run, path: folder.path, valid, checks }));
  else terminal.result(renderChecks(folder.path, checks, terminal.paintResult));
}

/** A folder, or the id of a run in the folder of runs. */
async function findRun(run: string, out: string, directory: string): Promise<RunFolder> {
  const named = resolve(directory, run);
  const path = (await isFolder(named)) ? named : resolve(directory, out, run);
  const unknown = (cause?: unknown): RopeteamError =>
    new RopeteamError('RUN.UNKNOWN', { run }, `there is no run ${run}`, {
      cause,
      hint: 'name the folder of a run, for example runs/digits-1, or its id with --out',
    });
  if (!(await isFolder(path))) throw unknown();
  try {
    return await openRunFolder(dirname(path), runId(basename(path)));
  } catch (cause) {
    if (cause instanceof RangeError) throw unknown(cause);
    throw cause;
  }
}

async function computeAgain(
  evidence: Evidence,
  count: number,
  options: VerifyOptions,
  context: Context,
): Promise<Check> {
  const { job, folder } = evidence;
  if (job.kind !== 'read') throw new Error('a sound run has a job');
  const signal = context.interrupts.orderly;
  const directory = await mkdtemp(join(tmpdir(), 'ropeteam-verify-'));
  try {
    const dataset = await datasetOf(folder, job.value.spec, directory, options, context);
    checkData(evidence, dataset);
    return await recompute(evidence, { count, dataset, signal });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** The run's own shards while it has not ended, else the files of the job, read anew. */
async function datasetOf(
  folder: RunFolder,
  job: JobSpec,
  directory: string,
  options: VerifyOptions,
  context: Context,
): Promise<PreparedDataset> {
  if (await isFile(join(folder.dataPath, 'dataset.json'))) return openPreparedDataset(folder.dataPath);
  const root = resolve(context.directory, options.data ?? '.');
  try {
    return await prepareDataset({
      spec: await expandSources(job.data, listInside(root), root),
      order: job.train,
      seed: job.train.seed,
      resolve: (path) => (isObjectUrl(path) ? fetchObject(path, directory, context) : resolveInside(root, path)),
      directory,
      signal: context.interrupts.orderly,
    });
  } catch (cause) {
    if (!(cause instanceof RopeteamError) || cause.code !== 'DATA.FILE') throw cause;
    throw new RopeteamError(
      'DATA.FILE',
      { file: describeFiles(job.data.source) },
      `cannot compute steps again without the data: ${cause.message}`,
      {
        cause,
        hint: 'name the folder of the job file with --data: the run keeps no copy of its rows',
      },
    );
  }
}

function checkData({ ledger, model }: Evidence, { info }: PreparedDataset): void {
  const trained =
    ledger.records[0]?.origin?.dataSha256 ?? (model.kind === 'read' ? model.value.dataset.dataSha256 : undefined);
  if (trained === undefined || trained === info.dataSha256) return;
  const message = `the data is not what the run was trained on: its sha256 is ${info.dataSha256}, the run's was ${trained}`;
  throw new RopeteamError('DATA.FILE', { file: info.dataSha256 }, message, {
    hint: 'name the folder with the files as they were with --data',
  });
}

const isFolder = (path: string): Promise<boolean> => has(path, (status) => status.isDirectory());
const isFile = (path: string): Promise<boolean> => has(path, (status) => status.isFile());

async function has(
  path: string,
  want: (status: { isFile(): boolean; isDirectory(): boolean }) => boolean,
): Promise<boolean> {
  try {
    return want(await stat(path));
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR'))
      return false;
    throw error;
  }
}
