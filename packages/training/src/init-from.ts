/** Where a run's first weights came from, when they are not drawn from its seed. */
export interface InitFrom {
  /** Name of the file, without its folder. */
  readonly file: string;
  /** SHA-256 of the weights the run began with: float32 little-endian, in the order of the layers. */
  readonly weightsSha256: string;
  /** How the file's tensors were told apart. */
  readonly matchedBy: 'names' | 'order' | 'shapes';
}
