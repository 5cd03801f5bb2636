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
  /** In the first record only: the weights before the first step, when they are not drawn from the seed. */
  readonly initFrom?: InitFrom;
  /** SHA-256 of the previous line (without its newline), 64 zeros for the first. */
  readonly previous: string;
}
