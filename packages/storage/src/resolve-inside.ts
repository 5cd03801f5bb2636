/** Keeps the paths a job file names inside the folder they belong to. */
import { realpath, stat } from 'node:fs/promises';
import { isAbsolute, relative, resolve, sep } from 'node:path';
import { RopeteamError } from '#training';
import { errorCodeOf } from './atomic-file.js';

/**
 * The real path of a regular file that a job names relative to `root`. Symbolic links are followed and must end inside.
 * @throws RopeteamError DATA.OUTSIDE_ROOT for a path that leaves `root`, DATA.FILE for one that is no readable regular file
 */
export async function resolveInside(root: string, path: string): Promise<string> {
  checkPath(path);
  const realRoot = await realpath(root);
  let real: string;
  try {
    real = await realpath(resolve(realRoot, path));
  } catch (error) {
    throw fileError(path, error);
  }
  const below = relative(realRoot, real);
  if (below === '..' || below.startsWith(`..${sep}`) || isAbsolute(below))
    throw outside(path, 'is a link that leaves its folder');
  const status = await stat(real);
  if (!status.isFile()) throw notRegular(path, status.isDirectory());
  return real;
}

/** What can be told from a path alone. @throws RopeteamError DATA.OUTSIDE_ROOT */
export function checkPath(path: string): void {
  if (path.includes('\0')) throw outside(path, 'holds a NUL byte');
  // Backslashes and percent signs are ordinary characters here, but not on the next machine the path may meet.
  const portable = path.replaceAll(/%2e/gi, '.').replaceAll(/%2f|%5c|\\/gi, '/');
  if (isAbsolute(portable) || /^[a-z]:/i.test(portable)) throw outside(path, 'is an absolute path');
  if (portable.split('/').includes('..')) throw outside(path, 'leaves its folder with ".."');
}

function outside(path: string, reason: string): RopeteamError {
  return new RopeteamError('DATA.OUTSIDE_ROOT', { file: path }, `${JSON.stringify(path)} ${reason}`, {
    hint: "put the file in the job file's folder or below, and name it relative to that folder",
  });
}

/** Why a file cannot be opened, in words: missing and unreadable are told apart. */
export function fileError(file: string, cause: unknown): RopeteamError {
  const details = { cause, place: { file } };
  switch (errorCodeOf(cause)) {
    case 'ENOENT':
    case 'ENOTDIR':
      return new RopeteamError('DATA.FILE', { file }, `${file} does not exist`, {
        ...details,
        hint: 'check data.source: paths are relative to the job file',
      });
    case 'EACCES':
    case 'EPERM':
      return new RopeteamError('DATA.FILE', { file }, `${file} may not be read`, {
        ...details,
        hint: `allow reading it: chmod +r ${file}`,
      });
    default: {
      const reason = cause instanceof Error ? cause.message : String(cause);
      return new RopeteamError('DATA.FILE', { file }, `${file} cannot be read: ${reason}`, details);
    }
  }
}

export function notRegular(file: string, isDirectory: boolean): RopeteamError {
  const what = isDirectory ? 'is a directory' : 'is not a regular file';
  return new RopeteamError('DATA.FILE', { file }, `${file} ${what}`, {
    place: { file },
    hint: 'name a CSV file in data.source',
  });
}
