/** The outcomes of all rounds as tables: for a terminal, and in Markdown for docs/benchmarks.md. */
import Table from 'cli-table3';
import { median } from '../kernel/take-turns.js';
import type { Contestant, Outcome, Workload } from './outcome.js';

export interface Measured {
  readonly contestant: Contestant;
  /** One a round. */
  readonly outcomes: readonly Outcome[];
}

export interface Line {
  readonly contestant: string;
  readonly stepMs: number;
  readonly leastMs: number;
  readonly mostMs: number;
  readonly seconds: number;
  readonly peakMegabytes: number;
  readonly loss?: number;
  readonly accuracy?: number;
  /** How many times as fast as each peer: the median over the rounds, in each of which both had their turn. */
  readonly timesDdp?: number;
  readonly timesOneProcess?: number;
}

/** @returns a line a contestant; ratios compare median steps, and the whole loop where it is trained to an accuracy */
export function linesOf({ limit }: Workload, measured: readonly Measured[]): readonly Line[] {
  const timeOf = ({ stepMs, seconds }: Outcome): number => (limit.kind === 'epochs' ? seconds : stepMs);
  const bestOf = (kind: Contestant['kind'], round: number): number | undefined => {
    const times = measured
      .filter(({ contestant }) => contestant.kind === kind)
      .flatMap(({ outcomes }) => outcomes.slice(round, round + 1).map(timeOf));
    return times.length === 0 ? undefined : Math.min(...times);
  };
  return measured.map(({ contestant, outcomes }) => {
    const ratioTo = (kind: Contestant['kind']): number | undefined => {
      const ratios = outcomes.flatMap((outcome, round) => {
        const best = bestOf(kind, round);
        return best === undefined ? [] : [best / timeOf(outcome)];
      });
      return contestant.kind !== 'ours' || ratios.length === 0 ? undefined : median(ratios);
    };
    const [timesDdp, timesOneProcess] = [ratioTo('several processes'), ratioTo('one process')];
    const steps = outcomes.map(({ stepMs }) => stepMs);
    const { loss, accuracy } = outcomes.at(-1) ?? {};
    return {
      contestant: contestant.name,
      stepMs: median(steps),
      leastMs: Math.min(...steps),
      mostMs: Math.max(...steps),
      seconds: median(outcomes.map(({ seconds }) => seconds)),
      peakMegabytes:
        median(outcomes.map(({ peakBytes }) => peakBytes.reduce((sum, bytes) => sum + bytes, 0))) / 2 ** 20,
      ...(loss === undefined ? {} : { loss }),
      ...(accuracy === undefined ? {} : { accuracy }),
      ...(timesDdp === undefined ? {} : { timesDdp }),
      ...(timesOneProcess === undefined ? {} : { timesOneProcess }),
    };
  });
}

const HEAD = [
  '',
  'ms a step (least to most)',
  'loop, s',
  'memory, MB',
  'loss',
  'accuracy',
  'x DDP',
  'x one process',
] as const;

export function renderTerminal(lines: readonly Line[]): string {
  const table = new Table({ head: [...HEAD], style: { head: [], border: [] } });
  for (const line of lines) table.push([...cellsOf(line)]);
  return table.toString();
}

export function renderMarkdown(lines: readonly Line[]): string {
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [row(HEAD), row(HEAD.map(() => '---')), ...lines.map((line) => row(cellsOf(line)))].join('\n');
}

function cellsOf(line: Line): readonly string[] {
  const optional = (value: number | undefined, show: (value: number) => string): string =>
    value === undefined ? '' : show(value);
  return [
    line.contestant,
    `${digits(line.stepMs)} (${digits(line.leastMs)} to ${digits(line.mostMs)})`,
    digits(line.seconds),
    line.peakMegabytes.toFixed(0),
    optional(line.loss, (value) => value.toPrecision(6)),
    optional(line.accuracy, (value) => `${(100 * value).toFixed(2)} %`),
    optional(line.timesDdp, (value) => value.toFixed(2)),
    optional(line.timesOneProcess, (value) => value.toFixed(2)),
  ];
}

const digits = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));
