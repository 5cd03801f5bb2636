/** `--set train.epochs=3`: settings given on the command line, laid over the file before it is checked. */
import { exclusiveSettings } from './job-file.js';
import type { Problem } from './problem.js';
import type { SourceRange, SourceText } from './source-text.js';
import { type PathStep, type PlacedNode, readTree, type SourceNode } from './source-tree.js';
import { textProblem } from './yaml-syntax.js';

export interface Override {
  readonly path: readonly [string, ...string[]];
  readonly node: SourceNode;
  /** `null`: the setting is taken out of its group, which leaves its default. */
  readonly isRemoval: boolean;
  readonly at: SourceRange;
}

const longestShownName = 80;

/** Reads one `path.to.key=value`; the value is YAML on one line. */
export function readOverride(text: string): { readonly override?: Override; readonly problems: readonly Problem[] } {
  const name = `--set ${text.length > longestShownName ? `${text.slice(0, longestShownName)}…` : text}`;
  const split = text.indexOf('=');
  const path = text.slice(0, Math.max(split, 0)).trim().split('.');
  const [first, ...rest] = path;
  const source: SourceText = { name, text: text.slice(split + 1) };
  const at = { source, begin: 0, end: source.text.length };
  if (first === undefined || path.some((step) => step.trim() === '')) {
    return { problems: [wrongOverride(at, text, 'must be written key=value', 'for example --set train.epochs=3')] };
  }
  if (/^\s*(#|$)/.test(source.text)) {
    const hint = 'write a value, or null for the default';
    return { problems: [wrongOverride(at, text, 'has no value', hint)] };
  }
  const refused = textProblem(source);
  if (refused !== undefined) return { problems: [refused] };
  const { tree, problems } = readTree(source);
  if (tree === undefined || problems.length > 0) return { problems };
  const isRemoval = tree.kind === 'scalar' && tree.value === null;
  return { override: { path: [first, ...rest], node: tree, isRemoval, at }, problems: [] };
}

/** The tree with one override laid over it; the groups on its path are made when they are not there. */
export function applyOverride(tree: SourceNode, override: Override): SourceNode {
  return replaced(tree, [], override);
}

function replaced(node: SourceNode | undefined, done: readonly PathStep[], override: Override): SourceNode {
  const step = override.path[done.length];
  if (step === undefined) return override.node;
  const isLast = done.length === override.path.length - 1;
  if (node?.kind === 'list' && /^\d+$/.test(step)) {
    const index = Number(step);
    const items = node.items.map((item, at) => (at === index ? replaced(item, [...done, index], override) : item));
    if (index < items.length) return { ...node, items };
  }
  const entries = new Map<string, PlacedNode>(node?.kind === 'map' ? node.entries : spelledOut(node, step));
  for (const rival of rivalsOf(done, step)) entries.delete(rival);
  if (isLast && override.isRemoval) entries.delete(step);
  else {
    const below = replaced(entries.get(step)?.node, [...done, step], override);
    entries.set(step, { keyAt: override.at, node: below });
  }
  return { kind: 'map', at: node?.kind === 'map' ? node.at : override.at, entries };
}

/** `adam` is the same as `{ adam: {} }` when a setting of adam is to be added. */
function spelledOut(node: SourceNode | undefined, step: string): readonly [string, PlacedNode][] {
  if (node?.kind !== 'scalar' || node.value !== step) return [];
  return [[step, { keyAt: node.at, node: { kind: 'map', at: node.at, entries: new Map() } }]];
}

function rivalsOf(parent: readonly PathStep[], key: string): readonly string[] {
  const group = exclusiveSettings.find((one) => one.parent.join('.') === parent.join('.') && one.keys.includes(key));
  return group?.keys.filter((other) => other !== key) ?? [];
}

function wrongOverride(at: SourceRange, argument: string, message: string, hint: string): Problem {
  return { code: 'CONFIG.SYNTAX', facts: { file: at.source.name }, message: `--set ${argument} ${message}`, hint, at };
}
