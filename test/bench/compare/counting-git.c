/*
 * A Git that writes down one letter per process and becomes Git, so that counting costs as good as nothing: u for
 * upload-pack, p for pack-objects, h for http-backend, o for any other command. Git's own children count too: GIT_EXEC_PATH leads back here.
 *
 *   cc -O2 -DCALLS='"FILE"' -DGIT='"/usr/lib/git-core/"' -DEXEC_PATH='"DIRECTORY"' -o git counting-git.c
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
  const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
  const char *command = strncmp(name, "git-", 4) == 0 ? name + 4 : "";
  for (int index = 1; index < argc && !*command; index++) {
    if (strcmp(argv[index], "-c") == 0 || strcmp(argv[index], "-C") == 0) index++;
    else if (argv[index][0] != '-') command = argv[index];
  }
  char letter = strcmp(command, "upload-pack") == 0    ? 'u'
                : strcmp(command, "pack-objects") == 0 ? 'p'
                : strcmp(command, "http-backend") == 0 ? 'h'
                                                       : 'o';
  int calls = open(CALLS, O_WRONLY | O_APPEND | O_CLOEXEC);
  if (calls >= 0 && write(calls, &letter, 1) < 0) return 126;
  setenv("GIT_EXEC_PATH", EXEC_PATH, 1);
  char path[4096];
  snprintf(path, sizeof path, "%s%s", GIT, name);
  execv(path, argv);
  perror(path);
  return 127;
}
