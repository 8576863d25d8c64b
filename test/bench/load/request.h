/* What load.c asks, and the numbers by which it picks. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct request {
  char name[64];
  double until; /* the sum of the weights up to and with its own */
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
  int low = 0, high = request_count - 1;
  while (low < high) {
    int middle = (low + high) / 2;
    if (at < requests[middle].until) high = middle;
    else low = middle + 1;
  }
  return &requests[low];
}

static void read_requests(const char *path) {
  FILE *file = fopen(path, "r");
  if (!file) die(path);
  struct request each;
  double weight;
  while (fscanf(file, "%63s %lf %zu", each.name, &weight, &each.length) == 3) {
    fgetc(file);
    each.bytes = malloc(each.length + 1);
    if (fread(each.bytes, 1, each.length, file) != each.length) die("a request that is cut short");
    each.until = total_weight += weight;
    requests = realloc(requests, sizeof each * (request_count + 1));
    requests[request_count++] = each;
  }
  fclose(file);
  if (request_count == 0) die("no requests");
}
