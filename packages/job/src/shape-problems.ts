/** What the schema says is wrong with a job file, each at its place. */
import type { core } from 'zod';
import type { Problem } from './problem.js';
import { dotted, expectation, shapeAt } from './schema-shape.js';
import type { SourceRange } from './source-text.js';
import { nodeAt, type PathStep, type PlacedNode, type SourceNode } from './source-tree.js';
import { standsFor, unknownKeyHint } from './unknown-key.js';
import { flow, found, isOfAnotherType, valueHint } from './wrong-value.js';

/** More than can be shown; bounds the time that a file full of problems takes. */
const mostConsidered = 100;

/** One problem for each place the schema objects to; nothing below what was refused already. */
export function shapeProblems(tree: SourceNode, issues: readonly core.$ZodIssue[]): Problem[] {
  const problems: Problem[] = [];
  const seen = new Set<string>();
  const placed = issues.slice(0, mostConsidered).flatMap((one) => innermost(one, []));
  for (const issue of placed) {
    if (touchesRefused(tree, issue.path) || isExplained(issue, placed, tree)) continue;
    for (const problem of problemsOf(issue, tree)) {
      // zod reports a value once per check it fails; the words for all of them are the same
      const key = `${problem.code} ${problem.at.source.name} ${problem.at.begin} ${'key' in problem.facts ? problem.facts.key : ''}`;
      if (seen.has(key)) continue;
      seen.add(key);
      problems.push(problem);
    }
  }
  return [...problems, ...lostNames(tree)];
}

/** Maps whose keys are names of the data: a column, a label. */
const NAMED_BY_DATA: readonly (readonly PathStep[])[] = [
  ['data', 'columns'],
  ['train', 'classWeights'],
];

/** In such maps zod leaves this one name out without a word. */
function lostNames(tree: SourceNode): readonly Problem[] {
  const name = '__proto__';
  return NAMED_BY_DATA.flatMap((path) => {
    const place = nodeAt(tree, [...path, name]);
    if (place === undefined) return [];
    const message = `nothing can be set for ${name} in ${dotted(path)}`;
    const hint = 'give it another name in the data';
    return [{ code: 'CONFIG.UNKNOWN_KEY', facts: { key: dotted([...path, name]) }, message, hint, at: place.keyAt }];
  });
}

/** What of an issue matters here: the whole path to the value, and the keys of it that are unknown, if that is it. */
interface PlacedIssue {
  readonly path: readonly PathStep[];
  readonly unknownKeys?: readonly string[];
}

/**
 * Looks into a union for the alternative that was meant: the one that takes a value of this kind at all. When none
 * does, the union as a whole is what the value does not fit.
 */
function innermost(issue: core.$ZodIssue, parent: readonly PathStep[]): PlacedIssue[] {
  const path = [...parent, ...issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step))];
  if (issue.code === 'unrecognized_keys') return [{ path, unknownKeys: issue.keys }];
  if (issue.code !== 'invalid_union') return [{ path }];
  const meant = issue.errors.find((branch) => branch.every((one) => one.path.length > 0 || !rejectsKind(one)));
  return meant === undefined ? [{ path }] : meant.flatMap((one) => innermost(one, path));
}

const rejectsKind = (issue: core.$ZodIssue): boolean =>
  issue.code === 'invalid_type' || issue.code === 'invalid_value' || issue.code === 'invalid_union';

function touchesRefused(tree: SourceNode, path: readonly PathStep[]): boolean {
  return path.some((_, index) => nodeAt(tree, path.slice(0, index + 1))?.node.kind === 'refused');
}

/** A missing key that stands there misspelt is one problem, not two. */
function isExplained(issue: PlacedIssue, all: readonly PlacedIssue[], tree: SourceNode): boolean {
  const key = issue.path.at(-1);
  if (typeof key !== 'string' || nodeAt(tree, issue.path) !== undefined) return false;
  const parent = issue.path.slice(0, -1);
  return all.some(
    (other) =>
      other.unknownKeys !== undefined &&
      dotted(other.path) === dotted(parent) &&
      (typeof parent.at(-1) === 'number' || other.unknownKeys.some((unknown) => standsFor(unknown, key))),
  );
}

function problemsOf(issue: PlacedIssue, tree: SourceNode): Problem[] {
  const { path } = issue;
  if (issue.unknownKeys !== undefined)
    return issue.unknownKeys.slice(0, mostConsidered).map((key) => unknownKey(key, path, tree));
  const present = nodeAt(tree, path);
  return [present === undefined ? missingKey(path, tree) : wrongValue(path, present)];
}

function unknownKey(key: string, parent: readonly PathStep[], tree: SourceNode): Problem {
  const group = parent.length === 0 ? '' : ` in ${dotted(parent)}`;
  return {
    code: 'CONFIG.UNKNOWN_KEY',
    facts: { key: dotted([...parent, key]) },
    message: `unknown setting ${JSON.stringify(key)}${group}`,
    hint: unknownKeyHint(key, parent, (path) => nodeAt(tree, path)?.node.kind === 'map'),
    at: nodeAt(tree, [...parent, key])?.keyAt ?? tree.at,
  };
}

function missingKey(path: readonly PathStep[], tree: SourceNode): Problem {
  const key = dotted(path);
  const example = shapeAt(path)?.examples?.[0];
  return {
    code: 'CONFIG.TYPE',
    facts: { key },
    message: `${key} is missing`,
    hint: `add ${dotted(path.slice(-1))}: ${example === undefined ? '…' : flow(example)}${path.length > 1 ? ` under ${dotted(path.slice(0, -1))}:` : ''}`,
    at: homeOf(path, tree),
  };
}

/** Where a missing key should be: at the name of its group, or where the file begins. */
function homeOf(path: readonly PathStep[], tree: SourceNode): SourceRange {
  const parent = path.slice(0, -1);
  const group = parent.length === 0 ? undefined : nodeAt(tree, parent);
  if (group !== undefined) return group.keyAt;
  return { ...tree.at, end: tree.at.begin };
}

function wrongValue(path: readonly PathStep[], { node, keyAt }: PlacedNode): Problem {
  const key = path.length === 0 ? 'the job file' : dotted(path);
  const shape = shapeAt(path) ?? {};
  const hint = valueHint(path, node, shape);
  return {
    code: isOfAnotherType(node, shape) ? 'CONFIG.TYPE' : 'CONFIG.RANGE',
    facts: { key },
    message: `${key} must be ${expectation(shape)}, received ${found(node, shape)}`,
    ...(hint === undefined ? {} : { hint }),
    at: node.at.end > node.at.begin ? node.at : keyAt, // an empty value has nothing to underline
  };
}
