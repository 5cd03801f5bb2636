/** `ropeteam fetch`: a run, or its model alone, from the copy that a coordinator keeps in object storage. */
import { mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { objectStoreSettings } from '#job';
import { type Bucket, fetchRun, openBucket, type RunManifest } from '#objects';
import { isDurableName } from '#storage';
import { RopeteamError, type RunId } from '#training';
import type { Context } from '../context.js';

export interface FetchRunOptions {
  /** `s3://bucket/folder`; absent: ROPETEAM_COPY_RUNS_TO. */
  readonly from?: string;
  readonly out: string;
  /** Its `model/` and nothing else. */
  readonly model: boolean;
  readonly json: boolean;
}

/**
 * Prints the folder the run is in afterwards; without a run the names of those that are there.
 * @throws RopeteamError USAGE.ARGUMENT, RUN.UNKNOWN, RUN.EXISTS, STORAGE.OBJECT, STORAGE.CORRUPT
 */
export async function fetchCommand(
  run: RunId | undefined,
  options: FetchRunOptions,
  context: Context,
): Promise<number> {
  const { environment, terminal, interrupts } = context;
  const from = options.from ?? (environment.forServices.ROPETEAM_COPY_RUNS_TO || undefined);
  if (from === undefined) {
    throw new RopeteamError(
      'USAGE.ARGUMENT',
      { argument: '--from' },
      'from where? `fetch` needs the folder of the copies',
      {
        hint: 'name it as the coordinator does: --from s3://bucket/folder',
      },
    );
  }
  const settings = objectStoreSettings(environment.forServices, environment.insecure);
  const bucket = openBucket(from, '--from', { ...settings, signal: interrupts.orderly });
  if (run === undefined) return await list(bucket, options, context);
  const { path, manifest } = await bring(bucket, run, options, context);
  const shown = relative(context.directory, path) || '.';
  if (options.json) {
    const { writtenAt, files } = manifest;
    terminal.result(JSON.stringify({ run, path, writtenAt, files: files.map(({ name }) => name) }));
    return 0;
  }
  terminal.result(shown);
  const { commandName } = environment;
  const next = options.model ? `predict ${shown} --input FILE` : `verify ${shown}, or: ${commandName} resume ${shown}`;
  terminal.say(`as it was copied at ${manifest.writtenAt}; next: ${commandName} ${next}`);
  return 0;
}

async function list(bucket: Bucket, { json }: FetchRunOptions, { terminal }: Context): Promise<number> {
  const names = (await bucket.folders()).filter((name) => !name.startsWith('.'));
  if (json) terminal.result(JSON.stringify(names));
  else if (names.length === 0) terminal.say(`${bucket.url} has no runs`);
  else terminal.result(names.join('\n'));
  return 0;
}

async function bring(
  bucket: Bucket,
  run: RunId,
  { out, model }: FetchRunOptions,
  { directory }: Context,
): Promise<{ readonly path: string; readonly manifest: RunManifest }> {
  const runs = resolve(directory, out);
  const path = join(runs, run);
  await requireFree(path, run);
  await mkdir(runs, { recursive: true });
  const making = await mkdtemp(join(runs, '.fetching-'));
  try {
    const whole = join(making, run);
    const wanted = (name: string): boolean => !model || name.startsWith('model/');
    const options = { mayBe: isDurableName, making: join(making, 'part'), wanted };
    const manifest = await fetchRun(bucket, run, whole, options);
    if (manifest === undefined) throw unknown(bucket, run, 'has no copy of a run');
    if (model && !manifest.files.some(({ name }) => name.startsWith('model/')))
      throw unknown(bucket, run, 'has no model yet of the run');
    await requireFree(path, run);
    await rename(whole, path);
    return { path, manifest };
  } finally {
    await rm(making, { recursive: true, force: true });
  }
}

/** Said before hours of fetching, and once more before the move, which would replace an empty folder. */
async function requireFree(path: string, run: RunId): Promise<void> {
  const found = await stat(path).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (found === undefined) return;
  throw new RopeteamError('RUN.EXISTS', { run }, `${path} is there already`, {
    hint: 'choose another --out, or move it away',
  });
}

function unknown({ url }: Bucket, run: RunId, what: string): RopeteamError {
  return new RopeteamError('RUN.UNKNOWN', { run }, `${url} ${what} ${run}`, {
    hint: `list what is there: ropeteam fetch --from ${url}`,
  });
}
