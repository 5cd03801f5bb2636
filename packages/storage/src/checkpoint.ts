/**
 * Checkpoints: `checkpoints/step-00001200.safetensors`, everything a run needs to go on with the same bits.
 *
 * One tensor a parameter (`layers.0.weight`), then one a parameter and optimizer slot (`optimizer.momentum.layers.0.weight`),
 * then, where the best epoch's weights are kept, one a parameter of those (`best.layers.0.weight`). The rest is metadata. `fileSha256` there is the SHA-256 of the whole file with its own 64 digits replaced by zeros, so no
 * bit of the file, header included, can change unseen.
 */
import { join } from 'node:path';
import type { Parameter } from '#kernel';
import { failpoint, RopeteamError } from '#training';
import { readWholeFile, sha256OfParts, TEMPORARY, writeError, writeFileAtomically } from './atomic-file.js';
import { type Disk, realDisk } from './disk.js';
import { checkFence, type RunFolder } from './run-folder.js';
import { decodeSafetensors, encodeHeader, float32Of, type NamedTensor, type Safetensors } from './safetensors.js';
import { parameterTensor } from './weights.js';

export interface Checkpoint {
  readonly run: string;
  readonly fence: number;
  /** Committed steps: the weight version. */
  readonly step: number;
  readonly epoch: number;
  readonly seed: number;
  readonly kernelId: string;
  /** [P] */
  readonly weights: Float32Array;
  /** [slots × P] */
  readonly optimizerState: Float32Array;
  /** Names of the optimizer's slots, in the order of its state. */
  readonly slots: readonly string[];
  /** In the order of the weights; together they cover them. */
  readonly parameters: readonly Parameter[];
  /** [P], of the best epoch so far; absent where it is not kept. */
  readonly best?: Float32Array;
  /** Where the run stands besides: plain JSON, given back as it was. */
  readonly progress: Readonly<Record<string, unknown>>;
}

export interface SavedCheckpoint {
  readonly path: string;
  readonly bytes: number;
  readonly durationMs: number;
}

export interface FoundCheckpoint {
  /** Absent when no file is valid. */
  readonly newest?: { readonly path: string; readonly checkpoint: Checkpoint };
  /** Newer files that could not be used, newest first, and why. */
  readonly damaged: readonly { readonly path: string; readonly error: RopeteamError }[];
}

export const CHECKPOINT_FORMAT = 'ropeteam-checkpoint/1';
/** What the names of optimizer state begin with. */
export const OPTIMIZER_PREFIX = 'optimizer.';
/** And those of the best epoch's weights. */
export const BEST_PREFIX = 'best.';
const NAME = /^step-(\d{8,16})\.safetensors$/;
const SHA256_KEY = 'fileSha256';
const ZERO_DIGITS = new TextEncoder().encode('0'.repeat(64));

/** Which checkpoints stay. */
export interface Retention {
  /** The newest so many. */
  readonly keep: number;
  /** And those of every so many steps, for good. */
  readonly everySteps?: number;
}

/** Whether the checkpoint of this step stays whatever comes after it. */
export function isKeptForGood(step: number, { everySteps }: Pick<Retention, 'everySteps'>): boolean {
  return everySteps !== undefined && step > 0 && step % everySteps === 0;
}

/**
 * Writes a checkpoint and deletes those that need not stay. When it resolves, the file survives a power cut.
 *
 * `weights` and `optimizerState` are read while it runs: pass copies if training goes on meanwhile. One save at a time.
 * @throws RopeteamError STORAGE.WRITE; then older checkpoints are all still there
 */
export async function saveCheckpoint(
  folder: RunFolder,
  checkpoint: Checkpoint,
  retention: Retention,
  disk: Disk = realDisk,
): Promise<SavedCheckpoint> {
  const { keep } = retention;
  if (!(Number.isInteger(keep) && keep >= 1))
    throw new RangeError(`keep must be a whole number from 1, received ${keep}`);
  const startedMs = performance.now();
  await checkFence(folder, checkpoint.fence);
  const parts = await encodeCheckpoint(checkpoint);
  const path = join(folder.checkpointsPath, checkpointFileName(checkpoint.step));
  // First: on a full disk what a crash left of a save would keep every later one from its room.
  await removeLeftOvers(folder, disk);
  await writeFileAtomically(path, parts, disk);
  failpoint('before-retention');
  await prune(folder, checkpoint.step, retention, disk);
  const bytes = parts.reduce((sum, part) => sum + part.byteLength, 0);
  return { path, bytes, durationMs: performance.now() - startedMs };
}

/** Reads and verifies one checkpoint. @throws RopeteamError STORAGE.CORRUPT */
export async function loadCheckpoint(path: string, disk: Disk = realDisk): Promise<Checkpoint> {
  const bytes = await readWholeFile(path, disk);
  const file = decodeSafetensors(bytes, path);
  const refuse = (reason: string): never => {
    throw new RopeteamError('STORAGE.CORRUPT', { file: path }, `${path} is not a whole checkpoint: ${reason}`);
  };
  const format = file.metadata.get('format');
  if (format !== CHECKPOINT_FORMAT)
    return refuse(`its format is ${format ?? 'not given'}, this program reads ${CHECKPOINT_FORMAT}`);
  const digits = findDigits(bytes.subarray(0, file.headerBytes));
  if (digits === undefined) return refuse('it has no SHA-256');
  const sha256 = await sha256OfParts([
    bytes.subarray(0, digits),
    ZERO_DIGITS,
    bytes.subarray(digits + ZERO_DIGITS.byteLength),
  ]);
  if (sha256 !== file.metadata.get(SHA256_KEY)) return refuse('its SHA-256 does not match');
  return decodeCheckpoint(file, refuse);
}

/**
 * The newest checkpoint that is whole; newer ones that are not are passed over and reported.
 * @param mostSteps so many are in the ledger: a checkpoint of more steps is one that nothing vouches for
 */
export async function newestCheckpoint(
  folder: RunFolder,
  mostSteps = Number.POSITIVE_INFINITY,
  disk: Disk = realDisk,
): Promise<FoundCheckpoint> {
  const damaged: { path: string; error: RopeteamError }[] = [];
  for (const { name, step } of (await listCheckpoints(folder, disk)).toReversed()) {
    const path = join(folder.checkpointsPath, name);
    try {
      if (step > mostSteps) throw beyondLedger(path, mostSteps);
      return { newest: { path, checkpoint: await loadCheckpoint(path, disk) }, damaged };
    } catch (error) {
      if (!(error instanceof RopeteamError)) throw error;
      damaged.push({ path, error });
    }
  }
  return { damaged };
}

function beyondLedger(path: string, records: number): RopeteamError {
  return new RopeteamError('STORAGE.CORRUPT', { file: path }, `${path} is beyond the ledger’s ${records} records`);
}

export function checkpointFileName(step: number): string {
  return `step-${String(step).padStart(8, '0')}.safetensors`;
}

async function encodeCheckpoint(checkpoint: Checkpoint): Promise<readonly Uint8Array[]> {
  const { weights, optimizerState, parameters, slots } = checkpoint;
  const size = checkLengths(checkpoint);
  const tensors: NamedTensor[] = parameters.map((parameter) => parameterTensor(parameter, parameter.name, weights, 0));
  for (const [slot, slotName] of slots.entries()) {
    for (const parameter of parameters) {
      tensors.push(
        parameterTensor(parameter, `${OPTIMIZER_PREFIX}${slotName}.${parameter.name}`, optimizerState, slot * size),
      );
    }
  }
  const { best } = checkpoint;
  if (best !== undefined) {
    for (const parameter of parameters)
      tensors.push(parameterTensor(parameter, `${BEST_PREFIX}${parameter.name}`, best, 0));
  }
  const metadata = new Map([
    ['format', CHECKPOINT_FORMAT],
    [SHA256_KEY, new TextDecoder().decode(ZERO_DIGITS)],
    ['run', checkpoint.run],
    ['fence', String(checkpoint.fence)],
    ['step', String(checkpoint.step)],
    ['epoch', String(checkpoint.epoch)],
    ['seed', String(checkpoint.seed)],
    ['kernelId', checkpoint.kernelId],
    ['slots', JSON.stringify(slots)],
    ['progress', JSON.stringify(checkpoint.progress)],
  ]);
  const header = encodeHeader(tensors, metadata);
  const parts = [header, ...tensors.map(({ data }) => data)];
  const sha256 = await sha256OfParts(parts);
  const digits = findDigits(header);
  if (digits === undefined) throw new Error('a checkpoint header without its SHA-256 field');
  header.set(new TextEncoder().encode(sha256), digits);
  return parts;
}

function decodeCheckpoint({ metadata, tensors }: Safetensors, refuse: (reason: string) => never): Checkpoint {
  const text = (key: string): string => metadata.get(key) ?? refuse(`it does not say its ${key}`);
  const natural = (key: string): number => {
    const value = Number(text(key));
    return Number.isSafeInteger(value) && value >= 0 ? value : refuse(`its ${key} is ${text(key)}`);
  };
  // The SHA-256 was right: these are the strings that `encodeCheckpoint` wrote.
  const slots = JSON.parse(text('slots')) as readonly string[];
  const progress = JSON.parse(text('progress')) as Checkpoint['progress'];

  const all = [...tensors];
  const kept = all.filter(([name]) => name.startsWith(BEST_PREFIX));
  const numParameters = (all.length - kept.length) / (1 + slots.length);
  const parameters: Parameter[] = [];
  let size = 0;
  for (const [name, tensor] of all.slice(0, numParameters)) {
    const count = tensor.data.byteLength / Float32Array.BYTES_PER_ELEMENT;
    parameters.push({ name, shape: tensor.shape, offset: size, size: count });
    size += count;
  }
  const weights = new Float32Array(size);
  const optimizerState = new Float32Array(size * slots.length);
  let at = 0;
  for (const [, tensor] of all.slice(0, all.length - kept.length)) {
    const floats = float32Of(tensor);
    if (at < size) weights.set(floats, at);
    else optimizerState.set(floats, at - size);
    at += floats.length;
  }
  const best = kept.length === 0 ? undefined : new Float32Array(size);
  for (const [index, [, tensor]] of kept.entries()) best?.set(float32Of(tensor), parameters[index]!.offset);
  return {
    run: text('run'),
    fence: natural('fence'),
    step: natural('step'),
    epoch: natural('epoch'),
    seed: natural('seed'),
    kernelId: text('kernelId'),
    weights,
    optimizerState,
    slots,
    parameters,
    ...(best === undefined ? {} : { best }),
    progress,
  };
}

function checkLengths({ weights, optimizerState, slots, parameters, best }: Checkpoint): number {
  const size = parameters.reduce((end, parameter) => {
    if (parameter.offset !== end)
      throw new RangeError(`parameter ${parameter.name} does not begin where the one before ends`);
    return end + parameter.size;
  }, 0);
  if (best !== undefined && best.length !== size)
    throw new RangeError(`${best.length} weights of the best epoch do not fit ${size} parameters`);
  if (weights.length !== size || optimizerState.length !== size * slots.length) {
    const lengths = `${weights.length} weights and ${optimizerState.length} floats of optimizer state`;
    throw new RangeError(`${lengths} do not fit ${size} parameters and ${slots.length} slots`);
  }
  return size;
}

function findDigits(header: Uint8Array): number | undefined {
  // Within a JSON string the quotes would be escaped: this can only be the field itself.
  const field = `"${SHA256_KEY}":"`;
  const at = Buffer.from(header.buffer, header.byteOffset, header.byteLength).indexOf(field);
  return at < 0 ? undefined : at + field.length;
}

/** Checkpoints of a folder by name, oldest first. */
export async function listCheckpoints(
  folder: RunFolder,
  disk: Disk = realDisk,
): Promise<readonly { readonly name: string; readonly step: number }[]> {
  const names = await disk.list(folder.checkpointsPath);
  return names
    .flatMap((name) => {
      const step = NAME.exec(name)?.[1];
      return step === undefined ? [] : [{ name, step: Number(step) }];
    })
    .sort((a, b) => a.step - b.step);
}

/**
 * Keeps the checkpoint just saved and the newest below it. One above it is from before a restart: it is damaged, or it is
 * the same bits that this run will write again, so it is neither counted nor deleted.
 */
async function prune(folder: RunFolder, saved: number, retention: Retention, disk: Disk): Promise<void> {
  const older = (await listCheckpoints(folder, disk)).filter(({ step }) => step <= saved);
  const surplus = older
    .slice(0, Math.max(0, older.length - retention.keep))
    .filter(({ step }) => !isKeptForGood(step, retention))
    .map(({ name }) => name);
  for (const name of surplus) {
    await remove(join(folder.checkpointsPath, name), disk);
    failpoint('mid-retention');
  }
}

/** One save at a time: a temporary file that is there now is what a crash left. */
async function removeLeftOvers(folder: RunFolder, disk: Disk): Promise<void> {
  const names = (
    await disk.list(folder.checkpointsPath).catch((cause: unknown) => {
      throw writeError(folder.checkpointsPath, cause);
    })
  ).filter((name) => name.endsWith(TEMPORARY));
  for (const name of names) await remove(join(folder.checkpointsPath, name), disk);
}

async function remove(path: string, disk: Disk): Promise<void> {
  await disk.remove(path).catch((cause: unknown) => {
    throw writeError(path, cause);
  });
}
