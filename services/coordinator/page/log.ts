/** What happened and what was done, newest first; a filter for what went wrong alone. */
import { create, element, replaceIfNew } from './elements.js';
import type { LogEntry, RunView } from './run-view.js';
import { clock } from './words.js';

export interface Log {
  show(view: RunView): void;
}

export function createLog(changed: () => void): Log {
  const filter = element('log-filter') as HTMLSelectElement;
  filter.addEventListener('change', changed);
  return {
    show: ({ log }) => {
      const wanted = filter.value === 'faults' ? log.filter(({ tone }) => tone === 'bad' || tone === 'warn') : log;
      const first = wanted[0];
      replaceIfNew(element('log'), `${filter.value} ${wanted.length} ${first?.time} ${first?.text}`, () =>
        wanted.length === 0 ? [create('li', 'Nothing of the kind happened.', 'quiet')] : wanted.map(lineOf),
      );
    },
  };
}

/** A tone is said by a sign too, not by colour alone. */
const SIGNS = { plain: '', good: '✓', warn: '!', bad: '✗' } as const;

function lineOf({ time, text, tone }: LogEntry): HTMLElement {
  const line = create('li', '');
  const when = create('time', clock(time)) as HTMLTimeElement;
  when.dateTime = time;
  const sign = create('span', SIGNS[tone], `sign ${tone}`);
  sign.setAttribute('aria-hidden', 'true');
  line.append(when, sign, create('span', text, tone === 'plain' ? undefined : tone));
  return line;
}
