/** Reading a job's data back as a work item: it came over a network and may be from anybody. */
import {
  type AverageItem,
  type Block,
  type EvaluationItem,
  fence,
  type GradientItem,
  itemId,
  type LeaseItem,
  readTraceContext,
  runId,
  type SplitName,
  step,
  type WorkerItem,
  type WorkItem,
} from '#training';

const SPLITS: readonly SplitName[] = ['train', 'validation', 'test'];

/** An item for a worker. @throws Error that says what is wrong with the data. */
export function readWorkerItem(id: string, data: unknown): WorkerItem {
  const item = readItem(id, data);
  if (item.kind === 'average') throw new Error('an "average" item is not for a worker');
  return item;
}

/** An item for the averager. @throws Error that says what is wrong with the data. */
export function readAverageItem(id: string, data: unknown): AverageItem {
  const item = readItem(id, data);
  if (item.kind !== 'average') throw new Error(`a "${item.kind}" item is not for the averager`);
  return item;
}

type Fields = Readonly<Record<string, unknown>>;

function readItem(id: string, data: unknown): WorkItem {
  if (typeof data !== 'object' || data === null) throw new Error(`the data is ${JSON.stringify(data)}, not an object`);
  const fields = data as Fields; // a non-null object: its fields are read as unknown
  const trace = readTraceContext(fields.trace);
  const item = { ...readKind(fields), ...(trace === undefined ? {} : { trace }) };
  // The id names the item: data that belongs under another id was put here by mistake or by somebody else.
  if (itemId(item) !== id) throw new Error(`the data is that of ${itemId(item)}`);
  return item;
}

function readKind(fields: Fields): WorkItem {
  switch (fields.kind) {
    case 'gradient':
      return readGradient(fields);
    case 'lease':
      return readLease(fields);
    case 'evaluation':
      return readEvaluation(fields);
    case 'average':
      return { kind: 'average', ...owner(fields), step: step(number(fields, 'step')) };
    default:
      throw new Error(`unknown kind of item ${JSON.stringify(fields.kind)}`);
  }
}

function readGradient(fields: Fields): GradientItem {
  const [firstPosition, endPosition] = range(fields, 'firstPosition', 'endPosition');
  return {
    kind: 'gradient',
    ...owner(fields),
    step: step(number(fields, 'step')),
    epoch: natural(fields, 'epoch'),
    firstPosition,
    endPosition,
    block: readBlock(fields.block),
    issue: natural(fields, 'issue'),
  };
}

function readLease(fields: Fields): LeaseItem {
  const [first, end] = range(fields, 'step', 'end');
  return {
    kind: 'lease',
    ...owner(fields),
    step: step(first),
    end,
    epoch: natural(fields, 'epoch'),
    issue: natural(fields, 'issue'),
  };
}

function readEvaluation(fields: Fields): EvaluationItem {
  const split = SPLITS.find((name) => name === fields.split);
  if (split === undefined) throw new Error(`unknown split ${JSON.stringify(fields.split)}`);
  const [begin, end] = range(fields, 'begin', 'end');
  return {
    kind: 'evaluation',
    ...owner(fields),
    version: step(number(fields, 'version')),
    split,
    part: natural(fields, 'part'),
    begin,
    end,
    issue: natural(fields, 'issue'),
  };
}

function readBlock(value: unknown): Block {
  if (typeof value !== 'object' || value === null) throw new Error('block is not an object');
  const [begin, end] = range(value as Fields, 'begin', 'end'); // a non-null object: its fields are read as unknown
  const size = end - begin;
  if (!Number.isInteger(Math.log2(size)) || begin % size !== 0) {
    throw new Error(`block ${begin}-${end} is not an aligned power of two`);
  }
  return { begin, end };
}

function owner(fields: Fields): Pick<WorkItem, 'run' | 'fence'> {
  const run = fields.run;
  if (typeof run !== 'string') throw new Error('run is not a string');
  return { run: runId(run), fence: fence(number(fields, 'fence')) };
}

function range(fields: Fields, beginName: string, endName: string): readonly [number, number] {
  const [begin, end] = [natural(fields, beginName), natural(fields, endName)];
  if (begin >= end) throw new Error(`${beginName} ${begin} is not below ${endName} ${end}`);
  return [begin, end];
}

function natural(fields: Fields, name: string): number {
  const value = number(fields, name);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new Error(`${name} must be a non-negative integer, received ${value}`);
}

function number(fields: Fields, name: string): number {
  const value = fields[name];
  if (typeof value === 'number') return value;
  throw new Error(`${name} is not a number`);
}
