/** Reading the job file's schema as data: what stands at a path, which keys a map takes, what a value should have been. */
import { z } from 'zod';
import { jobFile } from './job-file.js';
import type { PathStep } from './source-tree.js';

/** The parts of a JSON schema that the job file's schema uses. */
export interface Shape {
  readonly type?: string;
  readonly enum?: readonly (string | number)[];
  readonly const?: string | number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
  readonly minItems?: number;
  readonly minLength?: number;
  readonly maxItems?: number;
  readonly maxLength?: number;
  readonly properties?: Readonly<Record<string, Shape>>;
  /** What stands below keys the schema does not know by name. */
  readonly additionalProperties?: Shape | false;
  readonly required?: readonly string[];
  readonly items?: Shape;
  readonly anyOf?: readonly Shape[];
  readonly default?: unknown;
  readonly examples?: readonly unknown[];
  readonly description?: string;
  /** Ours: what to call a value of this shape in an error, where the rest of the schema does not say it well. */
  readonly expected?: string;
}

// zod types the result by JSON schema's full vocabulary; `Shape` is the part of it that occurs here
export const jobShape = z.toJSONSchema(jobFile, { target: 'draft-7', io: 'input' }) as Shape;

/** The forms a value may take: most shapes have one. */
export const alternatives = (shape: Shape): readonly Shape[] => shape.anyOf ?? [shape];

export const takes = (shape: Shape, type: string): boolean => alternatives(shape).some((one) => one.type === type);
export const isText = (shape: Shape): boolean => takes(shape, 'string');
export const isNumber = (shape: Shape): boolean => takes(shape, 'number') || takes(shape, 'integer');

/** The shape at the end of a path, looking into alternatives for the one that has the next key. */
export function shapeAt(path: readonly PathStep[]): Shape | undefined {
  let shape: Shape | undefined = jobShape;
  for (const step of path) {
    const choices: readonly Shape[] = shape === undefined ? [] : alternatives(shape);
    shape =
      typeof step === 'number'
        ? choices.find((one) => one.items !== undefined)?.items
        : choices.map((one) => ownProperty(one, step) ?? anyProperty(one)).find((one) => one !== undefined);
  }
  return shape;
}

/** Keys the map at a path takes, in the order of the schema. */
export function keysAt(path: readonly PathStep[]): readonly string[] {
  const shape = shapeAt(path);
  return shape === undefined ? [] : alternatives(shape).flatMap((one) => Object.keys(one.properties ?? {}));
}

/** Paths of the maps that take a key of this name. List indexes stand as 0. */
export function parentsOf(key: string): readonly (readonly PathStep[])[] {
  const found: PathStep[][] = [];
  const walk = (shape: Shape, path: readonly PathStep[]): void => {
    for (const one of alternatives(shape)) {
      if (ownProperty(one, key) !== undefined) found.push([...path]);
      for (const [name, below] of Object.entries(one.properties ?? {})) walk(below, [...path, name]);
      if (one.items !== undefined) walk(one.items, [...path, 0]);
    }
  };
  walk(jobShape, []);
  return found;
}

/** Every key of the schema with the map it belongs to. */
export function allKeys(): readonly string[] {
  const keys = new Set<string>();
  const walk = (shape: Shape): void => {
    for (const one of alternatives(shape)) {
      for (const [name, below] of Object.entries(one.properties ?? {})) {
        keys.add(name);
        walk(below);
      }
      if (one.items !== undefined) walk(one.items);
    }
  };
  walk(jobShape);
  return [...keys];
}

/** The keys of a group, for a hint. */
export function settingsOf(path: readonly PathStep[]): string {
  return `${path.length === 0 ? 'settings here' : `settings of ${dotted(path)}`}: ${keysAt(path).join(', ')}`;
}

/** Words a value of this shape may be. */
export function wordsOf(shape: Shape): readonly string[] {
  return alternatives(shape).flatMap((one) => [
    ...(one.enum ?? []).map(String),
    ...(one.const === undefined ? [] : [String(one.const)]),
    ...Object.keys(one.properties ?? {}),
  ]);
}

/** What a value should have been, in words that follow "must be". */
export function expectation(shape: Shape): string {
  if (shape.expected !== undefined) return shape.expected;
  if (shape.anyOf !== undefined) return shape.anyOf.map(expectation).join(' or ');
  if (shape.const !== undefined) return JSON.stringify(shape.const);
  if (shape.enum !== undefined) return oneOf(shape.enum.map(String));
  switch (shape.type) {
    case 'integer':
      return `a whole number ${bounds(shape)}`;
    case 'number':
      return `a finite number ${bounds(shape)}`;
    case 'boolean':
      return 'true or false';
    case 'array':
      return lengths(shape, 'a list', 'entry', 'entries');
    case 'object':
      return 'a group of settings';
    default:
      return lengths(shape, 'text', 'character', 'characters');
  }
}

/** How a dotted path is written in messages: `model.layers[0].dense`. */
export function dotted(path: readonly PathStep[]): string {
  return path.reduce<string>(
    (text, step) => (typeof step === 'number' ? `${text}[${step}]` : text === '' ? step : `${text}.${step}`),
    '',
  );
}

export const oneOf = (words: readonly string[]): string =>
  words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1) ?? ''}`;

function ownProperty(shape: Shape, key: string): Shape | undefined {
  return shape.properties !== undefined && Object.hasOwn(shape.properties, key) ? shape.properties[key] : undefined;
}

function anyProperty({ additionalProperties }: Shape): Shape | undefined {
  return additionalProperties === false ? undefined : additionalProperties;
}

function bounds({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: Shape): string {
  if (minimum !== undefined && maximum !== undefined) return `from ${minimum} to ${maximum}`;
  const low = exclusiveMinimum === undefined ? `at least ${minimum ?? 0}` : `greater than ${exclusiveMinimum}`;
  return exclusiveMaximum === undefined
    ? `${low} and at most ${maximum ?? Number.MAX_SAFE_INTEGER}`
    : `${low} and less than ${exclusiveMaximum}`;
}

function lengths(shape: Shape, what: string, one: string, many: string): string {
  const least = shape.minItems ?? shape.minLength ?? 0;
  const most = shape.maxItems ?? shape.maxLength;
  if (most === undefined) return least === 0 ? what : `${what} of at least ${least} ${least === 1 ? one : many}`;
  return `${what} of ${least} to ${most} ${many}`;
}
