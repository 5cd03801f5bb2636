/**
 * Ropeteam beside PyTorch and scikit-learn: the same rows, the same first weights, the same machine, taking turns.
 *
 *     npx ropeteam bench peers [--quick] [--only W3,W4] [--repeats 5] [--json | --markdown]
 *
 * Needs a Python with numpy, which makes the data; a peer that is not installed is named and left out. A goal is not judged
 * here: ratios are printed, losses beside them, so that whoever is faster at something else is seen to be.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { findKernel } from '#engine';
import { ours } from './peers/ours.js';
import type { Contestant, Outcome, Workload } from './peers/outcome.js';
import { definitions, findPython, makeWorkload, pythonPeers } from './peers/python.js';
import { type Line, linesOf, renderMarkdown, renderTerminal } from './peers/table.js';

/** With `--quick`: small ones, once. Does everything run, and roughly how fast? */
const QUICK = 'W1,W3,digits';

interface Result {
  readonly workload: string;
  readonly lines: readonly Line[];
  readonly versions: Readonly<Record<string, string>>;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      repeats: { type: 'string' },
      json: { type: 'boolean', default: false },
      markdown: { type: 'boolean', default: false },
    },
  });
  const python = await findPython();
  if (python === undefined) {
    throw new Error(
      'no Python with numpy was found, which makes the data: on Debian, apt install python3-numpy python3-torch',
    );
  }
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  const missing = ['torch', 'sklearn'].filter((name) => !python.modules.has(name));
  if (missing.length > 0) say(`not there, left out: ${missing.join(', ')}`);
  const rounds = Number(values.repeats ?? (values.quick ? 1 : 5));
  const only = values.only ?? (values.quick ? QUICK : undefined);
  const contestants = [...pythonPeers(python), ...(await ourWays(say))];
  const folder = await mkdtemp(join(tmpdir(), 'ropeteam-peers-'));
  const results: Result[] = [];
  try {
    for (const [name, definition] of await definitions()) {
      if (only !== undefined && !only.split(',').includes(name)) continue;
      const workload = await makeWorkload(python, name, definition, folder);
      const result = await measure(workload, fitting(contestants, workload), rounds, say);
      results.push(result);
      await rm(workload.folder, { recursive: true });
      if (values.json) continue;
      const table = values.markdown ? renderMarkdown(result.lines) : renderTerminal(result.lines);
      process.stdout.write(`${values.markdown ? '### ' : ''}${titleOf(workload)}\n\n${table}\n\n`);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  const machine = { cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length };
  const versions = Object.assign({}, ...results.map((result) => result.versions)) as Readonly<Record<string, string>>;
  if (values.json) process.stdout.write(`${JSON.stringify({ machine, versions, rounds, results })}\n`);
  else process.stdout.write(`${footer(machine, versions, rounds)}\n`);
}

async function ourWays(say: (text: string) => void): Promise<readonly Contestant[]> {
  const blas = await findKernel('blas');
  if (blas.kind === 'absent') say(`not there, left out: kernel blas: ${blas.reason}; ${blas.fix}`);
  const kernels = blas.kind === 'absent' ? (['wasm'] as const) : (['wasm', 'blas'] as const);
  return kernels.flatMap((kernel) => [
    ours({ workers: 1, threads: 2, kernel, grain: 'auto' }),
    ours({ workers: 2, threads: 1, kernel, grain: 'step' }),
  ]);
}

/** scikit-learn has no loop of its own that stops after so many steps: it is asked for accuracies only. */
function fitting(contestants: readonly Contestant[], { limit }: Workload): readonly Contestant[] {
  return contestants.filter(({ name }) => name !== 'scikit-learn' || limit.kind === 'epochs');
}

/** Everybody once a round, so that a disturbance meets all alike. */
async function measure(
  workload: Workload,
  contestants: readonly Contestant[],
  rounds: number,
  say: (text: string) => void,
): Promise<Result> {
  const outcomes = new Map<Contestant, Outcome[]>(contestants.map((contestant) => [contestant, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [contestant, taken] of outcomes) {
      say(`${workload.name}, round ${round + 1} of ${rounds}: ${contestant.name}`);
      taken.push(await contestant.run(workload));
    }
  }
  const measured = [...outcomes].map(([contestant, taken]) => ({ contestant, outcomes: taken }));
  const versions = Object.assign({}, ...[...outcomes.values()].flat().map((outcome) => outcome.versions));
  return { workload: workload.name, lines: linesOf(workload, measured), versions: versions as Result['versions'] };
}

const titleOf = ({ name, layers, batch, optimizer }: Workload): string =>
  `${name}: ${layers.join('-')}, batch ${batch}, ${optimizer}`;

function footer(
  { cpu, cores }: { readonly cpu: string; readonly cores: number },
  versions: Readonly<Record<string, string>>,
  rounds: number,
): string {
  const programs = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return `Medians of ${rounds} rounds on ${cpu}, ${cores} cores; ${programs.join(', ')}.`;
}

await main();
