/** One question about a run, and its answer. */

/** Something that is not as it must be, and where: a file of the run's folder, with a line where it has lines. */
export interface Problem {
  readonly file: string;
  readonly line?: number;
  readonly message: string;
}

/** `unknown`: the folder does not hold what an answer needs, and `says` why. */
export interface Check {
  readonly name: string;
  /** What holding it means, one sentence. */
  readonly meaning: string;
  readonly outcome: 'held' | 'broken' | 'unknown';
  /** What was looked at, or why it could not be. */
  readonly says: string;
  readonly problems: readonly Problem[];
}

export type CheckWords = Pick<Check, 'name' | 'meaning'>;

export function answer(words: CheckWords, says: string, problems: readonly Problem[]): Check {
  return { ...words, says, problems, outcome: problems.length === 0 ? 'held' : 'broken' };
}

export function unknown(words: CheckWords, says: string): Check {
  return { ...words, says, problems: [], outcome: 'unknown' };
}
