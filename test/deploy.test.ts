/** Rules, alerts and dashboards as they are shipped. */
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parser } from '@prometheus-io/lezer-promql';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { createCoordinatorMetrics, createWorkerMetrics } from '#telemetry';
import { boards } from '../deploy/grafana/boards.js';
import { buildDashboard } from '../deploy/grafana/panels.js';
import { readText } from './support/documents.js';
import { findPrometheus, promtool } from './support/prometheus.js';

/** dist/test/deploy.test.js -> the checkout. */
const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const programs = await findPrometheus();

interface Rule {
  readonly record?: string;
  readonly alert?: string;
  readonly expr: string;
}
const rulesOf = (file: string): readonly Rule[] => {
  const { groups }: { readonly groups: readonly { readonly rules: readonly Rule[] }[] } = parse(
    readText(root, `deploy/prometheus/${file}`),
  );
  return groups.flatMap(({ rules }) => rules);
};
const records = rulesOf('records.yml');
const alerts = rulesOf('alerts.yml');
const queries = boards.flatMap(({ panels }) => panels.flatMap(({ curves }) => curves.map(({ query }) => query)));
const expressions = [...records, ...alerts].map(({ expr }) => expr).concat(queries);

/** Names of metrics in an expression, without the suffix that a histogram's series have. */
function metricsIn(expression: string): readonly string[] {
  const text = expression.replaceAll('$__rate_interval', '1m');
  const found: string[] = [];
  parser.parse(text).iterate({
    enter: (node) => {
      if (node.type.isError) throw new SyntaxError(`${expression}: error at ${node.from}`);
      const name = text.slice(node.from, node.to);
      if (node.name === 'Identifier' && node.matchContext(['VectorSelector'])) found.push(name);
    },
  });
  return found.map((name) =>
    name.replace(/_(bucket|sum|count)$/, (suffix) => (/_job_count$/.test(name) ? suffix : '')),
  );
}

test('every expression parses, and every metric in it is in the code or a record', async () => {
  const build = { version: '0', kernel: 'js/1' };
  const texts = await Promise.all([createCoordinatorMetrics(build).text(), createWorkerMetrics(build, 1).text()]);
  const declared = new Set([...texts.join('\n').matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name ?? ''));
  for (const { record } of records) if (record !== undefined) declared.add(record);
  for (const theirs of ['up', 'bullmq_job_count', 'bullmq_job_completed_total', 'bullmq_job_failed_total'])
    declared.add(theirs);
  const used = new Set(expressions.flatMap(metricsIn));
  expect(used.size).toBeGreaterThan(50);
  expect([...used].filter((name) => !declared.has(name))).toEqual([]);
  // And the other way round: nothing is measured that nobody is shown.
  const ours = [...declared].filter((name) => name.startsWith('ropeteam_'));
  expect(ours.filter((name) => !used.has(name))).toEqual([]);
});

test('a broken query would be found', () => {
  expect(() => metricsIn('rate(ropeteam_steps_committed_total[1m]')).toThrow(SyntaxError);
});

// reason for the skip: no Prometheus is installed, and none could be fetched; the reason is on stderr
test.skipIf(programs === undefined)('promtool accepts the rules and every case of their tests', async () => {
  if (programs === undefined) return;
  const folder = join(root, 'deploy/prometheus');
  for (const args of [
    ['check', 'config', join(folder, 'prometheus.yml')],
    ['test', 'rules', join(folder, 'rules.test.yml')],
    ['test', 'rules', join(folder, 'scaling.test.yml')],
  ]) {
    expect(await promtool(programs, args)).toMatchObject({ passed: true });
  }
});

test.each(alerts.map(({ alert = '' }) => alert))(
  '%s has a case that fires, one that is silent, and a runbook',
  (alert) => {
    const cases = readText(root, 'deploy/prometheus/rules.test.yml');
    expect(cases).toMatch(new RegExp(`name: ["']${alert} fires`));
    expect(cases).toMatch(new RegExp(`name: ["']${alert} stays silent`));
    const runbook = new RegExp(`^## ${alert}$([\\s\\S]*?)(?=^## |$(?![\\s\\S]))`, 'm').exec(
      readText(root, 'docs/runbooks.md'),
    )?.[1];
    for (const part of ['**Means.**', '**Look.**', '**Do.**']) expect(runbook).toContain(part);
    expect(readText(root, 'deploy/prometheus/alerts.yml')).toContain(`docs/runbooks.md#${alert.toLowerCase()}`);
  },
);

test('no runbook is of an alert that is gone', () => {
  const sections = [...readText(root, 'docs/runbooks.md').matchAll(/^## (.*)$/gm)].map(([, name]) => name);
  expect(sections).toEqual(alerts.map(({ alert }) => alert));
});

describe.each(boards)('dashboard $uid', (board) => {
  const built = JSON.parse(JSON.stringify(buildDashboard(board)));

  test('is committed as it is built: else run scripts/write-dashboards.mjs', () => {
    expect(JSON.parse(readText(root, `deploy/grafana/dashboards/${board.uid}.json`))).toEqual(built);
  });

  test('its panels have a unit, a text and the data source variable, and none lies on another', () => {
    const taken = new Set<string>();
    for (const panel of built.panels) {
      expect(panel.fieldConfig.defaults.unit).toBeTruthy();
      expect(panel.description.length).toBeGreaterThan(5);
      expect(panel.datasource.uid).toBe(['$', '{datasource}'].join(''));
      const { x, y, w, h } = panel.gridPos;
      expect(x + w).toBeLessThanOrEqual(24);
      for (let column = x; column < x + w; column++) {
        for (let row = y; row < y + h; row++) {
          expect(taken.has(`${column}.${row}`)).toBe(false);
          taken.add(`${column}.${row}`);
        }
      }
    }
    expect(built.templating.list.map(({ name }: { readonly name: string }) => name)).toEqual(['datasource']);
    expect(new Set(built.panels.map(({ id }: { readonly id: number }) => id)).size).toBe(board.panels.length);
  });
});

test('no committed dashboard is of a board that is gone', () => {
  const files = readdirSync(join(root, 'deploy/grafana/dashboards'));
  expect(files.toSorted()).toEqual(boards.map(({ uid }) => `${uid}.json`).toSorted());
});
