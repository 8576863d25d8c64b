/* What load.c asks, and the numbers by which it picks. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct request {
  char name[64];
  double weight;
  char *bytes;
  size_t length;
};

static struct request *requests;
static int request_count;
static double total_weight;
static uint64_t random_state = 1;

static void die(const char *what) {
  perror(what);
  exit(1);
}

/* From 0 to 1, the same for the same seed (SplitMix64). */
static double random_share(void) {
  uint64_t mixed = random_state += 0x9e3779b97f4a7c15u;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
  return ((mixed ^ (mixed >> 31)) >> 11) / 9007199254740992.0;
}

static const struct request *pick(void) {
  double at = random_share() * total_weight;
  for (int index = 0; index < request_count; index++)
    if ((at -= requests[index].weight) < 0) return &requests[index];
  return &requests[0];
}

static void read_requests(const char *path) {
  FILE *file = fopen(path, "r");
  if (!file) die(path);
  struct request each;
  while (fscanf(file, "%63s %lf %zu", each.name, &each.weight, &each.length) == 3) {
    fgetc(file);
    each.bytes = malloc(each.length + 1);
    if (fread(each.bytes, 1, each.length, file) != each.length) die("a request that is cut short");
    requests = realloc(requests, sizeof each * (request_count + 1));
    requests[request_count++] = each;
    total_weight += each.weight;
  }
  fclose(file);
  if (request_count == 0) die("no requests");
}
