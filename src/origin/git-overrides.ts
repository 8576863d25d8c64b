/** What a client overrides for its own answer, as the request has it, unchecked. */
export interface GitOverrides {
  /** Each `KEY=VALUE`. */
  readonly configOptions?: readonly string[]
  /** Where objects are instead of in `objects/`, relative to the repository; empty: there. */
  readonly objectDirectory?: string
  readonly alternateObjectDirectories?: readonly string[]
}

/** Returns whether a request overrides nothing, so that the shared answer is right for it. */
export const overridesNothing = ({
  configOptions,
  objectDirectory,
  alternateObjectDirectories,
}: GitOverrides): boolean => !configOptions?.length && !objectDirectory && !alternateObjectDirectories?.length
