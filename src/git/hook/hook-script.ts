import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const template = fileURLToPath(new URL('./reference-transaction', import.meta.url))
/** The line by which an installed hook is recognised, of any version. */
const signature = "# refstream's reference-transaction hook"

/** What an installed hook was configured with. */
export interface HookSettings {
  /** Address of the sidecar's admin endpoint. */
  readonly admin: string
  readonly tokenFile: string | undefined
}

/** Returns the hook's program: the template with its settings filled in. */
export function renderHook({ admin, tokenFile = '' }: HookSettings): string {
  const quoted = (text: string): string => text.replaceAll("'", String.raw`'\''`)
  return readFileSync(template, 'utf8')
    .replace('@ADMIN@', () => quoted(admin))
    .replace('@TOKEN_FILE@', () => quoted(tokenFile))
}

/** Reads the settings of a hook that `renderHook` has made, in this version or another; undefined: it is another hook. */
export function parseHook(text: string): HookSettings | undefined {
  const admin = valueOf(text, 'admin')
  if (!text.includes(`\n${signature}`) || admin === undefined) return undefined
  return { admin, tokenFile: valueOf(text, 'token_file') || undefined }
}

const valueOf = (text: string, variable: string): string | undefined =>
  new RegExp(`^ *${variable}='(.*)'$`, 'm').exec(text)?.[1]?.replaceAll(String.raw`'\''`, "'")
