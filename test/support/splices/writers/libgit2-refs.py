# Changes refs with libgit2 through pygit2, one command per line: set REF ID, delete REF, symbolic REF TARGET, pack. Answers
# `ok` or the error, in one line.
import sys

import pygit2

repository = pygit2.Repository(sys.argv[1])
references = repository.references


def run(words):
    # A target that is no object id makes a symbolic ref.
    if words[0] in ("set", "symbolic"):
        references.create(words[1], words[2], force=True)
    elif words[0] == "delete":
        references.delete(words[1])
    elif words[0] == "pack":
        references.compress()


print("ready", flush=True)
for line in sys.stdin:
    try:
        run(line.split())
        print("ok", flush=True)
    except Exception as error:
        print("error", repr(error).replace("\n", " "), flush=True)
