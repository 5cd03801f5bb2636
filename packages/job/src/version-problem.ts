/** `apiVersion`: whether this Ropeteam reads the file at all. */
import { apiVersion } from './job-file.js';
import type { Problem } from './problem.js';
import { textOf } from './source-text.js';
import { nodeAt, plainValue, type SourceNode } from './source-tree.js';

export function versionProblem(tree: SourceNode): Problem | undefined {
  if (tree.kind !== 'map') return undefined;
  const given = nodeAt(tree, ['apiVersion'])?.node;
  if (given === undefined) {
    return {
      code: 'CONFIG.VERSION',
      facts: { found: 'none' },
      message: 'apiVersion is missing',
      hint: `add apiVersion: ${apiVersion} as the first line`,
      at: { ...tree.at, end: tree.at.begin },
    };
  }
  if (given.kind === 'refused' || plainValue(given) === apiVersion) return undefined;
  const found = textOf(given.at).slice(0, 60);
  const newer = isOfOtherVersion(tree) ? 'install the Ropeteam that reads it, or ' : '';
  return {
    code: 'CONFIG.VERSION',
    facts: { found },
    message: `this Ropeteam reads ${apiVersion}, the file says ${found === '' ? 'nothing' : found}`,
    hint: `${newer}set apiVersion: ${apiVersion}`,
    at: given.at,
  };
}

/** Whether the file names a version of the format that is not ours, not merely something wrong. */
export function isOfOtherVersion(tree: SourceNode): boolean {
  const found = nodeAt(tree, ['apiVersion'])?.node;
  const value = found === undefined ? undefined : plainValue(found);
  return typeof value === 'string' && value !== apiVersion && /^ropeteam\/v\d+/.test(value);
}
