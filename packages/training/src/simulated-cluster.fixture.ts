/**
 * A cluster without sockets: the step protocol, its queue and its workers under a seeded scheduler.
 *
 * Everything that takes time is asynchronous here too: what the protocol does to the queue is done later, in order;
 * each stream delivers its messages later, in order, and loses what is under way when its worker dies; the queue may
 * forget. Workers have one place each, as the real ones do. So a protocol that could wait for itself is found here.
 */
import { advanceRun } from './advance-run.js';
import { type Step, step, workerId } from './identities.js';
import type { RunEffect, RunInput, RunState } from './run-state.js';
import { framesAreDropped, isFirstWorker, simulatedRun } from './simulated-job.fixture.js';
import { LIE, leaseReceiptOf, mulberry, range, receiptOf } from './simulated-receipts.fixture.js';
import type { Simulated, SimulatedWorker, SimulationOptions, Taken } from './simulation-options.fixture.js';
import { itemId, itemKey, type LeaseItem, versionOf, type WorkItem } from './work-items.js';

type QueueEffect = RunEffect & { kind: 'announce' | 'hand-back' | 'withdraw' | 'release' };

const MOST_EVENTS = 3_000_000;
/** Events without a move after which the protocol is told that nothing moves, where a test does not say. */
const QUIET_EVENTS = 300;

export function runSimulation(options: SimulationOptions): Simulated {
  return new SimulatedCluster(options).run();
}

class SimulatedCluster {
  readonly #options: SimulationOptions;
  readonly #random: () => number;
  readonly #replaces: boolean;
  readonly #steps: number;
  #state: RunState;
  readonly #queue: WorkItem[] = [];
  readonly #known = new Set<string>();
  readonly #active = new Map<string, Taken>();
  readonly #queueEffects: QueueEffect[] = [];
  readonly #workers: SimulatedWorker[] = [];
  readonly #late: RunInput[] = [];
  readonly #committed: { step: number; covered: number[] }[] = [];
  readonly #epochs: (RunEffect & { kind: 'epoch-finished' })[] = [];
  #outcome: Simulated['outcome'] | undefined;
  #averaging: Step | undefined;
  #adopting: Step | undefined;
  readonly #distrusted: string[] = [];
  #leased = 0;
  #clockMs = 0;
  #averages = 0;
  readonly #skipped: number[] = [];
  readonly #copies: string[] = [];
  readonly #named: string[] = [];
  #published: Step | undefined;
  #born = 0;
  #quiet = 0;
  #stalls = 0;
  #furthestAhead = 0;
  #lastAnnounced = -1;

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.#random = mulberry(options.seed);
    // In every other schedule a lost worker is not replaced while another lives: the survivors must manage.
    this.#replaces = this.#chance(0.5);
    this.#state = simulatedRun(options);
    this.#steps = this.#state.shape.steps;
  }

  run(): Simulated {
    for (let count = 0; count < this.#options.workers; count++) this.#join();
    this.#feed({ kind: 'started' });
    for (let events = 0; this.#outcome === undefined; events++) {
      if (events > MOST_EVENTS)
        throw new Error(`no end after ${MOST_EVENTS} events, at version ${this.#state.version}`);
      this.#event();
    }
    const found = {
      furthestAhead: this.#furthestAhead,
      lastAnnounced: this.#lastAnnounced,
      stalls: this.#stalls,
      leased: this.#leased,
      skipped: this.#skipped,
      copies: this.#copies,
      named: this.#named,
    };
    return { outcome: this.#outcome, committed: this.#committed, epochs: this.#epochs, steps: this.#steps, ...found };
  }

  #event(): void {
    const { faults, workers: wanted, stopAfterSteps, forgets = false } = this.#options;
    this.#clockMs += 20 * this.#random();
    if (stopAfterSteps !== undefined && this.#committed.length === stopAfterSteps) {
      this.#feed({ kind: 'stop-requested' });
      return;
    }
    const worker = this.#workers[Math.floor(this.#random() * this.#workers.length)];
    if (worker === undefined || (this.#replaces && this.#workers.length < wanted && this.#chance(faults))) this.#join();
    else if (this.#mishap(faults / 40)) this.#lose(worker);
    else if (this.#distrusted.length > 0) this.#loseDistrusted();
    else if (forgets && this.#chance(faults / 80)) this.#forget();
    else this.#quiet = this.#move(worker) ? 0 : this.#quiet + 1;
    if (this.#quiet > (this.#options.quietEvents ?? QUIET_EVENTS)) {
      this.#quiet = 0;
      this.#stalls++;
      this.#feed({ kind: 'stalled' });
    }
  }

  /** One thing that can happen, chosen at random; false when it could not. */
  #move(worker: SimulatedWorker): boolean {
    const moves = [
      () =>
        this.#late.length > 0 && this.#deliver(this.#late.splice(Math.floor(this.#random() * this.#late.length), 1)[0]),
      () => this.#deliver(worker.outbox.shift()),
      () => this.#deliver(worker.outbox.shift()),
      () => this.#hear(worker),
      () => this.#doQueueEffect(),
      () => this.#expireLock(),
      () => {
        if (this.#chance(0.2)) this.#feed({ kind: 'tick', atMs: this.#clockMs });
        return false;
      },
      () => this.#average(),
      () => this.#adopt(),
      () => this.#choose(),
      () => (worker.holds === undefined ? this.#take(worker) : this.#compute(worker, worker.holds)),
    ];
    return moves[Math.floor(this.#random() * moves.length)]?.() ?? false;
  }

  #feed(input: RunInput): void {
    const [state, effects] = advanceRun(this.#state, input);
    this.#state = state;
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect: RunEffect): void {
    switch (effect.kind) {
      case 'announce':
      case 'hand-back':
      case 'withdraw':
      case 'release':
        this.#queueEffects.push(effect);
        return;
      case 'publish':
        this.#published = effect.version;
        for (const { inbox } of this.#workers) inbox.push({ kind: 'weights', version: effect.version });
        return;
      case 'send-weights':
      case 'send-state': {
        if (effect.version !== this.#state.version) throw new Error(`version ${effect.version} is not the current one`);
        const { kind, version } = effect;
        const to = this.#workers.find(({ name }) => name === effect.worker);
        to?.inbox.push({ kind: kind === 'send-state' ? 'state' : 'weights', version });
        return;
      }
      case 'adopt':
        this.#adopting = effect.receipt.step;
        return;
      case 'distrust':
        this.#distrusted.push(effect.worker);
        if (effect.unproven !== undefined) this.#named.push(effect.worker);
        return;
      case 'lease-committed':
        for (const { step } of effect.steps) {
          this.#committed.push({ step, covered: range(0, this.#options.microBatches) });
        }
        this.#leased += effect.steps.length;
        return;
      case 'restore':
        this.#late.push({ kind: 'restored' });
        return;
      case 'average':
        this.#averaging = effect.step;
        return;
      case 'committed': {
        const covered = effect.receipts.flatMap(({ block }) => range(block.begin, block.end));
        this.#committed.push({ step: effect.step, covered: covered.sort((left, right) => left - right) });
        if (effect.skipped !== undefined) this.#skipped.push(effect.step);
        return;
      }
      case 'epoch-finished':
        this.#epochs.push(effect);
        return;
      case 'finish':
      case 'fail':
        if (this.#outcome !== undefined) throw new Error('a run ended twice');
        this.#outcome = effect;
        return;
      case 'count':
      case 'verified':
        return;
      case 'copy':
        this.#copies.push(effect.reason);
        return;
      case 'roll-back':
        this.#outcome = { kind: 'fail', error: { code: 'ROLLBACK', message: `to ${effect.to}`, facts: {} } };
        return;
      case 'gradients-disagree':
        if (this.#options.liar === true) return;
        throw new Error(`copies of block ${effect.counted.step}.${effect.counted.block.begin} differ`);
      default:
        effect satisfies never;
    }
  }

  #doQueueEffect(): boolean {
    const effect = this.#queueEffects.shift();
    if (effect === undefined) return false;
    if (effect.kind === 'withdraw') this.#queue.length = 0;
    else if (effect.kind === 'announce') this.#announce(effect.items);
    else if (effect.kind === 'release') {
      this.#workers.find(({ name }) => name === effect.worker)?.inbox.push({ kind: 'release', id: effect.itemId });
    } else {
      const taken = this.#active.get(effect.itemId);
      if (taken?.token === effect.token) {
        this.#active.delete(effect.itemId);
        this.#queue.unshift(taken.item);
        this.#restoreOrder();
      } else this.#feed({ kind: 'hand-back-refused', itemId: effect.itemId });
    }
    return true;
  }

  #announce(items: readonly WorkItem[]): void {
    for (const item of items) {
      if (this.#known.has(itemId(item))) continue;
      this.#known.add(itemId(item));
      this.#queue.push(item);
      if (item.kind !== 'gradient' && item.kind !== 'lease') continue;
      const last = item.kind === 'lease' ? item.end - 1 : item.step;
      this.#furthestAhead = Math.max(this.#furthestAhead, last - this.#state.version + 1);
      this.#lastAnnounced = Math.max(this.#lastAnnounced, last);
    }
    this.#restoreOrder();
  }

  /** The queue's promise: earlier versions first, else in the order they came. */
  #restoreOrder(): void {
    const stepOf = (item: WorkItem): number => (item.kind === 'average' ? item.step : versionOf(item));
    this.#queue.sort((left, right) => stepOf(left) - stepOf(right));
  }

  #forget(): void {
    this.#queue.length = 0;
    this.#known.clear();
    this.#active.clear();
  }

  /** The queue's own check: what a dead worker still holds comes back to the front when its lock runs out. */
  #expireLock(): boolean {
    const orphan = [...this.#active.values()].find(({ token }) => {
      return !this.#workers.some(({ name }) => token.startsWith(`${name}-`));
    });
    if (orphan === undefined || !this.#chance(0.05)) return false;
    this.#active.delete(orphan.id);
    this.#queue.unshift(orphan.item);
    return true;
  }

  #deliver(input: RunInput | undefined): boolean {
    if (input === undefined) return false;
    // Else its frames were dropped, and the block would have to be computed again.
    if (input.kind === 'gradient-received' && framesAreDropped(this.#state, input.receipt)) {
      throw new Error(`the gradient of step ${input.receipt.step} came when it could not be taken`);
    }
    if (
      (input.kind === 'gradient-received' || input.kind === 'lease-received') &&
      this.#chance(this.#options.faults / 2)
    )
      this.#late.push(input);
    this.#feed(input);
    return true;
  }

  #hear(worker: SimulatedWorker): boolean {
    const message = worker.inbox.shift();
    if (message === undefined) return false;
    if (message.kind === 'weights') worker.version = Math.max(worker.version, message.version);
    else if (message.kind === 'state') {
      const { item } = worker.holds ?? {};
      if (item?.kind === 'lease' && item.step === message.version) {
        worker.version = message.version;
        worker.stateVersion = message.version;
      }
    } else if (worker.holds?.id === message.id) this.#finish(worker, worker.holds);
    return true;
  }

  #take(worker: SimulatedWorker): boolean {
    const index = this.#queue.findIndex(({ kind }) => kind !== 'average');
    const item = this.#queue[index];
    if (item === undefined || item.kind === 'average') return false;
    this.#queue.splice(index, 1);
    const taken: Taken = { item, id: itemId(item), token: `${worker.name}-${this.#random()}` };
    worker.holds = taken;
    this.#active.set(taken.id, taken);
    const holds = worker.version === worker.stateVersion && worker.version >= 0 ? { holds: step(worker.version) } : {};
    if (item.kind !== 'lease' && 'holds' in holds && worker.version > versionOf(item)) {
      worker.version = -1; // ahead on a result of its own: the published weights come once more
      worker.stateVersion = -1;
    }
    const { id, token } = taken;
    worker.outbox.push({ kind: 'item-taken', itemId: id, token, worker: workerId(worker.name), ...holds });
    return true;
  }

  #compute(worker: SimulatedWorker, taken: Taken): boolean {
    const { item } = taken;
    if (isFirstWorker(worker) && this.#chance(1 - 1 / (this.#options.slow ?? 1))) return false;
    if (item.kind === 'lease') return this.#computeLease(worker, taken, item);
    if (versionOf(item) > worker.version) return false;
    this.#finish(worker, taken);
    const name = workerId(worker.name);
    if (this.#options.poison === itemKey(item)) {
      worker.outbox.push({ kind: 'item-failed', itemId: taken.id, worker: name, message: 'poison' });
    } else if (versionOf(item) === worker.version) worker.outbox.push(receiptOf(item, name, this.#hashOf(worker)));
    return true;
  }

  /** A worker goes on from its own result at once, whether or not that was adopted. */
  #computeLease(worker: SimulatedWorker, taken: Taken, item: LeaseItem): boolean {
    if (worker.version !== item.step || worker.stateVersion !== item.step) return false;
    this.#finish(worker, taken);
    if (this.#options.poison === itemKey(item)) {
      const name = workerId(worker.name);
      worker.outbox.push({ kind: 'item-failed', itemId: taken.id, worker: name, message: 'poison' });
      return true;
    }
    const broken = this.#options.nonFinite?.steps.find((at) => at >= item.step && at < item.end);
    worker.version = broken ?? item.end;
    worker.stateVersion = worker.version;
    const by = workerId(worker.name);
    worker.outbox.push(leaseReceiptOf(item, by, this.#options.microBatches, broken, this.#hashOf(worker)));
    return true;
  }

  #hashOf(worker: SimulatedWorker): string | undefined {
    return this.#options.liar === true && isFirstWorker(worker) ? LIE : undefined;
  }

  /** The worker is done with an item: its job completes, if it still holds the lock. */
  #finish(worker: SimulatedWorker, taken: Taken): void {
    worker.holds = undefined;
    if (this.#active.get(taken.id)?.token === taken.token) this.#active.delete(taken.id);
  }

  #average(): boolean {
    if (this.#averaging === undefined) return false;
    const step = this.#averaging;
    this.#averaging = undefined;
    const flipped = this.#options.flips !== undefined && ++this.#averages % this.#options.flips === 0;
    const finite = this.#options.nonFinite?.steps.includes(step) !== true && !flipped;
    this.#feed({ kind: 'averaged', step, finite });
    return true;
  }

  #adopt(): boolean {
    if (this.#adopting === undefined) return false;
    const at = this.#adopting;
    this.#adopting = undefined;
    const refused = (this.#options.lies ?? false) && this.#mishap(0.03);
    this.#feed({ kind: 'adopted', step: at, outcome: refused ? 'refused' : 'accepted' });
    return true;
  }

  #choose(): boolean {
    if (this.#options.grain !== 'mixed' || !this.#chance(0.3)) return false;
    const stepsPerLease = 1 + Math.floor(this.#random() * 6);
    this.#feed({ kind: 'grain-chosen', plan: { grain: this.#chance(0.6) ? 'run' : 'step', stepsPerLease } });
    return false;
  }

  #loseDistrusted(): void {
    const name = this.#distrusted.shift();
    const worker = this.#workers.find((one) => one.name === name);
    if (worker !== undefined) this.#lose(worker);
  }

  #join(): void {
    const back = this.#options.liar === true && this.#born > 0 && !this.#workers.some((one) => isFirstWorker(one));
    const name = back ? 'w0' : `w${this.#born++}`;
    const worker: SimulatedWorker = { name, inbox: [], outbox: [], holds: undefined, version: -1, stateVersion: -1 };
    if (this.#published !== undefined) worker.inbox.push({ kind: 'weights', version: this.#published });
    this.#workers.push(worker);
    this.#feed({ kind: 'workers-changed', workers: this.#workers.length });
  }

  #lose(worker: SimulatedWorker): void {
    this.#workers.splice(this.#workers.indexOf(worker), 1);
    this.#feed({ kind: 'worker-lost', worker: workerId(worker.name) });
    this.#feed({ kind: 'workers-changed', workers: this.#workers.length });
  }

  /** Bad luck that spares an item which had its share of it: three workers lost over a block would rightly be taken for poison. */
  #mishap(share: number): boolean {
    return this.#chance(share) && ![...this.#state.items.values()].some(({ failedOn }) => failedOn.length >= 2);
  }

  #chance(share: number): boolean {
    return this.#random() < share;
  }
}
