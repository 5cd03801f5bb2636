/** Everything a run's folder says, read once: what cannot be read is told as what is wrong with it, not thrown. */
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { parseJob } from '#job';
import { xxh64 } from '#kernel';
import {
  currentFence,
  type LedgerScan,
  listCheckpoints,
  loadCheckpoint,
  loadModel,
  MODEL_FILES,
  type RunFolder,
  scanLedger,
  type TrainedModel,
  weightsSha256,
} from '#storage';
import { type JobSpec, RopeteamError, type RunEvent } from '#training';

/** A file's content, or why there is none. */
export type Read<Value> =
  | { readonly kind: 'read'; readonly value: Value }
  | { readonly kind: 'absent' }
  | { readonly kind: 'damaged'; readonly message: string };

/** A checkpoint without its tensors: as many as there are would not fit into memory. */
export interface CheckpointFacts {
  readonly run: string;
  readonly fence: number;
  readonly step: number;
  readonly epoch: number;
  readonly seed: number;
  readonly kernelId: string;
  /** XXH64 of the weights, as the ledger has it. */
  readonly weights: string;
  readonly weightsSha256: string;
  readonly optimizerSha256: string;
}

export interface FoundFile<Value> {
  /** Relative to the run's folder. */
  readonly file: string;
  /** The step in the file's name. */
  readonly step: number;
  readonly content: Read<Value>;
}

export interface ModelFacts extends Omit<TrainedModel, 'weights'> {
  /** XXH64 of the weights. */
  readonly weights: string;
}

export interface EventFacts {
  /** The last of each kind; a run that was resumed may have several. */
  readonly started?: Extract<RunEvent, { event: 'run_started' }>;
  readonly finished?: Extract<RunEvent, { event: 'run_finished' }>;
  readonly failed?: Extract<RunEvent, { event: 'run_failed' }>;
  /** With the line of each. */
  readonly steps: readonly { readonly line: number; readonly event: Extract<RunEvent, { event: 'step_committed' }> }[];
}

export interface Evidence {
  readonly folder: RunFolder;
  readonly job: Read<{ readonly spec: JobSpec; readonly sha256: string }>;
  readonly ledger: LedgerScan;
  readonly fence: Read<number>;
  readonly checkpoints: readonly FoundFile<CheckpointFacts>[];
  readonly model: Read<ModelFacts>;
  readonly events: Read<EventFacts>;
}

/** @throws RopeteamError RUN.UNKNOWN when the folder holds no ledger */
export async function readEvidence(folder: RunFolder): Promise<Evidence> {
  if (!(await isThere(folder.ledgerPath))) {
    throw new RopeteamError(
      'RUN.UNKNOWN',
      { run: folder.run },
      `${folder.path} holds no ledger: it is not a run's folder`,
      {
        hint: 'name the folder of a run, for example runs/digits-1',
      },
    );
  }
  return {
    folder,
    job: await readOne(folder.jobPath, readJob),
    ledger: await scanLedger(folder.ledgerPath),
    fence: await readOne(join(folder.path, 'fence'), () => currentFence(folder)),
    checkpoints: await readCheckpoints(folder),
    model: await readOne(join(folder.modelPath, MODEL_FILES.description), () => readModel(folder.modelPath)),
    events: await readOne(folder.eventsPath, readEvents),
  };
}

async function readJob(path: string) {
  const bytes = await readFile(path);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { spec: parseJob(bytes.toString('utf8'), path), sha256 };
}

async function readModel(path: string): Promise<ModelFacts> {
  const { weights, ...rest } = await loadModel(path);
  return { ...rest, weights: fingerprint(weights) };
}

async function readCheckpoints(folder: RunFolder): Promise<readonly FoundFile<CheckpointFacts>[]> {
  const found: FoundFile<CheckpointFacts>[] = [];
  for (const { name, step } of await listCheckpoints(folder)) {
    const path = join(folder.checkpointsPath, name);
    found.push({ file: relative(folder.path, path), step, content: await readOne(path, factsOfCheckpoint) });
  }
  return found;
}

async function factsOfCheckpoint(path: string): Promise<CheckpointFacts> {
  const { run, fence, step, epoch, seed, kernelId, weights, optimizerState } = await loadCheckpoint(path);
  return {
    ...{ run, fence, step, epoch, seed, kernelId, weights: fingerprint(weights) },
    weightsSha256: await weightsSha256(weights),
    optimizerSha256: await weightsSha256(optimizerState),
  };
}

/** An incomplete last line is what a crash leaves and says nothing. */
async function readEvents(path: string): Promise<EventFacts> {
  const lines = (await readFile(path, 'utf8')).split('\n').slice(0, -1);
  let steps: { line: number; event: Extract<RunEvent, { event: 'step_committed' }> }[] = [];
  const last: { -readonly [Key in 'started' | 'finished' | 'failed']?: EventFacts[Key] } = {};
  for (const [index, text] of lines.entries()) {
    const event = parseEvent(path, index + 1, text);
    if (event.event === 'step_committed') steps.push({ line: index + 1, event });
    // What was told of later steps is undone, and told anew.
    if (event.event === 'run_rolled_back') steps = steps.filter((told) => told.event.step < event.toStep);
    else if (event.event === 'run_started') last.started = event;
    else if (event.event === 'run_finished') last.finished = event;
    else if (event.event === 'run_failed') last.failed = event;
  }
  return { ...last, steps };
}

function parseEvent(path: string, line: number, text: string): RunEvent {
  const refuse = (cause?: unknown): never => {
    throw new RopeteamError('STORAGE.CORRUPT', { file: path }, `line ${line} is not an event`, { cause });
  };
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || !('event' in value)) return refuse();
    return value as RunEvent; // what is used of it is compared, never trusted
  } catch (cause) {
    return refuse(cause);
  }
}

async function readOne<Value>(path: string, read: (path: string) => Promise<Value>): Promise<Read<Value>> {
  if (!(await isThere(path))) return { kind: 'absent' };
  try {
    return { kind: 'read', value: await read(path) };
  } catch (error) {
    if (!(error instanceof RopeteamError)) throw error;
    return { kind: 'damaged', message: error.message };
  }
}

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    (status) => status.isFile(),
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
}

/** XXH64 as the ledger writes it. */
export function fingerprint(floats: Float32Array): string {
  const bytes = new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength);
  return xxh64(bytes).toString(16).padStart(16, '0');
}
