/**
 * How fast is each kernel on this machine, and is that what it was to be?
 *
 *     npx ropeteam bench kernel [--quick] [--json] [--only products]
 *
 * All in one process, implementations taking turns, so that a noisy machine disturbs all alike. Cells are medians of
 * the rounds and, in brackets, the best round. A goal that is missed is said, not failed.
 */
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { findKernels } from './kernel/contestants.js';
import { measureElementwise } from './kernel/elementwise.js';
import type { Section } from './kernel/figures.js';
import { measureGradients } from './kernel/gradients.js';
import { measureModules } from './kernel/modules.js';
import { measureParameters } from './kernel/parameters.js';
import { type Plan, planOf } from './kernel/plan.js';
import { measureProducts } from './kernel/products.js';
import { renderSection } from './kernel/render.js';
import { measureThreads } from './kernel/threads.js';

const SECTIONS: Readonly<Record<string, (plan: Plan) => Promise<Section>>> = {
  products: measureProducts,
  gradients: measureGradients,
  parameters: measureParameters,
  elementwise: measureElementwise,
  threads: measureThreads,
  modules: measureModules,
};

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      only: { type: 'string' },
    },
  });
  const blasLibrary = process.env.ROPETEAM_BLAS_LIBRARY || undefined;
  const found = await findKernels(blasLibrary);
  const plan = planOf(found, blasLibrary, values.quick);
  const [cpu] = cpus();
  const machine = { cpu: cpu?.model ?? 'unknown', cores: cpus().length, node: process.version };
  const kernels = found.loaded.map(({ name, id }) => ({ name, id }));
  const say = (text: string): void => {
    if (!values.json) process.stdout.write(`${text}\n`);
  };
  say(`${machine.cpu}, ${machine.cores} cores, Node ${machine.node}; ${kernels.map(({ id }) => id).join(', ')}`);
  for (const { kernel, reason, fix } of found.absent) say(`not there: ${kernel}: ${reason}; ${fix}`);
  say(`medians of ${plan.turns.rounds} rounds (best round)${values.quick ? '; --quick: rough figures' : ''}`);
  const sections: Section[] = [];
  for (const [name, measure] of Object.entries(SECTIONS)) {
    if (values.only !== undefined && values.only !== name) continue;
    const section = await measure(plan);
    sections.push(section);
    say(`\n${renderSection(section)}`);
  }
  if (values.json) {
    process.stdout.write(
      `${JSON.stringify({ machine, kernels, absent: found.absent, rounds: plan.turns.rounds, sections })}\n`,
    );
  }
}

await main();
