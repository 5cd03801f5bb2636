/**
 * A discrete-event simulation of steps on many machines: links, the processors that move bytes, computing, averaging.
 *
 * Every machine has one link, as fast in either direction, and one processor for the bytes it moves. Tensors travel in pieces, and a
 * piece takes its time on the sender's processor, the sender's link, the receiver's link and the receiver's processor, in turn.
 * What is left out, and where the figures come from: docs/scaling.md.
 */
import { mulberry } from '../../packages/training/src/simulated-receipts.fixture.js';
import { type Link, openLink, openServer, openTimeline, type Server, type Timeline } from './timeline.js';

/** What was measured of the real thing. */
export interface Calibration {
  /** Of one processor, to send or to receive. */
  readonly wireMsPerMB: number;
  /** Bytes on a link for each byte of payload: headers of HTTP/2, TCP, IP and Ethernet, acknowledgements. */
  readonly linkBytesPerByte: number;
  /** Of the coordinator's processor, for each job of a step: announced, taken, finished. */
  readonly jobMs: number;
  /** Of a step, whatever its size: dispatch, ledger, events. */
  readonly stepMs: number;
  /** One gradient added to another, a million parameters. */
  readonly foldMsPerMillion: number;
  /** Mean and update, a million parameters. */
  readonly updateMsPerMillion: number;
}

export type Topology =
  /** Every worker talks to the coordinator. */
  | { readonly kind: 'star' }
  /** Machines between them pass weights on and add up gradients, each for so many below it. Not built: see docs/scaling.md. */
  | { readonly kind: 'tree'; readonly fanOut: number };

export interface Scenario {
  readonly workers: number;
  readonly topology: Topology;
  readonly parameters: number;
  /** Weights to a worker, and a gradient back. */
  readonly bytes: { readonly down: number; readonly up: number };
  readonly megabitPerSecond: number;
  /** What a link lets through at once after a pause; absent: nothing. */
  readonly burstBytes?: number;
  /** One way. */
  readonly latencyMs: number;
  /** Of one worker in one local step, on average. */
  readonly computeMs: number;
  /** Standard deviation of the logarithm of a step's computing time. */
  readonly noise: number;
  /** Between two exchanges. */
  readonly localSteps: number;
  /** All machines are processes of one with so many cores; absent: each has processors of its own. */
  readonly sharedCores?: number;
  readonly steps: number;
  readonly seed: number;
}

export interface Outcome {
  /** Mean over the steps, of one local step. */
  readonly stepMs: number;
  /** The share of the workers' time that is computing: 1 for workers that never wait. */
  readonly efficiency: number;
}

interface Machine {
  readonly send: Link;
  readonly receive: Link;
  readonly processor: Server;
  /** Computes beside the processor that moves bytes, unless all share cores. */
  readonly kernel: Server;
}

const LEAST_PIECE_BYTES = 65_536;
/** Pieces of a tensor at the most: a simulated tensor arrives up to one piece late at each hop. */
const MOST_PIECES = 32;

/** One place in the distribution tree: the coordinator, a machine between, or a worker. */
interface Node {
  readonly machine: Machine;
  readonly children: readonly Node[];
}

export function simulate(scenario: Scenario, calibration: Calibration): Outcome {
  const { workers, steps, localSteps, computeMs, parameters, bytes, topology } = scenario;
  const timeline = openTimeline();
  const random = mulberry(scenario.seed);
  const cores = scenario.sharedCores === undefined ? undefined : openServer(timeline, scenario.sharedCores);
  const bytesPerMs = (scenario.megabitPerSecond * 1e3) / 8;
  const machine = (): Machine => ({
    send: openLink(timeline, bytesPerMs, scenario.burstBytes),
    receive: openLink(timeline, bytesPerMs, scenario.burstBytes),
    processor: cores ?? openServer(timeline),
    kernel: cores ?? openServer(timeline),
  });
  const root = nodeOver(workers, topology, machine);
  const transfer = transfers(scenario, calibration, timeline);
  const pieces = (total: number): number => Math.max(1, Math.min(MOST_PIECES, Math.ceil(total / LEAST_PIECE_BYTES)));
  const [downPieces, upPieces] = [pieces(bytes.down), pieces(bytes.up)];
  const million = parameters / 1e6;

  /** Time one worker computes until its next exchange; the mean of its distribution is `localSteps * computeMs`. */
  function drawComputing(): number {
    const sigma = scenario.noise / Math.sqrt(localSteps); // the noise of many steps evens out
    return localSteps * computeMs * Math.exp(sigma * normal(random) - (sigma * sigma) / 2);
  }

  /** Weights go down a piece at a time, each as soon as it is here. */
  function passDown(node: Node, piece: number): void {
    for (const child of node.children) {
      transfer(node.machine, child.machine, bytes.down / downPieces, () => {
        passDown(child, piece);
        if (child.children.length === 0 && piece === downPieces - 1) {
          child.machine.kernel(drawComputing(), () => sendUp(child));
        }
      });
    }
  }

  const parents = new Map<Node, Node>();
  const arrived = new Map<Node, number[]>();
  (function connect(node: Node): void {
    arrived.set(node, []);
    for (const child of node.children) {
      parents.set(child, node);
      connect(child);
    }
  })(root);

  function sendUp(node: Node): void {
    for (let piece = 0; piece < upPieces; piece++) sendPieceUp(node, piece);
  }

  function sendPieceUp(node: Node, piece: number): void {
    const parent = parents.get(node)!; // a worker, or a machine between, has one
    transfer(node.machine, parent.machine, bytes.up / upPieces, () => receivePiece(parent, piece));
  }

  function receivePiece(node: Node, piece: number): void {
    const counts = arrived.get(node)!; // every node has counts
    counts[piece] = (counts[piece] ?? 0) + 1;
    if (counts[piece] < node.children.length) return;
    const folds = node.children.length - 1;
    const foldMs = (folds * calibration.foldMsPerMillion * million) / upPieces;
    if (node !== root) {
      node.machine.kernel(foldMs, () => sendPieceUp(node, piece));
      return;
    }
    if (counts.length < upPieces || counts.some((count) => count < node.children.length)) return;
    // The coordinator folds when all is in, as it is built.
    root.machine.kernel(foldMs * upPieces + calibration.updateMsPerMillion * million, commit);
  }

  let step = 0;
  function commit(): void {
    for (const counts of arrived.values()) counts.length = 0;
    const jobs = root.children.length + 1;
    root.machine.processor(calibration.stepMs + jobs * calibration.jobMs, () => {
      if (++step < steps) begin();
    });
  }

  function begin(): void {
    for (let piece = 0; piece < downPieces; piece++) passDown(root, piece);
  }

  begin();
  timeline.run();
  const stepMs = timeline.now() / steps / localSteps;
  return { stepMs, efficiency: computeMs / stepMs };
}

/** Machines over so many workers: those between have at most `fanOut` below them, and so has the coordinator. */
function nodeOver(workers: number, topology: Topology, machine: () => Machine): Node {
  let level: readonly Node[] = Array.from({ length: workers }, () => ({ machine: machine(), children: [] }));
  while (topology.kind === 'tree' && level.length > topology.fanOut) {
    const { fanOut } = topology;
    const below = level;
    level = Array.from({ length: Math.ceil(below.length / fanOut) }, (_, group) => ({
      machine: machine(),
      children: below.slice(group * fanOut, (group + 1) * fanOut),
    }));
  }
  return { machine: machine(), children: level };
}

type Transfer = (from: Machine, to: Machine, pieceBytes: number, arrived: () => void) => void;

function transfers(
  { latencyMs }: Scenario,
  { wireMsPerMB, linkBytesPerByte }: Calibration,
  timeline: Timeline,
): Transfer {
  return (from, to, pieceBytes, arrived) => {
    const processorMs = (wireMsPerMB * pieceBytes) / 1e6;
    const linkBytes = pieceBytes * linkBytesPerByte;
    from.processor(processorMs, () =>
      from.send(linkBytes, () =>
        timeline.after(latencyMs, () => to.receive(linkBytes, () => to.processor(processorMs, arrived))),
      ),
    );
  };
}

/** By Box and Muller. */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
