// What went wrong, in a sentence for people; all other errors are the fault of what was read, or ours.

export class PreviewFailure extends Error {}
