import { pathBytes } from '../filesystem/byte-path.js'
import { descriptorPath } from '../filesystem/open-directory.js'
import type { Repository } from '../state/repository.js'

/**
 * A command line in front of a program's own, which starts the program without this process having to touch it or its
 * working directory.
 */
export type Launcher = readonly [program: string, ...args: string[]]

/**
 * Enters a directory, opens another one if one is given, checks device and inode of both, and replaces itself by the
 * program. Paths come with octal escapes: they are bytes, and arguments here are text.
 */
const script = `
path() { dir=$(printf '%b/' "$1"); }
is() { [ "$(stat -Lc %d:%i -- "$1")" = "$2" ] || { echo 'the repository was exchanged, or stat failed' >&2; exit 75; }; }
path "$1"; cd "$dir" || exit; is . "$2"
if [ -n "$3" ]; then path "$3"; exec 3<"$dir" || exit; is ${descriptorPath('', 3)} "$4"; fi
shift 4
exec "$@"`

/**
 * Starts a program in a repository's directory on a mount that may hang. Node would make the new process enter it and
 * wait for that (uv_spawn); a shell that begins in the root directory hangs alone. The repository's common directory, if
 * it is another one, becomes descriptor 3.
 */
export const launcherInRepository = ({
  gitDir,
  gitIdentity,
  commonDir,
  commonIdentity,
}: Repository): Launcher => {
  const linked = commonDir === gitDir ? ['', ''] : [escapeForPrintf(commonDir), inodeOf(commonIdentity)]
  return ['/bin/sh', '-c', script, 'sh', escapeForPrintf(gitDir), inodeOf(gitIdentity), ...linked]
}

/** Starts a program that itself lies on a mount that may hang. */
export const remoteProgram: Launcher = ['/bin/sh', '-c', 'exec "$@"', 'sh']

/** Device and inode. The time of birth, which is part of an identity too, is not known to every stat(1). */
const inodeOf = (identity: string): string => identity.split(':').slice(0, 2).join(':')

/** Escapes a path for printf's %b (printf(1)). */
const escapeForPrintf = (path: string): string =>
  [...pathBytes(path)]
    .map((byte) => {
      const character = String.fromCharCode(byte)
      return /[\w/.-]/.test(character) ? character : `\\0${byte.toString(8).padStart(3, '0')}`
    })
    .join('')
