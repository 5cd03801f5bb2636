/** A value that does not fit: what it is, in words, and how to write what was probably meant. */
import { alternatives, isNumber, isText, type Shape, settingsOf, takes, wordsOf } from './schema-shape.js';
import { textOf } from './source-text.js';
import { type PathStep, plainValue, type SourceNode } from './source-tree.js';
import { nearest } from './suggest.js';

const longestShownValue = 60;

/** What stands in the file, in words that follow "received". */
export function found(node: SourceNode, shape: Shape): string {
  switch (node.kind) {
    case 'map':
      return 'a group of settings';
    case 'list':
      return node.items.length === 0 ? 'an empty list' : 'a list';
    case 'refused':
      return 'something else';
    case 'scalar':
      if (node.value === null) return 'nothing';
      if (typeof node.value === 'string') return `${isText(shape) ? '' : 'the text '}${quoted(node.value)}`;
      return shortened(textOf(node.at) || String(node.value)); // as written: 1e400, not Infinity
    default:
      return node satisfies never;
  }
}

/** Whether the value is of a kind (text, number, list …) that no form of the setting takes. */
export function isOfAnotherType(node: SourceNode, shape: Shape): boolean {
  const value = plainValue(node);
  const type = Array.isArray(value) ? 'array' : value === null ? 'null' : typeof value;
  const taken = alternatives(shape).map((one) => (one.type === 'integer' ? 'number' : one.type));
  return !taken.includes(type);
}

/** How to write what was probably meant; undefined when the expectation says it all. */
export function valueHint(path: readonly PathStep[], node: SourceNode, shape: Shape): string | undefined {
  switch (node.kind) {
    case 'map':
    case 'refused':
      return undefined;
    case 'list':
      return takes(shape, 'array') || node.items.length !== 1 ? undefined : 'write the value without the brackets';
    case 'scalar':
      if (node.value === null) return hintForNothing(path, shape);
      if (typeof node.value === 'string') return hintForText(path, node.value, shape);
      return hintForNumber(node.value, textOf(node.at), shape);
    default:
      return node satisfies never;
  }
}

function hintForNothing(path: readonly PathStep[], shape: Shape): string {
  if (takes(shape, 'object')) return `indent its settings below it, or remove the line; ${settingsOf(path)}`;
  const preset = shape.default === undefined ? '' : ` to use the default, ${JSON.stringify(shape.default)}`;
  return `give a value, or remove the line${preset}`;
}

function hintForText(path: readonly PathStep[], text: string, shape: Shape): string | undefined {
  if (isNumber(shape)) {
    const number = numberMeant(text);
    if (number === text.trim()) return `remove the quotes: ${number}`;
    if (number !== undefined) return `write ${number}`;
  }
  if (takes(shape, 'boolean')) {
    if (/^(y|yes|on|true)$/i.test(text)) return 'write true';
    if (/^(n|no|off|false)$/i.test(text)) return 'write false';
  }
  const group = alternatives(shape).find((one) => one.properties !== undefined && Object.hasOwn(one.properties, text));
  const example = group?.properties?.[text]?.examples?.[0];
  if (example !== undefined) return `give its settings: { ${text}: ${flow(example)} }`;
  const near = nearest(text, wordsOf(shape));
  if (near !== undefined) return `did you mean ${JSON.stringify(near)}?`;
  if (text === '\\t') return 'use double quotes: "\\t"';
  if (path.length === 1 && path[0] === 'name') return nameHint(text);
  if (!takes(shape, 'string') && takes(shape, 'array')) return `write a list: [${text}]`;
  return takes(shape, 'object') && !takes(shape, 'string') ? settingsOf(path) : undefined;
}

function hintForNumber(value: unknown, written: string, shape: Shape): string | undefined {
  if (typeof value === 'number') {
    if (shape.expected?.includes('duration') === true && value > 0) return `add a unit: ${value}s`;
    const isPercent = value >= 1 && value <= 100 && alternatives(shape).some((one) => one.exclusiveMaximum === 1);
    if (isPercent && value > 1) return `${value} % is written ${value / 100}`;
    if (takes(shape, 'boolean')) return value === 0 ? 'write false' : value === 1 ? 'write true' : undefined;
    if (isNumber(shape)) return undefined;
  }
  const isFreeText = alternatives(shape).some((one) => one.type === 'string' && one.enum === undefined);
  return isFreeText ? `put it in quotes: ${JSON.stringify(written)}` : undefined;
}

/** The number a text stands for when it was written as text, with a percent sign or with separators. */
function numberMeant(text: string): string | undefined {
  const trimmed = text.trim();
  if (/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(trimmed)) return trimmed;
  if (/^\d+(\.\d+)?\s*%$/.test(trimmed)) return String(Number.parseFloat(trimmed) / 100);
  if (/^[1-9]\d{0,2}([_,' ]\d{3})+$/.test(trimmed)) return trimmed.replaceAll(/[_,' ]/g, '');
  return /^[-+]?\d+,\d+$/.test(trimmed) ? trimmed.replace(',', '.') : undefined;
}

function nameHint(text: string): string | undefined {
  const name = text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 40);
  return name === '' ? undefined : `for example ${name}`;
}

const quoted = (text: string): string => JSON.stringify(shortened(text));
const shortened = (text: string): string =>
  text.length > longestShownValue ? `${text.slice(0, longestShownValue)}…` : text;

/** A value as it would be written on one line of YAML. */
export function flow(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(flow).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).map(([key, below]) => `${key}: ${flow(below)}`);
    return entries.length === 0 ? '{}' : `{ ${entries.join(', ')} }`;
  }
  return typeof value === 'string' && /[:#{}[\],&*!|>'"%@`]|^\s|\s$/.test(value)
    ? JSON.stringify(value)
    : String(value);
}
