/** `ropeteam init`: a short job.yaml to begin with, commented, its values found in the data. */
import { copyFile, mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type FirstJob, firstJobText, jobNameFrom, parseJob, settingsFor } from '#job';
import { prepareDataset, resolveInside, writeFileAtomically } from '#storage';
import { type DataSpec, type DatasetInfo, filePathOf, RopeteamError } from '#training';
import type { Context } from '../context.js';

export interface InitOptions {
  readonly data?: string;
  readonly target?: string;
  readonly labels?: string;
  readonly force: boolean;
  readonly json: boolean;
}

/** The package, or the checkout: dist/cli/src/commands/ is four folders below. */
const PACKAGE = fileURLToPath(new URL('../../../../', import.meta.url));
const EXAMPLE = { data: 'digits.csv', licence: 'digits.DATA.md', target: 'digit' } as const;

/**
 * Writes the job file and says what was found and what to do next. Without `data` the digits come along, to try it out.
 * @throws RopeteamError USAGE.ARGUMENT when the file is there already, DATA.* for data that could not be trained on
 */
export async function init(file: string, options: InitOptions, context: Context): Promise<number> {
  const { terminal, environment, directory, interrupts } = context;
  const jobFile = resolve(directory, file);
  if (!options.force && (await isThere(jobFile))) throw existsAlready(file);
  const folder = dirname(jobFile);
  const named = options.data === undefined ? await copyExample(folder, options.force) : options;
  const source = await inFolder(folder, resolve(directory, named.data ?? ''), file);
  const labels =
    named.labels === undefined ? {} : { labels: await inFolder(folder, resolve(directory, named.labels), file) };
  const target = named.target ?? (labels.labels === undefined ? undefined : 'label');
  const spec = probeSpec({ source, ...labels, target: target ?? NO_TARGET });
  const info = await look(spec, folder, interrupts.orderly).catch((error: unknown) => {
    const named = target === undefined && error instanceof RopeteamError && error.code === 'DATA.COLUMN';
    throw named ? targetNeeded(source, error) : error;
  });
  const job: FirstJob = {
    name: jobNameFrom(source),
    source,
    ...labels,
    target: target ?? NO_TARGET,
    schema: relative(folder, join(PACKAGE, 'schema', 'job.schema.json')),
    info,
    settings: settingsFor(info),
  };
  const text = firstJobText(job);
  parseJob(text, file, []); // what is written here must be a job
  await writeFileAtomically(jobFile, [new TextEncoder().encode(text)]);
  const next = `${environment.commandName} train ${file}`;
  if (options.json) {
    const { task, featureCount, classes, samples, warnings } = info;
    terminal.result(JSON.stringify({ file, task, featureCount, classes, samples, warnings, ...job.settings, next }));
    return 0;
  }
  terminal.result(`${terminal.paintResult('green', '✓')} ${file} written: ${describe(info)}`);
  for (const warning of info.warnings) terminal.result(`  warning  ${warning}`);
  terminal.result(`  next     ${next}`);
  return 0;
}

/** No column has this name: a header has no line breaks. */
const NO_TARGET = '?';

function probeSpec(data: { source: string; labels?: string; target: string }): DataSpec {
  // Of a job only the data are looked at here; JSON is YAML.
  const text = JSON.stringify({
    apiVersion: 'ropeteam/v1',
    name: 'probe',
    data: { ...data, scaleTarget: 'standard' }, // as it will be written for a regression: nothing to warn of then
    model: { layers: [{ dense: 1 }] },
    train: { epochs: 1 },
  });
  return parseJob(text, 'job.yaml', []).data;
}

/** Reads the data as the coordinator will, into a folder that is gone afterwards. */
async function look(spec: DataSpec, folder: string, signal: AbortSignal): Promise<DatasetInfo> {
  const directory = await mkdtemp(join(tmpdir(), 'ropeteam-init-'));
  try {
    const resolvePath = (path: string): string => resolve(folder, path);
    return (await prepareDataset({ spec, seed: 0, resolve: resolvePath, directory, signal })).info;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function copyExample(folder: string, force: boolean): Promise<Pick<InitOptions, 'data' | 'target' | 'labels'>> {
  const data = join(folder, EXAMPLE.data);
  if (!force && (await isThere(data))) throw existsAlready(EXAMPLE.data);
  const from = join(PACKAGE, 'examples', 'digits');
  await mkdir(folder, { recursive: true });
  await copyFile(join(from, 'digits.csv'), data);
  await copyFile(join(from, 'DATA.md'), join(folder, EXAMPLE.licence));
  return { data, target: EXAMPLE.target };
}

/** A job names files of its own folder only. */
async function inFolder(folder: string, path: string, file: string): Promise<string> {
  const name = relative(folder, path);
  try {
    await resolveInside(folder, filePathOf(name));
  } catch (error) {
    if (!(error instanceof RopeteamError) || error.code !== 'DATA.OUTSIDE_ROOT') throw error;
    const beside = join(dirname(path), basename(file));
    throw new RopeteamError('DATA.OUTSIDE_ROOT', { file: path }, `${path} is not below the folder of ${file}`, {
      hint: `write the job file there: ropeteam init ${beside} --data ${path}`,
      cause: error,
    });
  }
  return name;
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function describe({ task, classes, featureCount, samples }: DatasetInfo): string {
  const rows = samples.train + samples.validation + samples.test;
  const what = task === 'classification' ? `classification into ${classes.length} classes` : 'regression';
  return `${rows.toLocaleString('en')} rows, ${featureCount} ${featureCount === 1 ? 'input' : 'inputs'}, ${what}`;
}

function existsAlready(file: string): RopeteamError {
  return new RopeteamError('USAGE.ARGUMENT', { argument: file }, `${file} is there already`, {
    hint: 'name another file, or overwrite it with --force',
  });
}

function targetNeeded(source: string, cause: RopeteamError): RopeteamError {
  const message = `which column of ${source} is to be predicted?`;
  return new RopeteamError('USAGE.ARGUMENT', { argument: '--target' }, message, {
    hint: `name it with --target${cause.hint === undefined ? '' : `; ${cause.hint}`}`,
  });
}
