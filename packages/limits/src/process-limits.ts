/** What the system grants this process at the most, as Linux tells it. Elsewhere nothing is known, and nothing refused. */
import { readFileSync } from 'node:fs';

/** Absent: not limited, or not known. */
export interface ProcessLimits {
  /** Files, sockets and pipes open at a time. */
  readonly openFiles?: number;
  /** Bytes. */
  readonly addressSpace?: number;
  /** Of this user, threads included. */
  readonly processes?: number;
}

/**
 * Loading a program opens its files all at once: on Node 20 the coordinator's take up to 140. What a run adds to that is
 * seven or so for each worker.
 */
export const LEAST_OPEN_FILES = 256;

const FILE = '/proc/self/limits';

/** Node raises the soft limit on files to the hard one before anything of ours runs: the soft one is what counts. */
export function readProcessLimits(): ProcessLimits {
  try {
    return parseLimits(readFileSync(FILE, 'utf8'));
  } catch {
    return {}; // no Linux, or not even a descriptor for this: what is asked for next says so itself
  }
}

/** @param table the text of `/proc/self/limits`: name, soft and hard limit, unit, in columns */
export function parseLimits(table: string): ProcessLimits {
  const softOf = (name: string): number | undefined => {
    const soft = new RegExp(`^${name}\\s+(\\d+)\\s`, 'm').exec(table)?.[1];
    return soft === undefined ? undefined : Number(soft);
  };
  const [openFiles, addressSpace, processes] = ['Max open files', 'Max address space', 'Max processes'].map(softOf);
  return {
    ...(openFiles === undefined ? {} : { openFiles }),
    ...(addressSpace === undefined ? {} : { addressSpace }),
    ...(processes === undefined ? {} : { processes }),
  };
}
