/* What load.c notes of each request, and what it prints of all. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct record {
  int request, status, session; /* a place in `requests`; in mode list, whose it is */
  bool ends_in_flush;           /* its body ends in a flush packet, gitprotocol-common(5) */
  const char *result;
  double due, sent, joined, first, last;
  uint64_t length, hash;
};

static struct record *records;
static size_t record_count, record_room;

static void note(struct record record) {
  /* All are kept, so that quantiles are exact. */
  if (record_count == record_room)
    records = realloc(records, sizeof *records * (record_room = record_room ? record_room * 2 : 1024));
  records[record_count++] = record;
}

static int ascending(const void *a, const void *b) {
  double left = *(const double *)a, right = *(const double *)b;
  return (left > right) - (left < right);
}

static void quantiles(const char *name, double *values, size_t count) {
  qsort(values, count, sizeof *values, ascending);
  double at[5] = {0.5, 0.9, 0.99, 0.999, 1};
  for (int index = 0; index < 5; index++) {
    size_t rank = ceil(at[index] * count);
    at[index] = count ? values[rank > 0 ? rank - 1 : 0] : 0;
  }
  printf(",\"%s\":{\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":%.3f}", name, at[0], at[1], at[2],
         at[3], at[4]);
}

static bool same_answer(const struct record *a, const struct record *b) {
  bool same_name = strcmp(requests[a->request].name, requests[b->request].name) == 0;
  return same_name && a->status == b->status && a->length == b->length && a->hash == b->hash &&
         strcmp(a->result, b->result) == 0;
}

static void print_answer(const struct record *record) {
  printf("\"name\":\"%s\",\"result\":\"%s\",\"status\":%d,\"length\":%llu,\"hash\":\"%016llx\"",
         requests[record->request].name, record->result, record->status, (unsigned long long)record->length,
         (unsigned long long)record->hash);
}

/* The whole run as one JSON line, after one for each request if that is asked for. Times are milliseconds. */
static void report(double wall, uint64_t bytes, size_t under_way, bool each) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  double cpu = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
  for (size_t index = 0; each && index < record_count; index++) {
    const struct record *record = &records[index];
    printf("{");
    print_answer(record);
    printf(",\"session\":%d,\"endsInFlush\":%s", record->session, record->ends_in_flush ? "true" : "false");
    printf(",\"due\":%.3f,\"sent\":%.3f,\"joined\":%.3f,\"first\":%.3f,\"last\":%.3f}\n", record->due, record->sent,
           record->joined, record->first, record->last);
  }
  printf("{\"requests\":%zu,\"bytes\":%llu,\"seconds\":%.4f,\"cpuSeconds\":%.4f", record_count,
         (unsigned long long)bytes, wall / 1e3, cpu);
  printf(",\"underWay\":%zu", under_way);
  double *values = malloc(sizeof *values * (record_count + 1));
  size_t first = 0, last = 0, late = 0;
  for (size_t index = 0; index < record_count; index++)
    if (records[index].first) values[first++] = records[index].first - records[index].due;
  quantiles("first", values, first);
  for (size_t index = 0; index < record_count; index++)
    if (strcmp(records[index].result, "ok") == 0) values[last++] = records[index].last - records[index].due;
  quantiles("last", values, last);
  for (size_t index = 0; index < record_count; index++) values[late++] = records[index].sent - records[index].due;
  quantiles("late", values, late);
  printf(",\"answers\":[");
  struct record kinds[256];
  size_t counts[256], kind_count = 0;
  for (size_t index = 0; index < record_count; index++) {
    size_t kind = 0;
    while (kind < kind_count && !same_answer(&kinds[kind], &records[index])) kind++;
    if (kind == 256) kind = 255;
    else if (kind == kind_count) kinds[kind_count] = records[index], counts[kind_count++] = 0;
    counts[kind]++;
  }
  for (size_t kind = 0; kind < kind_count; kind++) {
    printf("%s{", kind ? "," : "");
    print_answer(&kinds[kind]);
    printf(",\"count\":%zu}", counts[kind]);
  }
  printf("]}\n");
}
