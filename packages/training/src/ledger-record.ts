/** One line of `ledger.ndjson`: everything that went into one committed step. */
import type { InitFrom } from './init-from.js';
import type { Block } from './work-items.js';

export interface LedgerBlock extends Block {
  readonly worker: string;
  readonly attempt: number;
  readonly samples: number;
  readonly lossSum: number;
  /** XXH64 of the block's gradient, 16 hexadecimal digits. */
  readonly gradient: string;
}

/** What a run was made of: with it the ledger can be checked without trusting what lies beside it. */
export interface LedgerOrigin {
  /** SHA-256 of the effective `job.yaml`. */
  readonly jobSha256: string;
  /** SHA-256 of the source files' bytes. */
  readonly dataSha256: string;
  /** N: samples of the training split. */
  readonly trainSamples: number;
}

export interface LedgerRecord {
  readonly run: string;
  readonly fence: number;
  readonly step: number;
  readonly epoch: number;
  /** The step's samples: positions `[firstPosition, endPosition)` of the epoch's permutation. */
  readonly firstPosition: number;
  readonly endPosition: number;
  readonly blocks: readonly LedgerBlock[];
  readonly samples: number;
  readonly loss: number;
  readonly learningRate: number;
  readonly gradientNorm: number;
  readonly kernel: string;
  /** XXH64 of the weights after the step. */
  readonly weights: string;
  /** The update was left out, for this was not finite; such figures are 0 in the record, and in words here. */
  readonly skipped?: string;
  /** Steps the run went back to before this record was written, oldest first; absent: none. */
  readonly rollbacks?: readonly number[];
  /** In the first record only: the weights before the first step, when they are not drawn from the seed. */
  readonly initFrom?: InitFrom;
  /** In the first record only; absent in ledgers of before it was written. */
  readonly origin?: LedgerOrigin;
  /** SHA-256 of the previous line (without its newline), 64 zeros for the first. */
  readonly previous: string;
}

type Kind = 'natural' | 'number' | 'string' | 'hash';
type KindOf<Value> = Value extends number ? 'natural' | 'number' : Value extends string ? 'string' | 'hash' : never;
type Fields<Part> = { readonly [Key in keyof Part]: KindOf<Part[Key]> };

const BLOCK_FIELDS: Fields<LedgerBlock> = {
  begin: 'natural',
  end: 'natural',
  worker: 'string',
  attempt: 'natural',
  samples: 'natural',
  lossSum: 'number',
  gradient: 'hash',
};

const RECORD_FIELDS: Fields<Omit<LedgerRecord, 'blocks' | 'initFrom' | 'origin' | 'skipped' | 'rollbacks'>> = {
  run: 'string',
  fence: 'natural',
  step: 'natural',
  epoch: 'natural',
  firstPosition: 'natural',
  endPosition: 'natural',
  samples: 'natural',
  loss: 'number',
  learningRate: 'number',
  gradientNorm: 'number',
  kernel: 'string',
  weights: 'hash',
  previous: 'string',
};

const ORIGIN_FIELDS: Fields<LedgerOrigin> = { jobSha256: 'string', dataSha256: 'string', trainSamples: 'natural' };

/** What keeps a parsed line from being a record; undefined when it is one. A seal says who wrote a line, not that it has sense. */
export function problemOfRecord(value: unknown): string | undefined {
  if (!isObject(value)) return 'it is not an object';
  const { blocks, origin, skipped, rollbacks = [] } = value;
  if (!Array.isArray(blocks)) return 'it has no list of blocks';
  if (skipped !== undefined && typeof skipped !== 'string') return 'its skipped is no text';
  if (!Array.isArray(rollbacks) || !rollbacks.every((to) => isOfKind(to, 'natural')))
    return 'its rollbacks are no list of steps';
  return (
    problemOfFields(value, RECORD_FIELDS) ??
    (origin === undefined ? undefined : problemOfFields(origin, ORIGIN_FIELDS)) ??
    blocks.map((block) => problemOfFields(block, BLOCK_FIELDS)).find((problem) => problem !== undefined)
  );
}

function problemOfFields(value: unknown, fields: Readonly<Record<string, Kind>>): string | undefined {
  if (!isObject(value)) return 'a part of it is not an object';
  const wrong = Object.entries(fields).find(([key, kind]) => !isOfKind(value[key], kind));
  return wrong === undefined ? undefined : `its ${wrong[0]} is ${JSON.stringify(value[wrong[0]]) ?? 'not given'}`;
}

function isOfKind(value: unknown, kind: Kind): boolean {
  switch (kind) {
    case 'natural':
      return Number.isSafeInteger(value) && Number(value) >= 0;
    case 'number':
      return typeof value === 'number';
    case 'string':
      return typeof value === 'string';
    case 'hash':
      return typeof value === 'string' && /^[0-9a-f]{16}$/.test(value);
    default:
      return kind satisfies never;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
