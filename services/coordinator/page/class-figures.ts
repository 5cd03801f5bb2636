/** Of a classification: which classes are taken for which, and how well each is found. */
import { type Cell, create, element, replaceIfNew, table } from './elements.js';
import type { ClassCounts, RunView } from './run-view.js';
import { percent } from './words.js';

/** Larger matrices are a wall of numbers: the figures of each class stay. */
const MOST_CLASSES = 24;

export function showClasses({ classes }: RunView): void {
  const card = element('classes-card');
  card.hidden = classes === undefined;
  if (classes === undefined) return;
  element('classes-title').textContent = `Classes, ${classes.of}`;
  replaceIfNew(element('classes'), JSON.stringify(classes), () => [
    ...(classes.figures.length > MOST_CLASSES ? [] : [matrix(classes)]),
    figures(classes),
  ]);
}

/** Darker is more of the row; a row is what the samples are, a column what they were taken for. */
function matrix({ figures: classes, confusion }: ClassCounts): HTMLElement {
  const rows = confusion.map((row, actual) => {
    const total = row.reduce((sum, count) => sum + count, 0);
    const head = create('th', classes[actual]?.label ?? '');
    head.setAttribute('scope', 'row');
    return [
      head,
      ...row.map((count, predicted) => {
        const cell = create('span', count === 0 ? '·' : count.toLocaleString('en'), 'count');
        const share = total === 0 ? 0 : count / total;
        // Four steps of ground, so that the text stays readable on each.
        cell.classList.add(`${actual === predicted ? 'right' : 'wrong'}-${Math.ceil(share * 4)}`);
        const [is, taken] = [classes[actual]?.label ?? '', classes[predicted]?.label ?? ''];
        cell.title = `${count} of ${total} samples of ${is} were taken for ${taken}`;
        return cell;
      }),
    ];
  });
  const made = table(
    'Rows: what samples are. Columns: what they were taken for.',
    ['is ↓ taken for →', ...classes.map(({ label }) => label)],
    rows,
  );
  made.classList.add('matrix');
  return made;
}

function figures({ figures: classes }: ClassCounts): HTMLElement {
  const weak = (share: number): Cell | string =>
    share < 0.5 ? { text: percent(share), className: 'warn' } : percent(share);
  return table(
    'Figures of each class',
    ['class', 'samples', 'precision', 'recall', 'F1'],
    classes.map(({ label, samples, precision, recall, f1 }) => [
      label,
      samples.toLocaleString('en'),
      weak(precision),
      weak(recall),
      weak(f1),
    ]),
  );
}
