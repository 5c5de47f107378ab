/** Thrown where a learner has not written the code yet: what stands in a gap of the tree that `npm run begin` makes. */
export class NotImplemented extends Error {
  override readonly name = 'NotImplemented';
  /** The gap's number and name: `02.3 pivotRoot`. */
  readonly gap: string;

  constructor(gap: string) {
    super(`not implemented yet: ${gap}`);
    this.gap = gap;
  }
}
