/** job.yaml in, a checked and frozen job out; or every problem of the file at once. */
import type { JobSpec } from '#training';
import { conflictProblems } from './conflicts.js';
import { jobFile } from './job-file.js';
import { applyOverride, readOverride } from './overrides.js';
import { errorOf, type Problem } from './problem.js';
import { shapeProblems } from './shape-problems.js';
import { fileSource } from './source-text.js';
import { plainValue, readTree, type SourceNode } from './source-tree.js';
import { toJobSpec } from './to-job-spec.js';
import { isOfOtherVersion, versionProblem } from './version-problem.js';
import { textProblem } from './yaml-syntax.js';

/**
 * Checks a job file.
 * @param text what the file holds; a byte order mark and CRLF line ends are fine
 * @param file its name, for error messages
 * @param overrides settings as `train.epochs=3`, laid over the file in this order; the value is YAML, and `null` takes
 *   a setting out
 * @throws RopeteamError the one problem there is, or `CONFIG.SEVERAL` with up to 20 `problems` in the order of the file
 */
export function parseJob(text: string, file: string, overrides: readonly string[] = []): JobSpec {
  const source = fileSource(file, text.replace(/^\uFEFF/, ''));
  const unreadable = textProblem(source);
  if (unreadable !== undefined) throw errorOf(file, [unreadable]);

  const { tree, problems: refused } = readTree(source);
  const given = overrides.map(readOverride);
  const early = [...refused, ...given.flatMap(({ problems }) => problems)];
  const changes = given.flatMap(({ override }) => (override === undefined ? [] : [override]));
  return check(tree === undefined ? undefined : changes.reduce(applyOverride, tree), file, early);
}

/** @param tree absent when the file is no YAML, which `early` then says */
function check(tree: SourceNode | undefined, file: string, early: readonly Problem[]): JobSpec {
  const problems = tree === undefined ? early : [...early, ...problemsOf(tree)];
  const [first, ...others] = problems;
  if (first !== undefined) throw errorOf(file, [first, ...others]);
  if (tree === undefined) throw new Error('a job file that could not be read has no problem');
  return toJobSpec(jobFile.parse(plainValue(tree)));
}

function problemsOf(tree: SourceNode): Problem[] {
  const version = versionProblem(tree);
  // A file of another version has other settings; more about it would only mislead.
  if (version !== undefined && isOfOtherVersion(tree)) return [version];
  const issues = jobFile.safeParse(plainValue(tree)).error?.issues ?? [];
  return [
    ...(version === undefined ? [] : [version]),
    ...shapeProblems(
      tree,
      issues.filter((issue) => issue.path[0] !== 'apiVersion'),
    ),
    ...conflictProblems(tree),
  ];
}
