// Writes the rules of deploy/prometheus as the object that the Prometheus operator takes; a test holds the two together.
//   node scripts/write-prometheus-rule.mjs
import { readFileSync, writeFileSync } from 'node:fs';
import { parse, stringify } from 'yaml';

const deploy = new URL('../deploy/', import.meta.url);
const groups = ['records.yml', 'alerts.yml'].flatMap(
  (name) => parse(readFileSync(new URL(`prometheus/${name}`, deploy), 'utf8')).groups,
);
const rule = {
  apiVersion: 'monitoring.coreos.com/v1',
  kind: 'PrometheusRule',
  metadata: { name: 'ropeteam' },
  spec: { groups },
};
const text = `# Made by scripts/write-prometheus-rule.mjs from deploy/prometheus: change it there.\n${stringify(rule, { lineWidth: 0 })}`;
writeFileSync(new URL('kubernetes/components/monitoring/rules.yaml', deploy), text);
