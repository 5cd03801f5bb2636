/** A prepared data set's folder: shard files and `dataset.json`, which is written last and says that all are there. */
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DatasetInfo, ShardInfo, SplitName } from '#training';
import { failpoint, RopeteamError } from '#training';
import { errorCodeOf, readWholeFile, sha256OfParts, writeError, writeFileAtomically } from './atomic-file.js';
import { encodeShard, shardFileName } from './shard-file.js';

export interface PreparedDataset {
  readonly info: DatasetInfo;
  /** A shard's file, as it lies on disk: whoever decodes it checks it. @throws RopeteamError DATA.SHARD when it is gone */
  readShard(split: SplitName, index: number): Promise<Uint8Array>;
}

const FORMAT = 'ropeteam-dataset/1';
export const INFO_FILE = 'dataset.json';

/** Samples of one split and how to encode them. */
export interface ShardSource {
  readonly split: SplitName;
  /** How many there are. */
  readonly samples: number;
  readonly featureCount: number;
  readonly targetCount: number;
  /** Writes sample `sample` as the `at`-th of `features` [n, F] and `targets` [n, T]. */
  encode(sample: number, features: Float32Array, targets: Float32Array, at: number): void;
}

/** Opens what `prepareDataset` left in a folder. @throws RopeteamError STORAGE.CORRUPT when it is not all there */
export async function openPreparedDataset(directory: string): Promise<PreparedDataset> {
  const path = join(directory, INFO_FILE);
  const text = new TextDecoder().decode(await readWholeFile(path));
  const info = parseInfo(path, text);
  return {
    info,
    async readShard(split, index) {
      const name = shardFileName(split, index);
      try {
        return await readFile(join(directory, name)); // checked by whoever decodes it
      } catch (cause) {
        throw new RopeteamError('DATA.SHARD', { shard: name }, `shard ${name} cannot be read from ${directory}`, {
          cause,
        });
      }
    },
  };
}

/** More than this is not read through before a run goes on: that would take longer than a second. */
const MOST_CHECKED_BYTES = 256 * 2 ** 20;

/**
 * What was prepared before, if all of it is there with the right bytes; undefined otherwise. Of much data only the sizes of
 * the files are looked at, unless `check` asks for all.
 *
 * Workers check each shard too; but they could only give up, and here the data can still be prepared again.
 */
export async function wholeDataset(directory: string, check?: 'all'): Promise<PreparedDataset | undefined> {
  try {
    const dataset = await openPreparedDataset(directory);
    const { shards } = dataset.info;
    for (const { split, index, bytes } of shards) {
      if ((await sizeOf(join(directory, shardFileName(split, index)))) !== bytes) return undefined;
    }
    if (check !== 'all' && shards.reduce((sum, { bytes }) => sum + bytes, 0) > MOST_CHECKED_BYTES) return dataset;
    for (const { split, index, sha256 } of dataset.info.shards) {
      if ((await sha256OfParts([await dataset.readShard(split, index)])) !== sha256) return undefined;
    }
    return dataset;
  } catch (error) {
    if (error instanceof RopeteamError && (error.code === 'STORAGE.CORRUPT' || error.code === 'DATA.SHARD'))
      return undefined;
    throw error;
  }
}

/**
 * A shard's bytes, if they can be read from this folder; undefined where it is none of this machine. Nothing but a regular
 * file of the right size is read: the folder's name came from somebody else.
 */
export async function readNearbyShard(directory: string, shard: ShardInfo): Promise<Uint8Array | undefined> {
  const path = join(directory, shardFileName(shard.split, shard.index));
  try {
    const status = await stat(path);
    return status.isFile() && status.size === shard.bytes ? await readFile(path) : undefined;
  } catch {
    return undefined; // it is fetched instead, and whoever has it says what is wrong with it
  }
}

/** Undefined for a file that is not there. */
async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (errorCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Writes the shards of one split, all but the last of so many rows. */
export async function writeShards(
  directory: string,
  shardRows: number,
  signal: AbortSignal | undefined,
  source: ShardSource,
): Promise<readonly ShardInfo[]> {
  const { split, samples, featureCount, targetCount } = source;
  const shards: ShardInfo[] = [];
  for (let begin = 0; begin < samples; begin += shardRows) {
    signal?.throwIfAborted();
    const end = Math.min(samples, begin + shardRows);
    const features = new Float32Array((end - begin) * featureCount);
    const targets = new Float32Array((end - begin) * targetCount);
    for (let sample = begin; sample < end; sample++) source.encode(sample, features, targets, sample - begin);
    const { info, bytes } = encodeShard(shards.length, { split, begin, end, features, targets });
    const path = join(directory, shardFileName(split, info.index));
    await writeFile(path, bytes).catch((cause: unknown) => {
      throw writeError(path, cause);
    });
    shards.push(info);
  }
  return shards;
}

export async function writeDatasetInfo(directory: string, info: DatasetInfo): Promise<void> {
  failpoint('before-data-info');
  const text = `${JSON.stringify({ format: FORMAT, ...info }, undefined, 2)}\n`;
  await writeFileAtomically(join(directory, INFO_FILE), [new TextEncoder().encode(text)]);
}

function parseInfo(path: string, text: string): DatasetInfo {
  try {
    const { format, ...info } = JSON.parse(text) as DatasetInfo & { readonly format: unknown }; // we wrote it: see writeDatasetInfo
    if (format === FORMAT) return info;
  } catch (cause) {
    throw new RopeteamError('STORAGE.CORRUPT', { file: path }, `${path} is not JSON`, { cause });
  }
  throw new RopeteamError('STORAGE.CORRUPT', { file: path }, `${path} is not of the format ${FORMAT}`);
}
