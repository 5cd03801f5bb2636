/**
 * A shard file: samples `[begin, end)` of one split as safetensors, `features` [n, F] and `targets` [n, T] in float32,
 * `split`, `begin` and `end` as metadata. Its SHA-256 is in the data set's `ShardInfo`, so any changed bit is seen.
 */
import { createHash } from 'node:crypto';
import type { DatasetInfo, ShardInfo, SplitName } from '#training';
import { RopeteamError } from '#training';
import { bytesOf, decodeSafetensors, encodeSafetensors, float32Of, type Tensor } from './safetensors.js';

export interface ShardContent {
  readonly split: SplitName;
  readonly begin: number;
  readonly end: number;
  /** [end - begin, F], sample after sample. */
  readonly features: Float32Array;
  /** [end - begin, T]: T = 1 class index, or the regression targets. */
  readonly targets: Float32Array;
}

/** Name of a shard's file within the data set's folder. */
export function shardFileName(split: SplitName, index: number): string {
  return `${split}-${String(index).padStart(5, '0')}.safetensors`;
}

export function encodeShard(
  index: number,
  content: ShardContent,
): { readonly info: ShardInfo; readonly bytes: Uint8Array } {
  const { split, begin, end, features, targets } = content;
  const n = end - begin;
  const bytes = encodeSafetensors(
    [
      { name: 'features', dtype: 'F32', shape: [n, features.length / n], data: bytesOf(features) },
      { name: 'targets', dtype: 'F32', shape: [n, targets.length / n], data: bytesOf(targets) },
    ],
    new Map([
      ['split', split],
      ['begin', String(begin)],
      ['end', String(end)],
    ]),
  );
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { info: { split, index, begin, end, bytes: bytes.byteLength, sha256 }, bytes };
}

/**
 * Checks a shard's bytes against what the data set says of it.
 * @returns views of `bytes` where they are aligned, which those of `encodeShard` are
 * @throws RopeteamError DATA.SHARD when length, SHA-256, range or shape differ
 */
export function decodeShard(
  bytes: Uint8Array,
  info: ShardInfo,
  dataset: Pick<DatasetInfo, 'featureCount' | 'targetCount'>,
): ShardContent {
  const name = shardFileName(info.split, info.index);
  const refuse = (reason: string, cause?: unknown): never => {
    throw new RopeteamError('DATA.SHARD', { shard: name }, `shard ${name} is damaged: ${reason}`, {
      cause,
      hint: 'start the run again to have its shards written anew',
    });
  };
  if (bytes.byteLength !== info.bytes) return refuse(`it has ${bytes.byteLength} bytes, expected ${info.bytes}`);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  if (sha256 !== info.sha256) return refuse(`its SHA-256 is ${sha256}, expected ${info.sha256}`);

  const { tensors, metadata } = read(bytes, name, refuse);
  const described = [metadata.get('split'), metadata.get('begin'), metadata.get('end')].join(' ');
  const expected = [info.split, info.begin, info.end].join(' ');
  if (described !== expected) return refuse(`it holds ${described}, expected ${expected}`);
  const n = info.end - info.begin;
  const part = (tensor: string, width: number): Float32Array => {
    const found = tensors.get(tensor);
    if (found === undefined || found.dtype !== 'F32' || found.shape.join() !== [n, width].join()) {
      return refuse(`it has no ${tensor} of shape [${n}, ${width}]`);
    }
    return floatsOf(found);
  };
  return {
    split: info.split,
    begin: info.begin,
    end: info.end,
    features: part('features', dataset.featureCount),
    targets: part('targets', dataset.targetCount),
  };
}

function read(bytes: Uint8Array, name: string, refuse: (reason: string, cause: unknown) => never) {
  try {
    return decodeSafetensors(bytes, name);
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error), error);
  }
}

function floatsOf(tensor: Tensor): Float32Array {
  const { buffer, byteOffset, byteLength } = tensor.data;
  return byteOffset % 4 === 0 ? new Float32Array(buffer, byteOffset, byteLength / 4) : float32Of(tensor);
}
