/** Names of things, told apart by the type checker. Each has one constructor that checks its range. */

declare const brand: unique symbol;
type Brand<Base, Name extends string> = Base & { readonly [brand]: Name };

/** One training run, for example `digits-7f3a`: 1..63 characters of a-z, 0-9 and `-`, starting with a letter or digit. */
export type RunId = Brand<string, 'RunId'>;
/** One worker process; stable for the life of the process. 1..64 characters of A-Z a-z 0-9 . _ - */
export type WorkerId = Brand<string, 'WorkerId'>;
/** Number of the coordinator's incarnation for a run; a lower one may not write. */
export type Fence = Brand<number, 'Fence'>;
/** One optimizer update, from 0. */
export type Step = Brand<number, 'Step'>;
/** Committed steps so far. Step s is computed at weight version s. */
export type WeightVersion = Brand<number, 'WeightVersion'>;

export function isRunId(value: string): value is RunId {
  return /^[a-z0-9][a-z0-9-]{0,62}$/.test(value);
}

export function runId(value: string): RunId {
  if (isRunId(value)) return value;
  throw new RangeError(`a run id has 1..63 characters of a-z, 0-9 and "-", received ${JSON.stringify(value)}`);
}

/** A job's name as the beginning of a run id. */
export function runIdPart(name: string): string {
  const part = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 50);
  return part === '' ? 'run' : part;
}

export function workerId(value: string): WorkerId {
  if (/^[A-Za-z0-9._-]{1,64}$/.test(value)) return value as WorkerId;
  throw new RangeError(`a worker id has 1..64 characters of A-Z a-z 0-9 . _ -, received ${JSON.stringify(value)}`);
}

export const fence = (value: number): Fence => natural(value, 'fence') as Fence;
export const step = (value: number): Step => natural(value, 'step') as Step;
export const weightVersion = (value: number): WeightVersion => natural(value, 'weight version') as WeightVersion;

function natural(value: number, what: string): number {
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new RangeError(`${what} must be a non-negative integer, received ${value}`);
}
