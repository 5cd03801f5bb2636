// Writes deploy/grafana/dashboards/*.json: `node scripts/build.mjs && node scripts/write-dashboards.mjs`.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { boards } from '../dist/deploy/grafana/boards.js';
import { buildDashboard } from '../dist/deploy/grafana/panels.js';

for (const board of boards) {
  const file = new URL(`../deploy/grafana/dashboards/${board.uid}.json`, import.meta.url);
  writeFileSync(fileURLToPath(file), `${JSON.stringify(buildDashboard(board), undefined, 2)}\n`);
}
