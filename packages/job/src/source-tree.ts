/** A YAML text as a tree of plain values in which every key and value knows where it stands. */
import { isAlias, isMap, isScalar, isSeq, type Node, type Pair, parseDocument, type YAMLMap } from 'yaml';
import type { Problem } from './problem.js';
import { lineOf, type SourceRange, type SourceText } from './source-text.js';
import { emptyProblem, syntaxProblems } from './yaml-syntax.js';

export type SourceNode =
  | { readonly kind: 'scalar'; readonly at: SourceRange; readonly value: unknown }
  | { readonly kind: 'list'; readonly at: SourceRange; readonly items: readonly SourceNode[] }
  | { readonly kind: 'map'; readonly at: SourceRange; readonly entries: ReadonlyMap<string, PlacedNode> }
  /** Holds something a job file may not hold; that has been reported, so nothing else is said about it. */
  | { readonly kind: 'refused'; readonly at: SourceRange };

/** A node and the key it stands under; an item of a list stands under itself. */
export interface PlacedNode {
  readonly keyAt: SourceRange;
  readonly node: SourceNode;
}

/** A step from a node to one below it: a key of a map or an index of a list. */
export type PathStep = string | number;

export interface ReadTree {
  /** Absent when the text is empty or is not YAML at all. */
  readonly tree?: SourceNode;
  readonly problems: readonly Problem[];
}

/**
 * Reads one YAML 1.2 document. Values are built here and not by the YAML library: no tag is evaluated, no alias
 * followed, and a key named `__proto__` is a key like any other.
 */
export function readTree(source: SourceText): ReadTree {
  const document = parseDocument(source.text, {
    version: '1.2',
    schema: 'core',
    merge: false,
    uniqueKeys: false, // found below, where both places are known
    prettyErrors: false,
    logLevel: 'error', // 'silent' would accept a second document
  });
  const broken = syntaxProblems(source, document);
  if (broken.length > 0) return { problems: broken };
  if (document.contents === null) return { problems: [emptyProblem(source)] };
  const problems: Problem[] = [];
  return { tree: convert(document.contents, source, problems), problems };
}

/** The plain value of a tree. Maps have no prototype; what was refused is undefined. */
export function plainValue(node: SourceNode): unknown {
  switch (node.kind) {
    case 'scalar':
      return node.value;
    case 'list':
      return node.items.map(plainValue);
    case 'map': {
      const map: Record<string, unknown> = Object.create(null);
      for (const [key, entry] of node.entries) map[key] = plainValue(entry.node);
      return map;
    }
    case 'refused':
      return undefined;
    default:
      return node satisfies never;
  }
}

/** The node below `node` at the end of a path, and where its key stands. */
export function nodeAt(node: SourceNode, path: readonly PathStep[]): PlacedNode | undefined {
  let found: PlacedNode = { node, keyAt: node.at };
  for (const step of path) {
    const below = childAt(found.node, step);
    if (below === undefined) return undefined;
    found = below;
  }
  return found;
}

function childAt(node: SourceNode, step: PathStep): PlacedNode | undefined {
  if (node.kind === 'map' && typeof step === 'string') return node.entries.get(step);
  const item = node.kind === 'list' && typeof step === 'number' ? node.items[step] : undefined;
  return item === undefined ? undefined : { node: item, keyAt: item.at };
}

function convert(contents: Node, source: SourceText, problems: Problem[]): SourceNode {
  const toNode = (node: Node | null | undefined, fallback: SourceRange): SourceNode => {
    if (node === null || node === undefined) return { kind: 'scalar', at: fallback, value: null };
    const at = rangeOf(node, source) ?? fallback;
    const refusal = refusalOf(node, at);
    if (refusal !== undefined) {
      problems.push(refusal);
      return { kind: 'refused', at };
    }
    if (isMap<Node, Node | null>(node)) return { kind: 'map', at, entries: entriesOf(node, at) };
    if (isSeq<Node>(node)) return { kind: 'list', at, items: node.items.map((item) => toNode(item, at)) };
    return { kind: 'scalar', at, value: isScalar(node) ? node.value : null };
  };

  const entriesOf = (map: YAMLMap<Node, Node | null>, at: SourceRange): Map<string, PlacedNode> => {
    const entries = new Map<string, PlacedNode>();
    for (const pair of map.items) {
      const keyAt = rangeOf(pair.key, source) ?? at;
      const key = keyOf(pair);
      if (key === undefined) {
        problems.push({
          code: 'CONFIG.SYNTAX',
          facts: { file: source.name },
          message: 'the name of a setting must be a plain word',
          hint: 'write `name: value`',
          at: keyAt,
        });
        continue;
      }
      const earlier = entries.get(key);
      if (earlier !== undefined) {
        problems.push(duplicate(key, earlier.keyAt, keyAt));
        continue;
      }
      entries.set(key, { keyAt, node: toNode(pair.value, keyAt) });
    }
    return entries;
  };

  return toNode(contents, { source, begin: 0, end: source.text.length });
}

/** Keys that YAML reads as numbers or booleans are words all the same; null, lists and maps are none. */
function keyOf(pair: Pair<Node, Node | null>): string | undefined {
  if (!isScalar(pair.key) || pair.key.value === null || pair.key.tag !== undefined) return undefined;
  return pair.key.source ?? String(pair.key.value);
}

function duplicate(key: string, first: SourceRange, second: SourceRange): Problem {
  const name = JSON.stringify(key);
  return {
    code: 'CONFIG.SYNTAX',
    facts: { file: first.source.name },
    message: `${name} is given twice, on lines ${lineOf(first) ?? 1} and ${lineOf(second) ?? 1}`,
    hint: 'keep one of them',
    at: second,
  };
}

/** How far before a value its tag is looked for. */
const longestShownTag = 100;

function refusalOf(node: Node, at: SourceRange): Problem | undefined {
  const facts = { file: at.source.name };
  if (isAlias(node)) {
    const message = 'aliases are not allowed in job files';
    return { code: 'CONFIG.SYNTAX', facts, message, hint: `write the value out instead of *${node.source}`, at };
  }
  if (node.tag !== undefined) {
    const before = at.source.text.slice(Math.max(0, at.begin - longestShownTag), at.begin);
    const tag = /!\S*(?=\s*$)/.exec(before)?.[0] ?? node.tag;
    const message = `the tag ${tag} is not supported; tags are never evaluated`;
    return { code: 'CONFIG.SYNTAX', facts, message, hint: `remove ${tag}`, at };
  }
  return undefined;
}

function rangeOf(node: Node, source: SourceText): SourceRange | undefined {
  if (node.range === undefined || node.range === null) return undefined;
  const [begin, end] = node.range;
  // A block map or list ends after its last line break; what is underlined ends before it.
  const trimmed = source.text.slice(begin, end).trimEnd().length;
  return { source, begin, end: begin + Math.max(trimmed, 0) };
}
