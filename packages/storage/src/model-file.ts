/**
 * A trained model: `model/model.safetensors` (one F32 tensor a parameter, named as PyTorch's `nn.Sequential` under the name
 * `layers` would) and `model/model.json`, which is written last and names the SHA-256 of the other.
 *
 * `model.json`, format `ropeteam-model/1`:
 * - `architecture`: inputs, outputs, layers, loss, init; `parameters`: name and shape of each tensor, in order
 * - `task`, `targetNames`, `classes` (label by class index; empty for regression)
 * - `preprocessing`: by input column, `(value - shift) · factor`, or one input a category; see `Preprocessing`
 * - `metrics`: of the kept weights by split; `data`: SHA-256 and samples; `job`: SHA-256 of the effective job
 * - `kept`: the epoch they come from, where that was kept for being the best
 * - `initFrom`: the file its run started from, when its first weights were not drawn from the seed
 * - `weightsSha256`: over the float32 little-endian bytes; `fileSha256`: of `model.safetensors`
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ModelSpec, Parameter } from '#kernel';
import type { DatasetInfo, FinalMetrics, InitFrom, Kept, SplitName } from '#training';
import { RopeteamError } from '#training';
import { readWholeFile, sha256OfParts, writeError, writeFileAtomically } from './atomic-file.js';
import { decodeSafetensors, encodeHeader, float32Of } from './safetensors.js';
import { parameterTensor, weightsSha256 } from './weights.js';

export interface TrainedModel {
  readonly run: string;
  readonly kernelId: string;
  readonly spec: ModelSpec;
  /** In the order of the weights; together they cover them. */
  readonly parameters: readonly Parameter[];
  /** [P] */
  readonly weights: Float32Array;
  readonly weightsSha256: string;
  readonly dataset: Pick<
    DatasetInfo,
    'task' | 'featureCount' | 'targetCount' | 'targetNames' | 'classes' | 'preprocessing' | 'dataSha256' | 'samples'
  >;
  /** Of these weights, by split. */
  readonly metrics: Readonly<Partial<Record<SplitName, FinalMetrics>>>;
  /** Present: they are those of the best epoch. */
  readonly kept?: Kept;
  /** SHA-256 of the effective job file. */
  readonly jobSha256: string;
  readonly initFrom?: InitFrom;
}

/** The names within a model's folder. */
export const MODEL_FILES = { weights: 'model.safetensors', description: 'model.json' } as const;

const FORMAT = 'ropeteam-model/1';
const MAKE_IT_AGAIN = 'take a copy that is whole, or train again: the same job and data give the same weights';

/** What `model.json` holds. */
export interface Description {
  readonly format: typeof FORMAT;
  readonly run: string;
  readonly kernel: string;
  readonly task: DatasetInfo['task'];
  readonly architecture: ModelSpec;
  readonly parameters: readonly { readonly name: string; readonly shape: readonly number[] }[];
  readonly targetNames: readonly string[];
  readonly classes: readonly string[];
  readonly preprocessing: DatasetInfo['preprocessing'];
  readonly metrics: TrainedModel['metrics'];
  readonly kept?: Kept;
  readonly data: {
    readonly sha256: string;
    readonly samples: DatasetInfo['samples'];
    readonly featureCount: number;
    readonly targetCount: number;
  };
  readonly job: { readonly sha256: string };
  readonly initFrom?: InitFrom;
  readonly weightsSha256: string;
  readonly fileSha256: string;
}

/**
 * Writes a model into `folder`, made when missing. A model that was there is replaced; a crash in between leaves a pair that
 * `loadModel` refuses, never a mixed model.
 * @throws RopeteamError STORAGE.WRITE
 */
export async function saveModel(folder: string, model: TrainedModel): Promise<void> {
  const { dataset, parameters, weights } = model;
  const actual = await weightsSha256(weights);
  if (actual !== model.weightsSha256)
    throw new RangeError(`the weights' SHA-256 is ${actual}, not ${model.weightsSha256}`);
  const tensors = parameters.map((parameter) => parameterTensor(parameter, parameter.name, weights, 0));
  const metadata = new Map([
    ['format', FORMAT],
    ['run', model.run],
    ['weightsSha256', model.weightsSha256],
  ]);
  const parts = [encodeHeader(tensors, metadata), ...tensors.map(({ data }) => data)];
  const description: Description = {
    format: FORMAT,
    run: model.run,
    kernel: model.kernelId,
    task: dataset.task,
    architecture: model.spec,
    parameters: parameters.map(({ name, shape }) => ({ name, shape })),
    targetNames: dataset.targetNames,
    classes: dataset.classes,
    preprocessing: dataset.preprocessing,
    metrics: model.metrics,
    ...(model.kept === undefined ? {} : { kept: model.kept }),
    data: {
      sha256: dataset.dataSha256,
      samples: dataset.samples,
      featureCount: dataset.featureCount,
      targetCount: dataset.targetCount,
    },
    job: { sha256: model.jobSha256 },
    ...(model.initFrom === undefined ? {} : { initFrom: model.initFrom }),
    weightsSha256: model.weightsSha256,
    fileSha256: await sha256OfParts(parts),
  };
  await mkdir(folder, { recursive: true }).catch((cause: unknown) => {
    throw writeError(folder, cause);
  });
  await writeFileAtomically(join(folder, MODEL_FILES.weights), parts);
  const json = `${JSON.stringify(description, undefined, 2)}\n`;
  await writeFileAtomically(join(folder, MODEL_FILES.description), [new TextEncoder().encode(json)]);
}

/** Reads and verifies a model. @throws RopeteamError STORAGE.CORRUPT */
export async function loadModel(folder: string): Promise<TrainedModel> {
  const path = join(folder, MODEL_FILES.description);
  const refuse = (reason: string, cause?: unknown, hint = MAKE_IT_AGAIN): never => {
    const message = `${path} is not a whole model: ${reason}`;
    throw new RopeteamError('STORAGE.CORRUPT', { file: path }, message, { cause, hint });
  };
  const description = parseDescription(new TextDecoder().decode(await readWholeFile(path)), refuse);
  const weightsPath = join(folder, MODEL_FILES.weights);
  const bytes = await readWholeFile(weightsPath);
  if ((await sha256OfParts([bytes])) !== description.fileSha256) return refuse(`it describes another ${weightsPath}`);

  const { tensors } = decodeSafetensors(bytes, weightsPath);
  const parameters: Parameter[] = [];
  const pieces: Float32Array[] = [];
  let offset = 0;
  for (const { name, shape } of description.parameters) {
    const tensor = tensors.get(name);
    if (tensor === undefined || tensor.shape.join() !== shape.join())
      return refuse(`it has no tensor ${name} of shape [${shape}]`);
    const floats = float32Of(tensor);
    parameters.push({ name, shape, offset, size: floats.length });
    pieces.push(floats);
    offset += floats.length;
  }
  const weights = new Float32Array(offset);
  for (const [index, { offset: at }] of parameters.entries()) weights.set(pieces[index]!, at);
  if ((await weightsSha256(weights)) !== description.weightsSha256)
    return refuse("the weights' SHA-256 does not match");

  const { data } = description;
  return {
    run: description.run,
    kernelId: description.kernel,
    spec: description.architecture,
    parameters,
    weights,
    weightsSha256: description.weightsSha256,
    dataset: {
      task: description.task,
      featureCount: data.featureCount,
      targetCount: data.targetCount,
      targetNames: description.targetNames,
      classes: description.classes,
      preprocessing: description.preprocessing,
      dataSha256: data.sha256,
      samples: data.samples,
    },
    metrics: description.metrics,
    ...(description.kept === undefined ? {} : { kept: description.kept }),
    jobSha256: description.job.sha256,
    ...(description.initFrom === undefined ? {} : { initFrom: description.initFrom }),
  };
}

function parseDescription(
  text: string,
  refuse: (reason: string, cause?: unknown, hint?: string) => never,
): Description {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    return refuse('it is not JSON', cause);
  }
  const format = typeof parsed === 'object' && parsed !== null && 'format' in parsed ? parsed.format : undefined;
  if (format !== FORMAT) {
    const reason = `its format is ${JSON.stringify(format)}, this program reads ${FORMAT}`;
    return refuse(reason, undefined, 'use the version of Ropeteam that wrote it');
  }
  const absent = KEYS.find((key) => !Object.hasOwn(parsed as object, key));
  if (absent !== undefined) return refuse(`it has no ${absent}`);
  return parsed as Description; // the format is ours and its parts are there; the weights are checked against their hashes
}

const KEYS = ['architecture', 'parameters', 'preprocessing', 'data', 'job', 'fileSha256', 'weightsSha256'] as const;

/** Whether this is what a `model.json` of ours holds. */
export function isDescription(value: unknown): value is Description {
  if (typeof value !== 'object' || value === null || !('format' in value)) return false;
  return value.format === FORMAT && KEYS.every((key) => Object.hasOwn(value, key));
}
