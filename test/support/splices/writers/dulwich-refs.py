# Changes refs with dulwich, one command per line: set REF ID, delete REF, symbolic REF TARGET, pack. Answers `ok` or the
# error, in one line.
import sys

from dulwich.repo import Repo

refs = Repo(sys.argv[1]).refs


def run(words):
    if words[0] == b"set":
        refs[words[1]] = words[2]
    elif words[0] == b"symbolic":
        refs.set_symbolic_ref(words[1], words[2])
    elif words[0] == b"delete":
        del refs[words[1]]
    elif words[0] == b"pack":
        # Older versions have no such method; they pack single refs.
        if hasattr(refs, "pack_refs"):
            refs.pack_refs(all=True)
        else:
            raise NotImplementedError("this dulwich does not pack refs")


print("ready", flush=True)
for line in sys.stdin.buffer:
    try:
        run(line.split())
        print("ok", flush=True)
    except Exception as error:
        print("error", repr(error).replace("\n", " "), flush=True)
