// Where the compiled form of a TypeScript file of src/ and test/ is kept.
const top = new URL('../..', import.meta.url)

/** The directory of all compiled files. */
export const directory = new URL('.run/compiled/', top)

/** Returns the path of a TypeScript file below the project's directory; undefined: the URL names none of src/ or test/. */
export function sourcePath(url) {
  if (!url.startsWith(top.href)) return undefined
  return /^(?:src|test)\/[^?#]*\.ts$/.exec(url.slice(top.href.length))?.[0]
}

/** Returns the URL of the compiled form of such a path. */
export const compiledForm = (path) => new URL(path.replace(/ts$/, 'js'), directory)
