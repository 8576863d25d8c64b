import type { ConfigPair } from './environment.js'

/**
 * The variables that change an advertisement and start no program, in lower case (git-config(1); upload-pack.c;
 * ls-refs.c; bundle-uri.c). A list of names and not a pattern, because `uploadpack.packObjectsHook` starts one.
 */
const allowed = new Set([
  ...['transfer.hiderefs', 'transfer.advertisesid', 'transfer.advertiseobjectinfo', 'lsrefs.unborn'],
  ...['uploadpack.hiderefs', 'uploadpack.allowfilter', 'uploadpack.allowrefinwant', 'uploadpack.keepalive'],
  ...[
    'uploadpack.allowtipsha1inwant',
    'uploadpack.allowreachablesha1inwant',
    'uploadpack.allowanysha1inwant',
  ],
  ...['uploadpack.allowsidebandall', 'uploadpack.advertisebundleuris', 'uploadpack.blobpackfileuri'],
  // These change nothing here, but clients send them together with the others to every service.
  ...['receive.hiderefs', 'protocol.version'],
])

/** `uploadpackfilter.allow`, `uploadpackfilter.<filter>.allow`, `uploadpackfilter.tree.maxDepth`. */
const filter = /^uploadpackfilter(\.[a-z:]{1,64})?\.(allow|maxdepth)$/

/** Most options of one request, and most bytes of one option, so that they fit into the environment. */
const optionsMax = 256
const optionMax = 4096

/**
 * Parses configuration that a client asks for, written `KEY=VALUE`, or `KEY` for true. Nothing else reaches Git (R8).
 * @returns the pairs, or why one of them is refused, as a text for the client
 */
export function parseClientConfig(options: readonly string[]): ConfigPair[] | { readonly refused: string } {
  if (options.length > optionsMax) return { refused: `there are more than ${optionsMax} config options` }
  const pairs: ConfigPair[] = []
  for (const option of options) {
    const [key = '', ...rest] = option.split('=')
    const name = key.toLowerCase()
    const value = rest.length > 0 ? rest.join('=') : 'true'
    const shown = JSON.stringify(key.slice(0, 100))
    if (!allowed.has(name) && !filter.test(name)) return { refused: `config option ${shown} is not allowed` }
    if (Buffer.byteLength(option) > optionMax || /\p{Cc}/u.test(value)) {
      return { refused: `config option ${shown} has a bad value` }
    }
    pairs.push([name, value])
  }
  return pairs
}
