import Table from 'cli-table3';

/** One table on stdout: framed for a terminal, or in Markdown for the docs. */
export function printTable(head: readonly string[], rows: readonly (readonly string[])[], markdown: boolean): void {
  if (markdown) {
    const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |\n`;
    process.stdout.write(`${[line(head), line(head.map(() => '---')), ...rows.map(line)].join('')}\n`);
    return;
  }
  const table = new Table({ head: [...head], style: { head: [], border: [] } });
  for (const row of rows) table.push([...row]);
  process.stdout.write(`${table.toString()}\n`);
}
