import type { RunSummary } from '#training';

/** What the status page shows besides the runs. */
export interface StatusFacts {
  readonly coordinator: string;
  readonly kernel: string;
  readonly redis: string;
  readonly workers: readonly { readonly worker: string; readonly threads: number; readonly host: string }[];
}

/** A file of its own: the page's content security policy allows no inline style. */
export const STATUS_STYLE = `:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent) }
th { font-weight: 600 }
`;

/** The coordinator's page: runs and workers at a glance, in one self-contained document that reloads itself. */
export function statusPage(facts: StatusFacts, runs: readonly RunSummary[]): string {
  const rows = runs.map((run) => {
    const progress = run.steps > 0 ? `${run.step} / ${run.steps}` : '–';
    const state = run.waitingFor === undefined ? run.state : `${run.state}, waiting for ${run.waitingFor}`;
    return row([
      run.run,
      run.job,
      state,
      progress,
      run.loss?.toPrecision(5) ?? '–',
      run.weightsSha256?.slice(0, 16) ?? '–',
    ]);
  });
  const workers = facts.workers.map(({ worker, threads, host }) => row([worker, host, String(threads)]));
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="2">
<meta name="viewport" content="width=device-width"><title>ropeteam ${asText(facts.coordinator)}</title>
<link rel="stylesheet" href="/status.css"></head><body>
<h1>ropeteam</h1>
<p>Coordinator ${asText(facts.coordinator)} · kernel ${asText(facts.kernel)} · Redis ${asText(facts.redis)} · <a href="/metrics">metrics</a></p>
<h2>Runs</h2>
${table(['run', 'job', 'state', 'step', 'loss', 'weights'], rows, 'No run was submitted yet.')}
<h2>Workers</h2>
${table(['worker', 'host', 'kernel threads'], workers, 'No worker is connected.')}
</body></html>
`;
}

function table(titles: readonly string[], rows: readonly string[], empty: string): string {
  if (rows.length === 0) return `<p>${empty}</p>`;
  const head = titles.map((title) => `<th scope="col">${title}</th>`).join('');
  return `<table><thead><tr>${head}</tr></thead><tbody>${rows.join('')}</tbody></table>`;
}

function row(cells: readonly string[]): string {
  return `<tr>${cells.map((cell) => `<td>${asText(cell)}</td>`).join('')}</tr>`;
}

function asText(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
