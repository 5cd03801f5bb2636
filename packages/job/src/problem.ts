/** One thing that is wrong with a job file, on its way to becoming an error. */
import { type ErrorFacts, RopeteamError } from '#training';
import { placeOf, type SourceRange } from './source-text.js';

type ProblemCode = Extract<keyof ErrorFacts, `CONFIG.${string}` | 'MODEL.TOO_LARGE'>;

export interface Problem<Code extends ProblemCode = ProblemCode> {
  readonly code: Code;
  readonly facts: ErrorFacts[Code];
  readonly message: string;
  readonly hint?: string;
  readonly at: SourceRange;
}

const mostReported = 20;

/** The error for what was found: the problem itself, or one that carries up to 20 of them in the order of the file. */
export function errorOf(file: string, problems: readonly [Problem, ...Problem[]]): RopeteamError {
  const ordered = problems.toSorted(bySourceOrder);
  const [only] = ordered;
  if (ordered.length === 1 && only !== undefined) return toError(only);
  const count = problems.length;
  const many = count > mostReported ? `more than ${mostReported} problems in ${file}; these are the first` : '';
  return new RopeteamError('CONFIG.SEVERAL', { count }, many || `${count} problems in ${file}`, {
    place: { file },
    problems: ordered.slice(0, mostReported).map(toError),
  });
}

/** Problems of the file first, then those of `--set`, each by position. */
function bySourceOrder(a: Problem, b: Problem): number {
  const [aIsSet, bIsSet] = [a, b].map((problem) => (problem.at.source.lineStarts === undefined ? 1 : 0));
  return (aIsSet ?? 0) - (bIsSet ?? 0) || (aIsSet === 1 ? 0 : a.at.begin - b.at.begin);
}

function toError(problem: Problem): RopeteamError {
  return new RopeteamError(problem.code, problem.facts, problem.message, {
    place: placeOf(problem.at),
    ...(problem.hint === undefined ? {} : { hint: problem.hint }),
  });
}
