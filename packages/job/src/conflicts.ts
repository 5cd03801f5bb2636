/**
 * Settings that are each right and do not go together. Rules read the plain value of the file, not the checked one, so
 * that they are heard together with problems elsewhere; what is of the wrong type is left to the schema.
 */
import { dataConflicts } from './data-conflicts.js';
import { exclusiveInLayers, exclusiveSettings } from './job-file.js';
import { modelConflicts } from './model-conflicts.js';
import type { Problem } from './problem.js';
import { dotted, oneOf } from './schema-shape.js';
import { lineOf, type SourceRange } from './source-text.js';
import { nodeAt, type PathStep, plainValue, type SourceNode } from './source-tree.js';

/** A rule's finding: which setting to underline, what is wrong with it, what to do. */
export interface Conflict {
  readonly path: readonly PathStep[];
  readonly message: string;
  readonly hint: string;
  /** Underline the setting's name, not its value. */
  readonly atName?: boolean;
  readonly code?: 'CONFIG.RANGE' | 'CONFIG.SYNTAX';
  /** Given for a model that cannot fit: the bytes its weights would need. */
  readonly tooLargeBytes?: number;
}

/** Looks a setting up; undefined when it is not given. */
export type Settings = (...path: readonly PathStep[]) => unknown;

export function conflictProblems(tree: SourceNode): Problem[] {
  const settings: Settings = (...path) => {
    const found = nodeAt(tree, path);
    return found === undefined ? undefined : plainValue(found.node);
  };
  const conflicts = [...rivals(tree), ...dataConflicts(settings), ...modelConflicts(settings), ...environment(tree)];
  return conflicts.map((conflict) => toProblem(conflict, tree));
}

function toProblem({ path, message, hint, code, atName, tooLargeBytes }: Conflict, tree: SourceNode): Problem {
  const found = nodeAt(tree, path);
  const at: SourceRange = (atName === true ? found?.keyAt : found?.node.at) ?? tree.at;
  if (tooLargeBytes !== undefined) {
    return { code: 'MODEL.TOO_LARGE', facts: { bytes: tooLargeBytes }, message, hint, at };
  }
  if (code === 'CONFIG.SYNTAX') return { code, facts: { file: at.source.name }, message, hint, at };
  return { code: code ?? 'CONFIG.CONFLICT', facts: { key: dotted(path) }, message, hint, at };
}

/** Settings that exclude each other, and groups that need one of several. */
function rivals(tree: SourceNode): Conflict[] {
  const layers = nodeAt(tree, ['model', 'layers'])?.node;
  const groups = [...exclusiveInLayers(layers?.kind === 'list' ? layers.items.length : 0), ...exclusiveSettings];
  return groups.flatMap(({ parent, keys, needed }) => {
    const group = nodeAt(tree, parent)?.node;
    if (group?.kind !== 'map') return [];
    const given = [...group.entries].filter(([key]) => keys.includes(key));
    const [first, second] = given;
    if (second !== undefined && first !== undefined) {
      const lines = [first, second].map(([, entry]) => lineOf(entry.keyAt));
      const where = lines[0] === lines[1] || lines.includes(undefined) ? '' : ` (lines ${lines.join(' and ')})`;
      const names = given.map(([key]) => key);
      return [
        {
          path: [...parent, second[0]],
          atName: true,
          message: `${dotted(parent)} has ${names.join(' and ')}${where}; only one of them can be meant`,
          hint: `keep ${oneOf(names)}`,
        },
      ];
    }
    if (needed !== undefined && group.entries.size === 0) {
      return [{ path: parent, message: `${dotted(parent)} names no ${needed}`, hint: `write ${oneOf(keys)}` }];
    }
    return [];
  });
}

/** `${NAME}` would be taken literally: job files read no environment, so that a job is the same everywhere. */
function environment(tree: SourceNode, path: readonly PathStep[] = []): Conflict[] {
  switch (tree.kind) {
    case 'map':
      return [...tree.entries].flatMap(([key, entry]) => environment(entry.node, [...path, key]));
    case 'list':
      return tree.items.flatMap((item, index) => environment(item, [...path, index]));
    case 'scalar': {
      const name = typeof tree.value === 'string' ? /\$\{(\w+)[^}]*\}/.exec(tree.value)?.[1] : undefined;
      if (name === undefined) return [];
      const message = `\${${name}} is not replaced: job files do not read the environment`;
      const hint = `write the value, or pass it as --set ${dotted(path)}="$${name}"`;
      return [{ path, message, hint, code: 'CONFIG.SYNTAX' }];
    }
    case 'refused':
      return [];
    default:
      return tree satisfies never;
  }
}
