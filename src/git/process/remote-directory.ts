import { pathBytes } from '../filesystem/byte-path.js'
import { handedOnPath } from '../filesystem/open-directory.js'
import type { Repository } from '../state/repository.js'

/**
 * Enters a directory, opens another one if there is one, checks that both are those that were looked at, and becomes
 * the program. Paths come with octal escapes, for arguments here are text and paths are bytes.
 */
const script = `
path() { dir=$(printf '%b/' "$1"); }
is() { [ "$(stat -Lc %d:%i -- "$1")" = "$2" ] || { echo 'the repository was exchanged, or stat failed' >&2; exit 75; }; }
path "$1"; cd "$dir" || exit; is . "$2"
if [ -n "$3" ]; then path "$3"; exec 3<"$dir" || exit; is ${handedOnPath('', 3)} "$4"; fi
shift 4
exec "$@"`

/** A command line that starts a program without this process touching the program, or where it shall work. */
export type Launcher = readonly [program: string, ...args: string[]]

/**
 * Starts a program in a repository's directory on a mount that may hang. Node would make the new process enter it, and
 * wait until that has entered (uv_spawn); a shell that begins in the root directory hangs alone. The repository's common
 * directory, if it is another one, becomes descriptor 3.
 */
export const inRemoteDirectory = ({
  gitDir,
  gitIdentity,
  commonDir,
  commonIdentity,
}: Repository): Launcher => {
  const linked = commonDir === gitDir ? ['', ''] : [escape(commonDir), inodeOf(commonIdentity)]
  return ['/bin/sh', '-c', script, 'sh', escape(gitDir), inodeOf(gitIdentity), ...linked]
}

/** Starts a program that itself lies on such a mount. */
export const remoteProgram: Launcher = ['/bin/sh', '-c', 'exec "$@"', 'sh']

/** Device and inode; the time of birth, which is part of an identity too, is none that every `stat` tells. */
const inodeOf = (identity: string): string => identity.split(':').slice(0, 2).join(':')

/** For printf's %b. */
const escape = (path: string): string =>
  [...pathBytes(path)]
    .map((byte) => {
      const character = String.fromCharCode(byte)
      return /[\w/.-]/.test(character) ? character : `\\0${byte.toString(8).padStart(3, '0')}`
    })
    .join('')
