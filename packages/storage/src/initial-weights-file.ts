/**
 * Reads the weights a run starts from: our own `model.safetensors` and checkpoints, or what PyTorch users save with
 * `safetensors.torch.save_file(model.state_dict(), …)`. Dense weights are [units, inputs] in both.
 */
import { type FileHandle, open } from 'node:fs/promises';
import type { Parameter } from '#kernel';
import { type InitFrom, RopeteamError } from '#training';
import { BEST_PREFIX, CHECKPOINT_FORMAT, OPTIMIZER_PREFIX } from './checkpoint.js';
import { BYTES_OF_FLOAT, type FloatDtype, isFloatDtype, toFloat32 } from './float-conversion.js';
import { cannotUse, mismatchErrors, several } from './initial-weights-errors.js';
import { type MatchedBy, matchTensors, type TensorPair } from './match-tensors.js';
import { type ComparedModel, originWarnings } from './model-origin.js';
import { decodeHeader, headerLength, LENGTH_BYTES, type SafetensorsHeader } from './safetensors-header.js';
import { weightsSha256 } from './weights.js';

export interface InitialWeightsFile {
  /** Where the bytes are. */
  readonly path: string;
  /** What the user calls the file; named in errors. */
  readonly name: string;
  /** Where the `model.json` is that lay beside it, if one did. */
  readonly modelPath?: string;
}

/** The model the weights are for. */
export interface StartedModel extends ComparedModel {
  readonly parameters: readonly Parameter[];
}

export interface ReadInitialWeights {
  readonly from: InitFrom;
  /** What a person should know: conversions, a match that was not by name, and what the weights were for before. */
  readonly notes: readonly string[];
}

/** Elements converted at a time: the event loop is held for a few milliseconds. */
const CHUNK_FLOATS = 1 << 19;
/** Pairs of names shown of a match that was not by name. */
const SHOWN_PAIRS = 6;

/**
 * Whether the file can be one of weights at all: its header is read, nothing else. For whoever is about to send it.
 * @throws RopeteamError MODEL.INIT
 */
export async function checkInitialWeights(file: InitialWeightsFile): Promise<void> {
  await using handle = await openFile(file);
  await readHeader(handle, file);
}

/**
 * Reads every parameter's tensor into its place.
 * @param into [P], in part overwritten when this throws
 * @throws RopeteamError MODEL.INIT, MODEL.SHAPE; with `problems`, when there are several, and all of them at once
 */
export async function readInitialWeights(
  file: InitialWeightsFile,
  model: StartedModel,
  into: Float32Array,
  signal: AbortSignal,
): Promise<ReadInitialWeights> {
  await using handle = await openFile(file);
  const { metadata, entries } = await readHeader(handle, file);
  const isCheckpoint = metadata.get('format') === CHECKPOINT_FORMAT;
  const weights = isCheckpoint ? entries.filter(({ name }) => !isBesides(name)) : entries;
  const matching = matchTensors(model.parameters, weights);
  if (matching.by === undefined) throw several(file.name, mismatchErrors(file.name, matching.mismatches));

  const problems: RopeteamError[] = [];
  const converted = new Map<FloatDtype, string[]>();
  for (const pair of matching.pairs) {
    const { tensor } = pair;
    const { dtype } = tensor;
    if (!isFloatDtype(dtype)) {
      problems.push(
        cannotUse(file.name, `tensor ${quoted(tensor.name)} holds ${dtype}, which are no floats`, HINT_DTYPE),
      );
      continue;
    }
    if (dtype !== 'F32') converted.set(dtype, [...(converted.get(dtype) ?? []), tensor.name]);
    const problem = await readTensor(handle, file.name, pair, dtype, into, signal);
    if (problem !== undefined) problems.push(problem);
  }
  if (problems.length > 0) throw several(file.name, problems);
  const step = isCheckpoint ? metadata.get('step') : undefined;
  const sha256 = await weightsSha256(into);
  const { modelPath } = file;
  const origin = modelPath === undefined ? [] : await originWarnings(modelPath, sha256, file.name, model);
  return {
    from: { file: file.name, weightsSha256: sha256, matchedBy: matching.by },
    notes: [
      ...(matching.by === 'names' ? [] : [pairsInWords(file.name, matching.by, matching.pairs)]),
      ...[...converted].map(([dtype, names]) => conversionInWords(file.name, dtype, names)),
      ...(isCheckpoint ? [`${file.name} is a checkpoint of step ${step}: its optimizer state is not used`] : []),
      ...origin,
    ],
  };
}

const HINT_DTYPE = 'save the weights as float32, float16, bfloat16 or float64';

async function openFile({ path, name }: InitialWeightsFile): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw cannotUse(name, `it cannot be read: ${reason}`, 'correct the path given to --init-from', cause);
  }
}

async function readHeader(handle: FileHandle, { name }: InitialWeightsFile): Promise<SafetensorsHeader> {
  const status = await handle.stat();
  if (!status.isFile()) {
    throw cannotUse(name, 'it is not a file', 'name the safetensors file itself, such as model/model.safetensors');
  }
  try {
    const start = await readBytes(handle, 0, Math.min(status.size, LENGTH_BYTES + 2));
    const length = headerLength(start, status.size, name);
    return decodeHeader(await readBytes(handle, 0, length), status.size, name);
  } catch (cause) {
    if (!(cause instanceof RopeteamError)) throw cause;
    const hint =
      cause.hint ??
      'save the model again: a file that was cut off while it was copied, or of another format, cannot be used';
    throw new RopeteamError('MODEL.INIT', { file: name }, cause.message, { hint });
  }
}

/** Reads one tensor to its place in the weights. @returns what is wrong with its values, if anything is */
async function readTensor(
  handle: FileHandle,
  file: string,
  { parameter, tensor }: TensorPair,
  dtype: FloatDtype,
  into: Float32Array,
  signal: AbortSignal,
): Promise<RopeteamError | undefined> {
  let first: { readonly index: number; readonly said: string } | undefined;
  let bad = 0;
  for (let begin = 0; begin < parameter.size; begin += CHUNK_FLOATS) {
    signal.throwIfAborted();
    const values = into.subarray(
      parameter.offset + begin,
      parameter.offset + Math.min(parameter.size, begin + CHUNK_FLOATS),
    );
    const width = BYTES_OF_FLOAT[dtype];
    const bytes = await readBytes(handle, tensor.begin + begin * width, values.length * width);
    toFloat32(dtype, bytes, values);
    for (let i = 0; i < values.length; i++) {
      if (Number.isFinite(values[i])) continue;
      bad++;
      first ??= { index: begin + i, said: valueInWords(dtype, bytes, i, values[i]!) };
    }
  }
  if (first === undefined) return undefined;
  const others = bad === 1 ? '' : `, and ${bad - 1} more of its ${parameter.size} values are not finite`;
  const message = `tensor ${quoted(tensor.name)} holds ${first.said} at [${placeOf(first.index, tensor.shape).join(', ')}]${others}`;
  return cannotUse(file, message, 'take weights from before the training diverged');
}

/** A float64 may be finite and yet too large. */
function valueInWords(dtype: FloatDtype, bytes: Uint8Array, index: number, value: number): string {
  if (dtype !== 'F64') return String(value);
  const written = new DataView(bytes.buffer, bytes.byteOffset).getFloat64(8 * index, true);
  return Number.isFinite(written) ? `${written}, which is beyond the range of float32,` : String(written);
}

/** Indexes of an element from its place in row-major order. */
function placeOf(index: number, shape: readonly number[]): readonly number[] {
  const place: number[] = [];
  let rest = index;
  for (const size of shape.toReversed()) {
    place.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return place;
}

/** @throws Error when the file ends before */
async function readBytes(handle: FileHandle, position: number, length: number): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafe(length);
  for (let at = 0; at < length; ) {
    const { bytesRead } = await handle.read(bytes, at, length - at, position + at);
    if (bytesRead === 0) throw new Error(`the file became shorter while it was read`);
    at += bytesRead;
  }
  return bytes;
}

function pairsInWords(file: string, by: Exclude<MatchedBy, 'names'>, pairs: readonly TensorPair[]): string {
  const shown = pairs.slice(0, SHOWN_PAIRS).map(({ parameter, tensor }) => `${tensor.name} -> ${parameter.name}`);
  const rest = pairs.length > SHOWN_PAIRS ? `, … (${pairs.length} in all)` : '';
  return `the tensors of ${file} were matched by ${by === 'order' ? 'their order' : 'their shapes'}: ${shown.join(', ')}${rest}`;
}

/** What a checkpoint holds besides its weights. */
function isBesides(name: string): boolean {
  return name.startsWith(OPTIMIZER_PREFIX) || name.startsWith(BEST_PREFIX);
}

function conversionInWords(file: string, dtype: FloatDtype, names: readonly string[]): string {
  const what = names.length === 1 ? `tensor ${names[0]}` : `${names.length} tensors`;
  return `${what} of ${file} ${names.length === 1 ? 'was' : 'were'} ${dtype} and ${dtype === 'F64' ? 'rounded' : 'converted, exactly,'} to float32`;
}

const quoted = (name: string): string => JSON.stringify(name);
