// The one error that everything else handles.

/** The service said no, could not be asked, or this browser cannot do it. */
export class Failure extends Error {
  constructor(
    /** The HTTP status; 0 when there was no answer. */
    readonly status: number,
    /** A word that never changes its meaning. */
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}
