/** The files of a run, to look at and to take away. */
import { create, element, replaceIfNew, table } from './elements.js';
import type { Artifact } from './messages.js';
import type { RunView } from './run-view.js';
import { bytes, clock, percent } from './words.js';

export function showArtifacts(run: string, artifacts: readonly Artifact[], view: RunView): void {
  const into = element('artifacts');
  element('artifacts-card').hidden = artifacts.length === 0;
  const rows = artifacts.map((artifact) => [
    link(run, artifact),
    bytes(artifact.bytes),
    clock(artifact.modifiedAt),
    figuresAt(artifact, view),
    hash(artifact, view),
  ]);
  replaceIfNew(into, JSON.stringify([run, artifacts, view.epochs.length, view.finished?.weightsSha256]), () => [
    table('Files of the run', ['file', 'size', 'written', 'figures', 'sha256'], rows),
  ]);
}

function link(run: string, { name }: Artifact): HTMLElement {
  const made = create('a', name) as HTMLAnchorElement;
  made.href = `/runs/${encodeURIComponent(run)}/files/${name.split('/').map(encodeURIComponent).join('/')}`;
  made.download = '';
  return made;
}

/** Of a checkpoint the validation that was measured at the same step, or of the epoch before it. */
function figuresAt({ kind, step, name }: Artifact, { epochs, finished }: RunView): string {
  if (name === 'model/model.safetensors' && finished?.test !== undefined) {
    const { accuracy, loss } = finished.test;
    return accuracy === undefined ? `test loss ${loss.toPrecision(4)}` : `test accuracy ${percent(accuracy)}`;
  }
  if (kind !== 'checkpoint' || step === undefined) return '–';
  const epoch = epochs.findLast((one) => one.step <= step);
  if (epoch === undefined) return '–';
  const { validation, train } = epoch;
  const said =
    validation === undefined
      ? `training loss ${train.loss.toPrecision(4)}`
      : `validation loss ${validation.loss.toPrecision(4)}`;
  return epoch.step === step ? said : `${said} at step ${epoch.step.toLocaleString('en')}`;
}

function hash({ name, sha256 }: Artifact, { finished }: RunView): HTMLElement | string {
  const digits = name === 'model/model.safetensors' ? finished?.weightsSha256 : sha256;
  if (digits === undefined) return '–';
  const made = create('code', `${digits.slice(0, 12)}…`);
  made.title = name === 'model/model.safetensors' ? `${digits} (of its weights)` : digits;
  return made;
}
