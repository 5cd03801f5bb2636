/** The figures for people: one table a section, what is measured down, who measured it across. */
import Table from 'cli-table3';
import { distance, type Figure, type JudgedGoal, type Section } from './figures.js';

export function renderSection({ name, about, figures }: Section): string {
  const ways = [...new Set(figures.map(({ way }) => way))];
  const subjects = [...new Set(figures.map(({ subject }) => subject))];
  const table = new Table({ head: ['', ...ways, 'unit'], style: { head: [], border: [] } });
  for (const subject of subjects) {
    const row = figures.filter((figure) => figure.subject === subject);
    const cells = ways.map((way) => row.filter((figure) => figure.way === way).map(cellOf)[0] ?? '');
    table.push([subject, ...cells, row[0]?.unit ?? '']);
  }
  return [`${name}: ${about}`, table.toString(), ...goalLines(figures)].join('\n');
}

/** `38.2 (41.0) ✓`: median, best round, and whether every goal of it is met. */
function cellOf({ median, best, goals }: Figure): string {
  const value = median === best ? digits(median) : `${digits(median)} (${digits(best)})`;
  if (goals.length === 0) return value;
  return `${value} ${goals.map((goal) => (goal.met ? '✓' : `✗ -${Math.ceil(100 * distance(goal))} %`)).join(' ')}`;
}

/** One line a goal: where it is met, and by how much it is missed elsewhere. */
function goalLines(figures: readonly Figure[]): readonly string[] {
  const judged = figures.flatMap(({ subject, way, goals }) => goals.map((goal) => ({ subject, way, goal })));
  const texts = [...new Set(judged.map(({ way, goal }) => `${way} ${goal.kind} ${goal.text}`))];
  return texts.map((text) => {
    const of = judged.filter(({ way, goal }) => `${way} ${goal.kind} ${goal.text}` === text);
    const measured = of.map(({ goal }) => goal.measured);
    const range = `${digits(Math.min(...measured))} to ${digits(Math.max(...measured))}`;
    const missed = of.filter(({ goal }) => !goal.met);
    if (missed.length === 0) return `✓ ${text}: ${range}`;
    const where = missed.map(({ subject, goal }) => `${subject} (${shortfall(goal)})`).join('; ');
    return `✗ ${text}: ${range}, missed in ${missed.length} of ${of.length}: ${where}`;
  });
}

const shortfall = (goal: JudgedGoal): string => `${digits(goal.measured)}, off by ${Math.ceil(100 * distance(goal))} %`;

/** Three digits are as many as the spread allows. */
function digits(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
