/** From the patterns of a job to the files they stand for. */
import { posix } from 'node:path';
import picomatch from 'picomatch';
import { glob } from 'tinyglobby';
import { type DataSpec, type FileNames, isFilePattern, listOfFiles, RopeteamError, type SplitSource } from '#training';
import { checkPath, resolveInside } from './resolve-inside.js';

/** The names of the files a pattern stands for, in any order; none if there are none. */
export type ListFiles = (pattern: string) => readonly string[] | Promise<readonly string[]>;

/** Files of a job at the most. */
export const MAX_SOURCE_FILES = 1000;

/** The same for files on disk and for names that came with a job: nothing of a pattern can lead out of a folder. */
const MATCHING = { dot: false, nocase: false, noextglob: true, posix: true } as const;

/**
 * The same settings with every pattern replaced by the names it stands for. Several files are in the byte order of their
 * names, each once, however they were listed: the same files give the same rows.
 * @param folder where patterns are looked up, for a sentence
 * @throws RopeteamError DATA.FILE for a pattern that matches nothing, DATA.LIMIT for too many files, DATA.OUTSIDE_ROOT,
 * CONFIG.CONFLICT for a file that would be trained on and be measured with
 */
export async function expandSources(spec: DataSpec, list: ListFiles, folder: string): Promise<DataSpec> {
  const expand = (names: FileNames): Promise<FileNames> => expandNames(names, list, folder);
  const source = await expand(spec.source);
  const own = async (key: 'validation' | 'test'): Promise<SplitSource> => {
    const split = spec.split[key];
    if (split.kind === 'fraction') return split;
    const path = await expand(split.path);
    const trained = new Set(listOfFiles(source).map(keyOf));
    const both = split.labels === undefined ? listOfFiles(path).find((name) => trained.has(keyOf(name))) : undefined;
    if (both !== undefined) throw inBoth(key, both);
    return { ...split, path };
  };
  return { ...spec, source, split: { validation: await own('validation'), test: await own('test') } };
}

async function expandNames(names: FileNames, list: ListFiles, folder: string): Promise<FileNames> {
  const given = listOfFiles(names);
  if (typeof names === 'string' && !isFilePattern(names)) return names;
  const found = new Map<string, string>();
  for (const name of given) {
    const matches = isFilePattern(name) ? await list(name) : [name];
    if (matches.length === 0) throw noMatch(name, folder);
    for (const match of matches) found.set(keyOf(match), found.get(keyOf(match)) ?? match);
    if (found.size > MAX_SOURCE_FILES) throw tooMany(name);
  }
  const sorted = [...found.values()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return sorted.length === 1 && sorted[0] !== undefined ? sorted[0] : sorted;
}

/** Lists files below a folder; links that lead out of it are refused when their file is opened. */
export function listInside(root: string, signal?: AbortSignal): ListFiles {
  return async (pattern) => {
    checkPath(pattern); // what else could spell `..` is matched against names, which never are that
    const names = await glob(plain(pattern), {
      cwd: root,
      dot: MATCHING.dot,
      caseSensitiveMatch: !MATCHING.nocase,
      extglob: !MATCHING.noextglob,
      expandDirectories: false,
      followSymbolicLinks: true,
      ...(signal === undefined ? {} : { signal }),
    });
    if (names.length > MAX_SOURCE_FILES) throw tooMany(pattern);
    for (const name of names) await resolveInside(root, name);
    return names;
  };
}

/** Lists those of some names that a pattern stands for. */
export function listAmong(names: readonly string[]): ListFiles {
  return (pattern) => {
    checkPath(pattern);
    const matches = picomatch(plain(pattern), MATCHING);
    return names.filter((name) => matches(plain(name)));
  };
}

const plain = (name: string): string => name.replace(/^(?:\.\/+)+/, '');
const keyOf = (name: string): string => posix.normalize(name);

function noMatch(pattern: string, folder: string): RopeteamError {
  const message = `no file matches ${JSON.stringify(pattern)} in ${folder}`;
  return new RopeteamError('DATA.FILE', { file: pattern }, message, {
    place: { file: pattern },
    hint: 'check the pattern: it is relative to the job file, and * stays within one folder (** goes through folders)',
  });
}

function tooMany(pattern: string): RopeteamError {
  const message = `${JSON.stringify(pattern)} brings the files to more than ${MAX_SOURCE_FILES}`;
  return new RopeteamError('DATA.LIMIT', { file: pattern, limit: MAX_SOURCE_FILES }, message, {
    place: { file: pattern },
    hint: 'join small files into larger ones, or name fewer',
  });
}

function inBoth(split: 'validation' | 'test', file: string): RopeteamError {
  const key = `data.split.${split}`;
  const message = `${file} is in ${key} and in data.source too; what is measured with it would say nothing`;
  return new RopeteamError('CONFIG.CONFLICT', { key }, message, {
    hint: 'name the files to train on so that it is not among them, or give a fraction such as 0.1',
  });
}
