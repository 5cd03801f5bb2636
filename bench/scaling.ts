/**
 * How far it would scale: a simulation of 8 to 1,024 workers, drawn, and compared with what was measured between namespaces.
 *
 *     node dist/bench/scaling.js [--svg docs/images/scaling.svg] [--against bench/namespaces/measured.json] [--json | --markdown]
 *
 * Assumptions, and what the figures are worth: docs/scaling.md. Same seed, same bytes of the picture.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import type { Row } from './namespaces/contestants.js';
import { printTable } from './print-table.js';
import { simulate } from './scaling/cluster.js';
import { plot } from './scaling/plot.js';
import { CALIBRATION, LINES, LINKS, scenarioOf, scenarioOfRow, WORKER_COUNTS } from './scaling/scenarios.js';

const { values } = parseArgs({
  options: {
    svg: { type: 'string', default: 'docs/images/scaling.svg' },
    against: { type: 'string', default: 'bench/namespaces/measured.json' },
    json: { type: 'boolean', default: false },
    markdown: { type: 'boolean', default: false },
  },
});

const panels = LINKS.map(({ name, megabitPerSecond }) => ({
  title: `${name} links`,
  curves: LINES.map((line) => ({
    name: line.name,
    dashed: line.topology.kind === 'tree',
    values: WORKER_COUNTS.map(
      (workers) => simulate(scenarioOf(line, workers, megabitPerSecond), CALIBRATION).efficiency,
    ),
  })),
}));
await writeFile(values.svg, plot('Simulated efficiency of 8 to 1,024 workers', WORKER_COUNTS, panels));

// Of one build: written by `bench/namespaces --json` of this project.
const measured = JSON.parse(await readFile(values.against, 'utf8')) as {
  readonly cores: number;
  readonly rows: readonly Row[];
};
const compared = measured.rows.flatMap((row) => {
  const scenario = scenarioOfRow(row, measured.cores);
  if (scenario === undefined) return [];
  const { stepMs } = simulate(scenario, CALIBRATION);
  const { rate, workers, model, exchange } = row;
  return [{ rate, workers, model, exchange, measuredMs: row.stepMs, simulatedMs: stepMs, ratio: stepMs / row.stepMs }];
});

if (values.json) process.stdout.write(`${JSON.stringify({ panels, compared })}\n`);
else {
  for (const { title, curves } of panels) {
    printTable(
      [`${title}, efficiency in %`, ...WORKER_COUNTS.map(String)],
      curves.map(({ name, values: shares }) => [name, ...shares.map((share) => (100 * share).toFixed(1))]),
      values.markdown,
    );
  }
  printTable(
    ['rate', 'workers', 'model', 'exchange', 'measured, ms', 'simulated, ms', 'simulated : measured'],
    compared.map(({ measuredMs, simulatedMs, ratio, ...row }) => [
      ...Object.values(row).map(String),
      ...[measuredMs, simulatedMs, ratio].map((figure) => figure.toPrecision(3)),
    ]),
    values.markdown,
  );
}
